//! The process, as the core sees it.

use std::time::{Duration, SystemTime};

use attestation_filter::host::{
    Algorithm, Counter, Expected, Gauge, Histogram, HostKey, Level, ProcessHost, SharedData,
};

use crate::ffi::{LogLevel, Stream, log, logs};
use crate::metrics::Metrics;
use crate::shared::SHARED;
use crate::signer::AwsLcKey;

/// What our lines in Envoy's log begin with: other modules write there too.
const NAME: &str = "attestation";

/// The process under one configuration: while a request is at hand, or without one.
pub(crate) struct Process<'a> {
    pub(crate) metrics: &'a Metrics,
    pub(crate) stream: Option<&'a Stream<'a>>,
}

impl ProcessHost for Process<'_> {
    const SIGNER: &'static str = "the native module";
    const SIGNED_BY_HOST: Counter = Counter::SignedNatively;
    const SIGNED_BY_CORE: Counter = Counter::SignedNatively;

    fn now(&self) -> Duration {
        SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        aws_lc_rs::rand::fill(bytes).is_ok()
    }

    fn host_key(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Option<Box<dyn HostKey>> {
        Some(Box::new(AwsLcKey::from_pkcs8(algorithm, pkcs8)?))
    }

    fn log(&self, level: Level, message: &str) {
        log_line(level, message);
    }

    fn logs_debug(&self) -> bool {
        logs(LogLevel::Debug)
    }

    fn add(&self, counter: Counter, number: u64) {
        self.metrics.add(self.stream, counter, number);
    }

    fn count_signed_by(&self, kid: &str) {
        if let Some(stream) = self.stream {
            self.metrics.count_signed_by(stream, kid);
        }
    }

    fn set(&self, gauge: Gauge, value: u64) {
        self.metrics.set(self.stream, gauge, value);
    }

    fn record(&self, histogram: Histogram, value: u64) {
        if let Some(stream) = self.stream {
            self.metrics.record(stream, histogram, value);
        }
    }
}

impl SharedData for Process<'_> {
    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        SHARED.shared_data(key)
    }

    fn set_shared_data(&self, key: &str, value: &[u8], expected: Expected) -> bool {
        SHARED.set_shared_data(key, value, expected)
    }
}

/// Writes a log line.
pub(crate) fn log_line(level: Level, message: &str) {
    let level = match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    log(level, &format!("{NAME}: {message}"));
}
