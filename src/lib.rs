//! A proxy-wasm filter that gives any Envoy what a Pomerium signing key gives Pomerium: each request to an
//! upstream carries a short-lived signed JWT that says who the user is, and the public keys are served beside it.
//!
//! # The way of a request
//! A host hears of it from Envoy: `proxy` as a Wasm module. [`attester`] decides, with the settings of the route, who the
//! user is ([`identity`]) and what is said about them ([`claims`]); the keyring in use ([`keys`]) signs it. Or an endpoint
//! answers ([`http`]). Before all requests, [`config`] is read. Only `proxy` knows proxy-wasm; everything else sees a
//! [`host`].
//!
//! # Six words
//! - *key*: a private or public key, P-256 or RSA, with its `kid`.
//! - *keyring*: the keys of one key text, in order; the first private key signs.
//! - *keyset*: the public keys of a keyring as they are published, a JWK Set (RFC 7517).
//! - *assertion*: the signed JWT that a request carries to its upstream.
//! - *identity*: what a source says about the user of a request.
//! - *claims*: what an assertion says.

pub mod actor;
pub mod attester;
pub mod claims;
pub mod config;
pub mod host;
pub mod http;
pub mod identity;
pub mod keys;
pub mod proxy;
pub mod value;
