//! What can be wrong with an assertion.

use thiserror::Error;

use super::Part;
use crate::clock::span;
use crate::terminal::plain;

/// One thing that is wrong, in words. Everything quoted from a token is made safe to print.
#[derive(Debug, Clone, PartialEq, Error)]
pub(crate) enum Fault {
    #[error("there is no token: the text is empty")]
    Empty,
    #[error("not three parts: found {0}, but a compact JWS is header.payload.signature with two dots")]
    Parts(usize),
    #[error("the {0} is not base64url without padding")]
    Base64(Part),
    #[error("the {0} is not JSON")]
    Json(Part),
    #[error("the {0} is JSON, but not an object")]
    NotAnObject(Part),
    #[error("the header names no algorithm (alg)")]
    NoAlgorithm,
    #[error("alg is none: the token is not signed, so anyone can have written it")]
    Unsigned,
    #[error("alg is {}: a shared secret, which no public keyset can verify", plain(.0))]
    SharedSecret(String),
    #[error("alg is {}; the filter signs with ES256 or RS256 only", plain(.0))]
    Algorithm(String),
    #[error("the header marks extensions as critical (crit), and none is known")]
    Critical,
    #[error("the keyset is empty")]
    EmptyKeyset,
    #[error("the header names no key (kid); the keyset has {}", list(kids))]
    NoKid { kids: Vec<String> },
    #[error("wrong kid: no key {} in the keyset, which has {}", plain(kid), list(kids))]
    UnknownKid { kid: String, kids: Vec<String> },
    #[error("alg is {alg}, but the key with this kid is {key}")]
    KeyMismatch { alg: String, key: String },
    #[error("the key with this kid is unusable: {reason}")]
    UnusableKey { reason: String },
    #[error("bad signature: the key with this kid did not sign this header and payload")]
    Signature,
    #[error("no keyset: {problem}")]
    NoKeyset { problem: String, advice: String },
    #[error("the claim {0} is missing")]
    MissingClaim(&'static str),
    #[error("the claim {claim} is not {expected}")]
    ClaimType { claim: &'static str, expected: &'static str },
    #[error("expired {} ago", span(*.0))]
    Expired(f64),
    #[error("not yet valid: it becomes so in {}", span(*.0))]
    NotYetValid(f64),
    #[error("not yet valid: it was issued {} in the future", span(*.0))]
    IssuedInFuture(f64),
    #[error("other audience: it is for {}, and not for {}", list(actual), list(expected))]
    Audience { actual: Vec<String>, expected: Vec<String> },
    #[error("other issuer: it is from {}, and not from {}", list(std::slice::from_ref(actual)), list(expected))]
    Issuer { actual: String, expected: Vec<String> },
}

impl Fault {
    /// A name for scripts, which never changes.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Parts(_) => "not_three_parts",
            Self::Base64(_) => "bad_base64",
            Self::Json(_) | Self::NotAnObject(_) => "bad_json",
            Self::NoAlgorithm | Self::Algorithm(_) => "bad_algorithm",
            Self::Unsigned => "algorithm_none",
            Self::SharedSecret(_) => "shared_secret_algorithm",
            Self::Critical => "critical_extension",
            Self::EmptyKeyset => "empty_keyset",
            Self::NoKid { .. } => "no_kid",
            Self::UnknownKid { .. } => "unknown_kid",
            Self::KeyMismatch { .. } => "algorithm_mismatch",
            Self::UnusableKey { .. } => "unusable_key",
            Self::Signature => "bad_signature",
            Self::NoKeyset { .. } => "keyset_unavailable",
            Self::MissingClaim(_) => "missing_claim",
            Self::ClaimType { .. } => "bad_claim",
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) | Self::IssuedInFuture(_) => "not_yet_valid",
            Self::Audience { .. } => "wrong_audience",
            Self::Issuer { .. } => "wrong_issuer",
        }
    }

    /// Whether the signature is right nevertheless.
    pub(crate) fn is_of_claims(&self) -> bool {
        matches!(
            self,
            Self::MissingClaim(_)
                | Self::ClaimType { .. }
                | Self::Expired(_)
                | Self::NotYetValid(_)
                | Self::IssuedInFuture(_)
                | Self::Audience { .. }
                | Self::Issuer { .. }
        )
    }

    /// What to do next.
    pub(crate) fn advice(&self) -> &str {
        match self {
            Self::Empty => "is the header there at all, and is this request's path behind the filter?",
            Self::Parts(_) | Self::Base64(_) | Self::Json(_) | Self::NotAnObject(_) => {
                "was the token copied whole, and nothing else?"
            }
            Self::NoAlgorithm | Self::Unsigned | Self::SharedSecret(_) | Self::Algorithm(_) | Self::Critical => {
                "the filter never makes such a token; find out who sent it, and do not trust it"
            }
            Self::EmptyKeyset => {
                "the proxy signs with an ephemeral key, which it never publishes; give it a signing_key"
            }
            Self::NoKid { .. } => "the filter always names its key; find out who sent this",
            Self::UnknownKid { .. } => {
                "is this the keyset of the proxy that signed it, and has its key been retired since?"
            }
            Self::KeyMismatch { .. } | Self::UnusableKey { .. } => "compare the keyset with: attest jwks FILE",
            Self::Signature => "the token was changed on its way or forged; do not trust it",
            Self::NoKeyset { advice, .. } => advice,
            Self::MissingClaim(_) | Self::ClaimType { .. } => "is this an assertion of the filter at all?",
            Self::Expired(_) => "take a fresh one from a request; if it is fresh, compare the clocks",
            Self::NotYetValid(_) | Self::IssuedInFuture(_) => {
                "compare the clocks of the proxy and this machine; --leeway allows for a small difference"
            }
            Self::Audience { .. } => "it was made for another service, or the route needs its own audience setting",
            Self::Issuer { .. } => "it was made for another host, or issuer or jwt_issuer_format is set otherwise",
        }
    }

    /// The fault for scripts.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "code": self.code(), "message": self.to_string(), "next": self.advice() })
    }
}

fn list(values: &[String]) -> String {
    match values {
        [] => "none".to_owned(),
        _ => values
            .iter()
            .map(|value| plain(if value.is_empty() { "\"\"" } else { value }))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
