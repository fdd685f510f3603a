//! Requests and replies over a plain socket, with nothing between the caller and the bytes.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::HOST;
use super::message::{
    Lines, content_length, find, is_chunked, latin1, read_chunked, read_lines, read_sized, read_start_line,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A byte stream to a listener, plain or encrypted.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One HTTP/1.1 connection.
pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
}

impl Client {
    /// Opens a plain connection.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(Box::new(try_tcp(address)?)))
    }

    /// Speaks HTTP over a stream that is already open.
    pub fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// When the peer closes instead of answering, or keeps silent for too long.
    pub fn try_send(&mut self, request: &Request) -> io::Result<Reply> {
        self.try_send_raw(&request.to_bytes(), &request.method)
    }

    /// Sends any bytes and reads whatever reply they bring; `None` if the peer closed without one.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Option<Reply> {
        self.try_send_raw(bytes, "GET").ok()
    }

    /// Sends some bytes and closes.
    pub fn abandon(mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes).and_then(|()| self.stream.get_mut().flush());
    }

    /// Sends any bytes, a request of this method, and waits for its reply.
    ///
    /// # Errors
    /// When the peer closes instead of answering, or keeps silent for too long.
    pub fn try_send_raw(&mut self, bytes: &[u8], method: &str) -> io::Result<Reply> {
        // Envoy may answer and close before it has read a request to its end.
        let _ = self.stream.get_mut().write_all(bytes).and_then(|()| self.stream.get_mut().flush());
        Reply::read(&mut self.stream, method)
    }
}

/// A connected socket that does not wait for ever.
///
/// # Errors
/// When nobody listens.
pub fn try_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: Option<Vec<u8>>,
    pub(super) headers: Lines,
    pub(super) body: Option<Vec<u8>>,
    pub(super) trailers: Lines,
}

impl Request {
    /// A request of any method.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            host: Some(HOST.into()),
            headers: Lines::new(),
            body: None,
            trailers: Lines::new(),
        }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Asks for another host.
    pub fn host(mut self, host: impl AsRef<[u8]>) -> Self {
        self.host = Some(host.as_ref().to_vec());
        self
    }

    /// Adds a header line.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds header lines.
    pub fn headers<N: AsRef<[u8]>, V: AsRef<[u8]>>(self, lines: impl IntoIterator<Item = (N, V)>) -> Self {
        lines.into_iter().fold(self, |request, (name, value)| request.header(name, value))
    }

    /// Adds a trailer line; the body is then sent in chunks.
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Gives it a body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if let Some(host) = &self.host {
            write_line(&mut bytes, b"host", host);
        }
        write_lines(&mut bytes, &self.headers);
        self.write_body(&mut bytes);
        bytes
    }

    fn write_body(&self, bytes: &mut Vec<u8>) {
        let body = self.body.as_deref().unwrap_or_default();
        if !self.trailers.is_empty() {
            bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            if !body.is_empty() {
                bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(body);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n");
            write_lines(bytes, &self.trailers);
        } else if self.body.is_some() {
            write_line(bytes, b"content-length", body.len().to_string().as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if self.trailers.is_empty() {
            bytes.extend_from_slice(body);
        }
    }
}

fn write_lines(bytes: &mut Vec<u8>, lines: &Lines) {
    for (name, value) in lines {
        write_line(bytes, name, value);
    }
}

fn write_line(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(b": ");
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(b"\r\n");
}

/// A reply as it came.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    pub(super) headers: Lines,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
}

impl Reply {
    fn read(reader: &mut impl BufRead, method: &str) -> io::Result<Self> {
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "closed without a reply");
        let start_line = read_start_line(reader)?.ok_or_else(closed)?;
        let status = status_of(&start_line).ok_or_else(|| io::Error::other("not an HTTP reply"))?;
        let headers = read_lines(reader)?;
        let body = read_body(reader, method, status, &headers)?;
        Ok(Self { status, headers, body })
    }

    /// The first value of a header.
    pub fn first_header(&self, name: &str) -> Option<String> {
        find(&self.headers, name).map(latin1)
    }

    /// Headers and body, as they came.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_lines(&mut bytes, &self.headers);
        [bytes, self.body.clone()].concat()
    }

    /// Whether the peer closes the connection after this reply.
    pub fn is_last(&self) -> bool {
        self.first_header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The body as text, whatever it is.
    pub fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none, with the body.
    pub fn try_json(&self) -> io::Result<Value> {
        let complain = |e| io::Error::other(format!("status {}, no JSON ({e}): {}", self.status, latin1(&self.body)));
        serde_json::from_slice(&self.body).map_err(complain)
    }
}

fn status_of(start_line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(start_line).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

fn read_body(reader: &mut impl BufRead, method: &str, status: u16, headers: &Lines) -> io::Result<Vec<u8>> {
    if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
        return Ok(Vec::new());
    }
    if is_chunked(headers) {
        return Ok(read_chunked(reader)?.0);
    }
    if let Some(length) = content_length(headers) {
        return read_sized(reader, length);
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    Ok(body)
}
