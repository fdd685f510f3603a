//! Who the user is: from Envoy's dynamic metadata or filter state, from headers that an earlier filter set, or from a
//! client certificate.

mod json_object;

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::host::{CertificateField, RequestHost};
use crate::http::fields::Fields;
use crate::http::header_name::HeaderName;
use crate::value::{List, Object, Value};
use json_object::JsonObject;

/// Headers that Envoy joins with commas when they come twice, so that a comma may be where two values met.
const JOINED_BY_ENVOY: [&str; 10] = [
    "authorization",
    "origin",
    "referer",
    "user-agent",
    "via",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

/// How long its call took: ext_authz writes this beside what the service said, and it is nobody's identity.
const ADDED_BY_EXT_AUTHZ: &[u8] = b"ext_authz_duration";

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

/// The header that holds a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeaderValue {
    /// The header's name.
    pub name: HeaderName,
    /// How it holds a list; none for a claim that is a text.
    pub list: Option<ListFormat>,
}

/// How a header holds a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFormat {
    /// Items with this text between them; white space around an item is not part of it.
    Separated(String),
    /// A JSON array.
    Json,
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

/// A source holds several objects where one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ambiguous;

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
    names_somebody: impl Fn(&Identity<'a>) -> bool,
    notice: impl Fn(usize, &'a IdentitySource, bool),
) -> Search<'a> {
    let mut search = Search { identity: None, incomplete: 0, ambiguous: None };
    for (place, source) in sources.iter().enumerate() {
        let found = identity_in(host, headers, source);
        notice(place, source, !matches!(found, Ok(None)));
        match found {
            Ok(Some(identity)) if names_somebody(&identity) => {
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
) -> Result<Option<Identity<'a>>, Ambiguous> {
    match source {
        IdentitySource::Metadata { namespace, path } => in_metadata(host, namespace, path.as_deref()),
        IdentitySource::FilterState(name) => Ok(in_filter_state(host, name)),
        IdentitySource::Headers(claims) => Ok(in_headers(headers, claims)),
        IdentitySource::ClientCertificate(claims) => Ok(in_certificate(host, claims)),
    }
}

fn in_metadata<'a>(
    host: &'a impl RequestHost,
    namespace: &str,
    path: Option<&[String]>,
) -> Result<Option<Identity<'a>>, Ambiguous> {
    let Some(namespace) = host.metadata(namespace) else { return Ok(None) };
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

fn in_headers<'a>(headers: &Fields<'a>, claims: &'a [(String, ClaimHeaderValue)]) -> Option<Identity<'a>> {
    let mut found = Vec::new();
    for (claim, ClaimHeaderValue { name, list }) in claims {
        let mut values = headers.values(name.as_str());
        if let Some(format) = list {
            found.extend(format.list(values.filter_map(text)).map(|list| (claim.as_str(), list)));
            continue;
        }
        match (values.next(), values.next()) {
            (_, Some(_)) => return None,
            (Some(value), None) if is_joined(name, value) => return None,
            (Some(value), None) => found.extend(named(claim, value, text(value).map(Cow::Borrowed))),
            (None, None) => {}
        }
    }
    Identity::from_named(found)
}

fn in_certificate<'a>(host: &impl RequestHost, claims: &'a [(String, CertificateField)]) -> Option<Identity<'a>> {
    if !host.is_mtls() {
        return None;
    }
    let found = claims.iter().filter_map(|(claim, field)| {
        let value = host.certificate(*field)?;
        named(claim, &value, text(&value).map(|text| Cow::Owned(text.to_owned())))
    });
    Identity::from_named(found.collect())
}

impl ListFormat {
    /// The items of all values of a header; none if nothing is in them.
    fn list<'a>(&self, values: impl Iterator<Item = &'a str>) -> Option<Named<'a>> {
        let list = match self {
            Self::Separated(separator) => {
                let items = values.flat_map(|value| value.split(separator.as_str())).map(str::trim);
                Named::Texts(items.filter(|item| !item.is_empty()).map(Cow::Borrowed).collect())
            }
            Self::Json => Named::Json(values.filter_map(json_array).flatten().collect()),
        };
        (!list.is_empty()).then_some(list)
    }
}

/// One string is a list of one.
fn json_array(value: &str) -> Option<Vec<Json>> {
    match serde_json::from_slice(value.as_bytes()) {
        Ok(Json::Array(items)) => Some(items),
        Ok(text @ Json::String(_)) => Some(vec![text]),
        _ => None,
    }
}

fn is_joined(header: &HeaderName, value: &[u8]) -> bool {
    JOINED_BY_ENVOY.contains(&header.as_str()) && value.contains(&b',')
}

fn text(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok()
}

/// What is no text is still something: no other claim may take its place.
fn named<'a>(claim: &'a str, value: &[u8], text: Option<Cow<'a, str>>) -> Option<(&'a str, Named<'a>)> {
    (!value.is_empty()).then(|| (claim, text.map_or(Named::Unreadable, Named::Text)))
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

/// A claim from a source that has only texts.
#[derive(Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// A single one.
    Text(Cow<'a, str>),
    /// A list, of groups.
    Texts(Vec<Cow<'a, str>>),
    /// The same, of any JSON types.
    Json(Vec<Json>),
    /// Something that is no text.
    Unreadable,
}

impl Named<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Texts(texts) => texts.is_empty(),
            Self::Json(items) => items.is_empty(),
            Self::Unreadable => false,
        }
    }
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
            Self::Named(claims) => claims.iter().find(|(claim, _)| *claim == name).map(|(_, value)| match value {
                Named::Text(text) => Value::String(text.as_bytes()),
                Named::Texts(texts) => Value::List(List::Texts(texts)),
                Named::Json(items) => Value::List(List::Json(items)),
                Named::Unreadable => Value::UNREADABLE,
            }),
        }
    }

    /// When the identity itself ends (`exp` of the user's own token), in seconds since the epoch.
    #[must_use]
    pub fn expires_at(&'a self) -> Option<f64> {
        match self.member("exp")? {
            Value::Number(seconds) => Some(seconds),
            _ => None,
        }
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
