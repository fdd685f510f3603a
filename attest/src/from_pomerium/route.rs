//! A route of Pomerium's as routes of Envoy's.

mod upstream;

use serde_json::{Value as Json, json};

use super::access::{Access, allows_preflight};
use super::left::{Kind, Lefts};
use super::options::Options;
use super::target::{Target, set};
use super::url::Url;
use super::{Host, claims, envoy, headers};
use crate::check::node::Node;

/// What a route becomes.
pub(super) struct Routed {
    /// The virtual host.
    pub(super) domain: String,
    /// Its scheme, host and port.
    pub(super) origin: String,
    pub(super) routes: Vec<Json>,
    pub(super) cluster: Option<Json>,
}

/// What to do with a request.
enum Action {
    Upstream { route: Json, cluster: Json },
    Answer { name: &'static str, answer: Json },
}

/// The routes for one of Pomerium's; none where it is not one of HTTP.
pub(super) fn write(node: &Node, number: usize, options: &Options, global: &Node, lefts: &mut Lefts) -> Option<Routed> {
    let from = from(node, lefts)?;
    let access = Access::of(node, options, lefts);
    let (added, has_assertion) = headers::set(node, options, lefts);
    let is_public = access == Access::Public;
    let settings = claims::of_route(node, has_assertion, is_public, lefts);
    let passes = node
        .get("pass_identity_headers")
        .map_or(options.pass_identity_headers, |_| node.is_true("pass_identity_headers"));
    if is_public && passes && options.is_login() {
        let reason = "a public route names nobody to the app, also whoever is signed in";
        lefts.add(Kind::Differs, &node.place, reason, "let the route have a login where the app must know who asks");
    }
    let mut removed = headers::removed(node, lefts);
    if has_assertion && !passes {
        let place = node.get("set_request_headers").unwrap_or(node);
        let reason =
            "the assertion is sent in x-pomerium-jwt-assertion as well, though pass_identity_headers is not set";
        lefts.add(Kind::Differs, &place.place, reason, "nothing, unless the app minds");
        removed.extend(claims::headers(global));
    }
    let name = format!("route-{number}");
    let (action, cluster) = match action(node, &name, options, lefts) {
        Action::Upstream { route, cluster } => (("route", route), Some(cluster)),
        Action::Answer { name, answer } => ((name, answer), None),
    };
    let mut route = json!({ "name": name, "match": matcher(node) });
    set(&mut route, action.0, Some(action.1));
    set(&mut route, "request_headers_to_add", some(added));
    set(&mut route, "request_headers_to_remove", some(removed));
    set(&mut route, "response_headers_to_add", some(headers::constants(node.get("set_response_headers"))));
    let preflight = allows_preflight(node).then(|| preflight(&route, options));
    envoy::configure(&mut route, &settings, access.rbac(), is_public, options);
    let routes = preflight.into_iter().chain([route]).collect();
    Some(Routed { origin: format!("{}://{}", from.scheme, from.authority()), domain: from.host, routes, cluster })
}

fn some(list: Vec<impl Into<Json>>) -> Option<Json> {
    (!list.is_empty()).then(|| list.into())
}

/// Where clients ask for it.
fn from(node: &Node, lefts: &mut Lefts) -> Option<Url> {
    let from = node.get("from").and_then(Node::text).unwrap_or_default();
    let place = &node.get("from").unwrap_or(node).place;
    let Some(url) = Url::parse(from) else {
        let cure = "write from as https://app.example.com, with the variables filled in";
        let reason = "from is no URL: the route is left out, and its host gets a wildcard's routes where there is one";
        lefts.add(Kind::Closed, place, reason, cure);
        return None;
    };
    if !["http", "https"].contains(&url.scheme.as_str()) {
        let reason = format!("a route of {} is left out", url.scheme);
        let cure = "Envoy's tcp_proxy or udp_proxy; there is no header there that could say who the user is";
        lefts.add(Kind::Closed, place, reason, cure);
        return None;
    }
    let rest = url.host.strip_prefix("*.").unwrap_or(&url.host);
    if rest.contains('*') {
        let reason = "Envoy has no such pattern of hosts: the route is left out, and its hosts get a wildcard's routes \
                      where there is one";
        lefts.add(Kind::Closed, place, reason, "a virtual host for each name, or *.example.com");
        return None;
    }
    Some(url)
}

fn matcher(node: &Node) -> Json {
    for (name, envoys) in [("path", "path"), ("prefix", "prefix")] {
        if let Some(text) = node.text_at(&[name]).filter(|_| node.text_at(&["regex"]).is_none()) {
            return json!({ envoys: text });
        }
    }
    match node.text_at(&["regex"]) {
        Some(regex) => json!({"safe_regex": {"regex": regex}}),
        None => json!({"prefix": "/"}),
    }
}

/// A CORS preflight of nobody goes on without an assertion.
fn preflight(route: &Json, options: &Options) -> Json {
    let mut route = route.clone();
    if let Some(by) = route.get_mut("match") {
        let method = json!({"name": ":method", "string_match": {"exact": "OPTIONS"}});
        let present = |name: &str| json!({"name": name, "present_match": true});
        let headers = json!([method, present("origin"), present("access-control-request-method")]);
        set(by, "headers", Some(headers));
    }
    let name = route.get("name").and_then(Json::as_str).map(|name| format!("{name}-preflight"));
    set(&mut route, "name", name.map(Json::from));
    let settings = json!({"on_missing_identity": "skip"});
    envoy::configure(&mut route, &settings, Access::Public.rbac(), true, options);
    route
}

fn action(node: &Node, name: &str, options: &Options, lefts: &mut Lefts) -> Action {
    if let Some(redirect) = node.get("redirect") {
        return Action::Answer { name: "redirect", answer: redirection(redirect) };
    }
    if let Some(response) = node.get("response") {
        let status = response.get("status").and_then(Node::number).unwrap_or(200);
        let mut answer = json!({ "status": status });
        set(&mut answer, "body", response.text_at(&["body"]).map(|body| json!({ "inline_string": body })));
        return Action::Answer { name: "direct_response", answer };
    }
    let target = match blocked(node) {
        Some(reason) => Err(reason),
        None => node
            .get("to")
            .ok_or_else(|| "it has neither to nor redirect nor response".to_owned())
            .and_then(Target::read),
    };
    match target {
        Ok(target) => {
            let cluster = target.cluster(name, node, options, lefts);
            Action::Upstream { route: upstream::action(node, name, &target, options, lefts), cluster }
        }
        Err(reason) => {
            let cure = "write this route of Envoy's by hand";
            let place = &node.get("to").unwrap_or(node).place;
            lefts.add(Kind::Closed, place, format!("the route answers 403: {reason}"), cure);
            let body = json!({"inline_string": "This route was not carried over.\n"});
            Action::Answer { name: "direct_response", answer: json!({"status": 403, "body": body}) }
        }
    }
}

/// Settings without which the upstream would get a request that it must not get.
fn blocked(node: &Node) -> Option<String> {
    let names = [
        "kubernetes_service_account_token",
        "kubernetes_service_account_token_file",
        "enable_google_cloud_serverless_authentication",
        "mcp",
        "tls_downstream_client_ca",
        "tls_downstream_client_ca_file",
        "upstream_tunnel",
    ];
    let name = names.iter().find(|name| node.get(name).is_some() && node.get(name).is_none_or(|it| !is_false(it)))?;
    Some(format!("{name} has no counterpart"))
}

fn is_false(node: &Node) -> bool {
    matches!(node.value, crate::check::node::Value::Bool(false))
}

fn redirection(redirect: &Node) -> Json {
    let mut answer = json!({});
    for name in [
        "https_redirect",
        "scheme_redirect",
        "host_redirect",
        "port_redirect",
        "path_redirect",
        "prefix_rewrite",
        "strip_query",
    ] {
        set(&mut answer, name, redirect.get(name).map(Node::json));
    }
    let code = match redirect.get("response_code").and_then(Node::number) {
        Some(302) => Some("FOUND"),
        Some(303) => Some("SEE_OTHER"),
        Some(307) => Some("TEMPORARY_REDIRECT"),
        Some(308) => Some("PERMANENT_REDIRECT"),
        _ => None,
    };
    set(&mut answer, "response_code", code.map(Json::from));
    answer
}

/// Where a route's settings for the filter are, in the module's own way.
pub(super) fn settings(route: &mut Json, settings: &Json, options: &Options) -> Option<(&'static str, Json)> {
    if settings.as_object().is_none_or(serde_json::Map::is_empty) {
        return None;
    }
    match options.host {
        Host::Wasm => {
            set(route, "metadata", Some(json!({"filter_metadata": {"attestation": settings}})));
            None
        }
        Host::Native => Some((
            "attestation",
            json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
                "dynamic_module_config": {"name": "attestation"},
                "filter_config": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": settings},
            }),
        )),
    }
}
