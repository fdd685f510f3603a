//! The service behind Envoy. It answers each request with a description of the very bytes it received, so that a test
//! reads from the reply what reached the upstream, however many requests are in flight.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::message::{
    Lines, content_length, find, is_chunked, latin1, read_chunked, read_lines, read_sized, read_start_line,
};

/// An HTTP/1.1 server on a port of the kernel's choice. Its thread ends with the test process.
pub struct Upstream {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Upstream {
    /// Listens and serves.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind the upstream");
        let address = listener.local_addr().expect("the upstream's address");
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                thread::spawn(move || serve(stream, &count));
            }
        });
        Self { address, requests }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have reached it.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A request as the upstream received it.
#[derive(Debug)]
pub struct Seen {
    /// The request line.
    pub start_line: String,
    headers: Lines,
    trailers: Lines,
}

impl Seen {
    /// Reads the upstream's answer.
    pub fn from_json(body: &Value) -> Option<Self> {
        let seen = body.get("seen")?;
        Some(Self {
            start_line: seen.get("start_line")?.as_str()?.to_owned(),
            headers: lines_from_json(seen.get("headers")?)?,
            trailers: lines_from_json(seen.get("trailers")?)?,
        })
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.start_line.split(' ').next().unwrap_or_default()
    }

    /// The path, and the query if there is one.
    pub fn target(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or_default()
    }

    /// Every value of a header, each byte as one character.
    pub fn all(&self, name: &str) -> Vec<String> {
        values(&self.headers, name)
    }

    /// The one value of a header; `None` if it is not there.
    ///
    /// # Panics
    /// If the header is there more than once.
    pub fn one(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        assert!(all.len() < 2, "{name} reached the upstream {} times: {all:?}", all.len());
        all.pop()
    }

    /// Every header name, in order, as sent by Envoy.
    pub fn names(&self) -> Vec<String> {
        self.headers.iter().map(|(name, _)| latin1(name)).collect()
    }

    /// Every trailer name, in order, as sent by Envoy.
    pub fn trailer_names(&self) -> Vec<String> {
        self.trailers.iter().map(|(name, _)| latin1(name)).collect()
    }

    /// Whether any header or trailer value contains `text`.
    pub fn contains(&self, text: &str) -> bool {
        self.headers.iter().chain(&self.trailers).any(|(_, value)| latin1(value).contains(text))
    }
}

fn values(lines: &Lines, name: &str) -> Vec<String> {
    lines.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| latin1(value)).collect()
}

fn serve(stream: TcpStream, count: &AtomicUsize) {
    // A connection that Envoy drops in the middle is Envoy's business.
    let _ = serve_connection(stream, count);
}

fn serve_connection(stream: TcpStream, count: &AtomicUsize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(start_line) = read_start_line(&mut reader)? {
        count.fetch_add(1, Ordering::SeqCst);
        let headers = read_lines(&mut reader)?;
        let trailers = if is_chunked(&headers) {
            read_chunked(&mut reader)?.1
        } else {
            read_sized(&mut reader, content_length(&headers).unwrap_or(0))?;
            Lines::new()
        };
        let answer = answer(&start_line, &headers, &trailers);
        writer.write_all(&answer)?;
    }
    Ok(())
}

fn answer(start_line: &[u8], headers: &Lines, trailers: &Lines) -> Vec<u8> {
    let body = json!({"seen": {
        "start_line": latin1(start_line),
        "headers": lines_to_json(headers),
        "trailers": lines_to_json(trailers),
    }})
    .to_string();
    let head = head(start_line, headers, body.len());
    let body = if start_line.starts_with(b"HEAD ") { String::new() } else { body };
    [head.into_bytes(), body.into_bytes()].concat()
}

/// A tunnel is opened at once; the description is what comes out of it first.
fn head(start_line: &[u8], headers: &Lines, length: usize) -> String {
    if start_line.starts_with(b"CONNECT ") {
        return "HTTP/1.1 200 OK\r\n\r\n".into();
    }
    if let Some(protocol) = find(headers, "upgrade") {
        let protocol = latin1(protocol);
        return format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n");
    }
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n")
}

fn lines_to_json(lines: &Lines) -> Value {
    lines.iter().map(|(name, value)| json!([latin1(name), latin1(value)])).collect()
}

fn lines_from_json(lines: &Value) -> Option<Lines> {
    lines
        .as_array()?
        .iter()
        .map(|line| Some((from_latin1(line.get(0)?.as_str()?), from_latin1(line.get(1)?.as_str()?))))
        .collect()
}

/// The reverse of [`latin1`].
fn from_latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a latin-1 character")).collect()
}
