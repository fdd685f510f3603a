//! Where the programs and the modules are.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::env;
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// The Envoy binary: `$ENVOY`, else the one that `make envoy` fetched.
///
/// # Errors
/// If there is none.
pub fn envoy() -> Result<PathBuf, Failure> {
    let fetched = || repository().join(".envoy/1.40.0/envoy");
    found(
        "Envoy",
        from_environment("ENVOY").unwrap_or_else(fetched),
        "`make envoy` fetches it, or set ENVOY to its path",
    )
}

/// The Wasm module: `$ATTESTATION_FILTER_WASM`, else the one that `make wasm` built.
///
/// # Errors
/// If there is none.
pub fn module() -> Result<PathBuf, Failure> {
    let built = || target_directory().join("wasm32-wasip1/release/attestation_filter.wasm");
    let path = from_environment("ATTESTATION_FILTER_WASM").unwrap_or_else(built);
    found("module", path, "`make wasm` builds it")
}

/// The native module, `libattestation.so`: `$ATTESTATION_NATIVE`, else the one that `make native` built.
///
/// # Errors
/// If there is none.
pub fn native_module() -> Result<PathBuf, Failure> {
    let built = || target_directory().join("release/libattestation.so");
    let path = from_environment("ATTESTATION_NATIVE").unwrap_or_else(built);
    found("native module", path, "`make native` builds it")
}

/// The command line tool: `$ATTEST`, else the one that `make cli` built.
///
/// # Errors
/// If there is none.
pub fn attest() -> Result<PathBuf, Failure> {
    let built = || target_directory().join("release/attest");
    found("attest", from_environment("ATTEST").unwrap_or_else(built), "`make cli` builds it")
}

/// A path that a variable of the environment names.
pub fn from_environment(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The root of the repository that this was built from.
pub fn repository() -> &'static Path {
    // `CARGO_MANIFEST_DIR` is `tests`.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Where cargo builds to.
pub fn target_directory() -> PathBuf {
    from_environment("CARGO_TARGET_DIR").unwrap_or_else(|| repository().join("target"))
}

/// An absolute path, as Envoy's files need it.
fn found(what: &'static str, path: PathBuf, cure: &'static str) -> Result<PathBuf, Failure> {
    path.canonicalize().ok().filter(|path| path.is_file()).ok_or(Failure::Missing { what, path, cure })
}
