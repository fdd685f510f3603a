//! The filter's place in Envoy: proxy-wasm's callbacks and host calls, and nothing else.
//!
//! The SDK's convenience methods panic on bytes that are no UTF-8, and a panic takes a worker's VM down with it. So
//! everything here goes through `hostcalls` that return bytes, and only in ways in which they do not panic.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, MetricType};

use crate::attester::{Attester, Changes, Decision};
use crate::config::{Config, ConfigError};
use crate::host::metrics::{Counter, Gauge, Histogram, signed_by_kid};
use crate::host::{Expected, Host, Level, Unreadable};
use crate::http::endpoint::Response;
use crate::http::fields::Headers;
use crate::identity::CertificateField;
use crate::keys::feed::KeyFileWatch;

/// What this module is, for whoever looks into a log or at the bytes.
const VERSION: &str = concat!("attestation-filter ", env!("CARGO_PKG_VERSION"));
/// When the key file is first asked for: not while Envoy is still putting its configuration together.
const FIRST_TICK: Duration = Duration::from_millis(20);
/// What proxy-wasm hosts take as "only if there is none yet".
const CAS_ABSENT: u32 = u32::MAX;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|_| Box::new(Plugin::default()));
}}

/// The plugin in one VM.
#[derive(Default)]
struct Plugin {
    envoy: Rc<Envoy>,
    attester: Option<Rc<Attester>>,
    watch: Option<KeyFileWatch>,
    serves_requests: Rc<Cell<bool>>,
}

impl Plugin {
    fn configure(&mut self, size: usize) -> Result<(), ConfigError> {
        let bytes = match size {
            0 => Vec::new(),
            _ => hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default(),
        };
        let config =
            Config::read(&bytes, |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))?;
        let attester = Attester::new(config, &*self.envoy)?;
        self.watch = attester.key_file_watch(&*self.envoy);
        self.attester = Some(Rc::new(attester));
        if self.watch.is_some() {
            self.adopt_keys();
            let _ = hostcalls::set_tick_period(FIRST_TICK);
        }
        Ok(())
    }

    fn adopt_keys(&mut self) {
        let keyring = self.watch.as_mut().and_then(|watch| watch.adopt(&*self.envoy));
        if let (Some(keyring), Some(attester)) = (keyring, &self.attester) {
            attester.use_keys(keyring);
        }
    }

    fn tick_again(&self) {
        if let Some(watch) = &self.watch {
            let _ = hostcalls::set_tick_period(watch.period());
        }
    }
}

impl Context for Plugin {
    fn on_http_call_response(&mut self, _: u32, num_headers: usize, body_size: usize, _: usize) {
        // Without headers there was no answer, and asking for them would be an error.
        let status = (num_headers > 0).then(status_of_answer).flatten();
        let body = match body_size {
            0 => None,
            _ => hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size).ok().flatten(),
        };
        let serves_requests = self.serves_requests.get();
        let keyring = self
            .watch
            .as_mut()
            .and_then(|watch| watch.answered(&*self.envoy, status, body.unwrap_or_default(), serves_requests));
        if let (Some(keyring), Some(attester)) = (keyring, &self.attester) {
            attester.use_keys(keyring);
        }
        self.tick_again();
    }
}

fn status_of_answer() -> Option<u32> {
    let status = hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status").ok()??;
    str::from_utf8(&status).ok()?.parse().ok()
}

impl RootContext for Plugin {
    fn on_configure(&mut self, size: usize) -> bool {
        match self.configure(size) {
            Ok(()) => {
                self.envoy.log(Level::Debug, VERSION);
                true
            }
            Err(error) => {
                self.envoy.log(Level::Error, &format!("configuration rejected: {error}"));
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.adopt_keys();
        let serves_requests = self.serves_requests.get();
        if let Some(watch) = &mut self.watch {
            watch.fetch(&*self.envoy, serves_requests);
        }
        self.tick_again();
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        let attester = self.attester.clone();
        self.serves_requests.set(true);
        Some(Box::new(Exchange { envoy: Rc::clone(&self.envoy), attester }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// One request and its response.
struct Exchange {
    envoy: Rc<Envoy>,
    attester: Option<Rc<Attester>>,
}

impl Context for Exchange {}

impl HttpContext for Exchange {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let decision = match &self.attester {
            Some(attester) => attester.on_request(&*self.envoy),
            None => Decision::Respond(Response::refusal(500, "the filter is not configured")),
        };
        match decision {
            Decision::Forward(changes) => {
                apply(&changes);
                Action::Continue
            }
            Decision::Respond(response) => {
                respond(&response);
                Action::Pause
            }
        }
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        if let Some(attester) = &self.attester {
            let trailers = fields(MapType::HttpRequestTrailers);
            for name in attester.spoofed(&trailers, &*self.envoy) {
                let _ = hostcalls::remove_map_value(MapType::HttpRequestTrailers, name);
            }
        }
        Action::Continue
    }
}

fn fields(map: MapType) -> Headers {
    Headers::from_pairs(header_map_pairs(map))
}

/// All fields of a map as the host serialises them. The SDK's own reading panics on a name that is no UTF-8, and copies
/// every field twice.
#[expect(unsafe_code, reason = "the SDK keeps the buffer to itself")]
fn header_map_pairs(map: MapType) -> Vec<u8> {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> u32;
    }
    const OK: u32 = 0;
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: both places outlive the call, which writes a pointer and a size to them.
    let status = unsafe { proxy_get_header_map_pairs(map, &raw mut data, &raw mut size) };
    if status != OK || data.is_null() {
        return Vec::new();
    }
    // SAFETY: the host had `proxy_on_memory_allocate` make the buffer, a boxed slice of just this size, and gave it away.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

fn apply(changes: &Changes) {
    for name in &changes.remove {
        let _ = hostcalls::remove_map_value(MapType::HttpRequestHeaders, name);
    }
    for (name, value) in &changes.set {
        let _ = hostcalls::set_map_value(MapType::HttpRequestHeaders, name, Some(value));
    }
}

fn respond(response: &Response) {
    let headers = response.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _ = hostcalls::send_http_response(response.status, headers, Some(&response.body));
}

/// Envoy, as the filter's logic sees it.
struct Envoy {
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

impl Host for Envoy {
    fn now(&self) -> Duration {
        hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok()).unwrap_or_default()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        getrandom::fill(bytes).is_ok()
    }

    fn request_headers(&self) -> Headers {
        fields(MapType::HttpRequestHeaders)
    }

    fn metadata(&self) -> Option<Vec<u8>> {
        hostcalls::get_property(vec!["metadata"]).ok().flatten()
    }

    /// All of it: a single namespace comes as a table that has lost its types.
    fn route_metadata(&self) -> Result<Vec<u8>, Unreadable> {
        hostcalls::get_property(vec!["xds", "route_metadata"]).map(Option::unwrap_or_default).map_err(|_| Unreadable)
    }

    fn route_name(&self) -> String {
        let name = hostcalls::get_property(vec!["xds", "route_name"]).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&name).into_owned()
    }

    fn is_mtls(&self) -> bool {
        hostcalls::get_property(vec!["connection", "mtls"]).ok().flatten().is_some_and(|mtls| mtls == [1])
    }

    fn certificate(&self, field: CertificateField) -> Option<Vec<u8>> {
        let name = match field {
            CertificateField::UriSan => "uri_san_peer_certificate",
            CertificateField::DnsSan => "dns_san_peer_certificate",
            CertificateField::Subject => "subject_peer_certificate",
            CertificateField::Sha256Fingerprint => "sha256_peer_certificate_digest",
        };
        hostcalls::get_property(vec!["connection", name]).ok().flatten()
    }

    fn set_filter_state(&self, name: &str, value: &str) {
        let _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
    }

    fn sign(&self, request: &[u8]) -> Option<Vec<u8>> {
        hostcalls::call_foreign_function("sign", Some(request)).ok().flatten()
    }

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

    fn fetch(&self, cluster: &str, path: &str, timeout: Duration) -> bool {
        let headers = vec![(":method", "GET"), (":path", path), (":authority", "signing-key")];
        hostcalls::dispatch_http_call(cluster, headers, None, Vec::new(), timeout).is_ok()
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
