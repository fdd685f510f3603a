//! A steady load for a long time, with a rotation step every minute: what grows, what fails, what a caller notices.
//!
//! `make soak` runs it; `SOAK_MINUTES` (60), `SOAK_RATE` (200 requests/s), `SOAK_STEP_SECONDS` (60) and `SOAK_TO` (the
//! directory of the results) change it.

/// Apps that ask at a steady rate and verify what they get.
mod caller;
/// The graph.
mod chart;
/// What the run comes to, as JSON and as a page.
mod report;
/// The rotation tool, step after step.
mod rotation;
/// What the Envoy process uses.
mod sample;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use caller::Callers;
use report::Report;
use rotation::Rotation;
use sample::Sampler;

use harness::environment::number;
use harness::keys::{A, KID_A, pem};
use harness::{Bootstrap, Envoy, Request, eventually};

/// As short as lets a step of a rotation be safe after half a minute.
const TOKEN_LIFETIME: Duration = Duration::from_secs(20);
const JWKS_MAX_AGE: Duration = Duration::from_secs(10);
const REFRESH: Duration = Duration::from_secs(1);
const CONNECTIONS: u32 = 8;
const WORKERS: u32 = 2;

/// What a run is asked for.
struct Plan {
    length: Duration,
    rate: u32,
    step: Duration,
    directory: PathBuf,
}

impl Plan {
    fn from_environment() -> Self {
        Self {
            length: Duration::from_secs(60 * number("SOAK_MINUTES", 60)),
            rate: number("SOAK_RATE", 200),
            step: Duration::from_secs(number("SOAK_STEP_SECONDS", 60)),
            directory: env::var_os("SOAK_TO").map_or_else(|| "target/soak".into(), PathBuf::from),
        }
    }

    /// How often the process is looked at: some hundred times, whatever the length.
    fn interval(&self) -> Duration {
        (self.length / 360).max(Duration::from_secs(1))
    }
}

#[test]
#[ignore = "takes an hour: make soak"]
fn an_hour_of_rotations_under_steady_load_loses_nothing() {
    let plan = Plan::from_environment();
    let envoy = start();
    let callers = Callers::start(envoy.address(), CONNECTIONS, plan.rate);
    let rotation = Rotation::start(&envoy, plan.step);
    let mut sampler = Sampler::start(&envoy);
    let until = sampler.started() + plan.length;
    println!("soak: {} minutes at {} requests/s, Envoy {}", plan.length.as_secs() / 60, plan.rate, envoy.pid());
    while Instant::now() < until {
        sampler.wait(plan.interval().min(until.saturating_duration_since(Instant::now())));
        println!("{}", sampler.take(&envoy, callers.drain()));
    }
    let steps = rotation.end();
    let report = Report { plan: &plan, samples: sampler.samples(), steps: &steps, outcome: &callers.end() };
    report.write();
    let last_keys = fs::read_to_string(envoy.key_file()).expect("read the key file");
    envoy.assert_tells_nothing_of([A, &last_keys]);
    report.assert_flawless();
}

fn start() -> Envoy {
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    let configuration = json!({
        "signing_key_file": "/signing-key.pem",
        "signing_key_refresh": seconds(REFRESH),
        "jwks_max_age": seconds(JWKS_MAX_AGE),
        "token_lifetime": seconds(TOKEN_LIFETIME),
        "identity_sources": [{"headers": {"sub": "x-auth-user"}}],
    });
    let envoy = Bootstrap::new(configuration).key_file(pem(A)).workers(WORKERS).start();
    eventually("every worker to have the key", || {
        let has_key = |reply: harness::Reply| reply.status == 200;
        envoy.spread().iter_mut().all(|client| has_key(client.send(&Request::get("/")))).then_some(())
    });
    assert_eq!(envoy.keys().kids(), [KID_A]);
    envoy
}
