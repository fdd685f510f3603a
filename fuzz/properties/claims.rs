//! From Envoy's metadata to the claims of an assertion.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use attestation_filter::claims::{ClaimRule, Facts, Plan, PluginClaims, RequestLine, Settings, Shed, Stamp};
use attestation_filter::http::authority::Authority;
use attestation_filter::http::fields::Fields;
use attestation_filter::identity::{ClaimPath, IdentitySource, Step, Wanted as _, search};
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde_json::Value as Json;

use super::host::FakeHost;
use super::members::Members;

const NAMESPACE: &str = "envoy.filters.http.jwt_authn";
/// In every assertion, whoever it is about (the claims that only a signature needs are not made here).
pub(super) const ALWAYS: [&str; 11] =
    ["aud", "email", "exp", "groups", "iat", "iss", "jti", "name", "sid", "sub", "user"];
const TEXTS: [&str; 5] = ["email", "name", "sid", "sub", "user"];
/// Numbers are compared as far as a parser of JSON keeps them.
const PRECISION: f64 = 1e-12;

/// `envoy.config.core.v3.Metadata`.
#[derive(Clone, prost::Message)]
struct Metadata {
    #[prost(btree_map = "string, message", tag = "1")]
    namespaces: BTreeMap<String, Struct>,
}

/// Any metadata makes claims of the right shape; and where another decoder can read it, the claims say what it read.
pub fn claims(bytes: &[u8]) {
    is_claims(&payload(bytes), &["x", "y"]);
    let Ok(decoded) = Metadata::decode(bytes) else { return };
    let made = is_claims(&payload(&decoded.encode_to_vec()), &["x", "y"]);
    assert_eq!(payload(&read_part(decoded.clone()).encode_to_vec()), payload(&decoded.encode_to_vec()));
    let identity = identity(&decoded);
    for name in TEXTS {
        assert_eq!(made[name], text_claim(name, identity), "{name}");
    }
    assert_eq!(made["groups"], Json::from(groups(identity)));
    is_kept("x", made.get("x"), identity.and_then(|identity| identity.get("x")));
    let inner = identity.and_then(|identity| match identity.get("y")?.kind.as_ref()? {
        Kind::StructValue(y) => y.fields.get("z"),
        _ => None,
    });
    is_kept("y", made.get("y"), inner);
}

/// Without the members of which no claim is made.
fn read_part(mut metadata: Metadata) -> Metadata {
    let objects =
        metadata.namespaces.get_mut(NAMESPACE).into_iter().flat_map(|namespace| namespace.fields.values_mut());
    for object in objects {
        if let Some(Kind::StructValue(object)) = &mut object.kind {
            object.fields.retain(|name, _| PLAN.with(|plan| plan.reads(name.as_bytes())));
        }
    }
    metadata
}

thread_local! {
    static PLAN: LazyCell<Plan> = LazyCell::new(|| {
        let claims = vec![
            ("x".into(), ClaimRule::First(vec![ClaimPath::Name("x".into())])),
            ("y".into(), ClaimRule::First(vec![ClaimPath::Steps(vec![Step::Member("y".into()), Step::Member("z".into())])])),
        ];
        Plan::new(&Settings { claims, ..Settings::default() }, &PluginClaims::default())
    });
}

/// The claims that this metadata makes, with two extra ones.
fn payload(metadata: &[u8]) -> Vec<u8> {
    let host = FakeHost { metadata: Some(metadata.to_vec()), ..FakeHost::default() };
    let headers = Fields::default();
    let sources = [IdentitySource::jwt_authn()];
    let found = PLAN.with(|plan| search(&host, &headers, &sources, &**plan, |_, _, _| {})).identity;
    let authority = Authority::parse(b"a");
    let facts = Facts {
        identity: found.as_ref().map(|(identity, _)| identity),
        authority: authority.as_ref(),
        stamp: &Stamp { token_id: "j".into(), issued_at: 1, expires_at: 2 },
        source: None,
        request: RequestLine::default(),
        actor: None,
    };
    PLAN.with(|plan| plan.payload(&facts, Shed::default()).json)
}

/// The claims, which have all members that they must, perhaps these, and no others, in order and of the right types.
pub(super) fn is_claims(payload: &[u8], extra: &[&str]) -> serde_json::Map<String, Json> {
    let Members(names) = serde_json::from_slice(payload).expect("an object");
    assert!(names.is_sorted_by(|left, right| left < right), "not sorted: {names:?}");
    let present: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    assert!(ALWAYS.iter().all(|name| present.contains(name)), "too few: {names:?}");
    assert!(present.iter().all(|name| ALWAYS.contains(name) || extra.contains(name)), "too many: {names:?}");
    let claims: serde_json::Map<String, Json> = serde_json::from_slice(payload).expect("an object");
    assert!(TEXTS.iter().chain(&["iss", "jti"]).all(|name| claims[*name].is_string()));
    assert!(["iat", "exp"].iter().all(|name| claims[*name].is_u64()));
    assert!(claims["groups"].as_array().expect("a list").iter().all(Json::is_string));
    assert_eq!(claims["sub"] == "", claims["user"] == "");
    claims
}

/// The one object in the namespace, if it says who.
fn identity(metadata: &Metadata) -> Option<&BTreeMap<String, Value>> {
    let objects = metadata.namespaces.get(NAMESPACE)?.fields.values();
    let mut objects = objects.into_iter().filter_map(|value| match &value.kind {
        Some(Kind::StructValue(object)) => Some(&object.fields),
        _ => None,
    });
    let only = objects.next().filter(|_| objects.next().is_none())?;
    (!text_claim("sub", Some(only)).is_empty()).then_some(only)
}

fn text_claim(name: &str, identity: Option<&BTreeMap<String, Value>>) -> String {
    let names: &[&str] = match name {
        "sub" => &["sub", "user"],
        "user" => &["user", "sub"],
        _ => &[name],
    };
    let mut texts = names.iter().filter_map(|name| match identity?.get(*name)?.kind.as_ref()? {
        Kind::ListValue(list) if *name == "name" => {
            list.values.iter().map(scalar).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
        }
        _ => scalar(identity?.get(*name)?),
    });
    texts.find(|text| !text.is_empty()).unwrap_or_default()
}

fn groups(identity: Option<&BTreeMap<String, Value>>) -> Vec<String> {
    let Some(value) = identity.and_then(|identity| identity.get("groups")) else { return Vec::new() };
    match &value.kind {
        Some(Kind::ListValue(list)) => list.values.iter().filter_map(scalar).collect(),
        _ => scalar(value).into_iter().collect(),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value.kind.as_ref()? {
        Kind::StringValue(text) => Some(text.clone()),
        Kind::NumberValue(number) if *number == number.trunc() && is_safe(*number) => {
            Some(format!("{:.0}", number + 0.0))
        }
        _ => None,
    }
}

/// Whether no other number becomes this one when it passes through a double.
fn is_safe(number: f64) -> bool {
    number != number.trunc() || number.abs() < 2f64.powi(53)
}

/// The claim is there with the value that the other decoder read; or not at all, where JSON cannot say it.
fn is_kept(name: &str, claim: Option<&Json>, value: Option<&Value>) {
    let expected = value.and_then(to_json);
    let same = match (claim, &expected) {
        (Some(claim), Some(expected)) => is_same(claim, expected),
        (None, None) => true,
        _ => false,
    };
    assert!(same, "{name}: {claim:?} instead of {expected:?}");
}

fn to_json(value: &Value) -> Option<Json> {
    Some(match value.kind.as_ref() {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(bool)) => (*bool).into(),
        Some(Kind::NumberValue(number)) if is_safe(*number) => serde_json::Number::from_f64(*number)?.into(),
        Some(Kind::NumberValue(_)) => return None,
        Some(Kind::StringValue(text)) => text.as_str().into(),
        Some(Kind::ListValue(list)) => list.values.iter().map(to_json).collect::<Option<Vec<_>>>()?.into(),
        Some(Kind::StructValue(object)) => {
            let members = object.fields.iter().map(|(name, value)| Some((name.clone(), to_json(value)?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
    })
}

fn is_same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap_or(f64::NAN), right.as_f64().unwrap_or(f64::NAN));
            left == right || ((left - right) / right).abs() < PRECISION
        }
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (Json::Object(left), Json::Object(right)) => {
            let both = left.iter().zip(right);
            left.len() == right.len()
                && both.into_iter().all(|(left, right)| left.0 == right.0 && is_same(left.1, right.1))
        }
        _ => left == right,
    }
}
