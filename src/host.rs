//! What the filter needs of its host. The real one is Envoy, behind `proxy`; tests have one of their own.

pub mod metrics;

use std::time::Duration;

use crate::http::fields::Headers;
use crate::identity::CertificateField;
pub use metrics::{Counter, Gauge, Histogram};

/// How grave a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Of use when looking for a fault.
    Debug,
    /// A change of state that is meant.
    Info,
    /// Something to look at.
    Warn,
    /// Something that does not work.
    Error,
}

/// What must be true of shared data for it to be overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// There is none yet.
    Absent,
    /// It has this version.
    Version(u32),
}

/// The host has something that it does not hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// The host's side of the filter. Implementations never panic, whatever a client sent.
pub trait Host {
    /// The wall clock, since the epoch.
    fn now(&self) -> Duration;
    /// Fills the bytes with randomness fit for keys; false if there is none.
    #[must_use]
    fn fill_random(&self, bytes: &mut [u8]) -> bool;

    /// The current request's header fields.
    fn request_headers(&self) -> Headers;
    /// The current request's dynamic metadata, a serialised `envoy.config.core.v3.Metadata`.
    fn metadata(&self) -> Option<Vec<u8>>;
    /// The current route's metadata, a serialised `envoy.config.core.v3.Metadata`; empty without a route.
    ///
    /// # Errors
    /// [`Unreadable`] if there is some that the host does not hand out.
    fn route_metadata(&self) -> Result<Vec<u8>, Unreadable>;
    /// The current route's name, for logs; empty if it has none.
    fn route_name(&self) -> String;
    /// Whether the client has shown a certificate.
    fn is_mtls(&self) -> bool;
    /// A field of that certificate.
    fn certificate(&self, field: CertificateField) -> Option<Vec<u8>>;
    /// Stores a text in the request's filter state, for access logs.
    fn set_filter_state(&self, name: &str, value: &str);

    /// Calls Envoy's foreign function `sign`; none if there is no such function or it refuses.
    fn sign(&self, request: &[u8]) -> Option<Vec<u8>>;

    /// A value that all workers share, and its version.
    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)>;
    /// Shares a value; false if another worker was faster.
    fn set_shared_data(&self, key: &str, value: &[u8], expected: Expected) -> bool;
    /// Starts a `GET` to a cluster, unless that is impossible; its end is told to [`crate::keys::feed`].
    #[must_use]
    fn fetch(&self, cluster: &str, path: &str, timeout: Duration) -> bool;

    /// Writes a log line.
    fn log(&self, level: Level, message: &str);
    /// Whether debug lines are written at all.
    fn logs_debug(&self) -> bool;
    /// Adds to a counter.
    fn add(&self, counter: Counter, number: u64);
    /// Counts a signature by the key that made it.
    fn count_signed_by(&self, kid: &str);
    /// Sets a gauge.
    fn set(&self, gauge: Gauge, value: u64);
    /// Records a value in a histogram.
    fn record(&self, histogram: Histogram, value: u64);
}

#[cfg(test)]
pub(crate) mod fake;
