//! Envoy's C ABI for dynamic modules: the only room with `unsafe` in it.
//!
//! `abi` declares it, `optional` looks up what came after Envoy 1.37.0, and `hooks` exports what Envoy calls. The rest
//! makes it safe: [`Stream`] is a request and [`MainThread`] a configuration, each for as long as a hook runs, and a
//! scheduler wakes either of them from another thread.
#![allow(unsafe_code, reason = "the one place for it")]

mod abi;
#[cfg(test)]
pub(crate) mod fake;
mod hooks;
mod loading;
mod log;
mod metric;
mod optional;
mod scheduler;
mod stream;

pub(crate) use abi::{Attribute, HeadersStatus, Map};
pub(crate) use loading::{
    MainThread, SecretId, has_main_thread_metrics, has_metadata, has_secrets, is_validating, overwrites_filter_state,
};
pub(crate) use log::{LogLevel, log, logs};
pub(crate) use metric::{CounterId, GaugeId, HistogramId, LabelledCounterId};
pub(crate) use scheduler::{ConfigScheduler, StreamScheduler};
pub(crate) use stream::{Kind, Stream};
