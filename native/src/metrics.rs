//! Envoy's metrics of one configuration.
//!
//! Up to 1.38, Envoy takes numbers only from a request. What happens without one, on the main thread or a thread of the
//! module, waits here for the next request, or for the main thread where that will do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use attestation_filter::host::{Counter, Gauge, Histogram};

use crate::ffi::{CounterId, GaugeId, HistogramId, LabelledCounterId, MainThread, Stream, has_main_thread_metrics};

/// No value waits.
const NOTHING: u64 = u64::MAX;

/// The metrics, in the order in which the core declares them. One that Envoy refuses is left out.
pub(crate) struct Metrics {
    counters: Vec<Waiting<CounterId>>,
    gauges: Vec<Waiting<GaugeId>>,
    histograms: Vec<Option<HistogramId>>,
    signed_by_kid: Option<LabelledCounterId>,
    panics: Option<CounterId>,
    anything_waits: AtomicBool,
}

/// A metric, and what is to be added to it or what it is to be set to.
struct Waiting<I> {
    id: Option<I>,
    value: AtomicU64,
}

impl Metrics {
    /// Defines all of them.
    pub(crate) fn define(main: &MainThread<'_>) -> Self {
        let counter = |name: &&str| Waiting { id: main.define_counter(name), value: AtomicU64::new(0) };
        let gauge = |name: &&str| Waiting { id: main.define_gauge(name), value: AtomicU64::new(NOTHING) };
        Self {
            counters: Counter::NAMES.iter().map(counter).collect(),
            gauges: Gauge::NAMES.iter().map(gauge).collect(),
            histograms: Histogram::NAMES.iter().map(|name| main.define_histogram(name)).collect(),
            // Envoy puts a label and its value behind the name: `attestation.signed_by_kid.KID`.
            signed_by_kid: main.define_labelled_counter("attestation", "signed_by_kid"),
            panics: main.define_counter("attestation.panics"),
            anything_waits: AtomicBool::new(false),
        }
    }

    /// Adds to a counter, now or later.
    pub(crate) fn add(&self, stream: Option<&Stream<'_>>, counter: Counter, number: u64) {
        let Some(counter) = self.counters.get(counter as usize) else { return };
        match (stream, counter.id) {
            (Some(stream), Some(id)) => stream.count(id, number),
            (None, Some(_)) => {
                counter.value.fetch_add(number, Ordering::Relaxed);
                self.anything_waits.store(true, Ordering::Release);
            }
            (_, None) => {}
        }
    }

    /// Sets a gauge, now or later.
    pub(crate) fn set(&self, stream: Option<&Stream<'_>>, gauge: Gauge, value: u64) {
        let Some(gauge) = self.gauges.get(gauge as usize) else { return };
        match (stream, gauge.id) {
            (Some(stream), Some(id)) => stream.set(id, value),
            (None, Some(_)) => {
                gauge.value.store(value, Ordering::Relaxed);
                self.anything_waits.store(true, Ordering::Release);
            }
            (_, None) => {}
        }
    }

    /// Records a value.
    pub(crate) fn record(&self, stream: &Stream<'_>, histogram: Histogram, value: u64) {
        if let Some(Some(id)) = self.histograms.get(histogram as usize) {
            stream.record(*id, value);
        }
    }

    /// Counts a signature by the key that made it.
    pub(crate) fn count_signed_by(&self, stream: &Stream<'_>, kid: &str) {
        if let Some(id) = self.signed_by_kid {
            stream.count_labelled(id, kid, 1);
        }
    }

    /// Has Envoy keep what an earlier configuration has counted of this key: a counter with a label is of the configuration
    /// that has used it, and would begin anew.
    pub(crate) fn keep_signed_by(&self, main: &MainThread<'_>, kid: &str) {
        if let Some(id) = self.signed_by_kid {
            main.begin_labelled(id, kid);
        }
    }

    /// Counts a panic.
    pub(crate) fn count_panic(&self, stream: &Stream<'_>) {
        if let Some(id) = self.panics {
            stream.count(id, 1);
        }
    }

    /// Whether something waits that Envoy takes from the main thread.
    pub(crate) fn waits_for_main(&self) -> bool {
        has_main_thread_metrics() && self.anything_waits.load(Ordering::Relaxed)
    }

    /// Hands Envoy what waits.
    pub(crate) fn flush(&self, stream: &Stream<'_>) {
        if !self.anything_waits.load(Ordering::Relaxed) || !self.anything_waits.swap(false, Ordering::Acquire) {
            return;
        }
        for counter in &self.counters {
            let number = counter.value.swap(0, Ordering::Relaxed);
            if let Some(id) = counter.id.filter(|_| number > 0) {
                stream.count(id, number);
            }
        }
        for gauge in &self.gauges {
            let value = gauge.value.swap(NOTHING, Ordering::Relaxed);
            if let Some(id) = gauge.id.filter(|_| value != NOTHING) {
                stream.set(id, value);
            }
        }
    }

    /// Hands Envoy what waits, where it takes it from the main thread.
    pub(crate) fn flush_from_main(&self, main: &MainThread<'_>) {
        if !has_main_thread_metrics() || !self.anything_waits.swap(false, Ordering::Acquire) {
            return;
        }
        for counter in &self.counters {
            let number = counter.value.swap(0, Ordering::Relaxed);
            if let Some(id) = counter.id.filter(|_| number > 0) {
                main.count(id, number);
            }
        }
        for gauge in &self.gauges {
            let value = gauge.value.swap(NOTHING, Ordering::Relaxed);
            if let Some(id) = gauge.id.filter(|_| value != NOTHING) {
                main.set(id, value);
            }
        }
    }
}
