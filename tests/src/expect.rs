//! What a test takes for granted: a connection, a reply, and what is in it. What is not so ends the test.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::ASSERTION_HEADER;
use super::admin::Admin;
use super::http::{Client, Reply, Request, try_tcp};
use super::message::latin1;
use super::upstream::Seen;

/// A connected socket that does not wait for ever.
pub fn tcp(address: SocketAddr) -> TcpStream {
    try_tcp(address).expect("connect")
}

impl Client {
    /// Opens a plain connection.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("connect")
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Panics
    /// If the peer closes instead of answering.
    pub fn send(&mut self, request: &Request) -> Reply {
        self.try_send(request).expect("a reply")
    }
}

impl Reply {
    /// The one value of a header.
    ///
    /// # Panics
    /// If it is there more than once.
    pub fn header(&self, name: &str) -> Option<String> {
        let count = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).count();
        assert!(count < 2, "{name} came {count} times");
        self.first_header(name)
    }

    /// Every header in its order, each byte as one character.
    pub fn header_lines(&self) -> Vec<(String, String)> {
        self.headers.iter().map(|(name, value)| (latin1(name), latin1(value))).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body of UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        self.try_json().unwrap_or_else(|e| panic!("{e}"))
    }

    /// What the upstream received.
    ///
    /// # Panics
    /// If the reply is not the upstream's.
    pub fn seen(&self) -> Seen {
        self.try_seen().unwrap_or_else(|| {
            panic!("the upstream did not answer: status {}, body {:?}", self.status, latin1(&self.body))
        })
    }

    /// What the upstream received; `None` if the reply is not the upstream's.
    pub fn try_seen(&self) -> Option<Seen> {
        Seen::from_json(&serde_json::from_slice(&self.body).ok()?)
    }

    /// The token that the upstream received in the usual header.
    ///
    /// # Panics
    /// If there is none, or more than one.
    pub fn token(&self) -> String {
        let seen = self.seen();
        seen.one(ASSERTION_HEADER).unwrap_or_else(|| panic!("no assertion reached the upstream: {:?}", seen.names()))
    }
}

impl Admin {
    /// Asks it anything.
    pub fn get(&self, target: &str) -> Reply {
        self.try_get(target).expect("an answer of the administration interface")
    }

    /// The address that the kernel gave a listener.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.try_listener(name).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Every counter and gauge.
    pub fn stats(&self) -> BTreeMap<String, u64> {
        self.try_stats().expect("statistics")
    }

    /// One counter or gauge; 0 if it is not there (yet).
    pub fn stat(&self, name: &str) -> u64 {
        self.stats().get(name).copied().unwrap_or_default()
    }

    /// How many filter configurations were accepted and how many rejected.
    pub fn discoveries(&self) -> (u64, u64) {
        let stats = self.stats();
        let sum = |suffix: &str| {
            stats
                .iter()
                .filter(|(name, _)| name.starts_with("extension_config_discovery.") && name.ends_with(suffix))
                .map(|(_, count)| count)
                .sum()
        };
        (sum(".update_success"), sum(".update_rejected"))
    }
}
