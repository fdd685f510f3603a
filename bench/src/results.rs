//! What a run has measured, as it is kept in `bench/results`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::Machine;
use crate::usage::Memory;
use crate::variant::Variant;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    /// By name: variants that were alive at once.
    pub(crate) comparisons: BTreeMap<String, Vec<Measured>>,
    /// Beside the comparison.
    pub(crate) signature: Option<Signature>,
    pub(crate) startups: Vec<Startup>,
    pub(crate) reloads: Vec<Reload>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) slice_ms: u64,
    pub(crate) connections: usize,
}

/// A variant and what each round measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) variant: Variant,
    pub(crate) token_bytes: Option<usize>,
    pub(crate) rounds: Vec<Round>,
    pub(crate) memory: Memory,
    pub(crate) service_memory: Option<Memory>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    /// Of Envoy, per request, in microseconds.
    pub(crate) envoy_cpu_us: f64,
    /// Of the service beside it.
    pub(crate) service_cpu_us: f64,
    /// At all connections.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// The same at one connection, where that was measured.
    pub(crate) single: Option<Single>,
}

/// One request at a time: nothing shares the cost of a system call or of waking up.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Single {
    pub(crate) p50_us: f64,
    /// Of Envoy and the service, per request.
    pub(crate) cpu_us: f64,
}

impl Round {
    pub(crate) fn cpu_us(&self) -> f64 {
        self.envoy_cpu_us + self.service_cpu_us
    }
}

/// One signature by AWS-LC and nothing else, while a processor is busy with the Envoy without a filter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Signature {
    /// How long what is signed is.
    pub(crate) bytes: usize,
    /// Microseconds of CPU, each round.
    pub(crate) rounds_us: Vec<f64>,
    /// The same while that Envoy has one request at a time.
    pub(crate) single_us: Vec<f64>,
}

/// From the start of the process to the first answer through it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Startup {
    pub(crate) variant: Variant,
    pub(crate) rounds_ms: Vec<f64>,
}

/// What requests at a steady pace felt while a configuration arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reload {
    pub(crate) what: String,
    /// The slowest request of each window, in milliseconds.
    pub(crate) slowest_ms: Vec<f64>,
    /// From the file to Envoy's word that it is in force, in milliseconds; empty where nothing was changed.
    pub(crate) applied_ms: Vec<f64>,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

impl Results {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("no results at {}; run first", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// With what an earlier run has measured and this one has not.
    pub(crate) fn over(mut self, earlier: Option<Self>) -> Self {
        if let Some(earlier) = earlier {
            for (name, measured) in earlier.comparisons {
                self.comparisons.entry(name).or_insert(measured);
            }
            self.signature = self.signature.or(earlier.signature);
            if self.startups.is_empty() {
                self.startups = earlier.startups;
            }
            if self.reloads.is_empty() {
                self.reloads = earlier.reloads;
            }
        }
        self
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, lines(&rounded(serde_json::to_value(self)?), 3) + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// JSON with a line for each value down to a depth: one for each variant, not one for each number.
fn lines(value: &Value, depth: usize) -> String {
    let inner = |value| lines(value, depth - 1);
    match value {
        Value::Object(members) if depth > 0 && !members.is_empty() => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), inner(value)))
                .collect();
            format!("{{\n{}\n}}", members.join(",\n"))
        }
        Value::Array(items) if depth > 0 && !items.is_empty() => {
            format!("[\n{}\n]", items.iter().map(inner).collect::<Vec<_>>().join(",\n"))
        }
        value => value.to_string(),
    }
}

/// Digits that were not measured go.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map(|number| (number * 1000.0).round() / 1000.0).into()
        }
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, rounded(value))).collect(),
        value => value,
    }
}
