//! What the filters before ours can write: dynamic metadata, filter state, request headers.

use super::super::filter::Filter;
use super::super::matcher::{self, Answer};
use super::super::node::Node;

/// Filters that write neither metadata, nor filter state, nor headers that name a user.
const SILENT: &[&str] = &[
    "adaptive_concurrency",
    "admission_control",
    "bandwidth_limit",
    "buffer",
    "cache",
    "cdn_loop",
    "compressor",
    "cors",
    "csrf",
    "decompressor",
    "fault",
    "grpc_http1_bridge",
    "grpc_stats",
    "grpc_web",
    "health_check",
    "ip_tagging",
    "kill_request",
    "local_ratelimit",
    "oauth2",
    "on_demand",
    "ratelimit",
    "rbac",
    "router",
    "tap",
];

pub(super) const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";
const EXT_AUTHZ: &str = "envoy.filters.http.ext_authz";

/// Whether the filter writes into a namespace of dynamic metadata.
pub(super) fn metadata(filter: &Filter<'_>, namespace: &str) -> Answer {
    match filter.what() {
        "jwt_authn" => (namespace == JWT_AUTHN && !jwt_members(filter).is_empty()).into(),
        "ext_authz" => (namespace == EXT_AUTHZ).into(),
        "set_metadata" => {
            let listed = filter.list("metadata").iter().filter_map(|entry| entry.text_at(&["metadata_namespace"]));
            let old = filter.config.and_then(|config| config.text_at(&["metadata_namespace"]));
            listed.chain(old).any(|name| name == namespace).into()
        }
        "lua" => filter.lua().map_or(Answer::Maybe, |code| code.contains("dynamicMetadata").into()),
        "header_to_metadata" | "json_to_metadata" | "proto_message_extraction" => mentions(filter, namespace),
        "set_filter_state" | "basic_auth" | "api_key_auth" | "header_mutation" => Answer::No,
        what if SILENT.contains(&what) => Answer::No,
        _ => Answer::Maybe,
    }
}

/// The members that jwt_authn writes into its namespace.
pub(super) fn jwt_members<'a>(filter: &Filter<'a>) -> Vec<&'a str> {
    let names = ["payload_in_metadata", "header_in_metadata", "failed_status_in_metadata"];
    let mut members: Vec<_> = providers(filter)
        .flat_map(|(_, provider)| names.into_iter().filter_map(|name| provider.text_at(&[name])))
        .filter(|name| !name.is_empty())
        .collect();
    members.sort_unstable();
    members.dedup();
    members
}

pub(super) fn providers<'a>(filter: &Filter<'a>) -> impl Iterator<Item = (&'a str, &'a Node)> {
    let providers = filter.get("providers").map(Node::members).unwrap_or_default();
    providers.iter().map(|member| (&*member.name, &member.value))
}

/// Whether something is written under the first name of a path in a namespace.
pub(super) fn member(filter: &Filter<'_>, namespace: &str, name: &str) -> Answer {
    match filter.what() {
        "jwt_authn" if namespace == JWT_AUTHN => jwt_members(filter).contains(&name).into(),
        "set_metadata" => {
            let entries = filter.list("metadata").iter();
            let mut entries = entries.filter(|entry| entry.text_at(&["metadata_namespace"]) == Some(namespace));
            entries.any(|entry| entry.at(&["value", name]).is_some() || entry.get("typed_value").is_some()).into()
        }
        _ => metadata(filter, namespace),
    }
}

/// Whether the filter puts something into filter state under this key.
pub(super) fn filter_state(filter: &Filter<'_>, key: &str) -> Answer {
    match filter.what() {
        "set_filter_state" => state_entries(filter).any(|entry| entry.text_at(&["object_key"]) == Some(key)).into(),
        "jwt_authn" | "ext_authz" | "lua" | "set_metadata" | "header_to_metadata" | "json_to_metadata"
        | "basic_auth" | "api_key_auth" | "header_mutation" => Answer::No,
        what if SILENT.contains(&what) => Answer::No,
        _ => Answer::Maybe,
    }
}

pub(super) fn state_entries<'a>(filter: &Filter<'a>) -> impl Iterator<Item = &'a Node> {
    filter.list("on_request_headers").iter()
}

/// Whether the filter sets a request header.
pub(super) fn header(filter: &Filter<'_>, name: &str) -> Answer {
    let is_it = |node: &Node| node.text().is_some_and(|text| text.eq_ignore_ascii_case(name));
    match filter.what() {
        "jwt_authn" => providers(filter)
            .any(|(_, provider)| {
                let claims = provider.list("claim_to_headers").iter().filter_map(|claim| claim.get("header_name"));
                claims.chain(provider.get("forward_payload_header")).any(is_it)
            })
            .into(),
        "ext_authz" => match filter.get("http_service") {
            Some(service) => {
                let patterns = service.at(&["authorization_response", "allowed_upstream_headers"]);
                let patterns = patterns.map(|patterns| patterns.list("patterns")).unwrap_or_default();
                patterns.iter().any(|pattern| matcher::string(pattern, name) != Answer::No).into()
            }
            None => Answer::Maybe,
        },
        "basic_auth" => filter.get("forward_username_header").is_some_and(is_it).into(),
        "api_key_auth" => filter.config.and_then(|it| it.at(&["forwarding", "header"])).is_some_and(is_it).into(),
        "header_mutation" | "lua" => mentions(filter, name),
        "set_metadata" | "set_filter_state" | "header_to_metadata" | "json_to_metadata" => Answer::No,
        what if SILENT.contains(&what) => Answer::No,
        _ => Answer::Maybe,
    }
}

/// Whether the configuration has the text somewhere.
fn mentions(filter: &Filter<'_>, text: &str) -> Answer {
    let mut found = false;
    let text = text.to_ascii_lowercase();
    let Some(config) = filter.config else { return Answer::Maybe };
    config.each(&mut |node| found |= node.text().is_some_and(|it| it.to_ascii_lowercase().contains(&text)));
    found.into()
}
