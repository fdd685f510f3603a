//! The filter in a real Envoy, seen only from outside: raw bytes in, raw bytes at the upstream, the log, the stats.
//!
//! Every test starts an Envoy of its own (or shares one with the other cases of its table), on ports taken from the
//! kernel, and takes it down again. At the end of each, the log must hold no trace of a trap; see `harness::traps`.
//!
//! `make e2e` builds the module, fetches two Envoys and runs this. By hand:
//! `ENVOY=/path/to/envoy ATTESTATION_FILTER_WASM=/path/to/attestation_filter.wasm cargo test -p harness --test e2e`, with
//! `ENVOY_WITHOUT_SIGN=/path/to/envoy-1.36` for the tests that want an Envoy without the foreign function `sign`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub)]

/// What peers say, what is used again, and what either costs.
mod actors;
/// Every shipped alert fires.
mod alerts;
/// What the filter answers itself: to whom, with which scheme, and why.
mod answers;
/// One Envoy, one configuration after another.
mod applied;
/// The token to the byte: header, members, times, issuer and audience for every shape of host.
mod assertion;
/// Each of Envoy's own ways to find out who is calling, in front of the filter.
mod authorities;
/// The assertion in place of the client's own `authorization`.
mod authorization;
/// What Pomerium does not do: bound assertions, actors, a size budget.
mod beyond;
/// Whatever happens at the same time, no request arrives unsigned.
mod chaos;
/// Extra claims: fixed ones, and those taken from the identity with their JSON types.
mod claims;
/// Each field of the plugin configuration, and how a bad value is refused.
mod config;
/// One control plane hands the settings to a fleet over gRPC.
mod control_plane;
/// What the dashboard and the alert rules ask of Envoy.
mod dashboards;
/// Chance that can be had again.
mod dice;
/// The same odd requests to both hosts, and the same answers.
mod differential;
/// What `attest` says of a running Envoy, and that it is so.
mod doctor;
/// The paths that the filter answers itself.
mod endpoints;
/// What Envoy itself says when it does not start, as the documentation explains it.
mod envoys_messages;
/// Fifty times without a key for a moment, and nobody is refused.
mod events;
/// Whatever bytes a client sends, no worker falls.
mod failure;
/// What other features of Envoy do to an assertion, by the configurations of docs/envoy-features.md.
mod features;
/// A fleet whose key is replaced by itself.
mod fleet;
/// The forms that a setting may have.
mod forms;
/// What `attest from-pomerium` writes.
mod from_pomerium;
/// A claim header with any byte in its name.
mod header_names;
/// What is removed from a request, what is set on it.
mod headers;
/// Requests that wait for a key.
mod held;
/// The same over HTTP/2, in clear and over TLS.
mod http2;
/// Where the user's identity comes from, and that nothing else is believed.
mod identity;
/// Keys from a file that Envoy reads and watches: first load, replacement, failure, secrecy.
mod key_file;
/// Keys from a generic secret: static, from a watched file, and over gRPC.
mod key_secret;
/// A key as people really have it.
mod key_text;
/// Which signing keys are accepted, which refused, and what is published.
mod keys;
/// What Kubernetes, Istio and Envoy Gateway make of the manifests that are shipped.
mod kubernetes;
/// What keeps an assertion small, and what is counted of it.
mod limits;
/// What the filter writes to the log, and how often, as docs/operations.md has it.
mod log_lines;
/// Numbers that a double may have changed.
mod numbers;
/// What an operator sees, and what nobody sees: access log, statistics, log lines.
mod observability;
/// What no client can make the log say.
mod quiet;
/// The README, followed to the letter.
mod readme;
/// The settings of docs/recipes.md.
mod recipes;
/// Keys are changed under load, and nobody notices.
mod rotation;
/// What a route's metadata changes, for that route alone.
mod routes;
/// The settings of the route that is taken, whatever a filter does to the choice.
mod routes_taken;
/// Nothing that leaves the process has a private key in it.
mod secrecy;
/// The configurations that are shipped, as they stand.
mod shipped;
/// Many signatures of each kind, and no number of theirs twice.
mod signatures;
/// Where signatures are made, with which algorithm, and how long an assertion is used again.
mod signing;
/// What `attest check` says will go wrong does.
mod silent;
/// Clients that take their time, or hang up by half.
mod slow_clients;
/// A steady load for an hour, while the key is rotated without a rest.
mod soak;
/// Forged headers under every alias, in trailers, on upgrades and internal redirects.
mod spoofing;
/// An operator's story, and its document.
mod story;
/// Twenty ways to break the README's configuration, and who tells the cause.
mod twenty;
/// Thousands of configuration updates.
mod updates;
/// What this Envoy can do, found out and not looked up.
mod versions;
/// An identity names somebody; all else is nobody.
mod who;
