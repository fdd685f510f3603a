//! Who the user is: from Envoy's dynamic metadata or filter state, from headers that an earlier filter set, or from a
//! client certificate.

mod json_object;
mod named;

use std::borrow::Cow;
use std::time::Duration;

use crate::host::{CertificateField, RequestHost};
use crate::http::fields::Fields;
use crate::value::{Object, Value};
use json_object::JsonObject;
use named::{Named, in_certificate, in_headers};

pub use named::{ClaimHeaderValue, ListFormat};

/// How long its call took: ext_authz writes this beside what the service said, and it is nobody's identity.
const ADDED_BY_EXT_AUTHZ: &[u8] = b"ext_authz_duration";
/// The member that says when the identity itself ends.
pub const END_OF_IDENTITY: &str = "exp";

/// One place to look for an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentitySource {
    /// An object in the dynamic metadata.
    Metadata {
        /// The metadata's namespace.
        namespace: String,
        /// The names to walk down from it; without, the one object in the namespace.
        path: Option<Vec<String>>,
    },
    /// A JSON object in the filter state.
    FilterState(String),
    /// Headers that an earlier filter set, by claim.
    Headers(Vec<(String, ClaimHeaderValue)>),
    /// Fields of the certificate on an mTLS connection, by claim.
    ClientCertificate(Vec<(String, CertificateField)>),
}

impl IdentitySource {
    /// What jwt_authn's `payload_in_metadata` writes.
    #[must_use]
    pub fn jwt_authn() -> Self {
        Self::Metadata { namespace: "envoy.filters.http.jwt_authn".into(), path: None }
    }

    /// What it is called in logs and in `idsrc`.
    #[must_use]
    pub fn label(&self) -> Cow<'static, str> {
        match self {
            Self::Metadata { namespace, .. } => format!("metadata:{namespace}").into(),
            Self::FilterState(name) => format!("filter_state:{name}").into(),
            Self::Headers(_) => "headers".into(),
            Self::ClientCertificate(_) => "client_certificate".into(),
        }
    }

    /// The claims that the source can have; none if that is not known before a request.
    pub fn claims(&self) -> Option<Vec<&str>> {
        match self {
            Self::Metadata { .. } | Self::FilterState(_) => None,
            Self::Headers(claims) => Some(claims.iter().map(|(claim, _)| claim.as_str()).collect()),
            Self::ClientCertificate(claims) => Some(claims.iter().map(|(claim, _)| claim.as_str()).collect()),
        }
    }
}

/// Where in an identity a claim is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimPath {
    /// A member. A name with dots that no member has is walked down, as Pomerium flattens: `realm_access.roles`.
    Name(String),
    /// Steps down from the identity, at least one.
    Steps(Vec<Step>),
}

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the member of an object.
    Member(String),
    /// To the item of a list, counted from 0.
    Item(usize),
}

impl ClaimPath {
    /// Whether the way can begin with this member of an identity.
    pub fn begins_with(&self, member: &[u8]) -> bool {
        match self {
            Self::Name(name) => {
                name.as_bytes().strip_prefix(member).is_some_and(|rest| matches!(rest.first(), None | Some(b'.')))
            }
            Self::Steps(steps) => matches!(steps.first(), Some(Step::Member(first)) if first.as_bytes() == member),
        }
    }
}

/// A source holds several objects where one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ambiguous;

/// What is to be found out about the user of a request.
pub trait Wanted {
    /// Whether an identity names somebody: it has all that is required of one.
    fn names_somebody(&self, identity: &Identity<'_>) -> bool;
    /// Whether a member of an identity is ever looked at.
    fn reads(&self, member: &[u8]) -> bool;
}

/// What a search for the user of a request came to.
pub struct Search<'a> {
    /// The identity, and the source that has it.
    pub identity: Option<(Identity<'a>, &'a IdentitySource)>,
    /// How many sources had something, but not all that is required.
    pub incomplete: usize,
    /// A source with several objects where one was looked for.
    pub ambiguous: Option<&'a IdentitySource>,
}

/// Looks for the user of a request: the first source that has what is required wins. `notice` hears of each source that
/// was looked at, by its place, and whether something was there.
pub fn search<'a, H: RequestHost>(
    host: &'a H,
    headers: &Fields<'a>,
    sources: &'a [IdentitySource],
    wanted: &impl Wanted,
    notice: impl Fn(usize, &'a IdentitySource, bool),
) -> Search<'a> {
    let mut search = Search { identity: None, incomplete: 0, ambiguous: None };
    for (place, source) in sources.iter().enumerate() {
        let found = identity_in(host, headers, source, &|member| wanted.reads(member));
        notice(place, source, !matches!(found, Ok(None)));
        match found {
            Ok(Some(identity)) if wanted.names_somebody(&identity) => {
                search.identity = Some((identity, source));
                break;
            }
            Ok(Some(_)) => search.incomplete += 1,
            Ok(None) => {}
            Err(Ambiguous) => search.ambiguous = Some(source),
        }
    }
    search
}

fn identity_in<'a, H: RequestHost>(
    host: &'a H,
    headers: &Fields<'a>,
    source: &'a IdentitySource,
    reads: &dyn Fn(&[u8]) -> bool,
) -> Result<Option<Identity<'a>>, Ambiguous> {
    match source {
        IdentitySource::Metadata { namespace, path } => in_metadata(host, namespace, path.as_deref(), reads),
        IdentitySource::FilterState(name) => Ok(in_filter_state(host, name)),
        IdentitySource::Headers(claims) => Ok(in_headers(headers, claims).and_then(Identity::from_named)),
        IdentitySource::ClientCertificate(claims) => Ok(in_certificate(host, claims).and_then(Identity::from_named)),
    }
}

fn in_metadata<'a>(
    host: &'a impl RequestHost,
    namespace: &str,
    path: Option<&[String]>,
    reads: &dyn Fn(&[u8]) -> bool,
) -> Result<Option<Identity<'a>>, Ambiguous> {
    let Some(namespace) = host.metadata(namespace, reads) else { return Ok(None) };
    let object = match path {
        Some(path) => path.iter().try_fold(namespace, |object, name| as_object(object.get(name)?)),
        None => only_object(namespace)?,
    };
    let Some(object) = object else { return Ok(None) };
    let members: Vec<_> = object.members().collect();
    // An identity of nothing but empty values is none.
    let says_who = members.iter().any(|(name, value)| *name != ADDED_BY_EXT_AUTHZ && !value.is_empty());
    Ok(says_who.then_some(Identity::Members(members)))
}

fn in_filter_state<'a>(host: &impl RequestHost, name: &str) -> Option<Identity<'a>> {
    JsonObject::read(&host.filter_state(name)?).filter(JsonObject::says_something).map(Identity::Json)
}

fn as_object(value: Value<'_>) -> Option<Object<'_>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn only_object(namespace: Object<'_>) -> Result<Option<Object<'_>>, Ambiguous> {
    let mut objects = namespace.members().filter_map(|(_, value)| as_object(value));
    match (objects.next(), objects.next()) {
        (object, None) => Ok(object),
        _ => Err(Ambiguous),
    }
}

/// What a source knows of a user, by claim name.
#[derive(Debug)]
pub enum Identity<'a> {
    /// The members of an object, of any JSON types, found once for all claims that are looked up in them.
    Members(Vec<(&'a [u8], Value<'a>)>),
    /// The members of a JSON object.
    Json(JsonObject),
    /// Texts, by the claims that were configured.
    Named(Vec<(&'a str, Named<'a>)>),
}

impl<'a> Identity<'a> {
    fn from_named(claims: Vec<(&'a str, Named<'a>)>) -> Option<Self> {
        let says_something = claims.iter().any(|(_, value)| *value != Named::Unreadable);
        says_something.then_some(Self::Named(claims))
    }

    /// What is at a place.
    #[must_use]
    pub fn claim(&'a self, path: &ClaimPath) -> Option<Value<'a>> {
        match path {
            ClaimPath::Name(name) => walk_dots(name, &|name| self.member(name)),
            ClaimPath::Steps(steps) => {
                let (Step::Member(first), rest) = steps.split_first()? else { return None };
                rest.iter().try_fold(self.member(first)?, |value, step| step.down(value))
            }
        }
    }

    /// The member of this name; of two, the later counts, as protobuf has it for maps.
    fn member(&'a self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Members(members) => {
                let member = members.iter().rev().find(|(member, _)| *member == name.as_bytes());
                member.map(|(_, value)| *value)
            }
            Self::Json(members) => members.get(name),
            Self::Named(claims) => claims.iter().find(|(claim, _)| *claim == name).map(|(_, value)| value.value()),
        }
    }

    /// When the identity itself ends (`exp` of the user's own token), since the epoch; at once if that cannot be read.
    #[must_use]
    pub fn expires_at(&'a self) -> Option<Duration> {
        let end = match self.member(END_OF_IDENTITY)? {
            Value::Null => return None,
            Value::Number(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Value::String(text) => {
                str::from_utf8(text).ok().and_then(|text| text.parse().ok()).map(Duration::from_secs)
            }
            Value::Bool(_) | Value::List(_) | Value::Object(_) => None,
        };
        Some(end.unwrap_or_default())
    }
}

impl Step {
    fn down<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        match (self, value) {
            (Self::Member(name), Value::Object(object)) => object.get(name),
            (Self::Item(place), Value::List(list)) => list.items().nth(*place),
            _ => None,
        }
    }
}

/// The member of this name, or what is below the member of a part of it up to a dot.
fn walk_dots<'a>(name: &str, member: &dyn Fn(&str) -> Option<Value<'a>>) -> Option<Value<'a>> {
    member(name).or_else(|| {
        let below = |(dot, _)| {
            let (head, tail) = name.split_at(dot);
            let object = as_object(member(head)?)?;
            walk_dots(tail.get(1..)?, &|name| object.get(name))
        };
        name.match_indices('.').find_map(below)
    })
}
