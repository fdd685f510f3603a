//! The attestation filter as a native dynamic module of Envoy.
#![deny(unsafe_code)]

mod feed;
mod ffi;
mod filter;
mod guard;
mod held;
mod keeper;
mod key_file;
mod loaded;
mod metadata;
mod metrics;
mod plugin;
mod process;
mod request;
mod shared;
mod signer;
mod unanswered;
mod worker;

#[cfg(test)]
mod tests;
