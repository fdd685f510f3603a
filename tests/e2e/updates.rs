//! Thousands of configuration updates under load: what they cost Envoy for good, and whether anybody notices.
//!
//! `make updates` runs it on both hosts (`UPDATES`, 4000; `WORKERS`, 2; `CLIENTS`, 3).

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use harness::environment::number;
use harness::keys::{A, B, pem};
use harness::{Bootstrap, Crowd, Envoy, Host, eventually};

/// What Envoy and V8 keep ready after the first updates is no growth.
const WARM_UP: usize = 500;
const CLIENTS: usize = 3;

/// What an update may leave in Envoy's allocator, in KiB. On Wasm that is for each VM (one for each worker, and the main
/// thread's): Envoy keeps a timer for each configuration of a VM that ever had one.
fn most(host: Host, workers: u32) -> f64 {
    match host {
        Host::Wasm => 0.75 * f64::from(workers + 1),
        Host::Native => 0.05,
    }
}

fn settings(number: usize) -> Value {
    json!({
        "signing_key_file": format!("/{}.pem", number % 2), "signing_key_refresh": "0.5s", "jwks_max_age": "1s",
        "audience": format!("update-{number}"),
    })
}

/// In KiB.
#[derive(Clone, Copy, Debug)]
struct Memory {
    resident: f64,
    /// Given out by Envoy's allocator. V8's heaps are not in it.
    allocated: f64,
}

impl Memory {
    /// When nothing is being cleared away any more.
    fn of(envoy: &Envoy) -> Self {
        std::thread::sleep(Duration::from_secs(4));
        let status = fs::read_to_string(format!("/proc/{}/status", envoy.pid())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = resident.split_whitespace().next().unwrap().parse().unwrap();
        let allocated: u32 = (envoy.admin().stat("server.memory_allocated") / 1024).try_into().unwrap();
        Self { resident, allocated: allocated.into() }
    }
}

#[test]
#[ignore = "takes minutes: make updates"]
fn thousands_of_updates_cost_next_to_nothing() {
    let (updates, workers): (usize, u32) = (number("UPDATES", 4000), number("WORKERS", 2));
    let envoy = Bootstrap::new(settings(0)).key_file(pem(A)).workers(workers).dynamic().start();
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    let crowd = Crowd::start(&[envoy.address()], number("CLIENTS", CLIENTS));
    push(&envoy, 1..WARM_UP);
    let (before, started) = (Memory::of(&envoy), Instant::now());
    push(&envoy, WARM_UP..WARM_UP + updates);
    let (took, after) = (started.elapsed(), Memory::of(&envoy));
    crowd.assert_flawless();
    assert_eq!(envoy.stat("refused.no_key"), 0);
    let count = f64::from(u32::try_from(updates).unwrap());
    let [allocated, resident] = [after.allocated - before.allocated, after.resident - before.resident];
    println!(
        "updates: {:?}, {workers} workers: {updates} in {:.0} s; each leaves {:.2} KiB allocated and {:.2} KiB resident; {before:?}, {after:?}",
        envoy.host(),
        took.as_secs_f64(),
        allocated / count,
        resident / count,
    );
    assert!(allocated / count < most(envoy.host(), workers), "{:.2} KiB for each update", allocated / count);
}

fn push(envoy: &Envoy, updates: std::ops::Range<usize>) {
    for number in updates {
        envoy.push_accepted(settings(number));
        // A new configuration comes while the file is being replaced.
        if number % 7 == 0 {
            envoy.replace_key_file(if number % 2 == 0 { pem(A) } else { format!("{}{}", pem(A), pem(B)) });
        }
    }
}
