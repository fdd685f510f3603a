//! Wakes a request on its worker, or a configuration on the main thread, from any other thread.

use super::abi::{
    ModuleConfigScheduler, ModuleStreamScheduler, envoy_dynamic_module_callback_http_filter_config_scheduler_commit,
    envoy_dynamic_module_callback_http_filter_config_scheduler_delete,
    envoy_dynamic_module_callback_http_filter_scheduler_commit,
    envoy_dynamic_module_callback_http_filter_scheduler_delete,
};

/// Wakes one request.
pub(crate) struct StreamScheduler(pub(super) ModuleStreamScheduler);

// SAFETY: Envoy's object holds a weak reference to the request and its worker's queue. It is made to be used and deleted
// on other threads than that of the worker.
unsafe impl Send for StreamScheduler {}

impl StreamScheduler {
    /// Has Envoy call `on_http_filter_scheduled` on the request's worker, if the request is still there. Only queues
    /// that and returns. The worker must not have ended, which the request's end comes before.
    pub(crate) fn wake(&self) {
        // SAFETY: it is not deleted before `self` is dropped; any thread may call this.
        unsafe { envoy_dynamic_module_callback_http_filter_scheduler_commit(self.0, 0) }
    }
}

impl Drop for StreamScheduler {
    fn drop(&mut self) {
        // SAFETY: this is the one owner, and it is gone after this.
        unsafe { envoy_dynamic_module_callback_http_filter_scheduler_delete(self.0) }
    }
}

/// Wakes a configuration on the main thread.
pub(crate) struct ConfigScheduler(pub(super) ModuleConfigScheduler);

// SAFETY: Envoy's object holds a weak reference to the configuration and the main thread's queue, and is made to be used
// and deleted on other threads than the main one.
unsafe impl Send for ConfigScheduler {}

impl ConfigScheduler {
    /// Has Envoy call `on_http_filter_config_scheduled` on the main thread, if the configuration is still there. Only
    /// queues that and returns.
    pub(crate) fn wake(&self) {
        // SAFETY: it is not deleted before `self` is dropped; any thread may call this.
        unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_commit(self.0, 0) }
    }
}

impl Drop for ConfigScheduler {
    fn drop(&mut self) {
        // SAFETY: this is the one owner, and it is gone after this.
        unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_delete(self.0) }
    }
}
