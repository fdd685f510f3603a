//! The load generator: keep-alive connections, each with one request on its way, from one thread.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::envoy::Usage;
use crate::http_message::{is_ok, response_length};

/// What a slice does before anything counts: caches are another variant's.
pub(crate) const WARM_UP: Duration = Duration::from_millis(25);
/// How long answers may stay out when a slice is over.
const DRAIN: Duration = Duration::from_secs(5);

/// Connections to one Envoy, kept open from slice to slice.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    request: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    sent: Option<Instant>,
}

/// One slice, without its warm-up.
#[derive(Debug, Default, Clone)]
pub(crate) struct Slice {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) envoy_cpu: Duration,
    pub(crate) service_cpu: Duration,
    pub(crate) latencies: Vec<Duration>,
}

impl Load {
    pub(crate) fn connect(address: SocketAddr, connections: usize, request: Vec<u8>) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..connections).map(|number| Connection::open(address, &poll, number));
        let connections = connections.collect::<anyhow::Result<_>>()?;
        Ok(Self { poll, events: Events::with_capacity(64), connections, request })
    }

    /// Loads the first `active` connections for so long.
    pub(crate) fn slice(
        &mut self,
        active: usize,
        length: Duration,
        usage: impl Fn() -> anyhow::Result<Usage>,
    ) -> anyhow::Result<Slice> {
        for connection in self.connections.iter_mut().take(active) {
            connection.send(&self.request)?;
        }
        self.turn(Instant::now() + WARM_UP, &mut Slice::default())?;
        let mut slice = Slice::default();
        let (before, started) = (usage()?, Instant::now());
        self.turn(started + length, &mut slice)?;
        let (after, ended) = (usage()?, Instant::now());
        slice.elapsed = ended - started;
        slice.envoy_cpu = after.envoy.saturating_sub(before.envoy);
        slice.service_cpu = after.service.saturating_sub(before.service);
        self.drain()?;
        Ok(slice)
    }

    /// Answers each response with the next request until it is time.
    fn turn(&mut self, until: Instant, slice: &mut Slice) -> anyhow::Result<()> {
        while Instant::now() < until {
            self.wait(until)?;
            for event in &self.events {
                let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
                if let Some(latency) = connection.receive()? {
                    slice.requests += 1;
                    slice.latencies.push(latency);
                    connection.send(&self.request)?;
                }
            }
        }
        Ok(())
    }

    /// Waits for what is still on its way.
    fn drain(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + DRAIN;
        while self.connections.iter().any(|connection| connection.sent.is_some()) {
            ensure!(Instant::now() < until, "a request was not answered");
            self.wait(until)?;
            for event in &self.events {
                if let Some(connection) = self.connections.get_mut(event.token().0) {
                    connection.receive()?;
                }
            }
        }
        Ok(())
    }

    fn wait(&mut self, until: Instant) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.events, Some(until.saturating_duration_since(Instant::now()))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Connection {
    fn open(address: SocketAddr, poll: &Poll, number: usize) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        Ok(Self { stream, received: Vec::new(), sent: None })
    }

    /// The socket's buffer always has room for one request.
    fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.received.clear();
        self.sent = Some(Instant::now());
        Ok(self.stream.write_all(request)?)
    }

    /// Reads what there is; how long the response took, if that is all of it.
    fn receive(&mut self) -> anyhow::Result<Option<Duration>> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("Envoy closed a connection"),
                Ok(length) => self.received.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        if response_length(&self.received).is_none_or(|length| self.received.len() < length) {
            return Ok(None);
        }
        ensure!(is_ok(&self.received), "not answered 200: {}", String::from_utf8_lossy(&self.received));
        Ok(self.sent.take().map(|sent| sent.elapsed()))
    }
}
