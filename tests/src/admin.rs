//! What Envoy tells about itself.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use super::http::{Client, Reply, Request};

/// Envoy's administration interface. Each question is asked over a connection of its own.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    /// The one that listens there.
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it anything.
    ///
    /// # Errors
    /// If nobody answers.
    pub fn try_get(&self, target: &str) -> io::Result<Reply> {
        Client::try_connect(self.address)?.try_send(&Request::get(target))
    }

    /// Whether every listener serves.
    pub fn is_ready(&self) -> bool {
        self.try_get("/ready").is_ok_and(|reply| reply.status == 200)
    }

    /// The addresses that the listeners have, by name. An internal listener has none.
    ///
    /// # Errors
    /// If nobody answers, or not with listeners.
    pub fn try_listeners(&self) -> io::Result<BTreeMap<String, SocketAddr>> {
        let answer = self.try_get("/listeners?format=json")?.try_json()?;
        let statuses = answer.get("listener_statuses").and_then(Value::as_array);
        Ok(statuses.into_iter().flatten().filter_map(named_address).collect())
    }

    /// The address of a listener.
    ///
    /// # Errors
    /// If nobody answers, or there is no such listener.
    pub fn try_listener(&self, name: &str) -> io::Result<SocketAddr> {
        let listeners = self.try_listeners()?;
        let found = listeners.get(name).copied();
        found.ok_or_else(|| io::Error::other(format!("Envoy has no listener {name} among {:?}", listeners.keys())))
    }

    /// Every counter and gauge.
    ///
    /// # Errors
    /// If nobody answers.
    pub fn try_stats(&self) -> io::Result<BTreeMap<String, u64>> {
        let text = self.try_get("/stats")?.text_lossy();
        let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
        Ok(lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// Envoy's version, `1.40.0`.
    ///
    /// # Errors
    /// If nobody answers, or with no version.
    pub fn try_version(&self) -> io::Result<String> {
        let info = self.try_get("/server_info")?.try_json()?;
        // It says `COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
        let version = info.get("version").and_then(Value::as_str).and_then(|version| version.split('/').nth(1));
        version.map(str::to_owned).ok_or_else(|| io::Error::other("Envoy names no version"))
    }
}

/// The name and the address of a listener, from what `/listeners` says about it.
fn named_address(status: &Value) -> Option<(String, SocketAddr)> {
    let address = status.pointer("/local_address/socket_address")?;
    let (host, port) = (address.get("address")?.as_str()?, address.get("port_value")?.as_u64()?);
    let address = SocketAddr::new(host.parse().ok()?, u16::try_from(port).ok()?);
    Some((status.get("name")?.as_str()?.to_owned(), address))
}
