//! The service behind every Envoy, the same for all: one thread that answers two bytes to every request, and to one
//! for `/echo` the request itself.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use anyhow::Context as _;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::http_message::head_length;

const LISTENER: Token = Token(0);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Starts it, for as long as the program runs.
pub(crate) fn start() -> anyhow::Result<SocketAddr> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.local_addr()?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    std::thread::Builder::new()
        .name("upstream".into())
        .spawn(move || Upstream { poll, listener, connections: HashMap::new(), accepted: 0 }.run())
        .context("cannot start the upstream")?;
    Ok(address)
}

struct Upstream {
    poll: Poll,
    listener: TcpListener,
    connections: HashMap<Token, Connection>,
    accepted: usize,
}

impl Upstream {
    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            if let Err(error) = self.poll.poll(&mut events, None)
                && error.kind() != ErrorKind::Interrupted
            {
                eprintln!("the upstream ends: {error}");
                return;
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    token => self.serve(token),
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            self.accepted += 1;
            let token = Token(self.accepted);
            let _ = stream.set_nodelay(true);
            if self.poll.registry().register(&mut stream, token, Interest::READABLE).is_ok() {
                self.connections.insert(token, Connection { stream, received: Vec::new() });
            }
        }
    }

    fn serve(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        if !connection.serve().unwrap_or(false) {
            self.connections.remove(&token);
        }
    }
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Answers what is there; false if the peer has gone.
    fn serve(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 32 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => self.received.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
            while let Some(length) = head_length(&self.received) {
                let head: Vec<u8> = self.received.drain(..length).collect();
                if head.starts_with(b"GET /echo ") {
                    write!(self.stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")?;
                    self.stream.write_all(&head)?;
                } else {
                    self.stream.write_all(ANSWER)?;
                }
            }
        }
    }
}
