//! A proxy-wasm filter that gives any Envoy what a Pomerium signing key gives Pomerium: each request to an
//! upstream carries a short-lived signed JWT that says who the user is, and the public keys are served beside it.

pub mod jwk;
pub mod signing_key;
