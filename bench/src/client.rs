//! A client for one request at a time, for whatever is not a measurement under load.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::http_message::{head_length, is_ok, response_length, unchunked};

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a request, waits for the answer, and says how long that took.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.stream.write_all(request)?;
        self.received.clear();
        let mut buffer = [0; 64 * 1024];
        while response_length(&self.received).is_none_or(|length| self.received.len() < length) {
            let length = self.stream.read(&mut buffer)?;
            ensure!(length > 0, "the connection was closed");
            self.received.extend_from_slice(buffer.get(..length).unwrap_or_default());
        }
        if !is_ok(&self.received) {
            bail!("not answered 200: {}", String::from_utf8_lossy(&self.received));
        }
        Ok(started.elapsed())
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        head_length(&self.received).and_then(|length| self.received.get(length..)).unwrap_or_default()
    }
}

/// The body at a path of Envoy's admin interface, asked with a connection of its own.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = head_length(&answer).context("no answer")?;
    let body = unchunked(answer.get(head..).unwrap_or_default());
    Ok(String::from_utf8(body)?)
}
