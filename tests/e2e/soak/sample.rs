//! What the Envoy process uses, looked at again and again.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::caller::Interval;
use harness::Envoy;

/// The unit of `/proc/PID/stat` on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
const MIB: f64 = 1024.0 * 1024.0;

/// One look, and what the callers had in the time before it.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Duration,
    /// All memory that is resident, in MiB.
    pub(super) resident: f64,
    /// What Envoy's allocator has given out, in MiB. V8's heaps are not in it.
    pub(super) allocated: f64,
    /// Of one core, in percent, since the sample before.
    pub(super) cpu: f64,
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// In milliseconds.
    pub(super) p50: f64,
    /// In milliseconds.
    pub(super) p99: f64,
    pub(super) keys_published: u64,
}

impl Sample {
    pub(super) fn to_json(self) -> Value {
        json!({
            "at_seconds": self.at.as_secs_f64(), "resident_mib": self.resident, "allocated_mib": self.allocated,
            "cpu_percent": self.cpu, "requests": self.requests, "failed": self.failed,
            "p50_ms": self.p50, "p99_ms": self.p99, "keys_published": self.keys_published,
        })
    }
}

/// The samples of a run.
pub(super) struct Sampler {
    started: Instant,
    last: (Instant, f64),
    samples: Vec<Sample>,
}

impl Sampler {
    pub(super) fn start(envoy: &Envoy) -> Self {
        let now = Instant::now();
        Self { started: now, last: (now, cpu_seconds(envoy)), samples: Vec::new() }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub(super) fn wait(&self, interval: Duration) {
        thread::sleep((self.last.0 + interval).saturating_duration_since(Instant::now()));
    }

    /// Looks, and says what it saw in one line.
    pub(super) fn take(&mut self, envoy: &Envoy, mut interval: Interval) -> String {
        let now = (Instant::now(), cpu_seconds(envoy));
        let elapsed = (now.0 - self.last.0).as_secs_f64();
        interval.latencies.sort_unstable();
        let sample = Sample {
            at: now.0 - self.started,
            resident: resident_kib(envoy) / 1024.0,
            allocated: allocated_bytes(envoy) / MIB,
            cpu: 100.0 * (now.1 - self.last.1) / elapsed,
            requests: interval.requests,
            failed: interval.failed,
            p50: percentile(&interval.latencies, 50),
            p99: percentile(&interval.latencies, 99),
            keys_published: envoy.stat("keys_published"),
        };
        self.last = now;
        self.samples.push(sample);
        format!(
            "{:6.0} s  {:6.1} MiB  {:5.1} MiB allocated  {:4.1} % CPU  {:5.0} requests/s  {} failed  p50 {:.2} ms  p99 {:.2} ms",
            sample.at.as_secs_f64(),
            sample.resident,
            sample.allocated,
            sample.cpu,
            f64::from(u32::try_from(sample.requests).expect("few requests")) / elapsed,
            sample.failed,
            sample.p50,
            sample.p99
        )
    }
}

/// In milliseconds; 0 of nothing.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
}

/// User and system time of all threads.
fn cpu_seconds(envoy: &Envoy) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", envoy.pid())).expect("Envoy runs");
    let (_, fields) = stat.rsplit_once(") ").expect("the name in parentheses");
    // Fields 14 and 15 of proc(5); the first after the name is the third.
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

fn resident_kib(envoy: &Envoy) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", envoy.pid())).expect("Envoy runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes")
}

fn allocated_bytes(envoy: &Envoy) -> f64 {
    let memory = envoy.admin().get("/memory").json();
    memory["allocated"].as_str().and_then(|text| text.parse().ok()).expect("what is allocated")
}
