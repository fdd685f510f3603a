//! Medians, and how far apart the rounds are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number that was measured in several rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// What was measured only once.
    pub(crate) fn once(value: f64) -> Self {
        Self { median: value, min: value, max: value }
    }

    /// None without any number.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = if values.len() % 2 == 1 { upper } else { f64::midpoint(*values.get(middle - 1)?, upper) };
        Some(Self { median, min: *values.first()?, max: *values.last()? })
    }
}

/// The latency, in microseconds, that so much of all is below.
pub(crate) fn percentile(latencies: &mut [Duration], part: f64) -> f64 {
    latencies.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let index = (part * latencies.len() as f64) as usize;
    latencies.get(index.min(latencies.len().saturating_sub(1))).map_or(0.0, |latency| micros(*latency))
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
