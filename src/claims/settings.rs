//! What an operator decides about claims.

use serde_json::Value as Json;

use crate::actor::Actors;
use crate::http::header_name::HeaderName;
use crate::identity::ClaimPath;

/// The shape of `iss` where it comes from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IssuerFormat {
    /// `app.example.com`
    #[default]
    HostOnly,
    /// `https://app.example.com/`
    Uri,
}

/// The audience of an assertion, in the shape that was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// A single string.
    One(String),
    /// A list of at least one.
    Many(Vec<String>),
}

/// What to do with a request without an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissingIdentity {
    /// It gets an assertion with empty claims.
    #[default]
    Sign,
    /// It goes on without one.
    Skip,
    /// It is answered 401.
    Deny,
}

/// Where an extra or re-mapped claim comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimRule {
    /// The first of these places in the identity that has something, at least one.
    First(Vec<ClaimPath>),
    /// A constant.
    Value(Json),
}

/// What a route's metadata can override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether an assertion is injected at all.
    pub pass_identity_headers: bool,
    /// `iss`, if it does not come from the host.
    pub issuer: Option<String>,
    /// The shape of `iss` if it does.
    pub issuer_format: IssuerFormat,
    /// `aud`, if it is not the host.
    pub audience: Option<Audience>,
    /// The groups that may be named, sorted, if not all.
    pub groups_filter: Option<Vec<String>>,
    /// What to do with a request without an identity.
    pub on_missing_identity: OnMissingIdentity,
    /// Extra and re-mapped claims; of two with the same name the later counts.
    pub claims: Vec<(String, ClaimRule)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pass_identity_headers: true,
            issuer: None,
            issuer_format: IssuerFormat::default(),
            audience: None,
            groups_filter: None,
            on_missing_identity: OnMissingIdentity::default(),
            claims: Vec::new(),
        }
    }
}

impl Settings {
    /// The rule for a claim.
    #[must_use]
    pub fn rule(&self, claim: &str) -> Option<&ClaimRule> {
        self.claims.iter().rev().find(|(name, _)| name == claim).map(|(_, rule)| rule)
    }
}

/// An unsigned header that carries one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    /// The header's name.
    pub header: HeaderName,
    /// The claim's name.
    pub claim: String,
}

/// What of a request an assertion is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// `htm`: the method (RFC 9449, section 4.2).
    Method,
    /// `htu`: scheme and authority of the URI.
    Authority,
    /// `htu`: the path of the URI, without query.
    Path,
    /// `request_id`: the value of `x-request-id`.
    RequestId,
}

/// The claims that an identity can be required to have.
pub const CAN_BE_REQUIRED: [&str; 6] = ["sub", "user", "email", "name", "sid", "groups"];

/// What the plugin, and no route, decides about claims.
#[derive(Debug)]
pub struct PluginClaims {
    /// What an identity must have to be one, of [`CAN_BE_REQUIRED`].
    pub required: Vec<&'static str>,
    /// Whether extra claims are texts, as Pomerium writes them.
    pub as_text: bool,
    /// Unsigned claim headers.
    pub headers: Vec<ClaimHeader>,
    /// What of the request is in the assertion.
    pub bind: Vec<Binding>,
    /// Whether `idsrc` names the source of the identity.
    pub provenance: bool,
    /// Claims to do without, in this order, where the assertion would be too long.
    pub shed: Vec<String>,
    /// Whose incoming assertions become `act`.
    pub actors: Option<Actors>,
}

impl Default for PluginClaims {
    fn default() -> Self {
        Self {
            required: vec!["sub"],
            as_text: false,
            headers: Vec::new(),
            bind: Vec::new(),
            provenance: false,
            shed: Vec::new(),
            actors: None,
        }
    }
}
