//! An app that answers as a test says, and keeps what it was asked.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use harness::message::{content_length, latin1, read_lines, read_sized, read_start_line};
use harness::{ASSERTION_HEADER, Assertion, eventually};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line.
    pub start_line: String,
    headers: Vec<(String, String)>,
}

impl Received {
    /// Every value of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The assertion, not verified.
    pub fn assertion(&self) -> Assertion {
        let tokens = self.all(ASSERTION_HEADER);
        assert_eq!(tokens.len(), 1, "{self:?}");
        Assertion::read(tokens[0])
    }

    pub fn jti(&self) -> String {
        self.assertion().claim("jti").as_str().expect("a jti").to_owned()
    }
}

/// What to answer to the request with this number, from 0: a whole response, or nothing, ever.
pub type Answer = fn(usize, &Received) -> Option<&'static str>;

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
pub const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// The app. Its threads end with the test process.
pub struct App {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl App {
    pub fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind the app");
        let address = listener.local_addr().expect("its address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(stream, &kept, answer));
            }
        });
        Self { address, received }
    }

    /// Waits until it has received so many requests, and hands them over.
    pub fn received(&self, count: usize) -> Vec<Received> {
        eventually("requests at the app", || {
            let mut received = self.received.lock().expect("what was received");
            (received.len() >= count).then(|| std::mem::take(&mut *received))
        })
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Received>>, answer: Answer) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(start_line) = read_start_line(&mut reader)? {
        let lines = read_lines(&mut reader)?;
        read_sized(&mut reader, content_length(&lines).unwrap_or(0))?;
        let headers = lines.iter().map(|(name, value)| (latin1(name), latin1(value))).collect();
        let request = Received { start_line: latin1(&start_line), headers };
        let number = {
            let mut kept = kept.lock().expect("what was received");
            kept.push(request.clone());
            kept.len() - 1
        };
        if let Some(response) = answer(number, &request) {
            writer.write_all(response.as_bytes())?;
        }
    }
    Ok(())
}
