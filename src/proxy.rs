//! The Wasm host: Envoy by way of proxy-wasm. Callbacks, host calls and wire formats, and nothing else.

pub mod wire;

#[cfg(target_family = "wasm")]
mod envoy;
#[cfg(target_family = "wasm")]
mod plugin;
