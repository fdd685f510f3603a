//! Envoy's admin interface.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::Value as Json;

use crate::check::{self, Sources};

const TIMEOUT: Duration = Duration::from_secs(10);
/// More than the configuration of a large fleet.
const MAX_BYTES: u64 = 256 << 20;
/// What stands before the name of a statistic of the filter.
const MARK: &str = "custom.attestation.";

/// The address of an admin interface.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    url: String,
}

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        match url.parse::<ureq::http::Uri>() {
            Ok(uri) if uri.authority().is_some() => Ok(Self { url: url.trim_end_matches('/').to_owned() }),
            _ => Err("not a URL; allowed is the address of the admin interface, http://127.0.0.1:9901".into()),
        }
    }
}

/// What Envoy says about itself.
#[derive(Debug)]
pub(crate) struct ServerInfo {
    /// `1.40.0`
    pub(crate) release: String,
    /// `LIVE`
    pub(crate) state: String,
}

impl ServerInfo {
    /// Major and minor version.
    pub(crate) fn version(&self) -> Option<(u32, u32)> {
        check::version(&self.release).ok()
    }
}

/// The filter's counters and gauges, by the name that follows `attestation.`.
pub(crate) type Statistics = BTreeMap<String, u64>;

impl Admin {
    pub(crate) fn server_info(&self) -> anyhow::Result<ServerInfo> {
        let info = self.json("/server_info")?;
        let text = |name: &str| info.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        // `COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
        let release = text("version").split('/').nth(1).unwrap_or_default().to_owned();
        Ok(ServerInfo { release, state: text("state") })
    }

    pub(crate) fn configuration(&self) -> anyhow::Result<Sources> {
        Sources::of_text(&self.text("/config_dump?include_eds")?, &format!("{}/config_dump", self.url))
    }

    pub(crate) fn statistics(&self) -> anyhow::Result<Statistics> {
        let text = self.text("/stats?filter=attestation")?;
        let lines = text.lines().filter_map(|line| line.rsplit_once(": "));
        let named = lines.filter_map(|(name, value)| Some((name.split_once(MARK)?.1.to_owned(), value.parse().ok()?)));
        Ok(named.collect())
    }

    /// The URL of the first listener that has a port.
    pub(crate) fn listener(&self) -> anyhow::Result<Option<String>> {
        let listeners = self.json("/listeners?format=json")?;
        let all = listeners.get("listener_statuses").and_then(Json::as_array);
        let mut addresses = all.into_iter().flatten().filter_map(|it| it.pointer("/local_address/socket_address"));
        Ok(addresses.find_map(|address| {
            let host = address.get("address")?.as_str()?;
            let host = match host {
                "0.0.0.0" => "127.0.0.1".to_owned(),
                "::" => "[::1]".to_owned(),
                host if host.contains(':') => format!("[{host}]"),
                host => host.to_owned(),
            };
            Some(format!("http://{host}:{}", address.get("port_value")?))
        }))
    }

    fn json(&self, path: &str) -> anyhow::Result<Json> {
        serde_json::from_str(&self.text(path)?)
            .map_err(|_| anyhow!("{}{path} answers something else than JSON; name Envoy's admin interface", self.url))
    }

    fn text(&self, path: &str) -> anyhow::Result<String> {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).proxy(None).build();
        let mut answer = config.new_agent().get(format!("{}{path}", self.url)).call().with_context(|| {
            format!(
                "{} does not answer; name the address of `admin` in the bootstrap, as Envoy listens there",
                self.url
            )
        })?;
        let body = answer.body_mut().with_config().limit(MAX_BYTES).lossy_utf8(true).read_to_string();
        body.with_context(|| format!("cannot read {}{path}", self.url))
    }
}
