//! Every alert of envoy/observability/rules.yaml on a real Prometheus that scrapes real Envoys. `make alerts` runs this, as
//! it needs Prometheus. The rules are the shipped ones but for their times, which are seconds instead of minutes.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use harness::idp::IdentityProvider;
use harness::keys::{A, B, fixture, pem};
use harness::process::Process;
use harness::{ASSERTION_HEADER, Bootstrap, Client, Envoy, Request, Shipped, eventually, modules};

const RULES: &str = include_str!("../../envoy/observability/rules.yaml");

/// What no traffic can bring about: the host's function would have to fail after it has worked, the native module would
/// have to panic. And the daemon that rotates keys is no Envoy. `rules-test.yaml` has them all the same.
const OUT_OF_REACH: [&str; 6] = [
    "AttestationCannotSign",
    "AttestationPanicked",
    "AttestationSignsInWasm",
    "AttestationRotationHeld",
    "AttestationRotationFails",
    "AttestationRotationHangs",
];

/// Without a key.
const AT_FIRST: [&str; 3] = ["AttestationWithoutKey", "AttestationKeyFileUnusable", "AttestationPublishesNothing"];
/// While nobody is signed in.
const BEFORE_USERS: [&str; 1] = ["AttestationNobodyKnown"];

fn alerts() -> BTreeSet<&'static str> {
    RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

/// Seconds for minutes, hours and days; expressions, labels and texts as they are.
fn compressed() -> String {
    let line = |line: &str| match line.trim_start().strip_prefix("for: ") {
        Some(_) => format!("{}for: 2s", &line[..line.len() - line.trim_start().len()]),
        None => {
            ["[1m]", "[2m]", "[5m]", "[10m]"].iter().fold(line.to_owned(), |line, range| line.replace(range, "[6s]"))
        }
    };
    RULES.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A Prometheus that scrapes these Envoys.
struct Prometheus {
    process: Process,
    address: SocketAddr,
}

impl Prometheus {
    fn start(directory: &Path, envoys: &[&Envoy]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let targets: Vec<_> = envoys.iter().map(|envoy| envoy.admin().address().to_string()).collect();
        let configuration = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [{
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": targets}],
            }],
            "rule_files": ["rules.yaml"],
        });
        fs::write(directory.join("rules.yaml"), compressed()).unwrap();
        fs::write(directory.join("prometheus.yaml"), configuration.to_string()).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", directory.join("prometheus.yaml").display()));
        command.arg(format!("--storage.tsdb.path={}", directory.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::logged("prometheus", &mut command, &directory.join("log")).unwrap();
        Self { process, address }
    }

    /// The names of the alerts that fire.
    fn firing(&self) -> BTreeSet<String> {
        let Some(answer) = self.ask() else { return BTreeSet::new() };
        let alerts = answer["data"]["alerts"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Nothing while it starts.
    fn ask(&self) -> Option<Value> {
        assert!(self.process.status().unwrap().is_none(), "{}", self.process.log());
        let reply = Client::try_connect(self.address).ok()?.try_send(&Request::get("/api/v1/alerts")).ok()?;
        reply.try_json().ok()
    }

    /// Repeats something until all of these have fired.
    fn wait_for(&self, alerts: &BTreeSet<&str>, mut act: impl FnMut()) {
        let mut missing = alerts.clone();
        eventually("every alert to fire", || {
            act();
            let firing = self.firing();
            let before = missing.len();
            missing.retain(|alert| !firing.contains(*alert));
            if missing.len() < before {
                println!("still missing: {missing:?}");
            }
            missing.is_empty().then_some(())
        });
    }
}

fn shipped(provider: &IdentityProvider) -> Shipped {
    let wrong = json!({
        "match": {"path": "/wrong"},
        "metadata": {"filter_metadata": {"attestation": {"audience": []}}},
        "route": {"cluster": "upstream"},
    });
    Shipped::read("envoy/envoy.yaml")
        .trusting(provider)
        .route(wrong)
        .settings(json!({"claims": {"number": {"from": "number"}}, "signing_key_refresh": "0.5s"}))
}

/// One whose module traps at each request, under the filter's name.
fn trapping(provider: &IdentityProvider, directory: &Path) -> Bootstrap {
    let module = directory.join("trapping.wasm");
    fs::write(&module, modules::trapping()).unwrap();
    let mut shipped = shipped(provider);
    shipped.filter("attestation")["typed_config"]["config"]["vm_config"]["code"] =
        json!({"local": {"filename": module}});
    Bootstrap::shipped(shipped).may_trap()
}

/// One that discovers its filter, whose shared keys another module overwrites.
fn overwritten(directory: &Path) -> Bootstrap {
    let settings = json!({"signing_key_file": "/signing-key.pem", "signing_key_refresh": "0.2s"});
    Bootstrap::new(settings)
        .key_file(pem(A))
        .filter(crate::key_file::writes_another_key(directory, "/signing-key.pem"))
        .dynamic()
}

/// Stops the process again and again for longer than a signature may take.
fn stutter(process: u32, is_over: &AtomicBool) {
    let signal = |name: &str| Command::new("kill").args([name, &process.to_string()]).status().unwrap();
    while !is_over.load(Ordering::Relaxed) {
        signal("-STOP");
        thread::sleep(Duration::from_millis(8));
        signal("-CONT");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
#[ignore = "needs Prometheus: make alerts"]
fn every_alert_fires_on_a_real_prometheus() {
    let directory = tempfile::tempdir().unwrap();
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::shipped(shipped(&provider)).key_file("").start();
    // A signature of this takes milliseconds: stopping the process meets one nearly each time.
    let slow = Bootstrap::shipped(shipped(&provider)).key_file(fixture("rsa-4096.pem")).start();
    let trapping = trapping(&provider, directory.path()).start();
    let overwritten = overwritten(directory.path()).start();
    let prometheus = Prometheus::start(directory.path(), &[&envoy, &slow, &trapping, &overwritten]);

    prometheus.wait_for(&AT_FIRST.into(), || drop(envoy.get("/healthz")));
    envoy.replace_key_file(format!("{}{}", pem(A), pem(B)));
    eventually("keys", || (envoy.stat("keys_published") == 2).then_some(()));
    prometheus.wait_for(&BEFORE_USERS.into(), || drop(envoy.get("/")));

    let bearer = |claims: Value| Request::get("/").header("authorization", provider.bearer(claims));
    let user = bearer(json!({"sub": "ann"}));
    let requests = [
        bearer(json!({"email": "nobody@example.com"})),
        bearer(json!({"sub": "ann", "number": 9_007_199_254_740_993_u64})),
        Request::get("/wrong").header("authorization", provider.bearer(json!({"sub": "ann"}))),
        Request::get("/healthz").header(ASSERTION_HEADER, "forged"),
    ];
    let is_over = AtomicBool::new(false);
    let mut rest = alerts();
    let others = [&OUT_OF_REACH[..], &AT_FIRST, &BEFORE_USERS].concat();
    others.iter().for_each(|alert| assert!(rest.remove(alert), "{alert}"));
    let (process, mut client) = (slow.pid(), slow.connect());
    thread::scope(|scope| {
        scope.spawn(|| stutter(process, &is_over));
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                client.send(&user);
            }
        });
        let _over = Over(&is_over);
        // Envoy does not look twice at the same.
        let mut pushes = 0;
        prometheus.wait_for(&rest, || {
            requests.iter().for_each(|request| drop(envoy.send(request)));
            trapping.get("/");
            overwritten.get("/");
            pushes += 1;
            overwritten.push_rejected(json!({"no_such_field": pushes}));
            thread::sleep(Duration::from_millis(100));
        });
    });
}

/// Also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
