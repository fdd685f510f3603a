//! The whole of Envoy's configuration, in the shape of those in `envoy/`.

mod early;
mod filters;
mod key;

use serde_json::{Value as Json, json};

use super::access::Access;
use super::left::{Kind, Lefts};
use super::listen;
use super::options::{Front, Options, SIGN_OUT};
use super::route::{self, Routed};
use super::target::set;
use super::url::Url;
use super::{Host, claims, duration, headers};
use crate::check::node::Node;

const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";
const OAUTH2: &str = "envoy.filters.http.oauth2";
const RBAC: &str = "envoy.filters.http.rbac";
/// The paths that apps fetch without a login.
const KEYSET: &str = r"/\.well-known/pomerium(/|/jwks\.json)?";

/// What Pomerium adds to each answer unless it is told otherwise.
const ANSWERS: [(&str, &str); 3] = [
    ("x-frame-options", "SAMEORIGIN"),
    ("x-xss-protection", "1; mode=block"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
];

/// The bootstrap.
pub(super) fn bootstrap(options: &Options, node: &Node, routes: &[&Node], lefts: &mut Lefts) -> Json {
    let settings = claims::settings(options, node, lefts);
    let routed = write(options, node, routes, lefts);
    let manager = manager(options, node, &settings, &routed, lefts);
    let mut listeners = vec![listen::ingress(node, manager, lefts)];
    listeners.extend(listen::redirect(node, lefts));
    let mut clusters: Vec<Json> = routed.iter().filter_map(|routed| routed.cluster.clone()).collect();
    clusters.extend(options.provider.clusters(options.is_login(), &options.trusted_ca));
    let mut bootstrap = json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}},
        "overload_manager": {"resource_monitors": [{
            "//": "Without a limit Envoy warns at every start.",
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": 10_000,
            },
        }]},
    });
    let mut resources = json!({});
    if options.is_login() {
        set(&mut resources, "secrets", Some(filters::secrets(options, node, &origins(&routed), lefts)));
    }
    if options.host == Host::Wasm {
        listeners.push(key::listener(&options.key_file));
        clusters.push(key::cluster());
        set(&mut bootstrap, "bootstrap_extensions", Some(json!([key::internal_listeners()])));
    }
    set(&mut resources, "listeners", Some(listeners.into()));
    set(&mut resources, "clusters", Some(clusters.into()));
    set(&mut bootstrap, "static_resources", Some(resources));
    bootstrap
}

/// Every route. Envoy's virtual hosts have no port here: a route whose host has another one already is left out, since
/// its requests would get the policy of the other.
fn write(options: &Options, node: &Node, routes: &[&Node], lefts: &mut Lefts) -> Vec<Routed> {
    let mut all: Vec<Routed> = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        let Some(routed) = route::write(route, number, options, node, lefts) else { continue };
        if all.iter().any(|other| other.domain == routed.domain && other.origin != routed.origin) {
            let reason = "a route before has this host with another scheme or port: the route is left out";
            let place = &route.get("from").unwrap_or(route).place;
            lefts.add(Kind::Closed, place, reason, "a host of its own, or a listener of its own for the port");
        } else {
            all.push(routed);
        }
    }
    all
}

/// The hosts of the routes.
fn hosts(routed: &[Routed]) -> Vec<&str> {
    once(routed.iter().map(|routed| routed.domain.as_str()))
}

/// Where browsers ask for the routes.
fn origins(routed: &[Routed]) -> Vec<&str> {
    once(routed.iter().map(|routed| routed.origin.as_str()))
}

/// Each once, in their order.
fn once<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for each in all {
        if !seen.contains(&each) {
            seen.push(each);
        }
    }
    seen
}

fn manager(options: &Options, node: &Node, settings: &Json, routed: &[Routed], lefts: &mut Lefts) -> Json {
    let virtual_hosts: Vec<_> = hosts(routed).into_iter().map(|host| virtual_host(host, routed, options)).collect();
    let mut routes = json!({
        "name": "ingress",
        "//": "app.example.com:8443 is the host app.example.com.",
        "ignore_port_in_host_matching": true,
        "virtual_hosts": virtual_hosts,
    });
    set(&mut routes, "response_headers_to_add", answers(node));
    let mut manager = listen::manager();
    for (name, value) in [
        ("stat_prefix", "ingress".into()),
        ("use_remote_address", true.into()),
        ("normalize_path", true.into()),
        ("merge_slashes", true.into()),
        ("path_with_escaped_slashes_action", "REJECT_REQUEST".into()),
        ("early_header_mutation_extensions", early::removal(&claims::headers(node), options.id_token_header())),
        ("http_filters", filters::chain(options, node, settings)),
        ("route_config", routes),
    ] {
        set(&mut manager, name, Some(value));
    }
    set(&mut manager, "xff_num_trusted_hops", node.get("xff_num_trusted_hops").and_then(Node::number).map(Json::from));
    set(&mut manager, "skip_xff_append", node.is_true("skip_xff_append").then_some(Json::Bool(true)));
    let idle = node.text_at(&["timeout_idle"]).and_then(duration::seconds);
    let idle = idle.map(|idle| json!({ "idle_timeout": idle }));
    set(&mut manager, "common_http_protocol_options", idle);
    if let Some(place) = node.get("insecure_server").filter(|_| node.is_true("insecure_server")) {
        let reason = "Envoy listens without TLS";
        let cure =
            "let nothing but your own load balancer reach it, and xff_num_trusted_hops say how many are in front";
        lefts.add(Kind::Differs, &place.place, reason, cure);
    }
    manager
}

fn answers(node: &Node) -> Option<Json> {
    let headers = match node.get("set_response_headers") {
        Some(map) if map.get("disable").is_some() => Vec::new(),
        Some(map) => headers::constants(Some(map)),
        None => ANSWERS.map(|(name, value)| headers::option(name, value)).to_vec(),
    };
    (!headers.is_empty()).then(|| headers.into())
}

fn virtual_host(host: &str, routed: &[Routed], options: &Options) -> Json {
    let mut routes = vec![keyset(options)];
    if let Front::Login { callback, .. } = &options.front {
        let paths = [("callback", callback.as_str()), ("sign-out", SIGN_OUT)];
        routes.extend(paths.map(|(name, path)| reserved(name, &json!({ "path": path }))));
    }
    let own = routed.iter().filter(|routed| routed.domain == host);
    routes.extend(own.flat_map(|routed| routed.routes.clone()));
    json!({"name": host, "domains": [host], "routes": routes})
}

fn keyset(options: &Options) -> Json {
    let mut route = reserved("keyset", &json!({"safe_regex": {"regex": KEYSET}}));
    configure(&mut route, &json!({}), Access::Public.rbac(), true, options);
    route
}

/// A path that a filter answers before a route can.
fn reserved(name: &str, by: &Json) -> Json {
    json!({"name": name, "match": by, "direct_response": {"status": 404}})
}

/// What a route says to the filters.
pub(super) fn configure(route: &mut Json, settings: &Json, rbac: Option<Json>, is_public: bool, options: &Options) {
    let mut filters = json!({});
    set(&mut filters, RBAC, rbac);
    if is_public {
        let per_route = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig";
        let jwt_authn = match options.front {
            Front::Login { .. } => json!({"@type": per_route, "disabled": true}),
            Front::Bearer => json!({"@type": per_route, "requirement_name": filters::OPTIONAL}),
        };
        set(&mut filters, JWT_AUTHN, Some(jwt_authn));
        let off = json!({
            "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true, "config": {},
        });
        set(&mut filters, OAUTH2, options.is_login().then_some(off));
    }
    if let Some((name, value)) = route::settings(route, settings, options) {
        set(&mut filters, name, Some(value));
    }
    if filters.as_object().is_some_and(|filters| !filters.is_empty()) {
        set(route, "typed_per_filter_config", Some(filters));
    }
}

/// The scheme of the first route: what a browser sees in front of all of them.
fn scheme(node: &Node) -> &'static str {
    let first = super::options::routes(node).into_iter().find_map(|route| Url::parse(route.text_at(&["from"])?));
    if first.is_some_and(|url| url.scheme == "http") { "http" } else { "https" }
}
