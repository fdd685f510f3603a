//! Envoy, the upstream behind it, the client in front of it, and an independent judge of tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, unreachable_pub)]

/// What Envoy tells about itself.
mod admin;
/// Services that Envoy asks who is calling.
pub mod authorization;
/// The configuration that an Envoy is started with.
mod bootstrap;
/// What not every Envoy can do.
pub mod capability;
/// What hands settings to a fleet of Envoys.
mod control_plane;
/// Clients that verify without a rest.
mod crowd;
/// How long the long tests are.
pub mod environment;
/// A running Envoy, or one that refused to run.
mod envoy;
/// Waiting for a condition, with a deadline.
mod eventually;
/// The filters in front of ours.
pub mod filters;
/// Requests and replies over a plain socket.
mod http;
/// Requests and replies over HTTP/2.
mod http2;
/// An identity provider.
pub mod idp;
/// An independent reading of what the filter signed.
mod jose;
/// How key files lie and are replaced.
mod key_directory;
/// Keys: the published vectors, and odd ones made with OpenSSL.
pub mod keys;
/// The pieces of an Envoy configuration.
mod listener;
/// Reading the log.
pub mod log;
/// The names in an object.
mod members;
/// The parts of an HTTP/1.1 message.
pub mod message;
/// Keys that no tool makes.
pub mod odd_keys;
/// Where things are.
pub mod paths;
/// The files a test replaces while Envoy watches them.
mod replaced;
/// A search for private keys.
mod secrets;
/// Certificates, and connections that show them.
pub mod tls;
/// The log of a worker that fell, and a module that falls.
pub mod traps;
/// The service behind Envoy: it answers with what it received.
mod upstream;

pub use bootstrap::{Bootstrap, Configuration};
pub use capability::Capability;
pub use control_plane::ControlPlane;
pub use crowd::Crowd;
pub use envoy::Envoy;
pub use eventually::eventually;
pub use http::{Client, Reply, Request, tcp};
pub use http2::Http2Client;
pub use jose::{Assertion, KeySet};
pub use listener::internal_listeners;
pub use members::Members;
pub use secrets::Secrets;
pub use upstream::Seen;

/// The host that requests are for unless the test says otherwise.
pub const HOST: &str = "app.example.com";

/// Where the keyset is, unless configured otherwise.
pub const JWKS_PATH: &str = "/.well-known/pomerium/jwks.json";

/// The header that carries the assertion, unless configured otherwise.
pub const ASSERTION_HEADER: &str = "x-pomerium-jwt-assertion";
