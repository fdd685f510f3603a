//! `attest` as people and scripts run it: the real program, in real directories, against real sockets.
//!
//! - `keys`: keygen and jwks
//! - `check`: how check and doctor end, in words, as JSON and as SARIF
//! - `from_pomerium`: a configuration of Pomerium's becomes one of Envoy's
//! - `auto`: rotations that nobody has to begin
//! - `secret`: keyrings in a Secret of Kubernetes
//! - `real_cluster`: the same on a real kube-apiserver
//! - `https`: certificates and redirects
//! - `verify`: every verdict, in words and as JSON
//! - `rotate`: the order of the steps, what a fleet publishes, waiting, and being killed
//! - `special_files`: FIFOs, devices and directories in the place of a file
//! - `upstream`: the demo service, asked directly

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod auto;
mod check;
mod cluster;
mod fleet;
mod from_pomerium;
mod https;
mod keys;
mod real_cluster;
mod rotate;
mod secret;
mod special_files;
mod support;
mod upstream;
mod verify;
