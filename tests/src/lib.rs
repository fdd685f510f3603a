//! Envoy, the upstream behind it, the client in front of it, and an independent judge of tokens.
//!
//! Without features this is what starts Envoy, waits for it, asks it and sends requests through it, and returns errors:
//! the demo, the bench and `run-envoy` are built on that. With the feature `full` it is all that tests need, and what is
//! not as it should be ends the test.
#![cfg_attr(
    feature = "full",
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing),
    allow(clippy::new_without_default, reason = "a key made by chance is no default"),
    allow(missing_docs, unreachable_pub)
)]

/// What Envoy tells about itself.
pub mod admin;
/// Why something that was started is of no use.
mod failure;
/// What the filter runs in.
mod host;
/// Requests and replies over a plain socket.
pub mod http;
/// Starting Envoy, and waiting until it serves.
mod launch;
/// The parts of an HTTP/1.1 message.
pub mod message;
/// Where the programs and the modules are.
pub mod places;
/// A program that runs until it is ended.
pub mod process;

/// Services that Envoy asks who is calling.
#[cfg(feature = "full")]
pub mod authorization;
/// The configuration that an Envoy is started with.
#[cfg(feature = "full")]
mod bootstrap;
/// What not every Envoy can do.
#[cfg(feature = "full")]
pub mod capability;
/// What hands settings to a fleet of Envoys.
#[cfg(feature = "full")]
mod control_plane;
/// Clients that verify without a rest.
#[cfg(feature = "full")]
mod crowd;
/// What hands resources to Envoys by its discovery protocol.
#[cfg(feature = "full")]
mod discovery;
/// What differs between the hosts.
#[cfg(feature = "full")]
mod either_host;
/// How long the long tests are.
#[cfg(feature = "full")]
pub mod environment;
/// A running Envoy, or one that refused to run.
#[cfg(feature = "full")]
mod envoy;
/// Waiting for a condition, with a deadline.
#[cfg(feature = "full")]
mod eventually;
/// What a test takes for granted.
#[cfg(feature = "full")]
mod expect;
/// The filters in front of ours.
#[cfg(feature = "full")]
pub mod filters;
/// Requests and replies over HTTP/2.
#[cfg(feature = "full")]
mod http2;
/// An identity provider.
#[cfg(feature = "full")]
pub mod idp;
/// An independent reading of what the filter signed.
#[cfg(feature = "full")]
mod jose;
/// How key files lie and are replaced.
#[cfg(feature = "full")]
mod key_directory;
/// Keys: the published vectors, and odd ones made with OpenSSL.
#[cfg(feature = "full")]
pub mod keys;
/// The pieces of an Envoy configuration.
#[cfg(feature = "full")]
mod listener;
/// Reading the log.
#[cfg(feature = "full")]
pub mod log;
/// The names in an object.
#[cfg(feature = "full")]
mod members;
/// Modules that are not ours.
#[cfg(feature = "full")]
pub mod modules;
/// Keys that no tool makes.
#[cfg(feature = "full")]
pub mod odd_keys;
/// Where things are, for tests.
#[cfg(feature = "full")]
pub mod paths;
/// The files a test replaces while Envoy watches them.
#[cfg(feature = "full")]
mod replaced;
/// What hands a secret to Envoys.
#[cfg(feature = "full")]
pub mod secret_service;
/// A search for private keys.
#[cfg(feature = "full")]
mod secrets;
/// Whole configurations of the repository, as they are shipped.
#[cfg(feature = "full")]
mod shipped;
/// What a login needs outside Envoy.
#[cfg(feature = "full")]
pub mod sign_in;
/// The configurations that the documents show.
#[cfg(feature = "full")]
pub mod snippet;
/// Certificates, and connections that show them.
#[cfg(feature = "full")]
pub mod tls;
/// The log of a worker that fell.
#[cfg(feature = "full")]
pub mod traps;
/// The service behind Envoy: it answers with what it received.
#[cfg(feature = "full")]
mod upstream;

pub use admin::Admin;
pub use failure::Failure;
pub use host::Host;
pub use http::{Client, Reply, Request};
pub use launch::{Launch, RunningEnvoy};
pub use process::Process;

#[cfg(feature = "full")]
pub use {
    bootstrap::{Bootstrap, Configuration},
    capability::Capability,
    control_plane::ControlPlane,
    crowd::Crowd,
    either_host::only_on,
    envoy::Envoy,
    eventually::eventually,
    expect::tcp,
    http2::Http2Client,
    jose::{Assertion, KeySet},
    listener::{grpc_source, http2_cluster, internal_listeners, watched_file},
    members::Members,
    secrets::Secrets,
    shipped::Shipped,
    upstream::Seen,
};

/// The host that requests are for unless the caller says otherwise.
pub const HOST: &str = "app.example.com";

/// Where the keyset is, unless configured otherwise.
pub const JWKS_PATH: &str = "/.well-known/pomerium/jwks.json";

/// The header that carries the assertion, unless configured otherwise.
pub const ASSERTION_HEADER: &str = "x-pomerium-jwt-assertion";
