//! An Envoy made by hand, for tests: it exports the callbacks that 1.37.0 has, and calls the hooks. What is read from it
//! is where it says, with the lifetimes that Envoy has, so that a sanitizer sees what outlives them.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::slice;
use std::sync::{Arc, Mutex};

use super::abi::*;
use super::hooks;

/// Header fields.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A configuration that is loaded.
pub(crate) struct FakeConfig {
    metrics: Box<Mutex<Metrics>>,
    module: ModuleConfig,
}

// SAFETY: what the module gave away for it is shared by Envoy's threads.
unsafe impl Sync for FakeConfig {}

#[derive(Default)]
struct Metrics {
    names: Vec<String>,
    values: BTreeMap<String, u64>,
}

/// A request, and what has become of it.
pub(crate) struct FakeStream {
    metrics: *const Mutex<Metrics>,
    filter: ModuleFilter,
    is_over: bool,
    pub(crate) headers: Fields,
    pub(crate) trailers: Fields,
    pub(crate) state: BTreeMap<Vec<u8>, Vec<u8>>,
    route: ModuleRouteConfig,
    pub(crate) answer: Option<Answer>,
    pub(crate) went_on: bool,
    events: Events,
}

/// A local reply.
pub(crate) struct Answer {
    pub(crate) status: u32,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) details: String,
}

/// What schedulers have queued.
type Events = Arc<Mutex<Vec<u64>>>;

fn lend(bytes: &[u8]) -> EnvoyBytes {
    EnvoyBytes { data: bytes.as_ptr(), length: bytes.len() }
}

unsafe fn take(bytes: ModuleBytes) -> Vec<u8> {
    unsafe { slice::from_raw_parts(bytes.data, bytes.length) }.to_vec()
}

unsafe fn text(bytes: ModuleBytes) -> String {
    String::from_utf8(unsafe { take(bytes) }).unwrap()
}

impl FakeConfig {
    /// Loads a configuration; none if the module refuses it.
    pub(crate) fn load(text: &str) -> Option<Self> {
        let metrics = Box::<Mutex<Metrics>>::default();
        let envoy = EnvoyConfig(ptr::from_ref(&*metrics).cast_mut().cast());
        // A copy that is gone when this returns.
        let text = text.as_bytes().to_vec();
        let module =
            unsafe { hooks::envoy_dynamic_module_on_http_filter_config_new(envoy, lend(b"attestation"), lend(&text)) };
        (!module.0.is_null()).then_some(Self { metrics, module })
    }

    /// A counter, or a gauge.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.metrics.lock().unwrap().values.get(name).copied().unwrap_or_default()
    }

    /// Has the main thread do what was scheduled.
    pub(crate) fn wake(&self) {
        let envoy = EnvoyConfig(ptr::from_ref(&*self.metrics).cast_mut().cast());
        unsafe { hooks::envoy_dynamic_module_on_http_filter_config_scheduled(envoy, self.module, 0) }
    }

    /// A request with these header fields.
    pub(crate) fn request(&self, headers: Fields) -> Box<FakeStream> {
        let mut stream = Box::new(FakeStream {
            metrics: &raw const *self.metrics,
            filter: ModuleFilter(ptr::null()),
            is_over: false,
            headers,
            trailers: Vec::new(),
            state: BTreeMap::new(),
            route: ModuleRouteConfig(ptr::null()),
            answer: None,
            went_on: false,
            events: Events::default(),
        });
        let envoy = EnvoyStream((&raw mut *stream).cast());
        stream.filter = unsafe { hooks::envoy_dynamic_module_on_http_filter_new(self.module, envoy) };
        assert!(!stream.filter.0.is_null());
        stream
    }
}

impl Drop for FakeConfig {
    fn drop(&mut self) {
        unsafe { hooks::envoy_dynamic_module_on_http_filter_config_destroy(self.module) }
    }
}

impl FakeStream {
    /// The configuration of the route that the request takes; false if the module refuses it.
    pub(crate) fn take_route(&mut self, text: &str) -> bool {
        let text = text.as_bytes().to_vec();
        self.route =
            unsafe { hooks::envoy_dynamic_module_on_http_filter_per_route_config_new(lend(b"a"), lend(&text)) };
        !self.route.0.is_null()
    }

    fn envoy(&mut self) -> EnvoyStream {
        EnvoyStream(ptr::from_mut(self).cast())
    }

    /// Hands the headers to the module.
    pub(crate) fn headers(&mut self) -> HeadersStatus {
        let (envoy, filter) = (self.envoy(), self.filter);
        unsafe { hooks::envoy_dynamic_module_on_http_filter_request_headers(envoy, filter, false) }
    }

    /// Hands the trailers to the module.
    pub(crate) fn trailers(&mut self) {
        let (envoy, filter) = (self.envoy(), self.filter);
        unsafe { hooks::envoy_dynamic_module_on_http_filter_request_trailers(envoy, filter) };
    }

    /// Runs a hook that panics.
    pub(crate) fn panic(&mut self) -> HeadersStatus {
        let (envoy, filter) = (self.envoy(), self.filter);
        unsafe { hooks::with(envoy, filter, HeadersStatus::StopIteration, |_, _| panic!("as a test wants it")) }
    }

    /// Has the worker do what was scheduled; false if nothing was.
    pub(crate) fn run_events(&mut self) -> bool {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        for event in &events {
            let (envoy, filter) = (self.envoy(), self.filter);
            if !self.is_over {
                unsafe { hooks::envoy_dynamic_module_on_http_filter_scheduled(envoy, filter, *event) };
            }
        }
        !events.is_empty()
    }

    /// A header field's only value.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut values = self.headers.iter().filter(|(field, _)| field == name.as_bytes());
        let value = values.next().map(|(_, value)| value.as_slice());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    /// As Envoy does when the response has ended, which may be while a hook runs.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            let filter = std::mem::replace(&mut self.filter, ModuleFilter(ptr::null()));
            unsafe { hooks::envoy_dynamic_module_on_http_filter_destroy(filter) };
        }
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        self.end();
        unsafe { hooks::envoy_dynamic_module_on_http_filter_per_route_config_destroy(self.route) }
    }
}

unsafe fn stream<'a>(envoy: EnvoyStream) -> &'a mut FakeStream {
    unsafe { &mut *envoy.0.cast() }
}

fn map(stream: &mut FakeStream, map: Map) -> &mut Fields {
    match map {
        Map::RequestHeaders => &mut stream.headers,
        Map::RequestTrailers => &mut stream.trailers,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_log(_: u32, message: ModuleBytes) {
    unsafe { text(message) };
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_log_enabled(_: u32) -> bool {
    true
}

unsafe fn define(
    config: EnvoyConfig,
    name: ModuleBytes,
    label: *const ModuleBytes,
    count: usize,
    id: *mut usize,
) -> u32 {
    unsafe {
        let mut metrics = (*config.0.cast::<Mutex<Metrics>>()).lock().unwrap();
        let label = if count == 1 { format!(".{}", text(*label)) } else { String::new() };
        *id = metrics.names.len();
        metrics.names.push(text(name) + &label);
    }
    METRIC_OK
}

unsafe fn measure(
    envoy: EnvoyStream,
    id: usize,
    label: *const ModuleBytes,
    count: usize,
    change: impl FnOnce(&mut u64),
) -> u32 {
    unsafe {
        let mut metrics = (*stream(envoy).metrics).lock().unwrap();
        let label = if count == 1 { format!(".{}", text(*label)) } else { String::new() };
        let name = metrics.names[id].clone() + &label;
        change(metrics.values.entry(name).or_default());
    }
    METRIC_OK
}

macro_rules! metrics {
    ($($define:ident;)* => $($name:ident: |$value:ident, $number:ident| $change:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $define(
                config: EnvoyConfig,
                name: ModuleBytes,
                labels: *const ModuleBytes,
                count: usize,
                id: *mut usize,
            ) -> u32 {
                unsafe { define(config, name, labels, count, id) }
            }
        )*
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(
                stream: EnvoyStream,
                id: usize,
                labels: *const ModuleBytes,
                count: usize,
                $number: u64,
            ) -> u32 {
                unsafe { measure(stream, id, labels, count, |$value| $change) }
            }
        )*
    };
}

metrics! {
    envoy_dynamic_module_callback_http_filter_config_define_counter;
    envoy_dynamic_module_callback_http_filter_config_define_gauge;
    envoy_dynamic_module_callback_http_filter_config_define_histogram;
    =>
    envoy_dynamic_module_callback_http_filter_increment_counter: |value, number| *value += number;
    envoy_dynamic_module_callback_http_filter_set_gauge: |value, number| *value = number;
    envoy_dynamic_module_callback_http_filter_record_histogram_value: |value, number| *value = number;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_headers_size(envoy: EnvoyStream, of: Map) -> usize {
    map(unsafe { stream(envoy) }, of).len()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_headers(
    envoy: EnvoyStream,
    of: Map,
    fields: *mut EnvoyField,
) -> bool {
    for (index, (name, value)) in map(unsafe { stream(envoy) }, of).iter().enumerate() {
        unsafe { *fields.add(index) = EnvoyField { name: lend(name), value: lend(value) } };
    }
    true
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_header(
    envoy: EnvoyStream,
    of: Map,
    name: ModuleBytes,
    value: ModuleBytes,
) -> bool {
    let name = unsafe { take(name) };
    let fields = map(unsafe { stream(envoy) }, of);
    fields.retain(|(field, _)| *field != name);
    if value.length > 0 {
        fields.push((name, unsafe { take(value) }));
    }
    // Envoy's strings move when its map changes.
    *fields = fields.clone();
    true
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_send_response(
    envoy: EnvoyStream,
    status: u32,
    fields: *const ModuleField,
    count: usize,
    body: ModuleBytes,
    details: ModuleBytes,
) {
    unsafe {
        let headers = (0..count).map(|index| *fields.add(index)).map(|field| (take(field.name), take(field.value)));
        let answer = Answer { status, headers: headers.collect(), body: take(body), details: text(details) };
        let stream = stream(envoy);
        assert!(stream.answer.replace(answer).is_none(), "answered twice");
        stream.end();
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_continue_decoding(envoy: EnvoyStream) {
    unsafe { stream(envoy) }.went_on = true;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
    envoy: EnvoyStream,
    name: ModuleBytes,
    value: *mut EnvoyBytes,
) -> bool {
    match unsafe { stream(envoy).state.get(&take(name)) } {
        Some(found) => {
            unsafe { *value = lend(found) };
            true
        }
        None => false,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
    envoy: EnvoyStream,
    name: ModuleBytes,
    value: ModuleBytes,
) -> bool {
    unsafe { stream(envoy).state.insert(take(name), take(value)) };
    true
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
    _: EnvoyStream,
    _: Attribute,
    _: *mut EnvoyBytes,
) -> bool {
    false
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
    _: EnvoyStream,
    _: Attribute,
    _: *mut u64,
) -> bool {
    false
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_get_most_specific_route_config(
    envoy: EnvoyStream,
) -> ModuleRouteConfig {
    unsafe { stream(envoy) }.route
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_new(
    envoy: EnvoyStream,
) -> ModuleStreamScheduler {
    let events = Arc::clone(unsafe { &stream(envoy).events });
    ModuleStreamScheduler(Box::into_raw(Box::new(events)).cast())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_commit(
    scheduler: ModuleStreamScheduler,
    event: u64,
) {
    unsafe { (*scheduler.0.cast::<Events>()).lock().unwrap().push(event) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: ModuleStreamScheduler) {
    unsafe { drop(Box::from_raw(scheduler.0.cast::<Events>())) }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(_: EnvoyConfig) -> ModuleConfigScheduler {
    ModuleConfigScheduler(Box::into_raw(Box::<Token>::default()).cast::<c_void>())
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(_: ModuleConfigScheduler, _: u64) {}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(
    scheduler: ModuleConfigScheduler,
) {
    unsafe { drop(Box::from_raw(scheduler.0.cast::<Token>())) }
}

/// Something to give away.
type Token = u64;
