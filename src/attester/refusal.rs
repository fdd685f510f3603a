//! Requests that are answered instead of forwarded.

use std::fmt;

use crate::actor::Unverifiable;
use crate::host::{Counter, ProcessHost};
use crate::http::endpoint::Response;
use crate::keys::signer::NotSigned;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No key has been loaded yet.
    NoKey,
    /// A route without identity that wants one.
    MissingIdentity,
    /// An incoming assertion that cannot be verified.
    BadActor(Unverifiable),
    /// No usable host where a claim is made of it.
    BadHost,
    /// Something that the assertion would be bound to is not there.
    Unbound,
    /// An assertion longer than allowed.
    TooLong { length: usize, max: usize },
    /// A route whose settings cannot be used.
    BadRoute,
    /// No route would take the request.
    NoRoute,
    /// A gRPC request for one of the filter's own paths.
    Grpc,
    /// The host gives no randomness.
    NoRandomness,
    /// Nothing could sign.
    NotSigned(NotSigned),
}

/// What a refusal looks like to the client, to Envoy and to its statistics. The text holds nothing of the request.
struct Form {
    status: u32,
    /// <https://grpc.io/docs/guides/status-codes/>
    grpc_status: u32,
    counter: Counter,
    details: &'static str,
    text: &'static str,
    header: Option<(&'static str, &'static str)>,
}

impl Form {
    fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { header: Some((name, value)), ..self }
    }
}

impl Refusal {
    #[rustfmt::skip]
    fn form(self) -> Form {
        let form = |status, grpc_status, counter, details, text| Form { status, grpc_status, counter, details, text, header: None };
        match self {
            Self::NoKey => form(503, 14, Counter::RefusedNoKey, "attestation_no_key", "no signing key has been loaded yet").with("retry-after", "1"),
            Self::MissingIdentity => form(401, 16, Counter::RefusedMissingIdentity, "attestation_missing_identity", "no identity").with("www-authenticate", "Bearer"),
            Self::BadActor(_) => form(401, 16, Counter::RefusedBadActor, "attestation_bad_actor", "the incoming assertion cannot be verified").with("www-authenticate", "Bearer error=\"invalid_token\""),
            Self::BadHost => form(400, 3, Counter::RefusedBadHost, "attestation_bad_host", "the host of this request is not valid"),
            Self::Unbound => form(400, 3, Counter::RefusedUnbound, "attestation_unbound", "this request lacks what its assertion would be bound to"),
            Self::TooLong { .. } => form(431, 8, Counter::RefusedTooLong, "attestation_too_long", "the assertion for this request is too long"),
            Self::BadRoute => form(500, 13, Counter::RefusedBadRoute, "attestation_bad_route", "the settings of this route are not valid"),
            Self::NoRoute => form(404, 5, Counter::RefusedNoRoute, "attestation_no_route", "no route takes this request"),
            Self::Grpc => form(415, 12, Counter::RefusedGrpc, "attestation_grpc", ""),
            Self::NoRandomness | Self::NotSigned(_) => form(500, 13, Counter::RefusedNotSigned, "attestation_not_signed", "no assertion could be made"),
        }
    }

    /// Counts the refusal, and makes the answer. It is logged at debug only: no client makes the log grow.
    pub(super) fn answer(self, host: &impl ProcessHost) -> Response {
        let form = self.form();
        host.add(form.counter, 1);
        host.debug(|| format!("refused a request: {self}"));
        let response = Response::refusal(form.status, form.details, form.text);
        let response = Response { grpc_status: Some(form.grpc_status), ..response };
        match form.header {
            Some((name, value)) => response.with(name, value),
            None => response,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadActor(reason) => write!(f, "its incoming assertion cannot be verified: {reason}"),
            Self::TooLong { length, max } => {
                write!(f, "its assertion would have {length} bytes, max_assertion_bytes allows {max}")
            }
            Self::Grpc => f.write_str("gRPC asks for one of the filter's own paths"),
            Self::NoRandomness => f.write_str("the host gives no randomness for its assertion"),
            Self::NotSigned(error) => error.fmt(f),
            other => f.write_str(other.form().text),
        }
    }
}
