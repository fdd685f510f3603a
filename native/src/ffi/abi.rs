//! Envoy's C ABI for dynamic modules, as far as the filter uses it: our own declarations.
//!
//! A name says who owns what is behind it. `Envoy…` is Envoy's: it lives until the hook returns that brought it, or as
//! its own line says. `Module…` is ours: Envoy reads it during the call and keeps nothing.
//!
//! Only what Envoy 1.37.0 exports is declared here, and so imported strongly. What came later is in `optional`.

use std::ffi::c_void;
use std::ptr;

/// Envoy's object for one filter configuration. Lives until `on_http_filter_config_destroy` has returned.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct EnvoyConfig(pub(super) *mut c_void);

/// Envoy's object for one request and its response. Lives until `on_http_filter_destroy` has returned.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct EnvoyStream(pub(super) *mut c_void);

/// Our filter configuration: a `Box<Loaded>` given away by `on_http_filter_config_new`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct ModuleConfig(pub(super) *const c_void);

/// Our configuration of a route: a `Box<RouteConfig>` given away by `on_http_filter_per_route_config_new`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct ModuleRouteConfig(pub(super) *const c_void);

/// Our filter of one request: an `Rc<Filter>` given away by `on_http_filter_new`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct ModuleFilter(pub(super) *const c_void);

/// A scheduler for one request. Made by Envoy, owned by us until we delete it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct ModuleStreamScheduler(pub(super) *mut c_void);

/// A scheduler for a configuration. Made by Envoy, owned by us until we delete it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct ModuleConfigScheduler(pub(super) *mut c_void);

/// Bytes of Envoy's. They live until the hook returns or what they were read from is changed.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct EnvoyBytes {
    pub(super) data: *const u8,
    pub(super) length: usize,
}

/// A header field of Envoy's. Its bytes live as [`EnvoyBytes`] do.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct EnvoyField {
    pub(super) name: EnvoyBytes,
    pub(super) value: EnvoyBytes,
}

/// Bytes of ours, lent for the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct ModuleBytes {
    pub(super) data: *const u8,
    pub(super) length: usize,
}

/// A header field of ours, lent for the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct ModuleField {
    pub(super) name: ModuleBytes,
    pub(super) value: ModuleBytes,
}

impl EnvoyBytes {
    /// Where Envoy writes its answer to.
    pub(super) const NONE: Self = Self { data: ptr::null(), length: 0 };
}

impl EnvoyField {
    /// Where Envoy writes its answer to.
    pub(super) const NONE: Self = Self { name: EnvoyBytes::NONE, value: EnvoyBytes::NONE };
}

impl ModuleBytes {
    /// No value at all, which removes a header field. An empty value has an address.
    pub(super) const NONE: Self = Self { data: ptr::null(), length: 0 };

    pub(super) fn lend(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }
}

/// A map of header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Map {
    /// The request's headers.
    RequestHeaders = 0,
    /// The request's trailers.
    RequestTrailers = 1,
}

/// What became of a metric.
pub(super) type MetricResult = u32;
/// The metric is defined, or has taken the value.
pub(super) const METRIC_OK: MetricResult = 0;

/// The dynamic metadata of a request, among the places where there is metadata.
pub(super) const DYNAMIC_METADATA: u32 = 0;

/// An attribute of the request or its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Attribute {
    /// `connection.id`, a number.
    ConnectionId = 28,
    /// `connection.mtls`, a bool.
    Mtls = 29,
    /// `connection.tls_version`.
    TlsVersion = 31,
    /// `connection.subject_peer_certificate`.
    PeerSubject = 33,
    /// `connection.dns_san_peer_certificate`.
    PeerDnsSan = 35,
    /// `connection.uri_san_peer_certificate`.
    PeerUriSan = 37,
    /// `connection.sha256_peer_certificate_digest`.
    PeerSha256 = 38,
    /// `xds.route_name`.
    RouteName = 61,
}

/// What becomes of a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum HeadersStatus {
    /// They go on.
    Continue = 0,
    /// They stay here; the filter has answered.
    StopIteration = 1,
    /// They and all that follows them stay here, the body up to Envoy's buffer limit, until the filter goes on.
    StopAllIterationAndWatermark = 4,
}

/// Go on: the status of bodies, trailers and local replies that the filter leaves alone.
pub(super) const CONTINUE: u32 = 0;

unsafe extern "C" {
    pub(super) fn envoy_dynamic_module_callback_log(level: u32, message: ModuleBytes);
    pub(super) fn envoy_dynamic_module_callback_log_enabled(level: u32) -> bool;

    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: EnvoyConfig,
        name: ModuleBytes,
        labels: *const ModuleBytes,
        labels_length: usize,
        id: *mut usize,
    ) -> MetricResult;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_gauge(
        config: EnvoyConfig,
        name: ModuleBytes,
        labels: *const ModuleBytes,
        labels_length: usize,
        id: *mut usize,
    ) -> MetricResult;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        config: EnvoyConfig,
        name: ModuleBytes,
        labels: *const ModuleBytes,
        labels_length: usize,
        id: *mut usize,
    ) -> MetricResult;
    pub(super) fn envoy_dynamic_module_callback_http_filter_increment_counter(
        stream: EnvoyStream,
        id: usize,
        label_values: *const ModuleBytes,
        label_values_length: usize,
        value: u64,
    ) -> MetricResult;
    pub(super) fn envoy_dynamic_module_callback_http_filter_set_gauge(
        stream: EnvoyStream,
        id: usize,
        label_values: *const ModuleBytes,
        label_values_length: usize,
        value: u64,
    ) -> MetricResult;
    pub(super) fn envoy_dynamic_module_callback_http_filter_record_histogram_value(
        stream: EnvoyStream,
        id: usize,
        label_values: *const ModuleBytes,
        label_values_length: usize,
        value: u64,
    ) -> MetricResult;

    pub(super) fn envoy_dynamic_module_callback_http_get_headers_size(stream: EnvoyStream, map: Map) -> usize;
    pub(super) fn envoy_dynamic_module_callback_http_get_headers(
        stream: EnvoyStream,
        map: Map,
        fields: *mut EnvoyField,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_header(
        stream: EnvoyStream,
        map: Map,
        name: ModuleBytes,
        value: ModuleBytes,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_send_response(
        stream: EnvoyStream,
        status: u32,
        fields: *const ModuleField,
        fields_length: usize,
        body: ModuleBytes,
        details: ModuleBytes,
    );
    pub(super) fn envoy_dynamic_module_callback_http_filter_continue_decoding(stream: EnvoyStream);

    pub(super) fn envoy_dynamic_module_callback_http_get_filter_state_bytes(
        stream: EnvoyStream,
        name: ModuleBytes,
        value: *mut EnvoyBytes,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        stream: EnvoyStream,
        name: ModuleBytes,
        value: ModuleBytes,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        stream: EnvoyStream,
        attribute: Attribute,
        value: *mut EnvoyBytes,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
        stream: EnvoyStream,
        attribute: Attribute,
        value: *mut u64,
    ) -> bool;
    pub(super) fn envoy_dynamic_module_callback_get_most_specific_route_config(
        stream: EnvoyStream,
    ) -> ModuleRouteConfig;

    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_new(stream: EnvoyStream)
    -> ModuleStreamScheduler;
    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_commit(
        scheduler: ModuleStreamScheduler,
        event: u64,
    );
    pub(super) fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: ModuleStreamScheduler);
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(
        config: EnvoyConfig,
    ) -> ModuleConfigScheduler;
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
        scheduler: ModuleConfigScheduler,
        event: u64,
    );
    pub(super) fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: ModuleConfigScheduler);
}
