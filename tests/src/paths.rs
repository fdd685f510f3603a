//! Where things are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The Envoy binary: `$ENVOY`, else the one that `make envoy` fetched.
pub fn envoy() -> PathBuf {
    env::var_os("ENVOY").map_or_else(|| repository(".envoy/1.40.0/envoy"), PathBuf::from)
}

/// What [`envoy`] calls itself: `1.40.0`. It is asked once.
pub fn envoy_version() -> String {
    static VERSION: LazyLock<String> = LazyLock::new(ask_version);
    VERSION.clone()
}

fn ask_version() -> String {
    let output = Command::new(envoy()).arg("--version").output().expect("run Envoy; `make envoy` fetches one");
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
    let path = env::var_os("ENVOY_WITHOUT_SIGN").map_or_else(|| repository(".envoy/1.36.4/envoy"), PathBuf::from);
    assert!(path.is_file(), "no Envoy at {}: `make envoy-without-sign` fetches one", path.display());
    path
}

/// The module: `$ATTESTATION_FILTER_WASM`, else the one that `make wasm` built.
pub fn module() -> PathBuf {
    env::var_os("ATTESTATION_FILTER_WASM")
        .map_or_else(|| repository("target/wasm32-wasip1/release/attestation_filter.wasm"), PathBuf::from)
}

/// The command line tool: `$ATTEST`, else the one that `cargo build -p attest` put beside this test.
///
/// # Panics
/// If there is none, saying how to get it.
pub fn attest() -> PathBuf {
    let built =
        || env::current_exe().expect("this test").ancestors().nth(2).expect("a target directory").join("attest");
    let path = env::var_os("ATTEST").map_or_else(built, PathBuf::from);
    assert!(path.is_file(), "no attest at {}: `cargo build -p attest` builds it", path.display());
    path
}

/// Where `make test-matrix` wants to know what this Envoy can do; nothing without it.
pub fn findings() -> Option<PathBuf> {
    env::var_os("FINDINGS").map(PathBuf::from)
}

/// Where the key file is of an Envoy whose files are in `directory`.
pub fn keys(directory: &Path) -> PathBuf {
    directory.join("keys")
}

/// The discovery response of an Envoy whose files are in `directory`, in a watched directory of its own.
pub fn dynamic_filter(directory: &Path) -> PathBuf {
    directory.join("discovery/filter.json")
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
