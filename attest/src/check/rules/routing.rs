//! Paths, domains and routes: whose settings a request gets, and for whom it is signed.

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::filter::Filter;
use super::super::finding::{Finding, Findings, Severity};
use super::super::node::Node;
use super::super::routes::Routes;
use super::key::trusts_demo;
use super::writers;

/// An empty one of these, right before the Wasm filter, asks for the route.
const RESOLVES: [&str; 6] = ["cors", "rbac", "header_mutation", "fault", "lua", "set_metadata"];

/// A Wasm filter sees the route that was resolved last, and never asks for it itself.
pub(super) fn resolved(context: &Context<'_>, found: &mut Findings) {
    let ours = context.ours;
    if !ours.is_wasm() || ours.chain.is_upstream {
        return;
    }
    let is_resolver = |filter: &Filter<'_>| RESOLVES.contains(&filter.what()) && !filter.is_conditional;
    if ours.before().last().is_some_and(is_resolver) {
        return;
    }
    let Some(changes) = ours.before().iter().find(|filter| may_change_route(filter)) else { return };
    let message =
        format!("{} can have the route chosen anew, and no filter right before ours asks for it", changes.name);
    let cure = "- name: resolve-route\n  typed_config:\n    \"@type\": \
                type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\n    default_source_code:\n      inline_string: \
                |\n        function envoy_on_request(handle)\n          handle:clearRouteCache()\n          \
                handle:metadata()\n        end";
    let finding = Finding::new(Id::RouteNotResolved, &ours.filter.entry.place, message, cure);
    let routes = &ours.chain.routes;
    let is_set = |route: &Node| route.at(&["metadata", "filter_metadata", "attestation"]).is_some();
    let has_settings = routes.is_empty() || routes.iter().flat_map(Routes::all).any(|(_, route)| is_set(route));
    found.push(if has_settings { finding } else { finding.at_most(Severity::Note) });
}

fn may_change_route(filter: &Filter<'_>) -> bool {
    match filter.what() {
        "jwt_authn" => writers::providers(filter).any(|(_, provider)| provider.is_true("clear_route_cache")),
        "ext_authz" => filter.config.is_some_and(|config| config.is_true("clear_route_cache")),
        "lua" | "header_mutation" | "wasm" | "ext_proc" | "golang" | "dynamic_modules" | "set_metadata" => true,
        _ => false,
    }
}

pub(super) fn paths(context: &Context<'_>, found: &mut Findings) {
    let chain = context.ours.chain;
    if chain.is_upstream {
        return;
    }
    let manager = chain.manager;
    let action = manager.text_at(&["path_with_escaped_slashes_action"]);
    let is_settled = action
        .is_some_and(|action| ["REJECT_REQUEST", "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"].contains(&action));
    let mut missing = Vec::new();
    for (name, is_there) in [
        ("normalize_path: true", manager.is_true("normalize_path")),
        ("merge_slashes: true", manager.is_true("merge_slashes")),
        ("path_with_escaped_slashes_action: REJECT_REQUEST", is_settled),
    ] {
        missing.extend((!is_there).then_some(name));
    }
    if !missing.is_empty() {
        let message = format!("without {}", missing.join(", "));
        found.add(Id::PathsNotSettled, manager, message, missing.join("\n"));
    }
}

pub(super) fn domains(context: &Context<'_>, found: &mut Findings) {
    context.ours.chain.routes.iter().for_each(|routes| domains_of(context, *routes, found));
}

fn domains_of(context: &Context<'_>, routes: Routes<'_>, found: &mut Findings) {
    let (ours, Ok(config)) = (context.ours, &context.ours.config) else { return };
    let strips = ours.chain.manager.is_true("strip_any_host_port");
    let wildcard = routes.hosts().iter().find(|host| has_domain(host, "*"));
    for host in routes.hosts() {
        if has_domain(host, "*") && config.settings.audience.is_none() && any_route_signs(host) {
            let cure = "domains: [app.example.com, \"app.example.com:*\"], or audience: the name of the app";
            let message = format!("the virtual host {:?} answers every Host, and `aud` is that Host", name(host));
            let finding = Finding::new(Id::WildcardAudience, &host.place, message, cure);
            found.push(if trusts_demo(ours) { finding.at_most(Severity::Note) } else { finding });
        }
        for domain in host.list("domains").iter().filter(|_| !strips && wildcard.is_some()) {
            let Some(text) = domain.text().filter(|text| !text.contains('*') && !text.contains(':')) else { continue };
            if !has_domain(host, &format!("{text}:*")) {
                let message = format!("{text:?} is here, and \"{text}:*\" is not");
                found.add(Id::PortFallsThrough, domain, message, format!("domains: [{text}, \"{text}:*\"]"));
            }
        }
    }
}

fn has_domain(host: &Node, domain: &str) -> bool {
    host.list("domains").iter().any(|it| it.text() == Some(domain))
}

fn name(host: &Node) -> &str {
    host.text_at(&["name"]).unwrap_or_default()
}

/// Whether a route goes to an upstream with an audience that the client chose.
fn any_route_signs(host: &Node) -> bool {
    host.list("routes").iter().any(|route| {
        let settings = route.at(&["metadata", "filter_metadata", "attestation"]);
        let goes_on = route.get("route").is_some();
        goes_on && settings.is_none_or(|settings| settings.get("audience").is_none())
    })
}

/// A client that names the key's cluster must not get there with the key's host.
pub(super) fn settings(context: &Context<'_>, found: &mut Findings) {
    let (ours, Ok(config)) = (context.ours, &context.ours.config) else { return };
    let attestation_filter::keys::feed::KeySource::File(file) = &config.key_source else { return };
    let cluster = file.cluster.as_str();
    ours.chain.routes.iter().filter(|_| ours.is_wasm()).for_each(|routes| by_header(*routes, cluster, found));
}

fn by_header(routes: Routes<'_>, cluster: &str, found: &mut Findings) {
    let guarded = routes.hosts().iter().any(|host| {
        has_domain(host, "signing-key") && host.list("routes").iter().all(|route| route.get("route").is_none())
    });
    for (host, route) in routes.all() {
        let named = route.at(&["route", "cluster_header"]);
        let takes_any = host.list("domains").iter().any(|it| it.text().is_some_and(takes_key_host));
        if let Some(node) = named.filter(|_| takes_any && !guarded) {
            let message = format!("a client that names {cluster} gets to the key's listener");
            let cure = "- name: signing-key\n  domains: [signing-key, \"signing-key:*\"]\n  routes:\n  - match: {prefix: \
                        /}\n    direct_response: {status: 404}";
            found.add(Id::KeyByClusterHeader, node, message, cure);
        }
    }
}

/// Whether a domain is the host of the key, or a pattern that it fits.
fn takes_key_host(domain: &str) -> bool {
    let fits = |name: &str| match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == domain,
    };
    fits("signing-key") || fits("signing-key:1")
}
