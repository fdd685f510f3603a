//! The manifests below `envoy/kubernetes`, as the platforms hand them to Envoy.
//!
//! What Istio and Envoy Gateway make of a plugin is written down here as they do it: the settings become JSON in a
//! `StringValue`, the module a file or a download, the environment a list of names. `make configurations` has Envoy
//! check the bootstrap of the plain one, `make manifests` holds all of them against the platforms' schemas.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use harness::filters::jwt_authn;
use harness::idp::IdentityProvider;
use harness::keys::{A, KID_A, pem};
use harness::{Bootstrap, Configuration, Request, internal_listeners, paths};

const MANIFESTS: &str = "envoy/kubernetes";
const KEY_DIRECTORY: &str = "/run/secrets/attestation";

fn manifest(file: &str, kind: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(MANIFESTS).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    documents.into_iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in {file}"))
}

#[test]
fn an_istio_plugin_signs_for_the_user_of_the_token() {
    let plugin = manifest("istio/wasmplugin.yaml", "WasmPlugin");
    let environment = &plugin["spec"]["vmConfig"]["env"];
    assert!(environment.as_array().unwrap().iter().all(|variable| variable["valueFrom"] == "HOST"), "{environment}");
    check_plugin(&plugin["spec"]["pluginConfig"], environment[0]["name"].as_str().unwrap());
}

#[test]
fn an_envoy_gateway_policy_signs_for_the_user_of_the_token() {
    for file in ["envoy-gateway/policy.yaml", "envoy-gateway/policy-http.yaml"] {
        let policy = manifest(file, "EnvoyExtensionPolicy");
        let wasm = &policy["spec"]["wasm"][0];
        check_plugin(&wasm["config"], wasm["env"]["hostKeys"][0].as_str().unwrap());
    }
}

/// The settings with a key in that variable of Envoy's environment: a user's request is signed, nobody's is refused, and
/// the keyset needs no login.
fn check_plugin(settings: &Value, variable: &str) {
    let idp = IdentityProvider::new();
    let envoy =
        Bootstrap::new(Configuration::Text(settings.to_string())).host_env(variable, A).filter(jwt_authn(&idp)).start();
    let bearer = idp.bearer(json!({"sub": "u-1", "email": "ann@example.com"}));
    let assertion = envoy.attest(&Request::get("/").header("authorization", &bearer));
    assert_eq!((assertion.kid(), assertion.claim("sub")), (KID_A, &json!("u-1")));
    assert_eq!(envoy.get("/").status, 401);
}

#[test]
fn the_proxies_have_the_variable_that_the_plugin_asks_for() {
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
fn an_envoy_takes_what_the_istio_filter_patches_into_it() {
    let filter = manifest("istio/envoyfilter.yaml", "EnvoyFilter");
    let mut config = gateway();
    for patch in filter["spec"]["configPatches"].as_array().unwrap() {
        apply(&mut config, patch);
    }
    let filters = &config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let names: Vec<_> = filters["http_filters"].as_array().unwrap().iter().map(|filter| &filter["name"]).collect();
    assert_eq!(names, ["envoy.filters.http.jwt_authn", "attestation", "envoy.filters.http.router"]);
    validate(config);
}

/// What matters here of the Envoy that Istio starts as a gateway: internal listeners are switched on in its bootstrap, and
/// its one listener authenticates.
fn gateway() -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound_0.0.0.0_80",
        "route_config": {"virtual_hosts": []},
        "http_filters": [
            jwt_authn(&IdentityProvider::new()),
            {"name": "envoy.filters.http.router", "typed_config":
                {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
        ],
    });
    let connection_manager = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    json!({
        "bootstrap_extensions": [internal_listeners()],
        "static_resources": {
            "listeners": [{
                "name": "0.0.0.0_80",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [{"filters": [connection_manager]}],
            }],
            "clusters": [],
        },
        "extensions": {},
    })
}

/// Applies a patch as Istio's control plane does.
fn apply(config: &mut Value, patch: &Value) {
    let value = patch["patch"]["value"].clone();
    let operation = patch["patch"]["operation"].as_str().unwrap();
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0";
    match (patch["applyTo"].as_str().unwrap(), operation) {
        ("EXTENSION_CONFIG", "ADD") => config["extensions"] = json!({value["name"].as_str().unwrap(): value}),
        ("LISTENER", "ADD") => config["static_resources"]["listeners"].as_array_mut().unwrap().push(value),
        ("CLUSTER", "ADD") => config["static_resources"]["clusters"].as_array_mut().unwrap().push(value),
        ("NETWORK_FILTER", "MERGE") => merge(config.pointer_mut(manager).unwrap(), value),
        ("HTTP_FILTER", "INSERT_BEFORE") => {
            let before = &patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"];
            let filters = config.pointer_mut(&format!("{manager}/typed_config/http_filters")).unwrap();
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

/// Has Envoy check a configuration, with the extension that istio-proxy would discover and download in its place.
fn validate(mut config: Value) {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = directory.path().join("keys");
    fs::create_dir(&keys).expect("a directory for keys");
    fs::write(keys.join("signing-key.pem"), pem(A)).expect("a key");
    let mut extension = config["extensions"]["attestation"].clone();
    config.as_object_mut().unwrap().remove("extensions");
    let code = &mut extension["typed_config"]["config"]["vm_config"]["code"];
    assert!(code["remote"]["http_uri"]["uri"].as_str().unwrap().starts_with("oci://"), "{code}");
    *code = json!({"local": {"filename": paths::module()}});
    let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/1";
    let discovered = config.pointer_mut(filters).unwrap();
    let types = discovered["config_discovery"]["type_urls"].as_array().unwrap();
    assert!(types.contains(&extension["typed_config"]["@type"]), "{types:?}");
    *discovered = extension;
    let path: PathBuf = directory.path().join("envoy.json");
    fs::write(&path, config.to_string().replace(KEY_DIRECTORY, &keys.display().to_string())).expect("write it");
    let checked = Command::new(paths::envoy())
        .args(["--mode", "validate", "--log-level", "warning", "-c"])
        .arg(path)
        .output()
        .expect("run Envoy");
    let log = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{log}");
    assert!(!log.contains("Unable to create Wasm"), "{log}");
}
