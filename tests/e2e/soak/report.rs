//! What a run comes to: a machine-readable result, a graph, a page, and a verdict.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::caller::Outcome;
use super::rotation::Step;
use super::sample::Sample;
use super::{CONNECTIONS, JWKS_MAX_AGE, Plan, TOKEN_LIFETIME, WORKERS, chart};
use harness::Host;
use harness::paths::envoy_version;

/// How much more may be resident in the last quarter than in the second, in MiB: what grows by this in half an hour is
/// a leak.
const GROWTH: f64 = 8.0;
const PAGE: &str = include_str!("soak.md");

pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    pub(super) samples: &'a [Sample],
    pub(super) steps: &'a [Step],
    pub(super) outcome: &'a Outcome,
}

/// What the page says of the host.
struct Names {
    host: &'static str,
    command: &'static str,
    /// Of the page, its picture and its numbers, without the ending.
    file: &'static str,
}

impl Names {
    fn of(host: Host) -> Self {
        match host {
            Host::Wasm => Self { host: "Wasm module", command: "make soak", file: "soak" },
            Host::Native => Self { host: "native module", command: "make soak HOST=native", file: "soak-native" },
        }
    }
}

impl Report<'_> {
    /// Writes soak.json, soak.svg and soak.md; soak-native.json and so on for the native module.
    pub(super) fn write(&self) {
        let directory = &self.plan.directory;
        fs::create_dir_all(directory).expect("make the directory of the results");
        let json = serde_json::to_string_pretty(&self.to_json()).expect("JSON") + "\n";
        let name = Names::of(Host::under_test()).file;
        for (ending, content) in [("json", json), ("svg", chart::svg(self.samples, self.steps)), ("md", self.page())] {
            let path = directory.join(name).with_extension(ending);
            fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        }
        println!("soak: wrote {name}.json, {name}.svg and {name}.md to {}", directory.display());
    }

    /// # Panics
    /// If anything failed, was refused, or grew.
    pub(super) fn assert_flawless(&self) {
        assert!(self.outcome.failures.is_empty(), "{:#?}", self.outcome.failures);
        let complaints: Vec<_> =
            self.steps.iter().filter_map(|step| Some((step.name, step.complaint.as_ref()?))).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let (early, late) = self.resident();
        assert!(late - early < GROWTH, "resident memory grew from {early:.1} to {late:.1} MiB");
    }

    /// The medians of the second and of the last quarter.
    fn resident(&self) -> (f64, f64) {
        let quarter = self.samples.len() / 4;
        let of = |samples| median(samples, |sample| sample.resident);
        (of(&self.samples[quarter..2 * quarter]), of(&self.samples[3 * quarter..]))
    }

    fn verified(&self) -> u64 {
        self.outcome.verified_by_kid.values().sum()
    }

    fn failed(&self) -> u64 {
        self.outcome.failures.values().sum()
    }

    fn to_json(&self) -> Value {
        let (early, late) = self.resident();
        json!({
            "envoy": envoy_version(),
            "minutes": self.plan.length.as_secs() / 60,
            "rate": self.plan.rate,
            "workers": WORKERS,
            "connections": CONNECTIONS,
            "requests": self.verified() + self.failed(),
            "verified_by_kid": self.outcome.verified_by_kid,
            "keysets_fetched": self.outcome.keysets_fetched,
            "failures": self.outcome.failures,
            "resident_mib": {"second_quarter": early, "last_quarter": late},
            "steps": self.steps.iter().map(Step::to_json).collect::<Vec<_>>(),
            "samples": self.samples.iter().map(|sample| sample.to_json()).collect::<Vec<_>>(),
        })
    }

    fn page(&self) -> String {
        let (early, late) = self.resident();
        let refused = self.steps.iter().filter(|step| step.complaint.is_some()).count();
        let names = Names::of(Host::under_test());
        let values = [
            ("host", names.host.to_owned()),
            ("command", names.command.to_owned()),
            ("name", names.file.to_owned()),
            ("envoy", envoy_version()),
            ("minutes", (self.plan.length.as_secs() / 60).to_string()),
            ("rate", self.plan.rate.to_string()),
            ("workers", WORKERS.to_string()),
            ("connections", CONNECTIONS.to_string()),
            ("step", self.plan.step.as_secs().to_string()),
            ("max_age", JWKS_MAX_AGE.as_secs().to_string()),
            ("lifetime", TOKEN_LIFETIME.as_secs().to_string()),
            ("requests", (self.verified() + self.failed()).to_string()),
            ("verified", self.verified().to_string()),
            ("failures", self.failed().to_string()),
            ("keys", self.outcome.verified_by_kid.len().to_string()),
            ("keysets", self.outcome.keysets_fetched.to_string()),
            ("steps", self.steps.len().to_string()),
            ("refused", refused.to_string()),
            ("early", format!("{early:.1}")),
            ("late", format!("{late:.1}")),
            ("cpu", format!("{:.1}", median(self.samples, |sample| sample.cpu))),
            ("p50", format!("{:.2}", median(self.samples, |sample| sample.p50))),
            ("p99", format!("{:.2}", median(self.samples, |sample| sample.p99))),
            ("machine", machine()),
        ];
        values.iter().fold(PAGE.to_owned(), |page, (name, value)| page.replace(&format!("{{{name}}}"), value))
    }
}

fn median(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The processor and the number of its cores.
fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = Command::new("nproc").output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("{}, {} cores", model.map_or("an unknown processor", |(_, name)| name), cores.unwrap_or_default())
}
