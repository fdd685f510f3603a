//! What Envoy Gateway makes of its manifests.

use serde_json::{Value, json};

use harness::filters::lua;

use super::{MANAGER, check_gateway, gateway, manifest, merge, named_manifest, wasm};

#[test]
fn an_envoy_gateway_policy_signs_for_the_user() {
    for file in ["envoy-gateway/policy.yaml", "envoy-gateway/policy-http.yaml"] {
        check_gateway(envoy_gateway(file));
    }
}

/// What Envoy Gateway makes of its manifests: each policy's filters are in the chain, switched on by the routes that have
/// it, Lua before Wasm.
pub(super) fn envoy_gateway(file: &str) -> Value {
    let mut config = gateway(vec![]);
    let manager = config.pointer_mut(MANAGER).unwrap();
    let filters = manager["typed_config"]["http_filters"].as_array_mut().unwrap();
    let mut switched_on = Vec::new();
    for policy in ["attestation", "attestation-public"] {
        let spec = named_manifest(file, "EnvoyExtensionPolicy", policy)["spec"].clone();
        let plugin = &spec["wasm"][0];
        let name = format!("wasm/{policy}");
        let module = wasm(&name, &plugin["config"], plugin["env"]["hostKeys"][0].as_str().unwrap());
        switched_on.push(insert(filters, scripts(policy, &spec).chain([module])));
    }
    // The public route comes first.
    let routes = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
    for route in routes.iter_mut() {
        route["typed_per_filter_config"] = switched_on[usize::from(route["name"] == "healthz")].clone();
    }
    merge(manager, envoy_gateway_listener(&manifest("envoy-gateway/gateway.yaml", "ClientTrafficPolicy")));
    config
}

/// The Lua filters of a policy, which come before its modules.
pub(super) fn scripts(policy: &str, spec: &Value) -> impl Iterator<Item = Value> {
    let scripts = spec["lua"].as_array().unwrap().iter().enumerate();
    scripts.map(move |(place, script)| {
        let mut filter = lua(script["inline"].as_str().unwrap());
        filter["name"] = format!("lua/{policy}/{place}").into();
        filter
    })
}

/// Puts filters before the router. They are off; returns what switches them on for a route.
pub(super) fn insert(filters: &mut Vec<Value>, new: impl Iterator<Item = Value>) -> Value {
    let mut switched_on = json!({});
    for mut filter in new {
        let on = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}});
        switched_on[filter["name"].as_str().unwrap()] = on;
        filter["disabled"] = true.into();
        filters.insert(filters.len() - 1, filter);
    }
    switched_on
}

/// What Envoy Gateway makes of a `ClientTrafficPolicy`, for the connection manager.
pub(super) fn envoy_gateway_listener(policy: &Value) -> Value {
    let matchers = policy["spec"]["headers"]["earlyRequestHeaders"]["removeOnMatch"].as_array().unwrap();
    let mutations: Vec<Value> = matchers
        .iter()
        .map(|matcher| json!({"remove_on_match": {"key_matcher": {"safe_regex": {"regex": matcher["value"]}}}}))
        .collect();
    assert_eq!(policy["spec"]["path"]["escapedSlashesAction"], "RejectRequest");
    json!({"typed_config": {
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "early_header_mutation_extensions": [{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                "mutations": mutations,
            },
        }],
    }})
}
