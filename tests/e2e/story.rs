//! An operator's story: a fleet, a daemon, a proxy that does not answer for a while, two new keys. It writes
//! docs/rotation.md and its picture; `make rotation-story` runs it (`STORY_TO` is where they go).

/// The picture of the metrics.
mod chart;
/// What the daemon said, and when.
mod daemon;
/// The document.
mod page;

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use daemon::{Daemon, Sample};
use harness::keys::KID_A;
use harness::{Crowd, environment::number};

const TOKEN_LIFETIME: &str = "5s";
const EVERY: &str = "40s";

/// What happened, in seconds since the daemon was started.
pub(crate) struct Story {
    stopped: f64,
    continued: f64,
    samples: Vec<Sample>,
    said: Vec<(f64, String)>,
    /// All metrics while the proxy did not answer.
    metrics: String,
    verified_by: usize,
}

#[test]
#[ignore = "takes two minutes and writes a document: make rotation-story"]
fn two_new_keys_while_a_proxy_is_gone_for_a_while() {
    let fleet = Fleet::start(TOKEN_LIFETIME);
    let clients = number("STORY_CLIENTS", 4);
    // A load balancer sends nobody to a proxy that does not answer.
    let always = Crowd::start(&fleet.addresses()[..2], clients);
    let before = Crowd::start(&fleet.addresses()[2..], 1);
    always.wait_until_all_verified(KID_A);
    let mut daemon = Daemon::start(fleet.daemon(EVERY, TOKEN_LIFETIME, &["--listen", "127.0.0.1:0"]));
    daemon.sample_until(|sample| sample.phase == "staged");
    before.assert_flawless();
    let stopped = daemon.elapsed();
    signal(&fleet, "STOP");
    daemon.sample_until(|sample| sample.unreachable == 1);
    let metrics = daemon.metrics();
    daemon.sample_for(Duration::from_secs(15));
    signal(&fleet, "CONT");
    let continued = daemon.elapsed();
    let after = Crowd::start(&fleet.addresses()[2..], 1);
    for _ in 0..2 {
        daemon.sample_until(|sample| sample.phase == "promoted");
        daemon.sample_until(|sample| sample.phase == "settled");
    }
    daemon.sample_for(Duration::from_secs(3));
    let signer = fleet.signer();
    for crowd in [always, after] {
        crowd.wait_until_all_verified(&signer);
        crowd.assert_flawless();
    }
    let (samples, said) = daemon.end();
    assert!(samples.iter().any(|sample| sample.held), "the step was kept back");
    assert_eq!(samples.last().unwrap().signer, signer);
    let story = Story { stopped, continued, samples, said, metrics, verified_by: clients + 2 };
    let to = std::env::var_os("STORY_TO").map_or_else(|| "target/story".into(), PathBuf::from);
    std::fs::create_dir_all(&to).unwrap();
    page::write(&story, &to);
}

fn signal(fleet: &Fleet, name: &str) {
    let pid = fleet.envoys[2].pid().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// Waits until it is so, for a minute and a half at most.
fn deadline() -> impl Fn() {
    let start = Instant::now();
    move || {
        assert!(start.elapsed() < Duration::from_secs(90), "it does not go on");
        thread::sleep(Duration::from_millis(250));
    }
}
