//! Routes that are chosen by a header which the filter strips or sets.

use attestation_filter::http::header_name::OwnHeaders;

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::{Finding, Findings, Severity};
use super::super::node::{Node, last_part};
use super::super::routes::Routes;

pub(super) fn matched(context: &Context<'_>, found: &mut Findings) {
    let (ours, Ok(config)) = (context.ours, &context.ours.config) else { return };
    let set = config.claims.headers.iter().map(|claim| &claim.header);
    let own = OwnHeaders::new(std::iter::once(&config.assertion_header).chain(set).cloned().collect());
    let scopes = scope_keys(ours.chain.manager);
    let names = scopes.chain(ours.chain.routes.iter().flat_map(|routes| route_keys(*routes)));
    for node in names {
        let Some(name) = node.text().filter(|name| own.include(name.as_bytes())) else { continue };
        let message = format!("a route is chosen by {name}, and the filter strips or sets that header");
        let cure = "a header with another name, which a filter before ours sets and early_header_mutation_extensions \
                    remove; or a path, or a domain";
        let finding = Finding::new(Id::OwnHeaderMatched, &node.place, message, cure);
        // The native module has Envoy choose no route anew.
        found.push(if ours.is_wasm() { finding } else { finding.at_most(Severity::Warning) });
    }
}

/// The headers that choose a scope.
fn scope_keys(manager: &Node) -> impl Iterator<Item = &Node> {
    let fragments = manager.at(&["scoped_routes", "scope_key_builder"]).map(|builder| builder.list("fragments"));
    fragments.into_iter().flatten().filter_map(|fragment| fragment.at(&["header_value_extractor", "name"]))
}

/// The headers that choose a virtual host, or a route in it.
fn route_keys(routes: Routes<'_>) -> Vec<&Node> {
    let mut names: Vec<_> = routes.0.get("vhost_header").into_iter().collect();
    for host in routes.hosts() {
        names.extend(host.list("routes").iter().flat_map(matchers));
        host.get("matcher").into_iter().for_each(|tree| {
            tree.each(&mut |node| {
                let is_input = last_part(node.kind()) == "HttpRequestHeaderMatchInput";
                names.extend(matchers(node).chain(node.get("header_name").filter(|_| is_input)));
            });
        });
    }
    names
}

/// The headers that a route matches on.
fn matchers(route: &Node) -> impl Iterator<Item = &Node> {
    let by = route.get("match").map(|by| by.list("headers")).unwrap_or_default();
    by.iter().filter_map(|header| header.get("name"))
}
