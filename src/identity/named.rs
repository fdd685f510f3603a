//! What headers and client certificates say of a user: texts, by the claims that were configured.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::host::{CertificateField, RequestHost};
use crate::http::fields::Fields;
use crate::http::header_name::HeaderName;
use crate::value::{List, Value};

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

/// What these headers say, by claim; none where it is ambiguous.
pub(super) fn in_headers<'a>(
    headers: &Fields<'a>,
    claims: &'a [(String, ClaimHeaderValue)],
) -> Option<Vec<(&'a str, Named<'a>)>> {
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
            (Some(value), None) => found.extend(named(claim, text(value).map(Cow::Borrowed))),
            (None, None) => {}
        }
    }
    Some(found)
}

/// What these fields of the client's certificate say, by claim; none without a certificate.
pub(super) fn in_certificate<'a>(
    host: &impl RequestHost,
    claims: &'a [(String, CertificateField)],
) -> Option<Vec<(&'a str, Named<'a>)>> {
    if !host.is_mtls() {
        return None;
    }
    let value = |field| Some(String::from_utf8(host.certificate(field)?).ok().map(Cow::Owned));
    Some(claims.iter().filter_map(|(claim, field)| named(claim, value(*field)?)).collect())
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
    /// Its value, as claims are made of it.
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::String(text.as_bytes()),
            Self::Texts(texts) => Value::List(List::Texts(texts)),
            Self::Json(items) => Value::List(List::Json(items)),
            Self::Unreadable => Value::UNREADABLE,
        }
    }
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
        (!list.value().is_empty()).then_some(list)
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
fn named<'a>(claim: &'a str, text: Option<Cow<'a, str>>) -> Option<(&'a str, Named<'a>)> {
    match text {
        Some(text) if text.is_empty() => None,
        text => Some((claim, text.map_or(Named::Unreadable, Named::Text))),
    }
}
