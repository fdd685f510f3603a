//! Services that Envoy's `ext_authz` asks: they read the `authorization` header and say who that is.

/// The service over gRPC.
mod grpc;

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use super::listener;
use super::message::{Lines, find, latin1, read_lines, read_start_line};

/// What a service says to one `authorization` value, which is empty where there is none.
pub type Rule = fn(&str) -> Verdict;

/// What a service says of a request.
pub enum Verdict {
    /// It may pass.
    Allow {
        /// Headers to set on it.
        headers: Vec<(&'static str, &'static str)>,
        /// Dynamic metadata, an object; only gRPC carries it.
        metadata: Value,
    },
    /// It may not.
    Deny,
}

impl Verdict {
    /// A request that may pass without a word about who it is from.
    pub fn allow() -> Self {
        Self::Allow { headers: Vec::new(), metadata: json!({}) }
    }

    /// A request that may pass with these headers.
    pub fn with_headers(headers: &[(&'static str, &'static str)]) -> Self {
        Self::Allow { headers: headers.to_vec(), metadata: json!({}) }
    }

    /// A request that may pass with this dynamic metadata.
    pub fn with_metadata(metadata: Value) -> Self {
        Self::Allow { headers: Vec::new(), metadata }
    }
}

/// Starts a service over HTTP; its thread ends with the test process. Returns the cluster that leads to it.
pub fn over_http(name: &str, rule: Rule) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind the authorization service");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, rule));
        }
    });
    listener::cluster(name, &listener::loopback(port))
}

/// The same over gRPC.
pub fn over_grpc(name: &str, rule: Rule) -> Value {
    listener::http2_cluster(name, grpc::start(rule))
}

/// Checks have no body, so that a request ends with its headers.
fn serve(stream: TcpStream, rule: Rule) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while read_start_line(&mut reader)?.is_some() {
        let headers = read_lines(&mut reader)?;
        writer.write_all(answer(&headers, rule).as_bytes())?;
    }
    Ok(())
}

fn answer(headers: &Lines, rule: Rule) -> String {
    let authorization = find(headers, "authorization").map(latin1).unwrap_or_default();
    match rule(&authorization) {
        Verdict::Allow { headers, .. } => {
            let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n")
        }
        Verdict::Deny => "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".into(),
    }
}
