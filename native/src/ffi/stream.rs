//! What a request lets us read and change while one of its hooks runs.

use std::marker::PhantomData;
use std::slice;

use attestation_filter::value::Flat;

use super::abi::{
    Attribute, DYNAMIC_METADATA, EnvoyBytes, EnvoyField, EnvoyStream, Map, ModuleBytes, ModuleField,
    envoy_dynamic_module_callback_get_most_specific_route_config,
    envoy_dynamic_module_callback_http_filter_continue_decoding,
    envoy_dynamic_module_callback_http_filter_get_attribute_int,
    envoy_dynamic_module_callback_http_filter_get_attribute_string,
    envoy_dynamic_module_callback_http_filter_increment_counter,
    envoy_dynamic_module_callback_http_filter_record_histogram_value,
    envoy_dynamic_module_callback_http_filter_scheduler_new, envoy_dynamic_module_callback_http_filter_set_gauge,
    envoy_dynamic_module_callback_http_get_filter_state_bytes, envoy_dynamic_module_callback_http_get_headers,
    envoy_dynamic_module_callback_http_get_headers_size, envoy_dynamic_module_callback_http_send_response,
    envoy_dynamic_module_callback_http_set_filter_state_bytes, envoy_dynamic_module_callback_http_set_header,
};
use super::metric::{CounterId, GaugeId, HistogramId, LabelledCounterId};
use super::optional::{Metadata, optional};
use super::scheduler::StreamScheduler;
use crate::plugin::RouteConfig;

/// A request on its worker's thread, for as long as a hook runs. What it gives is Envoy's and is borrowed from it; what
/// changes the header fields borrows it exclusively, as that moves them.
pub(crate) struct Stream<'hook> {
    envoy: EnvoyStream,
    /// Neither `Send` nor `Sync`, and outlived by nothing that it gives.
    hook: PhantomData<(&'hook (), *const ())>,
}

/// The type of a value right below a namespace of metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// A number.
    Number,
    /// A bool.
    Bool,
    /// A list of strings.
    Texts,
}

impl Stream<'_> {
    /// The request of a hook.
    ///
    /// # Safety
    /// It is the pointer that Envoy gave to the hook, on the hook's thread, and `'hook` ends before the hook does.
    pub(super) unsafe fn new(envoy: EnvoyStream) -> Self {
        Self { envoy, hook: PhantomData }
    }

    /// All fields of a map, in order, as Envoy has them.
    pub(crate) fn fields(&self, map: Map) -> Vec<(&[u8], &[u8])> {
        // SAFETY: the hook's request.
        let count = unsafe { envoy_dynamic_module_callback_http_get_headers_size(self.envoy, map) };
        let mut fields = vec![EnvoyField::NONE; count];
        // SAFETY: there is room for as many fields as Envoy has just said.
        let read = unsafe { envoy_dynamic_module_callback_http_get_headers(self.envoy, map, fields.as_mut_ptr()) };
        if !read {
            return Vec::new();
        }
        fields.into_iter().map(|field| (self.bytes(field.name), self.bytes(field.value))).collect()
    }

    /// Removes a field with all its values.
    pub(crate) fn remove_field(&mut self, map: Map, name: &[u8]) {
        // SAFETY: Envoy reads the name during the call; no value removes the field.
        unsafe {
            envoy_dynamic_module_callback_http_set_header(self.envoy, map, ModuleBytes::lend(name), ModuleBytes::NONE);
        }
    }

    /// Sets a field to a value, instead of all that it has. An empty value would be no field at all.
    pub(crate) fn set_field(&mut self, map: Map, name: &[u8], value: &[u8]) {
        let (name, value) = (ModuleBytes::lend(name), ModuleBytes::lend(value));
        // SAFETY: Envoy copies both during the call.
        unsafe { envoy_dynamic_module_callback_http_set_header(self.envoy, map, name, value) };
    }

    /// Answers the request. The filter's own hooks run meanwhile, and its end may come before this returns.
    pub(crate) fn respond(&mut self, status: u32, fields: &[(&str, &str)], body: &[u8], details: &str) {
        let lend = |text: &str| ModuleBytes::lend(text.as_bytes());
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ModuleField { name: lend(name), value: lend(value) }).collect();
        let body = ModuleBytes::lend(body);
        // SAFETY: Envoy copies everything during the call.
        unsafe {
            envoy_dynamic_module_callback_http_send_response(
                self.envoy,
                status,
                fields.as_ptr(),
                fields.len(),
                body,
                lend(details),
            );
        }
    }

    /// Lets a request go on that was stopped. The filter's own hooks run meanwhile, and its end may come before this
    /// returns.
    pub(crate) fn go_on(&mut self) {
        // SAFETY: the hook's request, which is stopped.
        unsafe { envoy_dynamic_module_callback_http_filter_continue_decoding(self.envoy) }
    }

    /// What an earlier filter put into filter state as a text.
    pub(crate) fn filter_state(&self, name: &str) -> Option<&[u8]> {
        let mut value = EnvoyBytes::NONE;
        let name = ModuleBytes::lend(name.as_bytes());
        // SAFETY: Envoy reads the name and writes the place of the value during the call.
        let found =
            unsafe { envoy_dynamic_module_callback_http_get_filter_state_bytes(self.envoy, name, &raw mut value) };
        found.then(|| self.bytes(value))
    }

    /// Puts a text into filter state.
    pub(crate) fn set_filter_state(&self, name: &str, value: &str) {
        let [name, value] = [name, value].map(|text| ModuleBytes::lend(text.as_bytes()));
        // SAFETY: Envoy copies both during the call. It moves nothing that was borrowed: header fields are elsewhere, and of
        // the names that it writes the filter borrows nothing for longer than a look.
        unsafe { envoy_dynamic_module_callback_http_set_filter_state_bytes(self.envoy, name, value) };
    }

    /// An attribute that is a text.
    pub(crate) fn attribute(&self, attribute: Attribute) -> Option<&[u8]> {
        let mut value = EnvoyBytes::NONE;
        // SAFETY: Envoy writes the place of the value during the call.
        let found = unsafe {
            envoy_dynamic_module_callback_http_filter_get_attribute_string(self.envoy, attribute, &raw mut value)
        };
        found.then(|| self.bytes(value)).filter(|value| !value.is_empty())
    }

    /// The number of the client's connection; 0 for a request that has none.
    pub(crate) fn connection(&self) -> u64 {
        let mut number = 0;
        // SAFETY: Envoy writes the number during the call.
        let found = unsafe {
            envoy_dynamic_module_callback_http_filter_get_attribute_int(
                self.envoy,
                Attribute::ConnectionId,
                &raw mut number,
            )
        };
        if found { number } else { 0 }
    }

    /// Whether the client has shown a certificate. Before 1.38 its digest says so.
    pub(crate) fn is_mtls(&self) -> bool {
        let Some(get_attribute_bool) = optional().get_attribute_bool else {
            return self.attribute(Attribute::PeerSha256).is_some();
        };
        let mut value = false;
        // SAFETY: Envoy writes the value during the call.
        let found = unsafe { get_attribute_bool(self.envoy, Attribute::Mtls, &raw mut value) };
        found && value
    }

    /// Whether the request's route leads to a cluster; false before 1.38.
    pub(crate) fn has_cluster(&self) -> bool {
        let mut name = EnvoyBytes::NONE;
        // SAFETY: Envoy writes the place of the name during the call.
        optional()
            .get_cluster_name
            .is_some_and(|get_cluster_name| unsafe { get_cluster_name(self.envoy, &raw mut name) })
    }

    /// The configuration of the route that the request takes, or of its virtual host.
    pub(crate) fn route_config(&self) -> Option<&RouteConfig> {
        // SAFETY: the hook's request.
        let config = unsafe { envoy_dynamic_module_callback_get_most_specific_route_config(self.envoy) };
        // SAFETY: it is null or what `on_http_filter_per_route_config_new` gave away, and the request holds its route.
        unsafe { config.0.cast::<RouteConfig>().as_ref() }
    }

    /// The names right below a namespace of the dynamic metadata.
    pub(crate) fn metadata_names(&self, namespace: &str) -> Vec<&[u8]> {
        let Some(metadata) = &optional().metadata else { return Vec::new() };
        let namespace = ModuleBytes::lend(namespace.as_bytes());
        // SAFETY: Envoy reads the namespace during the call.
        let count = unsafe { (metadata.keys_count)(self.envoy, DYNAMIC_METADATA, namespace) };
        let mut names = vec![EnvoyBytes::NONE; count];
        // SAFETY: there is room for as many names as Envoy has just said.
        let read = count > 0 && unsafe { (metadata.keys)(self.envoy, DYNAMIC_METADATA, namespace, names.as_mut_ptr()) };
        if !read {
            return Vec::new();
        }
        names.into_iter().map(|name| self.bytes(name)).collect()
    }

    /// The value of this name below a namespace, if it has this type. Envoy logs an error if a value that is asked for
    /// as a scalar, or an item of a list, has another.
    pub(crate) fn metadata(&self, namespace: &str, name: &[u8], kind: Kind) -> Option<Flat<'_>> {
        let metadata = optional().metadata.as_ref()?;
        let (stream, place) = (self.envoy, DYNAMIC_METADATA);
        let (namespace, name) = (ModuleBytes::lend(namespace.as_bytes()), ModuleBytes::lend(name));
        let (mut text, mut number, mut bool) = (EnvoyBytes::NONE, 0.0, false);
        // SAFETY: Envoy reads the names and writes a value of the type that the callback has, during the call.
        unsafe {
            match kind {
                Kind::Text if (metadata.string)(stream, place, namespace, name, &raw mut text) => {
                    Some(Flat::Text(self.bytes(text)))
                }
                Kind::Number if (metadata.number)(stream, place, namespace, name, &raw mut number) => {
                    Some(Flat::Number(number))
                }
                Kind::Bool if (metadata.bool)(stream, place, namespace, name, &raw mut bool) => Some(Flat::Bool(bool)),
                Kind::Texts => self.metadata_texts(metadata, namespace, name).map(Flat::Texts),
                _ => None,
            }
        }
    }

    fn metadata_texts(&self, metadata: &Metadata, namespace: ModuleBytes, name: ModuleBytes) -> Option<Vec<&[u8]>> {
        let mut count = 0;
        // SAFETY: Envoy reads the names, which the caller lends, and writes the number during the call.
        let is_list = unsafe { (metadata.list_size)(self.envoy, DYNAMIC_METADATA, namespace, name, &raw mut count) };
        let item = |index| {
            let mut text = EnvoyBytes::NONE;
            // SAFETY: Envoy reads the names and writes the place of the value during the call.
            let found =
                unsafe { (metadata.list_string)(self.envoy, DYNAMIC_METADATA, namespace, name, index, &raw mut text) };
            found.then(|| self.bytes(text))
        };
        if is_list { (0..count).map(item).collect() } else { None }
    }

    /// Adds to a counter.
    pub(crate) fn count(&self, counter: CounterId, number: u64) {
        // SAFETY: the ID is of the request's configuration; there are no labels.
        unsafe {
            envoy_dynamic_module_callback_http_filter_increment_counter(
                self.envoy,
                counter.0,
                std::ptr::null(),
                0,
                number,
            )
        };
    }

    /// Adds to a counter that has a label.
    pub(crate) fn count_labelled(&self, counter: LabelledCounterId, label: &str, number: u64) {
        let label = ModuleBytes::lend(label.as_bytes());
        // SAFETY: the ID is of the request's configuration; Envoy reads the one label during the call.
        unsafe {
            envoy_dynamic_module_callback_http_filter_increment_counter(
                self.envoy,
                counter.0,
                &raw const label,
                1,
                number,
            )
        };
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, gauge: GaugeId, value: u64) {
        // SAFETY: the ID is of the request's configuration; there are no labels.
        unsafe { envoy_dynamic_module_callback_http_filter_set_gauge(self.envoy, gauge.0, std::ptr::null(), 0, value) };
    }

    /// Records a value.
    pub(crate) fn record(&self, histogram: HistogramId, value: u64) {
        // SAFETY: the ID is of the request's configuration; there are no labels.
        unsafe {
            envoy_dynamic_module_callback_http_filter_record_histogram_value(
                self.envoy,
                histogram.0,
                std::ptr::null(),
                0,
                value,
            )
        };
    }

    /// A scheduler that can wake this request from another thread.
    pub(crate) fn scheduler(&self) -> StreamScheduler {
        // SAFETY: the hook's request. What it returns is ours.
        StreamScheduler(unsafe { envoy_dynamic_module_callback_http_filter_scheduler_new(self.envoy) })
    }

    /// Bytes that Envoy has handed out for this request.
    fn bytes(&self, bytes: EnvoyBytes) -> &[u8] {
        if bytes.data.is_null() {
            return &[];
        }
        // SAFETY: Envoy's bytes live until the hook returns or what they are of is changed, for which `self` would have
        // to be borrowed exclusively.
        unsafe { slice::from_raw_parts(bytes.data, bytes.length) }
    }
}
