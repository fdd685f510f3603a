use super::abi::{ModuleBytes, envoy_dynamic_module_callback_log, envoy_dynamic_module_callback_log_enabled};

/// The level of a log line, as Envoy numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum LogLevel {
    /// Of use when looking for a fault.
    Debug = 1,
    /// A change of state that is meant.
    Info = 2,
    /// Something to look at.
    Warn = 3,
    /// Something that does not work.
    Error = 4,
}

/// Writes a line to Envoy's log, as its component `dynamic_modules`. From any thread.
pub(crate) fn log(level: LogLevel, message: &str) {
    // SAFETY: Envoy reads the message during the call, and logs from any thread.
    unsafe { envoy_dynamic_module_callback_log(level as u32, ModuleBytes::lend(message.as_bytes())) }
}

/// Whether lines of this level are written. From any thread.
pub(crate) fn logs(level: LogLevel) -> bool {
    // SAFETY: nothing is handed over; Envoy answers on any thread.
    unsafe { envoy_dynamic_module_callback_log_enabled(level as u32) }
}
