//! What Envoy itself says of a shipped configuration in which one thing is wrong: each message that
//! docs/troubleshooting.md explains, and no other.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use harness::{Bootstrap, Host, Shipped};

const PAGE: &str = include_str!("../../docs/troubleshooting.md");
const SECTION: &str = "\n### Envoy's own\n";

/// A part of the message, and what makes Envoy say it.
type Case = (&'static str, fn(&mut Value));

const OF_WASM: [Case; 8] = [
    ("Invalid path: PATH", |envoy| filter(envoy)["config"]["vm_config"]["code"] = file("/nowhere/filter.wasm")),
    ("Failed to parse corrupted Wasm module", |envoy| {
        filter(envoy)["config"]["vm_config"]["code"] = file(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    }),
    ("Envoy was compiled without support for it", |envoy| {
        filter(envoy)["config"]["vm_config"]["runtime"] = "envoy.wasm.runtime.wasmtime".into();
    }),
    ("InternalListener bootstrap extension is mandatory", |envoy| {
        envoy.as_object_mut().unwrap().remove("bootstrap_extensions").unwrap();
    }),
    ("file PATH does not exist", |envoy| replace(envoy, "/signing-key.pem\"", "/another.pem\"")),
    ("unable to add filesystem watch for file PATH", |envoy| {
        replace(envoy, "\"path\":\"/run/secrets/attestation\"", "\"path\":\"/nowhere\"");
    }),
    ("must be the last filter in a http filter chain", |envoy| filters(envoy).reverse()),
    ("Protobuf message (type TYPE reason INVALID_ARGUMENT", |envoy| {
        filter(envoy)["config"]["signing_key_file"] = "/key.pem".into();
    }),
];

const OF_THE_NATIVE_MODULE: [Case; 1] = [("libattestation.so not found in any search path", |envoy| {
    filter(envoy)["dynamic_module_config"]["name"] = "another".into();
})];

/// What Envoy 1.36 says of the native module.
const TOO_OLD: &str = "undefined symbol: envoy_dynamic_module_callback_…";

fn file(path: &str) -> Value {
    json!({"local": {"filename": path}})
}

fn replace(envoy: &mut Value, from: &str, to: &str) {
    let text = envoy.to_string();
    assert!(text.contains(from), "{from}: {text}");
    *envoy = serde_json::from_str(&text.replace(from, to)).unwrap();
}

fn filters(envoy: &mut Value) -> &mut Vec<Value> {
    let listeners = envoy["static_resources"]["listeners"].as_array_mut().unwrap();
    let ingress = listeners.iter_mut().find(|listener| listener["address"].is_object()).unwrap();
    ingress["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"].as_array_mut().unwrap()
}

fn filter(envoy: &mut Value) -> &mut Value {
    let filter = filters(envoy).iter_mut().find(|filter| filter["name"] == "attestation").unwrap();
    &mut filter["typed_config"]
}

fn cases() -> (&'static str, &'static [Case]) {
    match Host::under_test() {
        Host::Wasm => (include_str!("../../envoy/envoy.yaml"), &OF_WASM),
        Host::Native => (include_str!("../../envoy/native/envoy.yaml"), &OF_THE_NATIVE_MODULE),
    }
}

/// The parts of a message between what stands for a value.
fn parts(message: &str) -> impl Iterator<Item = String> {
    let message = message.replace("PATH", "\u{1}").replace("TYPE", "\u{1}").replace('…', "\u{1}");
    message.replace("libattestation", "").split('\u{1}').map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn assert_said(message: &str, log: &str) {
    let lines = log
        .lines()
        .filter(|line| line.contains("[critical]") || line.contains("[warning]") || line.contains("[error]"));
    let is_said = lines.into_iter().any(|line| parts(message).all(|part| line.contains(&part)));
    assert!(is_said, "{message}: {log}");
}

#[test]
fn each_message_of_envoy_is_said() {
    let (text, cases) = cases();
    for (message, wrong) in cases {
        let mut document: Value = serde_saphyr::from_str(text).unwrap();
        wrong(&mut document);
        let refused = Bootstrap::shipped(Shipped::of(document)).may_trap().start_refused();
        assert!(!refused.status.success(), "{message}");
        assert_said(message, &refused.log);
    }
    if Host::under_test() == Host::Native {
        let document = serde_saphyr::from_str(text).unwrap();
        assert_said(TOO_OLD, &Bootstrap::shipped(Shipped::of(document)).without_sign().start_refused().log);
    }
}

#[test]
fn each_message_of_envoy_is_explained() {
    let (_, section) = PAGE.split_once(SECTION).unwrap();
    let section = section.split("\n### ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let explained: BTreeSet<&str> = rows.map(|(message, _)| message).collect();
    let said = OF_WASM.iter().chain(&OF_THE_NATIVE_MODULE).map(|(message, _)| *message).chain([TOO_OLD]);
    assert_eq!(explained, said.collect());
}
