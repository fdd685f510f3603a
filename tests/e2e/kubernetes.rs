//! The manifests below `envoy/kubernetes`, as the platforms hand them to Envoy.
//!
//! What Istio and Envoy Gateway make of a plugin is written down here as they do it: the settings become JSON in a
//! `StringValue`, the module a file or a download, the environment a list of names. `make configurations` has Envoy
//! check the bootstrap of the plain one, `make manifests` holds all of them against the platforms' schemas.

mod envoy_gateway;
mod istio;
mod login;
mod native;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use harness::filters::{jwt_authn, lua};
use harness::idp::IdentityProvider;
use harness::keys::{A, KID_A};
use harness::{
    ASSERTION_HEADER, Bootstrap, Envoy, Host, JWKS_PATH, Request, Shipped, eventually, internal_listeners, paths,
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
