//! Why a keyset cannot be fetched.

use thiserror::Error;

pub(super) const USUAL_PATH: &str = "/.well-known/pomerium/jwks.json";

/// Why a keyset cannot be fetched, and what the user can do about it.
#[derive(Debug, Error)]
#[error("{problem}; {advice}")]
pub(crate) struct SourceError {
    pub(crate) problem: String,
    pub(crate) advice: String,
    /// Whether this machine has no way to that kind of address at all.
    pub(crate) no_route: bool,
}

impl SourceError {
    pub(crate) fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into(), no_route: false }
    }
}
