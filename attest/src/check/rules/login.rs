//! Whether those who verify can fetch the keyset without a login, and nobody else passes with them.

use attestation_filter::http::endpoint::OTHER_PATHS;

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::filter::Filter;
use super::super::finding::Findings;
use super::super::matcher::{self, Answer};
use super::super::node::Node;

pub(super) fn keyset(context: &Context<'_>, found: &mut Findings) {
    let (ours, Ok(config)) = (context.ours, &context.ours.config) else { return };
    if ours.chain.is_upstream {
        return;
    }
    let discovery = OTHER_PATHS.first().copied().unwrap_or_default();
    for filter in ours.before().iter().filter(|filter| !filter.is_conditional && !filter.entry.is_true("disabled")) {
        let asks = |path: &str| asks(context, filter, path);
        let behind: Vec<_> = [config.jwks_path.as_str(), discovery].into_iter().filter(|path| asks(path)).collect();
        if !behind.is_empty() {
            let message = format!("{} asks for a login at {}", filter.name, behind.join(" and "));
            found.add(Id::KeysetBehindLogin, filter.entry, message, cure(filter, &behind));
        }
        // What nobody meant to exempt, and begins like what is.
        let open = ["/.well-known/pomerium-admin", "/.well-known/pomerium%2f..%2f..%2fadmin"];
        let like: Vec<_> = open.into_iter().filter(|path| !asks(path)).collect();
        if !like.is_empty() && asks("/") && asks("/.well-known/other") {
            let message = format!("{} lets {} pass", filter.name, like.join(" and "));
            let paths = [config.jwks_path.as_str(), discovery];
            found.add(Id::ExemptByPrefix, filter.entry, message, cure(filter, &paths));
        }
    }
}

fn cure(filter: &Filter<'_>, paths: &[&str]) -> String {
    let lines = |line: &dyn Fn(&str) -> String| paths.iter().map(|path| line(path)).collect::<Vec<_>>().join("\n");
    match filter.what() {
        "jwt_authn" => format!("first under rules:\n{}", lines(&|path| format!("- match: {{path: {path}}}"))),
        "oauth2" => format!(
            "under pass_through_matcher:\n{}",
            lines(&|path| format!(
                "- {{name: \":path\", string_match: {{safe_regex: {{regex: \"{}(\\\\?.*)?\"}}}}}}",
                path.replace('.', "\\\\.")
            ))
        ),
        _ => format!(
            "first under routes, for each of them with the filter off:\n{}",
            lines(&|path| format!(
                "- match: {{path: {path}}}\n  direct_response: {{status: 404}}\n  typed_per_filter_config: {{{}: \
                 {{\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true, config: {{}}}}}}",
                filter.name
            ))
        ),
    }
}

/// Whether the filter asks for a login at this path.
fn asks(context: &Context<'_>, filter: &Filter<'_>, path: &str) -> bool {
    let routes = context.ours.chain.routes.iter();
    let overrides: Vec<_> = routes.flat_map(|routes| routes.overrides(path, filter.name)).collect();
    if overrides.iter().any(|it| it.is_off() && it.route.is_some()) {
        return false;
    }
    match filter.what() {
        "jwt_authn" => jwt_authn(filter, path),
        "ext_authz" => !["filter_enabled", "filter_enabled_metadata"].iter().any(|name| filter.get(name).is_some()),
        "oauth2" => oauth2(filter, path),
        "basic_auth" | "api_key_auth" => true,
        _ => false,
    }
}

/// The first rule that matches decides.
fn jwt_authn(filter: &Filter<'_>, path: &str) -> bool {
    for rule in filter.list("rules") {
        match rule.get("match").map_or(Answer::No, |by| matcher::route(by, path)) {
            Answer::Yes => {
                let named = rule.text_at(&["requirement_name"]);
                let map = filter.get("requirement_map");
                let requirement = rule.get("requires").or_else(|| map.and_then(|map| map.get(named?)));
                return requirement.is_some_and(requires);
            }
            Answer::Maybe => return false,
            Answer::No => {}
        }
    }
    false
}

/// Whether a request without a token is refused.
fn requires(requirement: &Node) -> bool {
    if requirement.get("allow_missing").is_some() || requirement.get("allow_missing_or_failed").is_some() {
        return false;
    }
    if let Some(any) = requirement.get("requires_any") {
        return any.list("requirements").iter().all(requires);
    }
    match requirement.get("requires_all") {
        Some(all) => all.list("requirements").iter().any(requires),
        None => !requirement.members().is_empty(),
    }
}

fn oauth2(filter: &Filter<'_>, path: &str) -> bool {
    let matchers = filter.config.and_then(|config| config.at(&["config", "pass_through_matcher"]));
    let mut by_path = matchers.map(Node::items).unwrap_or_default().iter();
    !by_path.any(|by| by.text_at(&["name"]) == Some(":path") && matcher::header(by, path) != Answer::No)
}
