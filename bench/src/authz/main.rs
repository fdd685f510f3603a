//! What people would use instead of the filter: a native ext_authz service over gRPC that signs the same token.
//!
//! It is as good as it can be made with the usual crates: hand-picked fields of the request are decoded and nothing
//! else, claims are serialised without a tree between, one thread for one Envoy worker, keys parsed once.

mod check;
mod service;
mod token;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use service::Authorization;
use token::{Library, Tokens};

#[derive(Parser)]
struct Arguments {
    /// `unix:PATH`, or `HOST:PORT`; the address is printed as soon as it accepts connections.
    #[arg(long)]
    listen: String,
    /// PKCS#8, DER, P-256.
    #[arg(long)]
    key: PathBuf,
    /// The key's ID.
    #[arg(long)]
    kid: String,
    #[arg(long, value_enum)]
    library: Library,
    /// One for each worker of Envoy.
    #[arg(long)]
    threads: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let key = std::fs::read(&arguments.key).context("cannot read the key")?;
    let tokens = Tokens::new(arguments.library, &key, &arguments.kid)?;
    runtime(arguments.threads)?.block_on(serve(&arguments.listen, Authorization::new(tokens)))
}

fn runtime(threads: usize) -> std::io::Result<Runtime> {
    match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    }
}

async fn serve(address: &str, service: Authorization) -> anyhow::Result<()> {
    let router = Server::builder().add_service(service);
    if let Some(path) = address.strip_prefix("unix:") {
        let listener = UnixListener::bind(path)?;
        println!("{path}");
        router.serve_with_incoming(UnixListenerStream::new(listener)).await?;
    } else {
        let listener = TcpListener::bind(address).await?;
        println!("{}", listener.local_addr()?);
        router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await?;
    }
    Ok(())
}
