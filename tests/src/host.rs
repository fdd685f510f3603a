//! What the filter runs in: Wasm or a dynamic module.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::env;
use std::path::PathBuf;

use super::failure::Failure;
use super::places;

/// What the filter runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Envoy's Wasm runtime.
    Wasm,
    /// Envoy itself, which loads `libattestation.so`.
    Native,
}

impl Host {
    /// The one that `$HOST` names, `wasm` or `native`; Wasm where it is not set.
    ///
    /// # Errors
    /// If `$HOST` is anything else.
    pub fn from_environment() -> Result<Self, Failure> {
        match env::var("HOST").as_deref() {
            Err(_) | Ok("" | "wasm") => Ok(Self::Wasm),
            Ok("native") => Ok(Self::Native),
            Ok(other) => Err(Failure::Host(other.to_owned())),
        }
    }

    /// What Envoy calls one of the filter's counters or gauges, which the README names.
    pub fn statistic(self, name: &str) -> String {
        format!("{}{name}", self.statistics_prefix())
    }

    /// What all of the filter's statistics begin with.
    pub fn statistics_prefix(self) -> &'static str {
        match self {
            Self::Wasm => "wasmcustom.attestation.",
            Self::Native => "dynamicmodulescustom.attestation.",
        }
    }

    /// What Envoy has to have in its environment to find the filter.
    ///
    /// # Errors
    /// If the filter is not there.
    pub fn environment(self) -> Result<Option<(&'static str, PathBuf)>, Failure> {
        match self {
            Self::Wasm => Ok(None),
            Self::Native => {
                let module = places::native_module()?;
                let directory = module.parent().map(PathBuf::from).unwrap_or_default();
                Ok(Some(("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", directory)))
            }
        }
    }
}
