//! Requests that are answered instead of forwarded.

use std::fmt;

use crate::actor::Unverifiable;
use crate::host::{Counter, Level, ProcessHost};
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
    /// The host gives no randomness.
    NoRandomness,
    /// Nothing could sign.
    NotSigned(NotSigned),
}

/// What a refusal looks like.
struct Form {
    status: u32,
    counter: Counter,
    level: Level,
    /// For the client; it holds nothing of the request.
    text: &'static str,
    header: Option<(&'static str, &'static str)>,
}

impl Refusal {
    fn form(self) -> Form {
        let form = |status, counter, text| Form { status, counter, level: Level::Debug, text, header: None };
        match self {
            Self::NoKey => Form {
                header: Some(("retry-after", "1")),
                ..form(503, Counter::RefusedNoKey, "no signing key has been loaded yet")
            },
            Self::MissingIdentity => Form {
                header: Some(("www-authenticate", "Bearer")),
                ..form(401, Counter::RefusedMissingIdentity, "no identity")
            },
            Self::BadActor(_) => Form {
                level: Level::Warn,
                header: Some(("www-authenticate", "Bearer error=\"invalid_token\"")),
                ..form(401, Counter::RefusedBadActor, "the incoming assertion cannot be verified")
            },
            Self::BadHost => form(400, Counter::RefusedBadHost, "the host of this request is not valid"),
            Self::Unbound => {
                form(400, Counter::RefusedUnbound, "this request lacks what its assertion would be bound to")
            }
            Self::TooLong { .. } => Form {
                level: Level::Warn,
                ..form(431, Counter::RefusedTooLong, "the assertion for this request is too long")
            },
            Self::BadRoute => form(500, Counter::RefusedBadRoute, "the metadata of this route is not valid"),
            Self::NoRandomness | Self::NotSigned(_) => {
                Form { level: Level::Error, ..form(500, Counter::RefusedNotSigned, "no assertion could be made") }
            }
        }
    }

    /// Counts and logs the refusal, and makes the answer.
    pub(super) fn answer(self, host: &impl ProcessHost) -> Response {
        let form = self.form();
        host.add(form.counter, 1);
        if form.level != Level::Debug || host.logs_debug() {
            host.log(form.level, &format!("refused a request: {self}"));
        }
        let response = Response::refusal(form.status, form.text);
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
            Self::NoRandomness => f.write_str("the host gives no randomness for its assertion"),
            Self::NotSigned(error) => error.fmt(f),
            other => f.write_str(other.form().text),
        }
    }
}
