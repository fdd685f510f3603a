//! Envoy's configuration for a variant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::filters::{FILTERS, discovered, filter, identity_filters, named};
use crate::keys::Keys;
use crate::variant::Variant;

/// What the configurations of all variants refer to.
pub(crate) struct Parts<'a> {
    pub(crate) keys: &'a Keys,
    /// The Wasm module.
    pub(crate) module: PathBuf,
    /// The native module; Envoy looks for it by name in its directory.
    pub(crate) native: PathBuf,
    pub(crate) probe: PathBuf,
    pub(crate) upstream: SocketAddr,
}

/// Where the service listens, if the variant has one.
pub(crate) enum Service {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// The whole of it. The attestation filter is discovered from a file if one is given.
pub(crate) fn bootstrap(
    variant: &Variant,
    parts: &Parts,
    service: Option<&Service>,
    discovery: Option<&Path>,
) -> Value {
    let mut filters = identity_filters(variant);
    match discovery {
        Some(path) => filters.push(discovered(variant, path)),
        None => filters.extend(filter(variant, parts)),
    }
    filters.push(named("envoy.filters.http.router", json!({"@type": format!("{FILTERS}.http.router.v3.Router")})));
    let mut clusters = vec![cluster("upstream", &tcp(parts.upstream))];
    clusters.extend(service.map(service_cluster));
    json!({
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": tcp(SocketAddr::from(([127, 0, 0, 1], 0)))},
        "static_resources": {"listeners": [listener(variant, &filters)], "clusters": clusters},
    })
}

fn listener(variant: &Variant, filters: &[Value]) -> Value {
    let mut route = json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}});
    if variant.route_metadata {
        route["metadata"] = json!({"filter_metadata": {"attestation": {"audience": "app"}}});
    }
    let mut manager = json!({
        "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    });
    if variant.early_removal {
        manager["early_header_mutation_extensions"] = json!([early_removal()]);
    }
    json!({
        "name": "bench",
        "address": tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
        // The same number of connections for each worker.
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [{"filters": [named("envoy.filters.network.http_connection_manager", manager)]}],
    })
}

/// As in the shipped configurations.
fn early_removal() -> Value {
    let removal = |regex: &str| json!({"remove_on_match": {"key_matcher": {"safe_regex": {"regex": regex}}}});
    named(
        "envoy.http.early_header_mutation.header_mutation",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [
                removal("x[-_.]pomerium[-_.]jwt[-_.]assertion"),
                removal("x[-_.]pomerium[-_.]claim[-_.].*"),
            ],
        }),
    )
}

fn service_cluster(service: &Service) -> Value {
    let mut cluster = match service {
        Service::Tcp(address) => cluster("authz", &tcp(*address)),
        Service::Unix(path) => cluster("authz", &json!({"pipe": {"path": path}})),
    };
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        },
    });
    cluster
}

fn cluster(name: &str, address: &Value) -> Value {
    json!({
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}

fn tcp(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
