//! proxy-wasm's host calls.
//!
//! The SDK's convenience methods panic on bytes that are no UTF-8, and a panic takes a worker's VM down with it. So
//! everything here goes through `hostcalls` that return bytes, and only in ways in which they do not panic.
#![expect(unsafe_code, reason = "three host calls that the SDK wraps in a way that is of no use here")]

use std::cell::{OnceCell, RefCell};
use std::time::{Duration, UNIX_EPOCH};

use proxy_wasm::hostcalls;
use proxy_wasm::types::{LogLevel, MapType, MetricType};

use super::wire::{self, SignCall, metadata_namespace};
use crate::attester::{JTI, KID};
use crate::host::metrics::signed_by_kid;
use crate::host::{
    Algorithm, CertificateField, Counter, Expected, Gauge, Histogram, HostKey, Level, ProcessHost, RequestHost,
    RouteSettings, SharedData, Unreadable,
};
use crate::http::endpoint::Response;
use crate::http::fields::Fields;
use crate::keys::feed::Fetch;
use crate::value::Object;

/// What proxy-wasm hosts take as "only if there is none yet".
const CAS_ABSENT: u32 = u32::MAX;
/// The namespace of route metadata that is the filter's.
const ROUTE_NAMESPACE: &str = "attestation";

/// The process, as the core sees it.
pub(super) struct Envoy {
    counters: Metrics,
    gauges: Metrics,
    histograms: Metrics,
    signed_by: RefCell<Vec<(String, u32)>>,
}

/// Envoy's IDs of metrics, in the order in which they are declared.
type Metrics = Vec<Option<u32>>;

impl Default for Envoy {
    fn default() -> Self {
        Self {
            counters: define(MetricType::Counter, Counter::NAMES),
            gauges: define(MetricType::Gauge, Gauge::NAMES),
            histograms: define(MetricType::Histogram, Histogram::NAMES),
            signed_by: RefCell::default(),
        }
    }
}

fn define(kind: MetricType, names: &[&str]) -> Metrics {
    names.iter().map(|name| hostcalls::define_metric(kind, name).ok()).collect()
}

fn increment(id: u32, number: u64) {
    let _ = hostcalls::increment_metric(id, i64::try_from(number).unwrap_or_default());
}

fn record(metrics: &Metrics, index: usize, value: u64) {
    if let Some(Some(id)) = metrics.get(index) {
        let _ = hostcalls::record_metric(*id, value);
    }
}

impl ProcessHost for Envoy {
    const SIGNER: &'static str = "host";
    const SIGNED_BY_HOST: Counter = Counter::SignedByHost;
    const SIGNED_BY_CORE: Counter = Counter::SignedInWasm;

    fn now(&self) -> Duration {
        hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok()).unwrap_or_default()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        getrandom::fill(bytes).is_ok()
    }

    fn host_key(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Option<Box<dyn HostKey>> {
        Some(Box::new(ForeignKey(SignCall::new(algorithm, pkcs8))))
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        let _ = hostcalls::log(level, message);
    }

    fn logs_debug(&self) -> bool {
        matches!(hostcalls::get_log_level(), Ok(LogLevel::Trace | LogLevel::Debug))
    }

    fn add(&self, counter: Counter, number: u64) {
        if let Some(Some(id)) = self.counters.get(counter as usize) {
            increment(*id, number);
        }
    }

    fn count_signed_by(&self, kid: &str) {
        let mut signed_by = self.signed_by.borrow_mut();
        let known = signed_by.iter().find(|(key, _)| key == kid).map(|(_, id)| *id);
        let id = known.or_else(|| {
            let id = hostcalls::define_metric(MetricType::Counter, &signed_by_kid(kid)).ok()?;
            signed_by.push((kid.to_owned(), id));
            Some(id)
        });
        if let Some(id) = id {
            increment(id, 1);
        }
    }

    fn set(&self, gauge: Gauge, value: u64) {
        record(&self.gauges, gauge as usize, value);
    }

    fn record(&self, histogram: Histogram, value: u64) {
        record(&self.histograms, histogram as usize, value);
    }
}

/// A key that Envoy's foreign function `sign` signs with.
struct ForeignKey(SignCall);

impl HostKey for ForeignKey {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(message, |request| hostcalls::call_foreign_function("sign", Some(request)).ok().flatten())
    }
}

impl SharedData for Envoy {
    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let (value, version) = hostcalls::get_shared_data(key).ok()?;
        Some((value.unwrap_or_default(), version?))
    }

    fn set_shared_data(&self, key: &str, value: &[u8], expected: Expected) -> bool {
        let version = match expected {
            Expected::Absent => CAS_ABSENT,
            Expected::Version(version) => version,
        };
        hostcalls::set_shared_data(key, Some(value), Some(version)).is_ok()
    }
}

impl Fetch for Envoy {
    fn fetch(&self, cluster: &str, path: &str, timeout: Duration) -> bool {
        let headers = vec![(":method", "GET"), (":path", path), (":authority", "signing-key")];
        hostcalls::dispatch_http_call(cluster, headers, None, Vec::new(), timeout).is_ok()
    }
}

/// The request of the current context. What Envoy hands over is kept, as the core looks at it more than once.
pub(super) struct HttpRequest<'a> {
    envoy: &'a Envoy,
    headers: OnceCell<Vec<u8>>,
    metadata: OnceCell<Vec<u8>>,
    route_metadata: OnceCell<Result<Vec<u8>, Unreadable>>,
}

impl<'a> HttpRequest<'a> {
    pub(super) fn new(envoy: &'a Envoy) -> Self {
        Self { envoy, headers: OnceCell::new(), metadata: OnceCell::new(), route_metadata: OnceCell::new() }
    }
}

impl RequestHost for HttpRequest<'_> {
    type Process = Envoy;

    fn process(&self) -> &Envoy {
        self.envoy
    }

    fn is_tls(&self) -> bool {
        property(&["connection", "tls_version"]).is_some()
    }

    /// Without a route there is no such property; the name itself may be empty.
    fn has_route(&self) -> bool {
        raw_property(&["xds", "route_name"]).is_some()
    }

    fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        property(&["filter_state", name])
    }

    fn headers(&self) -> Fields<'_> {
        wire::fields(self.headers.get_or_init(|| header_map(MapType::HttpRequestHeaders)))
    }

    fn metadata(&self, namespace: &str, _: &dyn Fn(&[u8]) -> bool) -> Option<Object<'_>> {
        let metadata = self.metadata.get_or_init(|| property(&["metadata"]).unwrap_or_default());
        metadata_namespace(metadata, namespace).map(Object::Struct)
    }

    /// The route's metadata is read whole: a single namespace comes as a table that has lost its types.
    fn route_settings(&self) -> Result<Option<RouteSettings<'_>>, Unreadable> {
        let read = || {
            let metadata = hostcalls::get_property(vec!["xds", "route_metadata"]);
            metadata.map(Option::unwrap_or_default).map_err(|_| Unreadable)
        };
        let metadata = self.route_metadata.get_or_init(read).as_ref().map_err(|unreadable| *unreadable)?;
        let members = metadata_namespace(metadata, ROUTE_NAMESPACE);
        Ok(members.map(|members| RouteSettings { key: members.bytes(), members: Object::Struct(members) }))
    }

    fn route_name(&self) -> String {
        let text = |name| String::from_utf8_lossy(&property(&["xds", name]).unwrap_or_default()).into_owned();
        match text("route_name") {
            name if name.is_empty() => format!(
                "without a name (virtual host {:?}, cluster {:?})",
                text("virtual_host_name"),
                text("cluster_name")
            ),
            name => format!("{name:?}"),
        }
    }

    fn is_mtls(&self) -> bool {
        property(&["connection", "mtls"]).is_some_and(|mtls| mtls == [1])
    }

    fn certificate(&self, field: CertificateField) -> Option<Vec<u8>> {
        let name = match field {
            CertificateField::UriSan => "uri_san_peer_certificate",
            CertificateField::DnsSan => "dns_san_peer_certificate",
            CertificateField::Subject => "subject_peer_certificate",
            CertificateField::Sha256Fingerprint => "sha256_peer_certificate_digest",
        };
        property(&["connection", name])
    }

    fn set_filter_state(&self, name: &str, value: &str) {
        let _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
    }

    fn keep(&self, name: &str, text: &str) {
        self.set_filter_state(name, text);
    }

    fn kept(&self, name: &str) -> Option<Vec<u8>> {
        property(&[name])
    }
}

/// Has what [`RequestHost::set_filter_state`] stores outlive an internal redirect.
pub(super) fn declare_filter_state(kept_as: &str) {
    for name in [JTI, KID, kept_as] {
        let _ = hostcalls::call_foreign_function("declare_property", Some(&wire::property_of_request(name)));
    }
}

fn property(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}

/// All fields of a map as the host serialises them. The SDK's own reading panics on a name that is no UTF-8, and copies
/// every field twice.
pub(super) fn header_map(map: MapType) -> Vec<u8> {
    // SAFETY: both places outlive the call, which writes a pointer and a size to them.
    given(|data, size| unsafe { abi::proxy_get_header_map_pairs(map, data, size) }).unwrap_or_default()
}

/// A property, empty ones told from those that are not there, as the SDK does not.
fn raw_property(path: &[&str]) -> Option<Vec<u8>> {
    let path = path.join("\0");
    // SAFETY: the path is read and both places are written during the call.
    given(|data, size| unsafe { abi::proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// What a host call gives; none if it fails.
fn given(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    const OK: u32 = 0;
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    if call(&raw mut data, &raw mut size) != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the host had `proxy_on_memory_allocate` make the buffer, a boxed slice of just this size, and gave it away.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Answers the request of the current context. The SDK's own call has no response code details.
pub(super) fn send(response: &Response) {
    const NO_GRPC_STATUS: i32 = -1;
    let headers: Vec<_> = response.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let headers = wire::header_map(&headers);
    let grpc_status = response.grpc_status.and_then(|status| i32::try_from(status).ok()).unwrap_or(NO_GRPC_STATUS);
    let (details, body) = (response.details, &response.body);
    // SAFETY: the host reads these bytes during the call and keeps none of them.
    let _ = unsafe {
        abi::proxy_send_local_response(
            response.status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    };
}

/// Host calls that the SDK wraps in a way that is of no use here (proxy-wasm ABI 0.2.1).
mod abi {
    use proxy_wasm::types::MapType;

    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> u32;

        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;

        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
    }
}
