//! What every shipped configuration must have, wherever it is written: bootstraps, manifests, documents.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::documents;
use crate::schema;

/// The headers that are removed before routing, by an expression for the whole name.
const EARLY: [&str; 3] = [
    "x[^a-z0-9]pomerium[^a-z0-9]claim[^a-z0-9].*",
    "x[^a-z0-9]pomerium[^a-z0-9]jwt[^a-z0-9]assertion[^a-z0-9]for",
    "x[^a-z0-9]pomerium[^a-z0-9]jwt[^a-z0-9]assertion",
];

/// The issuer whose token is in the repository, and is good for many years.
const DEMO_ISSUER: &str = "https://issuer.example";
/// The one configuration that trusts it: what docker-compose.yaml runs.
const DEMO: &str = "envoy/envoy.yaml";

/// Calls `look` with every object of a document.
fn each_object(value: &Json, look: &mut impl FnMut(&serde_json::Map<String, Json>)) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| each_object(item, look)),
        Json::Object(members) => {
            look(members);
            members.values().for_each(|member| each_object(member, look));
        }
        _ => {}
    }
}

fn check_everywhere(check: impl Fn(&Path, &serde_json::Map<String, Json>) -> usize) -> usize {
    let mut count = 0;
    for (file, documents) in documents::everywhere() {
        for document in &documents {
            each_object(document, &mut |members| count += check(&file, members));
        }
    }
    count
}

fn is_bootstrap(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "yaml")
}

#[test]
fn the_route_is_resolved_right_before_the_filter() {
    let count = check_everywhere(|file, members| {
        let filters = members.get("http_filters").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let Some(ours) = filters.iter().position(|filter| filter["name"] == "attestation") else { return 0 };
        if filters[ours]["typed_config"]["@type"].as_str().is_some_and(|kind| kind.ends_with("DynamicModuleFilter")) {
            return 0; // The native module sees the route that is taken.
        }
        if filters.last().is_some_and(|last| last["name"] == "envoy.filters.http.upstream_codec") {
            return 0; // The filters of a cluster come after routing.
        }
        let before = ours.checked_sub(1).map(|before| &filters[before]);
        check_resolver(file, before.unwrap_or_else(|| panic!("{}: nothing before the filter", file.display())));
        1
    });
    assert!(count >= 6, "only {count} chains");
}

fn check_resolver(file: &Path, filter: &Json) {
    let file = file.display();
    assert_eq!(filter["name"], "resolve-route", "{file}: it is before the filter");
    let script = filter["typed_config"]["default_source_code"]["inline_string"].as_str().expect("a script");
    assert!(script.contains("handle:clearRouteCache()\n  handle:metadata()\n"), "{file}: {script}");
}

#[test]
fn a_plugin_has_a_name_and_a_vm_that_comes_back() {
    let count = check_everywhere(|file, members| {
        let plugin = members.get("config").filter(|config| config.get("vm_config").is_some());
        let Some(plugin) = plugin else { return 0 };
        assert_eq!(plugin["failure_policy"], "FAIL_RELOAD", "{}", file.display());
        let name = plugin["name"].as_str().unwrap_or_default();
        assert!(name.starts_with("attestation"), "{}: {name:?}", file.display());
        assert_eq!(plugin["vm_config"]["vm_id"], name, "{}", file.display());
        1
    });
    assert!(count >= 6, "only {count} plugins");
}

#[test]
fn the_listener_with_the_key_answers_one_authority() {
    let count = check_everywhere(|file, members| {
        let serves_a_key = |route: &Json| route["direct_response"]["body"]["filename"].is_string();
        let routes = members.get("routes").and_then(Json::as_array);
        let (Some(domains), Some(routes)) = (members.get("domains"), routes) else { return 0 };
        if !routes.iter().any(serves_a_key) {
            return 0;
        }
        assert_eq!(*domains, json!(["signing-key"]), "{}", file.display());
        1
    });
    assert!(count >= 7, "only {count} listeners");
}

#[test]
fn listeners_settle_paths_and_remove_forged_headers() {
    let count = check_everywhere(|file, members| {
        let Some(extensions) = members.get("early_header_mutation_extensions") else { return 0 };
        let filters = members.get("http_filters").and_then(Json::as_array);
        // A sidecar, in front of an app that cannot verify, has another filter and other headers.
        if filters.is_some_and(|filters| filters.iter().all(|filter| filter["name"] != "attestation")) {
            return 0;
        }
        let text = extensions.to_string();
        for expression in EARLY {
            assert!(text.contains(&format!("\"{expression}\"")), "{}: {expression}", file.display());
        }
        assert!(!text.contains("[-_.]"), "{}: every byte that is no letter or digit", file.display());
        if is_bootstrap(file) {
            for (name, wanted) in [
                ("normalize_path", json!(true)),
                ("merge_slashes", json!(true)),
                ("path_with_escaped_slashes_action", json!("REJECT_REQUEST")),
            ] {
                assert_eq!(members.get(name), Some(&wanted), "{}: {name}", file.display());
            }
        }
        1
    });
    assert!(count >= 8, "only {count} managers");
}

#[test]
fn no_path_is_exempt_from_a_login_by_a_prefix() {
    check_everywhere(|file, members| {
        for name in ["prefix", "path_separated_prefix", "value"] {
            let value = members.get(name).and_then(Json::as_str).unwrap_or_default();
            let is_exact = members.get("type").is_some_and(|kind| kind == "Exact");
            assert!(is_exact || !value.starts_with("/.well-known"), "{}: {name}: {value}", file.display());
        }
        0
    });
}

#[test]
fn the_demo_alone_trusts_the_issuer_of_the_demo() {
    let count = check_everywhere(|file, members| {
        let is_demo = members.get("issuer").is_some_and(|issuer| issuer == DEMO_ISSUER);
        assert!(!is_demo || file == schema::repository(DEMO), "{}", file.display());
        usize::from(is_demo)
    });
    assert_eq!(count, 1, "the demo's issuer is where it is expected");
}
