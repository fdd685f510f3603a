//! Envoy Gateway with the native module: what it makes of `native.yaml`.

use serde_json::{Value, json};

use harness::filters::jwt_authn;
use harness::idp::IdentityProvider;
use harness::keys::KID_A;
use harness::{ASSERTION_HEADER, Bootstrap, Host, Request, Shipped, eventually, only_on};

use super::envoy_gateway::{envoy_gateway_listener, insert, scripts};
use super::{MANAGER, gateway, manifest, merge, named_manifest, publishes};

const FILE: &str = "envoy-gateway/native.yaml";

#[test]
fn an_envoy_gateway_policy_loads_the_native_module() {
    if !only_on(Host::Native, "it is about the native module") {
        return;
    }
    let idp = IdentityProvider::new();
    let envoy = Bootstrap::shipped(Shipped::of(configuration(&idp))).start();
    eventually("a key", || publishes(&envoy, KID_A).then_some(()));
    let bearer = idp.bearer(json!({"sub": "u-1", "email": "ann@example.com"}));
    let user = Request::get("/").header("authorization", &bearer).header("X_Token_Sub", "root");
    let assertion = envoy.keys().verify(&envoy.send(&user).token());
    assert_eq!((assertion.claim("sub"), assertion.claim("email")), (&json!("u-1"), &json!("ann@example.com")));

    let forged = Request::get("/").header("x-token-sub", "root").header("x-token-email", "root@example.com");
    assert_eq!(envoy.send(&forged).status, 401, "a client's own header is nobody");
    let without_email = idp.bearer(json!({"sub": "u-2"}));
    let request = Request::get("/").header("authorization", without_email).header("x-token-email", "root@example.com");
    assert_eq!(
        envoy.keys().verify(&envoy.send(&request).token()).claim("email"),
        "",
        "nor the claim that a token lacks"
    );
    assert_eq!(envoy.get("/healthz").seen().one(ASSERTION_HEADER), None);
}

pub(super) fn configuration(idp: &IdentityProvider) -> Value {
    let mut config = gateway(vec![]);
    let manager = config.pointer_mut(MANAGER).unwrap();
    let filters = manager["typed_config"]["http_filters"].as_array_mut().unwrap();
    filters[0] = jwt_authn(idp);
    let provider = &manifest(FILE, "SecurityPolicy")["spec"]["jwt"]["providers"][0];
    let headers = provider["claimToHeaders"].as_array().unwrap().iter();
    let headers: Value = headers.map(|to| json!({"claim_name": to["claim"], "header_name": to["header"]})).collect();
    merge(&mut filters[0]["typed_config"]["providers"]["idp"], json!({"claim_to_headers": headers}));
    let module = manifest(FILE, "EnvoyProxy")["spec"]["dynamicModules"][0].clone();
    for (policy, route) in [("attestation", "app"), ("attestation-public", "healthz")] {
        let spec = named_manifest(FILE, "EnvoyExtensionPolicy", policy)["spec"].clone();
        let plugin = &spec["dynamicModule"][0];
        assert_eq!(plugin["name"], module["name"], "{policy} names a module that the proxies may load");
        let filters = manager["typed_config"]["http_filters"].as_array_mut().unwrap();
        let switched_on = insert(filters, scripts(policy, &spec).chain([filter(policy, plugin, &module)]));
        let routes = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
        let of_policy = routes.iter_mut().find(|candidate| candidate["name"] == route).unwrap();
        of_policy["typed_per_filter_config"] = switched_on;
    }
    merge(manager, envoy_gateway_listener(&manifest(FILE, "ClientTrafficPolicy")));
    config
}

/// The settings as JSON text, the module by its file; the tests have it elsewhere, where Envoy finds it by its name.
fn filter(policy: &str, plugin: &Value, module: &Value) -> Value {
    assert!(module["source"]["local"]["path"].as_str().unwrap().ends_with("/libattestation.so"), "{module}");
    json!({
        "name": policy,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {"name": "attestation", "do_not_close": module["doNotClose"]},
            "filter_name": plugin["filterName"],
            "filter_config": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": plugin["config"].to_string(),
            },
        },
    })
}
