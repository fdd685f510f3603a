//! Real servers behind Envoy and in front of it: none of them sees a forged value, and none hands on a poisoned answer.
//!
//! They are Debian's packages. `scripts/install-servers` installs them, as root; `make servers` runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unreachable_pub)]

/// Apps behind lighttpd, Apache, PHP and a WSGI server.
mod apps;
/// nginx with a cache between clients and Envoy.
mod cache;
/// A server's process, its files and its port.
mod server;
