//! A criterion of Pomerium's policy language as a principal of Envoy's `rbac`.

use serde_json::{Value as Json, json};

use crate::check::node::{Member, Node, Value};

/// Where jwt_authn writes the claims.
pub(super) const NAMESPACE: &str = "envoy.filters.http.jwt_authn";
pub(super) const PAYLOAD: &str = "identity";

/// Why a criterion is not carried over.
pub(super) type Refusal = String;

/// The principal that a criterion of this name stands for.
pub(super) fn principal(criterion: &Member) -> Result<Json, Refusal> {
    let (name, data) = (&*criterion.name, &criterion.value);
    match name.split_once('/') {
        Some(("claim", claim)) if !claim.is_empty() => return list(&[claim.to_owned()], data),
        Some(_) => return Err(unknown(name)),
        None => {}
    }
    match name {
        "accept" if is_on(data) => Ok(everybody()),
        "reject" if is_on(data) => Ok(nobody()),
        // Whoever jwt_authn has let through has a subject.
        "authenticated_user" if is_on(data) => Ok(claim(&["sub".into()], &json!({"present_match": true}))),
        "email" => text(data, "", &|by| claim(&["email".into()], &json!({"string_match": by}))),
        "user" => text(data, "", &|by| claim(&["sub".into()], &json!({"string_match": by}))),
        "domain" => text(data, "@", &|by| claim(&["email".into()], &json!({"string_match": by}))),
        "groups" => list(&["groups".into()], data),
        "http_method" => text(data, "", &|by| json!({"header": {"name": ":method", "string_match": by}})),
        "http_path" => text(data, "", &|by| json!({"url_path": {"path": by}})),
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> Refusal {
    format!("Envoy's rbac has no counterpart of the criterion {name}")
}

/// A criterion without data is on.
fn is_on(data: &Node) -> bool {
    matches!(data.value, Value::Bool(true) | Value::Null)
}

pub(super) fn nobody() -> Json {
    json!({"not_id": {"any": true}})
}

pub(super) fn everybody() -> Json {
    json!({"any": true})
}

pub(super) fn any_of(principals: Vec<Json>) -> Json {
    if principals.contains(&everybody()) { everybody() } else { combined("or_ids", principals) }
}

pub(super) fn all_of(principals: Vec<Json>) -> Json {
    combined("and_ids", principals)
}

/// Envoy takes no empty list: nothing that could fit is nobody.
fn combined(name: &str, principals: Vec<Json>) -> Json {
    match principals.as_slice() {
        [] => nobody(),
        [only] => only.clone(),
        _ => json!({ name: { "ids": principals } }),
    }
}

/// What jwt_authn has read from the token, at this path.
fn claim(path: &[String], value: &Json) -> Json {
    let steps = [PAYLOAD.to_owned()].iter().chain(path).map(|key| json!({ "key": key })).collect::<Vec<_>>();
    json!({"sourced_metadata": {"metadata_matcher": {"filter": NAMESPACE, "path": steps, "value": value}}})
}

/// One of a text's matchers, or a text for `is`. All that are given must fit.
fn text(data: &Node, domain: &str, matcher: &dyn Fn(&Json) -> Json) -> Result<Json, Refusal> {
    let word = |node: &Node| written(node).ok_or_else(|| "a value is no text".to_owned());
    let is = |node: &Node| Ok::<_, Refusal>(matcher(&exact(&word(node)?, domain)));
    if data.members().is_empty() {
        return is(data);
    }
    let mut all = Vec::new();
    for member in data.members() {
        let value = &member.value;
        all.push(match (&*member.name, domain) {
            ("is", _) => is(value)?,
            ("not", _) => json!({"not_id": is(value)?}),
            ("in", _) => any_of(value.items().iter().map(is).collect::<Result<_, _>>()?),
            ("ends_with", _) => matcher(&json!({"suffix": word(value)?})),
            ("starts_with", "") => matcher(&json!({"prefix": word(value)?})),
            ("contains", "") => matcher(&json!({"contains": word(value)?})),
            (other, _) => return Err(format!("Envoy's rbac has no counterpart of the matcher {other} here")),
        });
    }
    Ok(all_of(all))
}

/// The text itself, or what an address of this domain ends with.
fn exact(word: &str, domain: &str) -> Json {
    if domain.is_empty() { json!({ "exact": word }) } else { json!({"suffix": format!("{domain}{word}")}) }
}

/// A matcher of a list, or a value that it has. A claim that is one value is a list of one.
fn list(path: &[String], data: &Node) -> Result<Json, Refusal> {
    let has = |value: &Node| {
        let by = value_matcher(value).ok_or("a value is neither a text nor a number nor a bool")?;
        let one_of = json!({"list_match": {"one_of": by}});
        let places = places(path);
        Ok::<_, Refusal>(any_of(places.iter().flat_map(|path| [claim(path, &by), claim(path, &one_of)]).collect()))
    };
    if data.members().is_empty() {
        return has(data);
    }
    let mut all = Vec::new();
    for member in data.members() {
        all.push(match &*member.name {
            "has" => has(&member.value)?,
            "exclude" => json!({"not_id": has(&member.value)?}),
            other => return Err(format!("Envoy's rbac has no counterpart of the matcher {other} here")),
        });
    }
    Ok(all_of(all))
}

/// A name with dots is a name, or a path that Pomerium has flattened.
fn places(path: &[String]) -> Vec<Vec<String>> {
    let walked = path.iter().flat_map(|name| name.split('.')).map(str::to_owned).collect::<Vec<_>>();
    if walked == path { vec![path.to_vec()] } else { vec![path.to_vec(), walked] }
}

fn value_matcher(value: &Node) -> Option<Json> {
    match &value.value {
        Value::Bool(bool) => Some(json!({ "bool_match": bool })),
        Value::Number(number) => Some(json!({"double_match": {"exact": number}})),
        Value::Text(text) => Some(json!({"string_match": {"exact": &**text}})),
        _ => None,
    }
}

/// A text, also one that looks like something else without its quotes.
fn written(node: &Node) -> Option<String> {
    let plain = || node.plain.as_deref().filter(|_| matches!(node.value, Value::Number(_) | Value::Bool(_)));
    node.text().or_else(plain).filter(|text| !text.is_empty()).map(str::to_owned)
}
