//! What Envoy tells about itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::http::{Client, Reply, Request};

/// Envoy's administration interface.
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Asks it anything.
    pub fn get(&self, target: &str) -> Reply {
        Client::connect(self.address).send(&Request::get(target))
    }

    /// Whether every listener serves.
    pub fn is_ready(&self) -> bool {
        self.get("/ready").status == 200
    }

    /// The address that the kernel gave a listener.
    pub fn listener(&self, name: &str) -> SocketAddr {
        let listeners = self.get("/listeners?format=json").json();
        let address = listeners["listener_statuses"]
            .as_array()
            .and_then(|all| all.iter().find(|l| l["name"] == name))
            .and_then(|listener| listener["local_address"]["socket_address"].as_object())
            .unwrap_or_else(|| panic!("no listener {name} in {listeners}"));
        format!("{}:{}", address["address"].as_str().expect("an address"), address["port_value"])
            .parse()
            .expect("a socket address")
    }

    /// Every counter and gauge.
    pub fn stats(&self) -> BTreeMap<String, u64> {
        let text = self.get("/stats").text();
        text.lines()
            .filter_map(|line| line.rsplit_once(": "))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
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
