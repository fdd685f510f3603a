//! Envoy's configuration for a variant.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::identity;
use crate::keys::Keys;
use crate::variant::{Filter, Sends, Signer, Source, Variant};

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";
/// How long the signing input of the token with five groups is.
const SIGNING_INPUT: usize = 650;

/// What the configurations of all variants refer to.
pub(crate) struct Parts<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) module: PathBuf,
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
    let mut filters = Vec::new();
    if variant.source == Source::Metadata {
        filters.push(set_metadata(variant.groups));
    }
    match discovery {
        Some(path) => filters.push(discovered(path)),
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

/// In place of jwt_authn, which would check a signature in each variant: nothing that is measured depends on it.
fn set_metadata(groups: usize) -> Value {
    named(
        "envoy.filters.http.set_metadata",
        json!({
            "@type": format!("{FILTERS}.http.set_metadata.v3.Config"),
            "metadata": [{
                "metadata_namespace": identity::NAMESPACE,
                "value": {"payload": identity::payload(groups)},
            }],
        }),
    )
}

fn filter(variant: &Variant, parts: &Parts) -> Option<Value> {
    match variant.filter {
        Filter::None => None,
        Filter::EmptyWasm => Some(named("probe", wasm(&parts.probe, None))),
        Filter::SignOnly => Some(named(
            "probe",
            wasm(
                &parts.probe,
                Some(&json!({
                    "@type": "type.googleapis.com/google.protobuf.BytesValue",
                    "value": STANDARD.encode(parts.keys.sign_request(SIGNING_INPUT)),
                })),
            ),
        )),
        Filter::Attestation { .. } => Some(named("attestation", attestation(variant, parts, &parts.module))),
        Filter::ExtAuthz { sends, .. } => Some(ext_authz(sends)),
    }
}

/// The attestation filter, from this module.
pub(crate) fn attestation(variant: &Variant, parts: &Parts, module: &Path) -> Value {
    let mut settings = json!({"signing_key": parts.keys.pem(variant.keys)});
    if let Filter::Attestation { signer, reuse } = variant.filter {
        settings["signer"] = if signer == Signer::Host { "host" } else { "wasm" }.into();
        if reuse {
            settings["reuse"] = "60s".into();
        }
    }
    if variant.source == Source::Headers {
        settings["identity_sources"] = json!([identity::header_source()]);
    }
    wasm(module, Some(&json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": settings})))
}

fn wasm(module: &Path, configuration: Option<&Value>) -> Value {
    let mut config = json!({
        "name": "wasm",
        "failure_policy": "FAIL_RELOAD",
        "vm_config": {
            "vm_id": "bench",
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module}},
        },
    });
    if let Some(configuration) = configuration {
        config["configuration"] = configuration.clone();
    }
    json!({"@type": format!("{FILTERS}.http.wasm.v3.Wasm"), "config": config})
}

fn ext_authz(sends: Sends) -> Value {
    let mut config = json!({
        "@type": format!("{FILTERS}.http.ext_authz.v3.ExtAuthz"),
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"},
        "metadata_context_namespaces": [identity::NAMESPACE],
    });
    if sends == Sends::NoHeaders {
        // An empty list would mean all: this is one that no request has.
        config["allowed_headers"] = json!({"patterns": [{"exact": "x-none"}]});
    }
    named("envoy.filters.http.ext_authz", config)
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

fn discovered(path: &Path) -> Value {
    json!({
        "name": "attestation",
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {"path": path, "watched_directory": {"path": path.parent()}},
            },
            "type_urls": [format!("{FILTERS}.http.wasm.v3.Wasm")],
        },
    })
}

fn named(name: &str, typed_config: Value) -> Value {
    json!({"name": name, "typed_config": typed_config})
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
