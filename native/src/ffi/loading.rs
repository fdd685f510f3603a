//! What a configuration lets us ask for while Envoy loads it, and later on the main thread.

use std::marker::PhantomData;
use std::ptr;
use std::slice;

use super::abi::{
    EnvoyBytes, EnvoyConfig, METRIC_OK, MetricResult, ModuleBytes,
    envoy_dynamic_module_callback_http_filter_config_define_counter,
    envoy_dynamic_module_callback_http_filter_config_define_gauge,
    envoy_dynamic_module_callback_http_filter_config_define_histogram,
    envoy_dynamic_module_callback_http_filter_config_scheduler_new,
};
use super::metric::{CounterId, GaugeId, HistogramId, LabelledCounterId};
use super::optional::optional;
use super::scheduler::ConfigScheduler;

/// A configuration on the main thread, for as long as a hook runs.
pub(crate) struct MainThread<'hook> {
    envoy: EnvoyConfig,
    hook: PhantomData<(&'hook (), *const ())>,
}

/// A secret that the configuration has subscribed to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecretId(usize);

type Define = unsafe extern "C" fn(EnvoyConfig, ModuleBytes, *const ModuleBytes, usize, *mut usize) -> MetricResult;

impl MainThread<'_> {
    /// The configuration of a hook.
    ///
    /// # Safety
    /// It is the pointer that Envoy gave to the hook, on the main thread, and `'hook` ends before the hook does.
    pub(super) unsafe fn new(envoy: EnvoyConfig) -> Self {
        Self { envoy, hook: PhantomData }
    }

    /// Defines a counter. Only while the configuration is loaded; none if Envoy refuses.
    pub(crate) fn define_counter(&self, name: &str) -> Option<CounterId> {
        self.define(envoy_dynamic_module_callback_http_filter_config_define_counter, name, None).map(CounterId)
    }

    /// Defines a counter with a label. Only while the configuration is loaded; none if Envoy refuses.
    pub(crate) fn define_labelled_counter(&self, name: &str, label: &str) -> Option<LabelledCounterId> {
        self.define(envoy_dynamic_module_callback_http_filter_config_define_counter, name, Some(label))
            .map(LabelledCounterId)
    }

    /// Defines a gauge. Only while the configuration is loaded; none if Envoy refuses.
    pub(crate) fn define_gauge(&self, name: &str) -> Option<GaugeId> {
        self.define(envoy_dynamic_module_callback_http_filter_config_define_gauge, name, None).map(GaugeId)
    }

    /// Defines a histogram. Only while the configuration is loaded; none if Envoy refuses.
    pub(crate) fn define_histogram(&self, name: &str) -> Option<HistogramId> {
        self.define(envoy_dynamic_module_callback_http_filter_config_define_histogram, name, None).map(HistogramId)
    }

    fn define(&self, define: Define, name: &str, label: Option<&str>) -> Option<usize> {
        let label = label.map(|label| ModuleBytes::lend(label.as_bytes()));
        let labels = label.as_ref().map_or(ptr::null(), ptr::from_ref);
        let mut id = 0;
        let name = ModuleBytes::lend(name.as_bytes());
        // SAFETY: the hook's configuration; Envoy copies the names and writes the ID during the call.
        let result = unsafe { define(self.envoy, name, labels, usize::from(label.is_some()), &raw mut id) };
        (result == METRIC_OK).then_some(id)
    }

    /// Adds to a counter, if Envoy takes that from here.
    pub(crate) fn count(&self, counter: CounterId, number: u64) {
        if let Some(metrics) = &optional().metrics {
            // SAFETY: the ID is of this configuration; there are no labels.
            unsafe { (metrics.increment_counter)(self.envoy, counter.0, ptr::null(), 0, number) };
        }
    }

    /// Makes a counter with this label, at nothing, if Envoy takes that from here.
    pub(crate) fn begin_labelled(&self, counter: LabelledCounterId, label: &str) {
        let label = ModuleBytes::lend(label.as_bytes());
        if let Some(metrics) = &optional().metrics {
            // SAFETY: the ID is of this configuration; Envoy reads the one label during the call.
            unsafe { (metrics.increment_counter)(self.envoy, counter.0, &raw const label, 1, 0) };
        }
    }

    /// Sets a gauge, if Envoy takes that from here.
    pub(crate) fn set(&self, gauge: GaugeId, value: u64) {
        if let Some(metrics) = &optional().metrics {
            // SAFETY: the ID is of this configuration; there are no labels.
            unsafe { (metrics.set_gauge)(self.envoy, gauge.0, ptr::null(), 0, value) };
        }
    }

    /// A scheduler that wakes this configuration on the main thread.
    pub(crate) fn scheduler(&self) -> ConfigScheduler {
        // SAFETY: the hook's configuration. What it returns is ours.
        ConfigScheduler(unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_new(self.envoy) })
    }

    /// Subscribes to a generic secret, a static one without `source`. Only while the configuration is loaded; none
    /// if there is no such secret.
    pub(crate) fn subscribe(&self, name: &str, source: Option<&[u8]>) -> Option<SecretId> {
        let secrets = optional().secrets.as_ref()?;
        let (name, source) = (ModuleBytes::lend(name.as_bytes()), source.map_or(ModuleBytes::NONE, ModuleBytes::lend));
        // SAFETY: the hook's configuration, which is being loaded; Envoy reads both during the call.
        let id = unsafe { (secrets.subscribe)(self.envoy, name, source) };
        (id > 0).then_some(SecretId(id))
    }

    /// The secret as it is now; empty until it has come.
    pub(crate) fn secret(&self, id: SecretId) -> &[u8] {
        let mut value = EnvoyBytes::NONE;
        let Some(secrets) = &optional().secrets else { return &[] };
        // SAFETY: the hook's configuration, on the main thread; Envoy writes the place of the value during the call.
        let found = unsafe { (secrets.get)(self.envoy, id.0, &raw mut value) };
        if !found || value.data.is_null() {
            return &[];
        }
        // SAFETY: only the main thread replaces a secret, and it is in this hook.
        unsafe { slice::from_raw_parts(value.data, value.length) }
    }
}

/// Whether this Envoy hands out secrets of SDS.
pub(crate) fn has_secrets() -> bool {
    optional().secrets.is_some()
}

/// Whether this Envoy takes metrics from the main thread: from 1.39 on.
pub(crate) fn has_main_thread_metrics() -> bool {
    optional().metrics.is_some()
}

/// Whether a text in this Envoy's filter state can be replaced: from 1.39 on, which is known by what else that brought.
/// Before, Envoy logs an error and keeps what is there.
pub(crate) fn overwrites_filter_state() -> bool {
    has_main_thread_metrics()
}

/// Whether this Envoy lets a filter read flat dynamic metadata.
pub(crate) fn has_metadata() -> bool {
    optional().metadata.is_some()
}

/// Whether this Envoy only checks its configuration. Only on the main thread.
pub(crate) fn is_validating() -> bool {
    // SAFETY: nothing is handed over.
    optional().is_validation_mode.is_some_and(|is_validation_mode| unsafe { is_validation_mode() })
}
