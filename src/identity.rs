//! Who the user is: from Envoy's dynamic metadata, from headers that an earlier filter set, or from a client certificate.

use std::borrow::Cow;

use crate::host::{CertificateField, RequestHost};
use crate::http::fields::Fields;
use crate::http::header_name::HeaderName;
use crate::value::{Object, Value};

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
        /// The names to walk down from it; without, the object under the namespace's lowest name that has one.
        path: Option<Vec<String>>,
    },
    /// Headers that an earlier filter set, by claim.
    Headers(Vec<(String, HeaderName)>),
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
            Self::Headers(_) => "headers".into(),
            Self::ClientCertificate(_) => "client_certificate".into(),
        }
    }
}

/// What a request shows of its user.
pub struct Evidence<'a, H> {
    host: &'a H,
    headers: &'a Fields<'a>,
}

impl<'a, H: RequestHost> Evidence<'a, H> {
    /// The evidence of a request.
    pub fn new(host: &'a H, headers: &'a Fields<'a>) -> Self {
        Self { host, headers }
    }

    /// The identity from the first source that yields anything, and that source.
    #[must_use]
    pub fn identity(&self, sources: &'a [IdentitySource]) -> Option<(Identity<'a>, &'a IdentitySource)> {
        sources.iter().find_map(|source| Some((self.identity_in(source)?, source)))
    }

    fn identity_in(&self, source: &'a IdentitySource) -> Option<Identity<'a>> {
        match source {
            IdentitySource::Metadata { namespace, path } => self.in_metadata(namespace, path.as_deref()),
            IdentitySource::Headers(claims) => self.in_headers(claims),
            IdentitySource::ClientCertificate(claims) => self.in_certificate(claims),
        }
    }

    fn in_metadata(&self, namespace: &str, path: Option<&[String]>) -> Option<Identity<'a>> {
        let namespace = self.host.metadata(namespace)?;
        let object = match path {
            Some(path) => path.iter().try_fold(namespace, |object, name| as_object(object.get(name)?))?,
            None => lowest_object(namespace)?,
        };
        let members: Vec<_> = object.members().collect();
        let says_who = members.iter().any(|(name, value)| *name != ADDED_BY_EXT_AUTHZ && says_something(*value));
        says_who.then_some(Identity::Object(members))
    }

    fn in_headers(&self, claims: &'a [(String, HeaderName)]) -> Option<Identity<'a>> {
        let mut found = Vec::new();
        for (claim, header) in claims {
            let mut values = self.headers.values(header.as_str());
            if claim == "groups" {
                let groups: Vec<_> =
                    values.filter_map(text).flat_map(|value| value.split(',')).map(str::trim).collect();
                let groups: Vec<_> = groups.into_iter().filter(|group| !group.is_empty()).collect();
                if !groups.is_empty() {
                    found.push((claim.as_str(), Named::Texts(groups)));
                }
                continue;
            }
            match (values.next(), values.next()) {
                (_, Some(_)) => return None,
                (Some(value), None) if is_joined(header, value) => return None,
                (Some(value), None) => found.extend(named(claim, text(value).map(Cow::Borrowed))),
                (None, None) => {}
            }
        }
        Identity::from_named(found)
    }

    fn in_certificate(&self, claims: &'a [(String, CertificateField)]) -> Option<Identity<'a>> {
        if !self.host.is_mtls() {
            return None;
        }
        let value = |field| self.host.certificate(field).and_then(|value| String::from_utf8(value).ok());
        let found = claims.iter().filter_map(|(claim, field)| named(claim, value(*field).map(Cow::Owned)));
        Identity::from_named(found.collect())
    }
}

fn is_joined(header: &HeaderName, value: &[u8]) -> bool {
    JOINED_BY_ENVOY.contains(&header.as_str()) && value.contains(&b',')
}

fn text(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok()
}

fn named<'a>(claim: &'a str, value: Option<Cow<'a, str>>) -> Option<(&'a str, Named<'a>)> {
    let value = value.filter(|value| !value.is_empty())?;
    Some((claim, Named::Text(value)))
}

/// An identity of nothing but empty values is none.
fn says_something(value: Value<'_>) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::List(list) => list.items().next().is_some(),
        Value::Object(object) => object.members().next().is_some(),
        Value::Number(_) | Value::Bool(_) => true,
    }
}

fn as_object(value: Value<'_>) -> Option<Object<'_>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn lowest_object(namespace: Object<'_>) -> Option<Object<'_>> {
    let objects = namespace.members().filter_map(|(name, value)| Some((name, as_object(value)?)));
    objects.min_by_key(|(name, _)| *name).map(|(_, object)| object)
}

/// What a source knows of a user, by claim name.
#[derive(Debug)]
pub enum Identity<'a> {
    /// The members of an object, of any JSON types, found once for all claims that are looked up in them.
    Object(Vec<(&'a [u8], Value<'a>)>),
    /// Texts, by the claims that were configured.
    Named(Vec<(&'a str, Named<'a>)>),
}

/// A claim from a source that has only texts.
#[derive(Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// A single one.
    Text(Cow<'a, str>),
    /// A list, of groups.
    Texts(Vec<&'a str>),
}

/// The value of one claim of an identity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim<'a> {
    /// Any JSON type.
    Value(Value<'a>),
    /// A text.
    Text(&'a str),
    /// A list of texts.
    Texts(&'a [&'a str]),
}

impl<'a> Identity<'a> {
    fn from_named(claims: Vec<(&'a str, Named<'a>)>) -> Option<Self> {
        if claims.is_empty() { None } else { Some(Self::Named(claims)) }
    }

    /// The claim at the end of these names, the first of which is a claim's.
    #[must_use]
    pub fn claim(&'a self, path: &[String]) -> Option<Claim<'a>> {
        let (name, rest) = path.split_first()?;
        match self {
            Self::Object(members) => {
                let value = rest.iter().try_fold(member(members, name)?, |value, name| as_object(value)?.get(name))?;
                Some(Claim::Value(value))
            }
            Self::Named(claims) if rest.is_empty() => {
                claims.iter().find(|(claim, _)| claim == name).map(|(_, value)| match value {
                    Named::Text(text) => Claim::Text(text),
                    Named::Texts(texts) => Claim::Texts(texts),
                })
            }
            Self::Named(_) => None,
        }
    }

    /// When the identity itself ends (`exp` of the user's own token), in seconds since the epoch.
    #[must_use]
    pub fn expires_at(&self) -> Option<f64> {
        match self {
            Self::Object(members) => match member(members, "exp")? {
                Value::Number(seconds) => Some(seconds),
                _ => None,
            },
            Self::Named(_) => None,
        }
    }
}

/// The member of this name; of two, the later counts, as protobuf has it for maps.
fn member<'a>(members: &[(&'a [u8], Value<'a>)], name: &str) -> Option<Value<'a>> {
    members.iter().rev().find(|(member, _)| *member == name.as_bytes()).map(|(_, value)| *value)
}
