//! The key file, served to the Wasm module on a listener that nothing outside the process reaches.

use serde_json::{Value as Json, json};

use super::super::listen;
use super::set;

pub(super) fn internal_listeners() -> Json {
    json!({
        "name": "envoy.bootstrap.internal_listener",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
    })
}

pub(super) fn listener(key_file: &str) -> Json {
    let directory = key_file.rsplit_once('/').map_or("/", |(directory, _)| directory);
    let body = json!({"filename": key_file, "watched_directory": {"path": directory}});
    let mut manager = listen::manager();
    set(&mut manager, "stat_prefix", Some("signing_key".into()));
    set(&mut manager, "http_filters", Some(json!([listen::router()])));
    set(
        &mut manager,
        "route_config",
        Some(json!({
            "name": "signing_key",
            "max_direct_response_body_size_bytes": 65536,
            "virtual_hosts": [{
                "name": "signing_key",
                "domains": ["signing-key"],
                "routes": [{"match": {"path": key_file}, "direct_response": {"status": 200, "body": body}}],
            }],
        })),
    );
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    json!({
        "//": "The signing key: the file must exist when Envoy starts; one that replaces it by a rename is noticed.",
        "name": "signing_key",
        "internal_listener": {},
        "filter_chains": [{"filters": [filter]}],
    })
}

pub(super) fn cluster() -> Json {
    let address = json!({"envoy_internal_address": {"server_listener_name": "signing_key"}});
    json!({
        "name": "signing_key",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "signing_key",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    })
}
