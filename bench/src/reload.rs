//! What requests feel while the filter's configuration or its Wasm module is replaced by discovery.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use harness::Client;
use harness::process::{PATIENCE, wait};
use serde_json::{Value, json};

use crate::envoy::{Envoy, Setup};
use crate::exchange::exchange;
use crate::filters::{attestation, settings};
use crate::identity;
use crate::results::Reload;
use crate::statistics::millis;
use crate::variant::{Filter, HOST, NATIVE, Variant};

const WORKERS: usize = 2;
/// Two for each worker.
const CONNECTIONS: usize = 4;
/// Of each connection: busy enough to see a stall, idle enough to leave a processor to whoever compiles.
const PACE: Duration = Duration::from_millis(2);
const WINDOW: Duration = Duration::from_millis(1500);
const UPDATES: &str = "extension_config_discovery.http_filter.attestation.update_success";

/// What happens in a window.
#[derive(Clone, Copy, PartialEq)]
enum Event {
    Nothing,
    Configuration,
    Module,
}

/// What is looked at, in this order.
const CASES: [(Filter, Event, &str); 5] = [
    (NATIVE, Event::Nothing, "native module, no update"),
    (NATIVE, Event::Configuration, "native module, another configuration"),
    (HOST, Event::Nothing, "Wasm module, no update"),
    (HOST, Event::Configuration, "Wasm module, another configuration"),
    (HOST, Event::Module, "Wasm module, another module"),
];

/// So many windows of each kind, in turn.
pub(crate) fn run(setup: &Setup, rounds: usize) -> anyhow::Result<Vec<Reload>> {
    let (native, wasm) = (Discovered::start(NATIVE, setup)?, Discovered::start(HOST, setup)?);
    let mut reloads: Vec<_> = CASES.iter().map(|(_, _, what)| Reload::new(what)).collect();
    let mut version = 1;
    for round in 1..=rounds {
        eprintln!("reload: round {round} of {rounds}");
        for ((filter, event, _), reload) in CASES.iter().zip(&mut reloads) {
            version += 1;
            let discovered = if *filter == NATIVE { &native } else { &wasm };
            window(*event, reload, version, discovered, setup)?;
        }
    }
    Ok(reloads)
}

/// An Envoy, and the file that it has its filter from.
struct Discovered {
    discovery: Discovery,
    envoy: Envoy,
}

impl Discovered {
    fn start(filter: Filter, setup: &Setup) -> anyhow::Result<Self> {
        let variant = Variant { workers: WORKERS, ..Variant::of(filter) };
        let discovery = Discovery::new(&variant, setup)?;
        let envoy = Envoy::start_with(&variant, setup, Some(&discovery.file()))?;
        envoy.check(&variant, setup)?;
        Ok(Self { discovery, envoy })
    }
}

impl Reload {
    fn new(what: &str) -> Self {
        Self { what: what.into(), slowest_ms: Vec::new(), applied_ms: Vec::new(), requests: 0, failed: 0 }
    }
}

/// Requests at a steady pace, and the event in their midst.
fn window(
    event: Event,
    reload: &mut Reload,
    version: u64,
    Discovered { discovery, envoy }: &Discovered,
    setup: &Setup,
) -> anyhow::Result<()> {
    let over = AtomicBool::new(false);
    let request = identity::request(&discovery.variant, "/");
    let latencies = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| call(envoy, &request, &over))).collect();
        std::thread::sleep(WINDOW / 5);
        let applied = discovery.happen(event, version, envoy, setup);
        std::thread::sleep(WINDOW * 4 / 5);
        over.store(true, Relaxed);
        let latencies: anyhow::Result<Vec<_>> =
            callers.into_iter().map(|caller| caller.join().map_err(|_| anyhow!("a caller panicked"))).collect();
        reload.applied_ms.extend(applied?.map(millis));
        anyhow::Ok(latencies?.concat())
    })?;
    reload.requests += u64::try_from(latencies.len())?;
    reload.failed += u64::try_from(latencies.iter().filter(|latency| latency.is_none()).count())?;
    let slowest = latencies.into_iter().flatten().max().context("no request was answered")?;
    reload.slowest_ms.push(millis(slowest));
    Ok(())
}

/// The latency of each request, none for one that failed.
fn call(envoy: &Envoy, request: &[u8], over: &AtomicBool) -> Vec<Option<Duration>> {
    let mut latencies = Vec::new();
    let mut client = Client::try_connect(envoy.address).ok();
    while !over.load(Relaxed) {
        let latency = client.as_mut().and_then(|client| Some(exchange(client, request).ok()?.1));
        latencies.push(latency);
        if latency.is_none() {
            client = Client::try_connect(envoy.address).ok();
        }
        std::thread::sleep(PACE.saturating_sub(latency.unwrap_or_default()));
    }
    latencies
}

/// The file that Envoy has the filter from.
struct Discovery {
    directory: tempfile::TempDir,
    variant: Variant,
}

impl Discovery {
    fn new(variant: &Variant, setup: &Setup) -> anyhow::Result<Self> {
        let discovery = Self { directory: tempfile::tempdir()?, variant: variant.clone() };
        discovery.write(1, &attestation(variant, &setup.parts.module, &settings(variant, &setup.parts)))?;
        Ok(discovery)
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("filter.json")
    }

    /// How long it took until Envoy had taken the update, if there was one.
    fn happen(&self, event: Event, version: u64, envoy: &Envoy, setup: &Setup) -> anyhow::Result<Option<Duration>> {
        if event == Event::Nothing {
            return Ok(None);
        }
        let mut module = setup.parts.module.clone();
        if event == Event::Module {
            module = self.directory.path().join(format!("{version}.wasm"));
            another_module(&setup.parts.module, version, &module)?;
        }
        let mut settings = settings(&self.variant, &setup.parts);
        settings["token_lifetime"] = format!("{}s", 300 + version).into();
        let filter = attestation(&self.variant, &module, &settings);
        let (before, started) = (updates(envoy)?, Instant::now());
        self.write(version, &filter)?;
        wait("Envoy to take the update", PATIENCE, Duration::from_millis(5), || match updates(envoy) {
            Ok(now) => (now != before).then_some(Ok(())),
            Err(error) => Some(Err(error.into())),
        })?;
        Ok(Some(started.elapsed()))
    }

    /// Envoy only looks when a file is moved into place.
    fn write(&self, version: u64, filter: &Value) -> anyhow::Result<()> {
        let response = json!({
            "version_info": version.to_string(),
            "resources": [{
                "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                "name": "attestation",
                "typed_config": filter,
            }],
        });
        let next = self.directory.path().join("next");
        fs::write(&next, serde_json::to_vec(&response)?)?;
        Ok(fs::rename(next, self.file())?)
    }
}

/// The same code with a custom section of its own behind it, so that no cache knows it.
fn another_module(module: &Path, version: u64, path: &Path) -> anyhow::Result<()> {
    let mut bytes = fs::read(module)?;
    let name = b"bench";
    let content = version.to_le_bytes();
    bytes.push(0);
    bytes.push(u8::try_from(1 + name.len() + content.len())?);
    bytes.push(u8::try_from(name.len())?);
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&content);
    Ok(fs::write(path, bytes)?)
}

fn updates(envoy: &Envoy) -> std::io::Result<u64> {
    Ok(envoy.admin.try_stats()?.get(UPDATES).copied().unwrap_or_default())
}
