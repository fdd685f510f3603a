use thiserror::Error;

use crate::keys::KeyError;

/// Text longer than this is never repeated in an error: a key may have been put into the wrong field.
const MAX_SHOWN_CHARS: usize = 40;

/// Why a configuration is refused. None of these ever holds a byte of a key.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Neither JSON nor a serialised `google.protobuf.Struct`.
    #[error(
        "the configuration is neither a google.protobuf.Struct nor JSON (JSON ends at line {line} column {column}); \
         allowed is one object"
    )]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A field that does not exist.
    #[error("{field}: unknown field; allowed are {allowed}")]
    Unknown {
        /// The field's whole path.
        field: String,
        /// The fields that exist there.
        allowed: String,
    },
    /// A wrong type or a bad value.
    #[error("{field}: got {got}; allowed is {allowed}")]
    Invalid {
        /// The field's whole path.
        field: String,
        /// What it holds, or its kind where that could be a secret.
        got: String,
        /// What it may hold.
        allowed: String,
    },
    /// Keys that cannot be used.
    #[error("{field}: {error}")]
    Key {
        /// The field or environment variable that holds the keys.
        field: &'static str,
        /// Why not.
        error: KeyError,
    },
    /// Keys that this configuration or this host cannot sign with.
    #[error("{field}: {reason}")]
    Signer {
        /// The field that must change.
        field: &'static str,
        /// What stands against it, and what is allowed.
        reason: String,
    },
}

impl ConfigError {
    pub(crate) fn invalid(field: impl Into<String>, got: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), got: got.into(), allowed: allowed.into() }
    }
}

/// A text for an error: quoted and escaped, or only its length.
pub(super) fn show(text: &str) -> String {
    match text.chars().count() {
        0..=MAX_SHOWN_CHARS => format!("{text:?}"),
        length => format!("a string of {length} characters"),
    }
}
