//! Whether the filter state that a source names is written, and of what.

use attestation_filter::claims::ClaimRule;

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::{Finding, Findings, Severity};
use super::super::matcher::Answer;
use super::super::node::Node;
use super::format::{Format, Operator};
use super::identity::{self, any, payloads};
use super::writers::{self, JWT_AUTHN};

/// Envoy's limit for all headers of a request: no value that came in them is longer.
const ALL_HEADERS: usize = 60 * 1024;
/// Claims of tokens that are texts, numbers or lists (RFC 7519, section 4.1; OpenID Connect Core, section 5.1).
const NO_OBJECTS: [&str; 14] = [
    "aud",
    "email",
    "exp",
    "groups",
    "iat",
    "iss",
    "jti",
    "name",
    "nbf",
    "nickname",
    "picture",
    "preferred_username",
    "sid",
    "sub",
];
/// Headers that Envoy writes, and that nobody is named in.
const NOT_OF_A_USER: [&str; 4] = ["x-request-id", "x-forwarded-for", "x-forwarded-proto", "user-agent"];
const RIGHT: &str = "one operator and nothing else: \"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%\"";

pub(super) fn written(context: &Context<'_>, node: &Node, name: &str, found: &mut Findings) {
    if !any(context, |filter| writers::filter_state(filter, name)) {
        let message = format!("no filter before {} writes the filter state {name}", context.ours.filter.name);
        let cure = format!(
            "an envoy.filters.http.set_filter_state before it: on_request_headers: [{{object_key: {name}, factory_key: \
             envoy.string, format_string: {{text_format_source: {{inline_string: \
             \"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%\"}}, omit_empty_values: true}}, skip_if_empty: \
             true}}]"
        );
        return found.add(Id::FilterStateNotWritten, node, message, cure);
    }
    let before = context.ours.before();
    for (index, filter) in before.iter().enumerate().filter(|(_, filter)| filter.what() == "set_filter_state") {
        for entry in writers::state_entries(filter).filter(|entry| entry.text_at(&["object_key"]) == Some(name)) {
            entry.get("format_string").into_iter().for_each(|format| made_of(context, index, format, found));
        }
    }
}

/// What the filter at a place of the chain makes a filter state of.
fn made_of(context: &Context<'_>, index: usize, format: &Node, found: &mut Findings) {
    if let Some(json) = format.get("json_format") {
        json.each(&mut |node| headers(context, index, node, &Format::parse(node.text().unwrap_or_default()), found));
    }
    let inline = format.at(&["text_format_source", "inline_string"]).or_else(|| format.get("text_format"));
    let Some((node, text)) = inline.and_then(|node| Some((node, node.text()?))) else { return };
    let format = Format::parse(text);
    headers(context, index, node, &format, found);
    if !format.can_be_object() {
        let message = "the text around the operators makes no JSON object";
        found.add(Id::IdentityFormat, node, message, RIGHT);
    }
    if let Some(only) = format.only() {
        cut(node, only, found);
        if let Some((namespace, path)) = only.metadata() {
            metadata(context, index, node, (namespace, &path), found);
        }
    }
}

/// Whoever can send the header writes what is made of it.
fn headers(context: &Context<'_>, index: usize, node: &Node, format: &Format<'_>, found: &mut Findings) {
    let is_plain = |name: &&str| !name.starts_with(':') && !NOT_OF_A_USER.contains(&name.to_ascii_lowercase().as_str());
    for name in format.operators.iter().flat_map(|operator| operator.headers()).filter(is_plain) {
        identity::header(context, index, node, name, found);
    }
}

fn cut(node: &Node, operator: &Operator<'_>, found: &mut Findings) {
    if let Some(limit) = operator.limit.filter(|limit| *limit < ALL_HEADERS) {
        let message = format!("the value is cut after {limit} bytes, and what is left is no JSON");
        let cure = format!("leave :{limit} out");
        found.push(Finding::new(Id::IdentityFormat, &node.place, message, cure).at_most(Severity::Warning));
    }
}

/// What is read has to be written before, and be the object that a user is described in.
fn metadata(
    context: &Context<'_>,
    index: usize,
    node: &Node,
    (namespace, path): (&str, &[&str]),
    found: &mut Findings,
) {
    let before = context.ours.chain.filters.get(..index).unwrap_or_default();
    let names: Vec<_> = before.iter().flat_map(writers::jwt_members).collect();
    let right = |name: &str| format!("\"%DYNAMIC_METADATA({namespace}:{name})%\"");
    let Some(first) = path.first() else {
        if let Some(name) = names.first().filter(|_| namespace == JWT_AUTHN && !is_mapped(context)) {
            let message = format!("the whole namespace {namespace} has {name} in it, and no sub");
            found.add(Id::IdentityFormat, node, message, right(name));
        }
        return;
    };
    let silent = before.iter().filter(|filter| namespace == JWT_AUTHN && filter.what() == "jwt_authn");
    let silent: Vec<_> = silent.map(|filter| payloads(filter, found)).collect();
    if !silent.contains(&true) && before.iter().all(|filter| writers::member(filter, namespace, first) == Answer::No) {
        let message = format!("nothing before this filter writes {first:?} in {namespace}");
        return found.add(Id::PathNotWritten, node, message, right(names.first().unwrap_or(&"identity")));
    }
    if let Some(claim) = path.get(1).filter(|claim| namespace == JWT_AUTHN && NO_OBJECTS.contains(claim)) {
        let message = format!("{claim} of a token is no JSON object");
        found.add(Id::IdentityFormat, node, message, right(first));
    }
}

/// Whether claims come from elsewhere than the members of their names.
fn is_mapped(context: &Context<'_>) -> bool {
    let config = context.ours.config.as_ref();
    config.is_ok_and(|config| config.settings.claims.iter().any(|(_, rule)| matches!(rule, ClaimRule::First(_))))
}
