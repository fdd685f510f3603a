//! The manifests below `envoy/kubernetes`, as the platforms hand them to Envoy.
//!
//! What Istio and Envoy Gateway make of a plugin is written down here as they do it: the settings become JSON in a
//! `StringValue`, the module a file or a download, the environment a list of names. `make configurations` has Envoy
//! check the bootstrap of the plain one, `make manifests` holds all of them against the platforms' schemas.

mod login;
mod native;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use harness::filters::{jwt_authn, lua};
use harness::idp::IdentityProvider;
use harness::keys::{A, B, KID_A, KID_B, pem};
use harness::{
    ASSERTION_HEADER, Bootstrap, Envoy, Host, JWKS_PATH, Request, Shipped, eventually, internal_listeners, only_on,
    paths,
};

const MANIFESTS: &str = "envoy/kubernetes";
const KEY_DIRECTORY: &str = "/run/secrets/attestation";
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0";

fn manifests(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(MANIFESTS).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_multiple(&text).expect("YAML")
}

fn manifest(file: &str, kind: &str) -> Value {
    let found = manifests(file).into_iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {file}"))
}

/// The same for a manifest of which there are several of a kind.
fn named_manifest(file: &str, kind: &str, name: &str) -> Value {
    let all = manifests(file);
    let found = all.into_iter().find(|manifest| manifest["kind"] == kind && manifest["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} in {file}"))
}

/// What Helm makes of the chart, which scripts/check-chart keeps as it is.
#[test]
fn the_chart_signs_for_the_user_of_the_token() {
    let names: &[&str] = if Host::under_test() == Host::Native { &["native"] } else { &["wasm", "everything"] };
    for name in names {
        let path = format!("{}/kubernetes/chart/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let manifests: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).expect("YAML");
        let map = manifests.iter().find(|manifest| manifest["kind"] == "ConfigMap").expect("a ConfigMap");
        let bootstrap: Value = serde_saphyr::from_str(map["data"]["envoy.yaml"].as_str().unwrap()).expect("YAML");
        let provider = IdentityProvider::new();
        let envoy = Bootstrap::shipped(Shipped::of(bootstrap).trusting(&provider)).start();
        eventually("a key", || (envoy.key_stat("keys_published") > 0).then_some(()));
        let user = provider.bearer(json!({"sub": "u-1", "email": "ann@example.com"}));
        let user = Request::get("/").host("app.example.com").header("authorization", &user);
        let assertion = envoy.attest(&user.clone().header("x_email", "mallory@example.com"));
        assert_eq!((assertion.kid(), assertion.claim("sub")), (KID_A, &json!("u-1")), "{name}");
        let sent = envoy.send(&user.header("x_email", "mallory@example.com")).seen();
        let email = if *name == "everything" { vec!["ann@example.com"] } else { Vec::new() };
        assert_eq!(sent.all("x-email"), email, "{name}");
        assert_eq!(envoy.send(&Request::get("/").host("app.example.com")).status, 401, "{name}: nobody");
        let public = envoy.send(&Request::get("/healthz").host("app.example.com")).status;
        assert_eq!(public, if *name == "everything" { 401 } else { 200 }, "{name}");
        assert_eq!(envoy.send(&Request::get("/").host("other.example.com")).status, 401, "{name}: another domain");
    }
}

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
fn an_envoy_gateway_policy_signs_for_the_user() {
    for file in ["envoy-gateway/policy.yaml", "envoy-gateway/policy-http.yaml"] {
        check_gateway(envoy_gateway(file));
    }
}

/// What Envoy Gateway makes of its manifests: each policy's filters are in the chain, switched on by the routes that have
/// it, Lua before Wasm.
fn envoy_gateway(file: &str) -> Value {
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
fn scripts(policy: &str, spec: &Value) -> impl Iterator<Item = Value> {
    let scripts = spec["lua"].as_array().unwrap().iter().enumerate();
    scripts.map(move |(place, script)| {
        let mut filter = lua(script["inline"].as_str().unwrap());
        filter["name"] = format!("lua/{policy}/{place}").into();
        filter
    })
}

/// Puts filters before the router. They are off; returns what switches them on for a route.
fn insert(filters: &mut Vec<Value>, new: impl Iterator<Item = Value>) -> Value {
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
fn envoy_gateway_listener(policy: &Value) -> Value {
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

/// The filter as both platforms configure it: the settings as JSON text, the key in that variable of Envoy's environment.
fn wasm(name: &str, settings: &Value, variable: &str) -> Value {
    json!({
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": paths::module()}},
                    "environment_variables": {"host_env_keys": [variable]},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": settings.to_string(),
                },
            },
        },
    })
}

/// A user's request is signed and arrives without forged headers, nobody's is refused, the public route and the keyset
/// need no login, and a path that could mean another is refused.
fn check_gateway(mut config: Value) {
    let idp = IdentityProvider::new();
    let filters = config.pointer_mut(&format!("{MANAGER}/typed_config/http_filters")).unwrap();
    filters[0] = jwt_authn(&idp);
    let envoy = Bootstrap::shipped(Shipped::of(config)).host_env("SIGNING_KEY", A).start();
    eventually("a key", || publishes(&envoy, KID_A).then_some(()));
    let bearer = idp.bearer(json!({"sub": "u-1", "email": "ann@example.com"}));
    let user = |path: &str| Request::get(path).header("authorization", &bearer);
    let forged = [
        "x-pomerium-jwt-assertion",
        "x~pomerium~jwt~assertion",
        "x.pomerium*claim!email",
        "x-pomerium-jwt-assertion-for",
    ];
    let request = user("/").headers(forged.iter().map(|name| (name, "forged")));
    let reply = envoy.send(&request);
    assert!(!reply.seen().contains("forged"), "{:?}", reply.seen().names());
    let assertion = envoy.keys().verify(&reply.token());
    assert_eq!((assertion.kid(), assertion.claim("sub")), (KID_A, &json!("u-1")));
    assert_eq!(envoy.get("/").status, 401);
    assert_eq!(envoy.get("/healthz").seen().one(ASSERTION_HEADER), None);
    assert_eq!(envoy.send(&user("/other%2f..%2fadmin")).status, 400);

    // jwt_authn sends this user elsewhere.
    let elsewhere = idp.bearer(json!({"sub": "u-1", "tenant": "b"}));
    let reply = envoy.send(&Request::get("/").header("authorization", elsewhere));
    assert_eq!(reply.seen().one("x-route").as_deref(), Some("b"));
    assert_eq!(envoy.keys().verify(&reply.token()).claim("aud"), "app-b");
}

#[test]
fn proxies_have_the_variable_that_the_plugin_reads() {
    let container = |manifest: Value, path: &str| manifest.pointer(path).expect(path).clone();
    let istio = container(manifest("istio/gateway.yaml", "Deployment"), "/spec/template/spec/containers/0");
    let plugin = manifest("istio/wasmplugin.yaml", "WasmPlugin");
    assert_eq!(istio["env"][0]["name"], plugin["spec"]["vmConfig"]["env"][0]["name"]);
    let path = "/spec/provider/kubernetes/envoyDeployment/container";
    let gateway = container(manifest("envoy-gateway/envoyproxy.yaml", "EnvoyProxy"), path);
    let policy = manifest("envoy-gateway/policy.yaml", "EnvoyExtensionPolicy");
    assert_eq!(gateway["env"][0]["name"], policy["spec"]["wasm"][0]["env"]["hostKeys"][0]);
    let plain = container(manifest("plain/deployment.yaml", "Deployment"), "/spec/template/spec/containers/0");
    for container in [istio, plain] {
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["name"] == "signing-key").expect("the Secret");
        assert_eq!(mount["mountPath"], KEY_DIRECTORY);
        assert!(mount.get("subPath").is_none(), "a subPath never sees a changed Secret");
    }
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

fn publishes(envoy: &Envoy, kid: &str) -> bool {
    envoy.get(JWKS_PATH).status == 200 && envoy.keys().kids().contains(&kid)
}

/// What matters here of an Envoy that a platform starts as a gateway: internal listeners are switched on in its bootstrap,
/// its one listener authenticates, and has the platform's own filters.
fn gateway(filters: Vec<Value>) -> Value {
    let by_tenant = json!([{"name": "x-tenant", "string_match": {"exact": "b"}}]);
    let routes = json!([
        {"name": "healthz", "match": {"path": "/healthz"}, "route": {"cluster": "upstream"}},
        {
            "name": "b",
            "match": {"prefix": "/", "headers": by_tenant},
            "route": {"cluster": "upstream"},
            "request_headers_to_add": [{"header": {"key": "x-route", "value": "b"}}],
            "metadata": {"filter_metadata": {"attestation": {"audience": "app-b"}}},
        },
        {"name": "app", "match": {"prefix": "/"}, "route": {"cluster": "upstream"}},
    ]);
    let routing = json!({"name": "envoy.filters.http.router", "typed_config":
        {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
    // The first is jwt_authn; see `check_gateway`.
    let chain: Vec<Value> =
        [json!({"name": "first"}), to_tenant()].into_iter().chain(filters).chain([routing]).collect();
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound_0.0.0.0_80",
        "route_config": {"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": routes}]},
        "http_filters": chain,
    });
    let connection_manager = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    json!({
        "bootstrap_extensions": [internal_listeners()],
        "admin": {},
        "static_resources": {
            "listeners": [{
                "name": "0.0.0.0_80",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [{"filters": [connection_manager]}],
            }],
            "clusters": [],
        },
    })
}

/// What `claimToHeaders` of both platforms does: a claim becomes a header, and the route is forgotten.
fn to_tenant() -> Value {
    let mut filter = lua("function envoy_on_request(handle)
           local claims = handle:streamInfo():dynamicMetadata():get('envoy.filters.http.jwt_authn')
           local tenant = claims and claims['payload'] and claims['payload']['tenant']
           if tenant then handle:headers():replace('x-tenant', tenant) end
         end");
    filter["name"] = "claims".into();
    filter
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

/// Protobuf's merge, in JSON: objects are merged, lists are put together.
fn merge(target: &mut Value, value: Value) {
    match (target, value) {
        (Value::Object(target), Value::Object(value)) => {
            value.into_iter().for_each(|(name, value)| merge(target.entry(name).or_insert(Value::Null), value));
        }
        (Value::Array(target), Value::Array(value)) => target.extend(value),
        (target, value) => *target = value,
    }
}
