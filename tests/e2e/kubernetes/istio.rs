//! What Istio makes of its manifests.

use serde_json::{Value, json};

use harness::filters::lua;
use harness::keys::{B, KID_A, KID_B, pem};
use harness::{Bootstrap, Host, Shipped, eventually, only_on, paths};

use super::{MANAGER, check_gateway, gateway, manifest, merge, named_manifest, publishes, to_tenant, wasm};

#[test]
fn an_istio_plugin_signs_for_the_user_of_the_token() {
    if !only_on(Host::Wasm, "a WasmPlugin is for Wasm") {
        return;
    }
    let plugin = manifest("istio/wasmplugin.yaml", "WasmPlugin");
    let environment = &plugin["spec"]["vmConfig"]["env"];
    assert!(environment.as_array().unwrap().iter().all(|variable| variable["valueFrom"] == "HOST"), "{environment}");
    let name = format!("extensions.istio.io/wasmplugin/istio-ingress.{}", plugin["metadata"]["name"].as_str().unwrap());
    let filter = wasm(&name, &plugin["spec"]["pluginConfig"], environment[0]["name"].as_str().unwrap());
    let mut config = gateway(vec![filter]);
    patch(&mut config, &manifest("istio/wasmplugin.yaml", "EnvoyFilter"));
    check_gateway(config);
}

/// The one with the higher priority comes first.
#[test]
fn an_istio_extension_signs_for_the_user_of_the_token() {
    if !only_on(Host::Wasm, "a TrafficExtension is for Wasm") {
        return;
    }
    let file = "istio/trafficextension.yaml";
    let of = |name| named_manifest(file, "TrafficExtension", name)["spec"].clone();
    let (extension, resolver) = (of("attestation"), of("attestation-resolve-route"));
    assert!(resolver["priority"].as_i64() > extension["priority"].as_i64(), "the route is chosen before the filter");
    let plugin = &extension["wasm"];
    let variable = plugin["vmConfig"]["env"][0]["name"].as_str().unwrap();
    let filter = wasm("attestation", &plugin["pluginConfig"], variable);
    let mut config = gateway(vec![lua(resolver["lua"]["inlineCode"].as_str().unwrap()), filter]);
    patch(&mut config, &manifest(file, "EnvoyFilter"));
    check_gateway(config);
}

#[test]
fn an_istio_filter_signs_for_the_user_of_the_token() {
    let mut config = gateway(vec![]);
    patch(&mut config, &manifest("istio/envoyfilter.yaml", "EnvoyFilter"));
    discover(&mut config);
    check_gateway(config);
}

#[test]
fn the_key_file_of_the_istio_filter_is_served() {
    let mut config = gateway(vec![]);
    patch(&mut config, &manifest("istio/envoyfilter.yaml", "EnvoyFilter"));
    discover(&mut config);
    *config.pointer_mut(&format!("{MANAGER}/typed_config/http_filters/0")).unwrap() = to_tenant();
    let envoy = Bootstrap::shipped(Shipped::of(config)).start();
    eventually("the first key", || publishes(&envoy, KID_A).then_some(()));
    envoy.replace_key_file(pem(B));
    eventually("the other key", || publishes(&envoy, KID_B).then_some(()));
}

fn patch(config: &mut Value, filter: &Value) {
    filter["spec"]["configPatches"].as_array().unwrap().iter().for_each(|patch| apply(config, patch));
}

/// Puts the extension that istio-proxy would discover and download where it is asked for.
fn discover(config: &mut Value) {
    let mut extensions = config.as_object_mut().unwrap().remove("extensions").expect("an extension");
    let mut extension = extensions["attestation"].take();
    let code = &mut extension["typed_config"]["config"]["vm_config"]["code"];
    assert!(code["remote"]["http_uri"]["uri"].as_str().unwrap().starts_with("oci://"), "{code}");
    *code = json!({"local": {"filename": paths::module()}});
    let filters = config.pointer_mut(&format!("{MANAGER}/typed_config/http_filters")).unwrap().as_array_mut().unwrap();
    let discovered = filters.iter_mut().find(|filter| filter["name"] == "attestation").unwrap();
    let types = discovered["config_discovery"]["type_urls"].as_array().unwrap();
    assert!(types.contains(&extension["typed_config"]["@type"]), "{types:?}");
    *discovered = extension;
}

/// Applies a patch as Istio's control plane does.
fn apply(config: &mut Value, patch: &Value) {
    let value = patch["patch"]["value"].clone();
    let operation = patch["patch"]["operation"].as_str().unwrap();
    match (patch["applyTo"].as_str().unwrap(), operation) {
        ("EXTENSION_CONFIG", "ADD") => config["extensions"] = json!({value["name"].as_str().unwrap(): value}),
        ("LISTENER", "ADD") => config["static_resources"]["listeners"].as_array_mut().unwrap().push(value),
        ("CLUSTER", "ADD") => config["static_resources"]["clusters"].as_array_mut().unwrap().push(value),
        ("NETWORK_FILTER", "MERGE") => merge(config.pointer_mut(MANAGER).unwrap(), value),
        ("HTTP_ROUTE", "MERGE") => {
            let name = &patch["match"]["routeConfiguration"]["vhost"]["route"]["name"];
            let hosts = config.pointer_mut(&format!("{MANAGER}/typed_config/route_config/virtual_hosts")).unwrap();
            let routes = hosts[0]["routes"].as_array_mut().unwrap();
            merge(routes.iter_mut().find(|route| route["name"] == *name).expect("a route of this name"), value);
        }
        ("HTTP_FILTER", "INSERT_BEFORE") => {
            let before = &patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"];
            let filters = config.pointer_mut(&format!("{MANAGER}/typed_config/http_filters")).unwrap();
            let filters = filters.as_array_mut().unwrap();
            let place = filters.iter().position(|filter| filter["name"] == *before).expect("the filter it is before");
            filters.insert(place, value);
        }
        other => panic!("no such patch is known here: {other:?}"),
    }
}
