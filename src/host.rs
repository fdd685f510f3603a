//! What the core asks of its host: of a request, and of the process. The hosts are Envoy's sandbox for Wasm, behind
//! `proxy`, and Envoy itself, behind the native module; tests have one of their own.

pub mod metrics;

use std::time::Duration;

use crate::http::fields::Fields;
use crate::value::Object;
pub use metrics::{Counter, Gauge, Histogram};

/// Log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Of use when looking for a fault; also what concerns a single request.
    Debug,
    /// A change of state that is meant.
    Info,
    /// Something to look at.
    Warn,
    /// Something that does not work.
    Error,
}

/// A JWS algorithm (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    /// The name in a JWS header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// A private key that the host signs with.
pub trait HostKey: Send + Sync {
    /// The signature as JWS has it: 64 bytes `r‖s` for ES256 (RFC 7518, section 3.4), as long as the modulus for RS256.
    /// None if the host fails.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

/// The process that all requests share. Implementations never panic.
pub trait ProcessHost: SharedData {
    /// What the log calls the signer that the host has.
    const SIGNER: &'static str;
    /// What counts the signatures that the host makes.
    const SIGNED_BY_HOST: Counter;
    /// What counts the signatures that the core makes.
    const SIGNED_BY_CORE: Counter;

    /// The wall clock, since the epoch.
    fn now(&self) -> Duration;
    /// Fills the bytes with randomness fit for keys; false if there is none.
    #[must_use]
    fn fill_random(&self, bytes: &mut [u8]) -> bool;
    /// A key for the host to sign with, from PKCS#8 DER with the public key in it; none if the host cannot sign.
    fn host_key(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Option<Box<dyn HostKey>>;
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

    /// Writes a debug line, which is only put together if such lines are written.
    fn debug(&self, message: impl FnOnce() -> String) {
        if self.logs_debug() {
            self.log(Level::Debug, &message());
        }
    }
}

/// What must be true of shared data for it to be overwritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// There is none yet.
    Absent,
    /// It has this version.
    Version(u32),
}

/// Values that all workers of a process share, and that outlive a configuration.
pub trait SharedData {
    /// A value and its version.
    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)>;
    /// Shares a value; false if another worker was faster.
    fn set_shared_data(&self, key: &str, value: &[u8], expected: Expected) -> bool;
}

/// The host has something that it does not hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// The settings that a route brings with it.
#[derive(Debug, Clone, Copy)]
pub struct RouteSettings<'a> {
    /// Tells these settings from all others.
    pub key: &'a [u8],
    /// The settings.
    pub members: Object<'a>,
}

/// The field of a client certificate that holds a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateField {
    /// The first URI in the subject alternative names, such as a SPIFFE ID.
    UriSan,
    /// The first DNS name in the subject alternative names.
    DnsSan,
    /// The subject's distinguished name (RFC 2253).
    Subject,
    /// The SHA-256 of the DER certificate, in lowercase hexadecimal.
    Sha256Fingerprint,
}

/// One request. Implementations never panic, whatever a client sent.
pub trait RequestHost {
    /// The process that the request is in.
    type Process: ProcessHost;

    /// The process that the request is in.
    fn process(&self) -> &Self::Process;
    /// The header fields.
    fn headers(&self) -> Fields<'_>;
    /// Whether the client's connection is encrypted (TLS).
    fn is_tls(&self) -> bool;
    /// Whether there is a route that takes the request.
    fn has_route(&self) -> bool;
    /// A namespace of the dynamic metadata; `reads` says of which members the value matters.
    fn metadata(&self, namespace: &str, reads: &dyn Fn(&[u8]) -> bool) -> Option<Object<'_>>;
    /// What an earlier filter has put into the filter state, serialised.
    fn filter_state(&self, name: &str) -> Option<Vec<u8>>;
    /// What the route says about the filter; none if it says nothing or there is no route.
    ///
    /// # Errors
    /// [`Unreadable`] if there is something that the host does not hand out.
    fn route_settings(&self) -> Result<Option<RouteSettings<'_>>, Unreadable>;
    /// What an operator knows the route by, for logs: its name in quotes, or where it is.
    fn route_name(&self) -> String;
    /// Whether the client has shown a certificate.
    fn is_mtls(&self) -> bool;
    /// A field of that certificate.
    fn certificate(&self, field: CertificateField) -> Option<Vec<u8>>;
    /// Stores a text in the request's filter state, for access logs.
    fn set_filter_state(&self, name: &str, value: &str);
    /// Keeps a text for when Envoy runs the filter again for this request: after an internal redirect, and for another try
    /// where it is an upstream filter.
    fn keep(&self, name: &str, text: &str);
    /// A text that was kept for this request.
    fn kept(&self, name: &str) -> Option<Vec<u8>>;
}

#[cfg(any(test, feature = "fake-host"))]
pub mod fake;
