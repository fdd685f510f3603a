//! Where things are, for tests: what is not there ends them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::places;

/// The Envoy binary.
pub fn envoy() -> PathBuf {
    places::envoy().unwrap_or_else(|e| panic!("{e}"))
}

/// What [`envoy`] calls itself: `1.40.0`. It is asked once.
pub fn envoy_version() -> String {
    static VERSION: LazyLock<String> = LazyLock::new(ask_version);
    VERSION.clone()
}

fn ask_version() -> String {
    let output = Command::new(envoy()).arg("--version").output().expect("run Envoy");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `/path/to/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
    let (_, version) = text.split_once("version: ").unwrap_or_default();
    version.split('/').nth(1).unwrap_or_else(|| panic!("no version in {text:?}")).to_owned()
}

/// An Envoy older than the foreign function `sign`: `$ENVOY_WITHOUT_SIGN`, else the one that `make envoy-without-sign`
/// fetched.
///
/// # Panics
/// If there is none, saying how to get it.
pub fn envoy_without_sign() -> PathBuf {
    let fetched = || places::repository().join(".envoy/1.36.4/envoy");
    let path = places::from_environment("ENVOY_WITHOUT_SIGN").unwrap_or_else(fetched);
    assert!(path.is_file(), "no Envoy at {}: `make envoy-without-sign` fetches one", path.display());
    path
}

/// The Wasm module.
pub fn module() -> PathBuf {
    places::module().unwrap_or_else(|e| panic!("{e}"))
}

/// The command line tool: `$ATTEST`, else the one that `cargo build -p attest` put beside this test.
///
/// # Panics
/// If there is none, saying how to get it.
pub fn attest() -> PathBuf {
    let built =
        || env::current_exe().expect("this test").ancestors().nth(2).expect("a target directory").join("attest");
    let path = places::from_environment("ATTEST").unwrap_or_else(built);
    assert!(path.is_file(), "no attest at {}: `cargo build -p attest` builds it", path.display());
    path
}

/// Where `make test-matrix` wants to know what this Envoy can do; nothing without it.
pub fn findings() -> Option<PathBuf> {
    places::from_environment("FINDINGS")
}

/// Where the key file is of an Envoy whose files are in `directory`.
pub fn keys(directory: &Path) -> PathBuf {
    directory.join("keys")
}

/// The discovery response of an Envoy whose files are in `directory`, in a watched directory of its own.
pub fn dynamic_filter(directory: &Path) -> PathBuf {
    directory.join("discovery/filter.json")
}
