//! A proxy-wasm filter that gives any Envoy what a Pomerium signing key gives Pomerium: each request to an
//! upstream carries a short-lived signed JWT that says who the user is, and the public keys are served beside it.
//!
//! A request's way through the modules: `proxy` hears of it from Envoy, [`attester`] decides, with the [`route`]'s
//! settings, the [`identity`] and the [`claims`] it makes for the [`authority`]; the [`signer`] of the [`keyring`] in use
//! signs them as a [`jws`]; or an [`endpoint`] answers. Before all requests, [`config`] is read and [`signing_key`]s
//! are, perhaps from a [`key_file`]. Only `proxy` knows proxy-wasm; everything else sees a [`host::Host`].

pub mod actor;
pub mod assertion;
pub mod attester;
pub mod authority;
pub mod claims;
pub mod config;
pub mod endpoint;
pub mod header;
pub mod host;
pub mod identity;
pub mod jwk;
pub mod jws;
pub mod key_file;
pub mod keyring;
pub mod metrics;
pub mod protobuf;
#[cfg(target_family = "wasm")]
mod proxy;
pub mod random;
pub mod route;
pub mod signer;
pub mod signing_key;
