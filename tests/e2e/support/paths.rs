//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

/// The Envoy binary: `$ENVOY`, else the one that `make envoy` fetched.
pub fn envoy() -> PathBuf {
    env::var_os("ENVOY").map_or_else(|| repository(".envoy/1.40.0/envoy"), PathBuf::from)
}

/// The module: `$ATTESTATION_FILTER_WASM`, else the one that `make wasm` built.
pub fn module() -> PathBuf {
    env::var_os("ATTESTATION_FILTER_WASM")
        .map_or_else(|| repository("target/wasm32-wasip1/release/attestation_filter.wasm"), PathBuf::from)
}

/// The key file of an Envoy whose files are in `directory`. It has a directory of its own, which Envoy watches.
pub fn key_file(directory: &Path) -> PathBuf {
    directory.join("keys/signing-key.pem")
}

/// The discovery response of an Envoy whose files are in `directory`, in a watched directory of its own.
pub fn dynamic_filter(directory: &Path) -> PathBuf {
    directory.join("discovery/filter.json")
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
