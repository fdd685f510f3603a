//! The pieces of an Envoy configuration: listeners, clusters, the HTTP filter chain.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::bootstrap::Bootstrap;
use super::host::Host;

const HTTP_CONNECTION_MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The listener that clients connect to.
pub fn public(bootstrap: &Bootstrap, filter: Value, port: u16) -> Value {
    let mut filters = bootstrap.host.filters(&bootstrap.filters, &bootstrap.configuration.settings());
    filters.push(filter);
    let everything = json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}});
    let routes = bootstrap.routes.iter().cloned().chain([everything]);
    let routes = routes.map(|route| bootstrap.host.route(route)).collect();
    let mut chain = json!({"filters": [http(bootstrap.http.clone(), filters, routes)]});
    if let Some(transport_socket) = &bootstrap.transport_socket {
        chain["transport_socket"] = transport_socket.clone();
    }
    json!({
        "name": "public",
        "address": loopback(port),
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [chain],
    })
}

/// The internal listener that answers with the key file where the route matches.
pub fn signing_key(path: &Path, route_match: &Value) -> Value {
    let body = json!({"filename": path, "watched_directory": {"path": path.parent()}});
    let answer = json!({
        "match": route_match,
        "direct_response": {"status": 200, "body": body},
    });
    json!({
        "name": "signing_key",
        "internal_listener": {},
        "filter_chains": [{"filters": [{
            "name": "http",
            "typed_config": {
                "@type": HTTP_CONNECTION_MANAGER,
                "stat_prefix": "signing_key",
                "route_config": {
                    "max_direct_response_body_size_bytes": 65536,
                    "virtual_hosts": [{"name": "signing_key", "domains": ["*"], "routes": [answer]}],
                },
                "http_filters": [router()],
            },
        }]}],
    })
}

/// The cluster that leads to [`signing_key`].
pub fn signing_key_cluster() -> Value {
    cluster("signing_key", &json!({"envoy_internal_address": {"server_listener_name": "signing_key"}}))
}

/// The cluster of the recording upstream.
pub fn upstream_cluster(address: SocketAddr) -> Value {
    let mut cluster = cluster("upstream", &loopback(address.port()));
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
        },
    });
    cluster
}

/// The extension without which there are no internal listeners.
pub fn internal_listeners() -> Value {
    json!({
        "name": "envoy.bootstrap.internal_listener",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
        },
    })
}

/// The filter, to be had from there.
pub fn discovered_filter(host: Host, mut source: Value) -> Value {
    source["resource_api_version"] = "V3".into();
    json!({
        "name": "attestation",
        "config_discovery": {
            "config_source": source,
            "type_urls": [host.filter_type()],
        },
    })
}

/// A watched file as a source of configuration.
pub fn watched_file(path: &Path) -> Value {
    json!({"path_config_source": {"path": path, "watched_directory": {"path": path.parent()}}})
}

/// A server of gRPC, named by its cluster, as a source of configuration. Envoy waits for it as long as it takes.
pub fn grpc_source(cluster: &str) -> Value {
    let retry_policy = json!({"retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}});
    json!({
        "initial_fetch_timeout": "0s",
        "api_config_source": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": cluster, "retry_policy": retry_policy}}],
        },
    })
}

/// An address on the loopback interface; port 0 lets the kernel choose.
pub fn loopback(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn http(fields: Value, mut filters: Vec<Value>, routes: Vec<Value>) -> Value {
    filters.push(router());
    let mut config = json!({
        "@type": HTTP_CONNECTION_MANAGER,
        "stat_prefix": "public",
        "http_protocol_options": {"enable_trailers": true, "accept_http_10": true},
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
        },
        "http_filters": filters,
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
        config[name] = value.clone();
    }
    json!({"name": "http", "typed_config": config})
}

/// A cluster of one endpoint.
pub fn cluster(name: &str, address: &Value) -> Value {
    json!({
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}

/// A cluster of one endpoint on the loopback interface that speaks HTTP/2, as gRPC needs it.
pub fn http2_cluster(name: &str, port: u16) -> Value {
    let mut cluster = cluster(name, &loopback(port));
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        },
    });
    cluster
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    })
}
