//! `attest upstream`: a service to put behind the proxy, which shows what arrives there and whether it is good.

mod demo_issuer;
mod html;
mod keyset_cache;
mod page;
mod received;
mod service;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use axum::http::HeaderName;
use serde_json::json;

use crate::assertion::Expected;
use crate::keyset::{Fetcher, Source, TrustArgs};
use crate::terminal::{Rows, Stream};
use crate::{Outcome, clock, terminal};
use demo_issuer::DemoIssuer;
use keyset_cache::KeysetCache;
use service::Service;

/// Run a demo service behind the proxy, which verifies each assertion and shows it
///
/// Every path answers with what was received: as a web page to a browser, as JSON to everything else (or as
/// ?format=json or ?format=html says). The status is 200 for a good assertion and 401 for a bad or missing one.
/// /healthz answers 200 always. The keyset is fetched through the proxy when the first assertion arrives, kept as
/// long as its Cache-Control allows, and fetched again for an unknown kid.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest upstream --listen 127.0.0.1:8080 --jwks http://127.0.0.1:10000/.well-known/pomerium/jwks.json
  attest upstream --listen unix:/run/demo.sock --jwks http://127.0.0.1:10000/.well-known/pomerium/jwks.json")]
pub(crate) struct Args {
    /// Address and port, or unix:PATH; port 0 takes a free one, which the first line of output names
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: Listen,

    /// Where the keyset is: a URL of the proxy, or a file that attest jwks wrote
    #[arg(long, value_name = "URL|FILE")]
    jwks: Source,

    /// The header that carries the assertion, with or without "Bearer " before it
    #[arg(long, value_name = "NAME", default_value = "x-pomerium-jwt-assertion")]
    header: HeaderName,

    /// The audience (aud) that assertions must be for; if given more than once, any of them
    #[arg(long, value_name = "AUDIENCE")]
    audience: Vec<String>,

    /// The issuer (iss) that assertions must be from; if given more than once, any of them
    #[arg(long, value_name = "ISSUER")]
    issuer: Vec<String>,

    /// How far the clocks of the proxy and this service may be apart
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "5")]
    leeway: Duration,

    /// For demos only: a P-256 key file to sign in invented users with, who are then sent as a token in a cookie
    #[arg(long, value_name = "FILE")]
    demo_issuer_key: Option<PathBuf>,

    /// For demos only: the cookie that jwt_authn takes the invented user's token from
    #[arg(long, value_name = "NAME", default_value = "demo_user", requires = "demo_issuer_key")]
    demo_cookie: String,

    #[command(flatten)]
    trust: TrustArgs,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: needs the path of a socket after it".to_owned()),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "write ADDRESS:PORT, like 127.0.0.1:8080 or [::]:8080, or unix:PATH".to_owned()),
        }
    }
}

pub(crate) fn run(args: Args, json: bool) -> anyhow::Result<Outcome> {
    let demo_issuer = match &args.demo_issuer_key {
        Some(path) => Some(DemoIssuer::from_file(path, &args.demo_cookie)?),
        None => None,
    };
    let keysets = KeysetCache::new(Fetcher::new(&args.trust, args.jwks.is_https())?, args.jwks.clone());
    let expected = Expected { audiences: args.audience, issuers: args.issuer, leeway: args.leeway };
    let service = Service::new(args.header, expected, keysets, demo_issuer, json);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(serve(&args.listen, &args.jwks, service, json));
    // A keyset that is being fetched is of no use to anybody any more.
    runtime.shutdown_background();
    served.map(|()| Outcome::Done)
}

async fn serve(listen: &Listen, jwks: &Source, service: Service, json: bool) -> anyhow::Result<()> {
    let router = service.router();
    match listen {
        Listen::Tcp(address) => {
            let listener = tokio::net::TcpListener::bind(address).await.with_context(|| taken(address))?;
            announce(&format!("http://{}", listener.local_addr()?), jwks, json)?;
            until_stopped(axum::serve(listener, router)).await?;
        }
        Listen::Unix(path) => {
            let listener = bind_unix(path)?;
            announce(&format!("unix:{}", path.display()), jwks, json)?;
            let served = until_stopped(axum::serve(listener, router)).await;
            let _ = std::fs::remove_file(path);
            served?;
        }
    }
    Ok(())
}

/// Stops at once: a proxy keeps its connections open for as long as it likes.
async fn until_stopped(server: impl IntoFuture<Output = io::Result<()>>) -> io::Result<()> {
    tokio::select! {
        result = server.into_future() => result,
        () = stop() => Ok(()),
    }
}

fn taken(address: &SocketAddr) -> String {
    format!("cannot listen on {address}; is something else there? port 0 takes a free one")
}

/// A socket file that nobody answers at any more is left over from a service that was killed.
fn bind_unix(path: &Path) -> anyhow::Result<tokio::net::UnixListener> {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        let _ = std::fs::remove_file(path);
    }
    tokio::net::UnixListener::bind(path).with_context(|| {
        format!("cannot listen on unix:{}; does its directory exist, and is the name free?", path.display())
    })
}

fn announce(url: &str, jwks: &Source, json: bool) -> io::Result<()> {
    if json {
        return terminal::print(&format!("{}\n", json!({ "listening": url, "jwks": jwks.to_string() })));
    }
    let mut rows = Rows::default();
    rows.push("listening", url).push("keyset", jwks.to_string()).push("stop", "Ctrl-C");
    terminal::print(&rows.text(Stream::Stdout))
}

/// Ctrl-C, or the signal that container runtimes send.
async fn stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_tcp_or_unix() {
        assert_eq!("[::1]:80".parse::<Listen>().unwrap(), Listen::Tcp("[::1]:80".parse().unwrap()));
        assert_eq!("unix:/a/b".parse::<Listen>().unwrap(), Listen::Unix("/a/b".into()));
        for wrong in ["", "unix:", "8080", "localhost:80"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }
}
