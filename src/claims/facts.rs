//! What only a request knows of its claims, and what comes of it.

use crate::http::authority::Authority;
use crate::identity::{Identity, IdentitySource};

/// What only the request knows.
pub struct Facts<'a> {
    /// The user; none if anonymous.
    pub identity: Option<&'a Identity<'a>>,
    /// The host; may only be missing where [`super::Plan::needs_host`] is false.
    pub authority: Option<&'a Authority>,
    /// What the assertion says of itself.
    pub stamp: &'a Stamp,
    /// Where the identity is from.
    pub source: Option<&'a IdentitySource>,
    /// What the assertion can be bound to.
    pub request: RequestLine<'a>,
    /// `act`, as JSON.
    pub actor: Option<&'a str>,
}

/// What an assertion says of itself.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `jti`.
    pub token_id: String,
    /// `iat`, in seconds since the epoch.
    pub issued_at: u64,
    /// `exp`, in seconds since the epoch.
    pub expires_at: u64,
}

/// A set of claims to do without, by their places in `shed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shed(u64);

impl Shed {
    /// How many places there are.
    pub const MAX: usize = 64;

    /// The set with one more.
    #[must_use]
    pub fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place)
    }

    /// The set with one less.
    #[must_use]
    pub fn without(self, place: usize) -> Self {
        Self(self.0 & !(1 << place))
    }

    /// Whether a claim is in it.
    #[must_use]
    pub fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// The parts of a request that an assertion can be bound to; empty where there is none, or no text.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The value of `x-request-id`.
    pub request_id: &'a str,
}

/// The claims of one assertion.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// A JSON object, its members sorted.
    pub json: Vec<u8>,
    /// How many groups the filter took out.
    pub groups_removed: usize,
    /// The claims of which something cannot be represented and is left out.
    pub left_out: Vec<&'a str>,
}
