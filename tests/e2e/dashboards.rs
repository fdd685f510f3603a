//! The dashboard and the alert rules of envoy/observability ask only for what a real Envoy shows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use harness::filters::access_log;
use harness::keys::{A, B, pem};
use harness::snippet::snippet;
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Client, Envoy, Host, JWKS_PATH, Request, Shipped, eventually};

const DASHBOARD: &str = include_str!("../../envoy/observability/dashboard.json");
const RULES: &str = include_str!("../../envoy/observability/rules.yaml");
const RULES_TEST: &str = include_str!("../../envoy/observability/rules-test.yaml");
const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// Labels that a Prometheus adds when it scrapes.
const SCRAPED: [&str; 2] = ["job", "instance"];

/// Every query of the dashboard, with those of its variables.
fn dashboard_queries() -> Vec<String> {
    fn collect(value: &Value, queries: &mut Vec<String>) {
        for (name, member) in value.as_object().into_iter().flatten() {
            if let Some(text) = member.as_str().filter(|text| name == "expr" || text.starts_with("label_values(")) {
                queries.push(text.to_owned());
            }
            collect(member, queries);
        }
        value.as_array().into_iter().flatten().for_each(|item| collect(item, queries));
    }
    let mut queries = Vec::new();
    collect(&serde_json::from_str(DASHBOARD).expect("a dashboard of JSON"), &mut queries);
    queries
}

/// What stands behind a name in the rules, each on a line of its own.
fn in_rules(name: &str) -> Vec<&'static str> {
    RULES.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(name)).map(str::trim).collect()
}

/// The words of a query, without what is in quotes, each with whether it may be a metric or a label.
fn words(query: &str) -> Vec<String> {
    let unquoted: String = query.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
    unquoted.split(is_end).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_metric(word: &str) -> bool {
    ["attestation_", "attestation:", "envoy_"].iter().any(|start| word.starts_with(start))
}

/// The labels that a query names, in a selector or behind `by`.
fn labels(query: &str) -> BTreeSet<String> {
    let selectors = query.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let names =
        selectors.flat_map(|selector| selector.split(',')).filter_map(|matcher| Some(matcher.split_once('=')?.0));
    let grouped = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let names = names.chain(grouped.flat_map(|list| list.split(',')));
    names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The metrics of an Envoy in which everything has happened, each with its labels.
fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let configuration = json!({"signing_key_file": "/signing-key.pem", "signing_key_refresh": "0.1s"});
    let envoy = Bootstrap::new(configuration.clone()).key_file(pem(A)).workers(2).dynamic().start();
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    envoy.send(&Request::get("/").header(ASSERTION_HEADER, "forged"));
    envoy.get(JWKS_PATH);
    envoy.push_rejected(json!({"no_such_field": true}));
    envoy.replace_key_file(pem(B));
    eventually("a histogram and both keys", || {
        envoy.get("/");
        let shown = scrape(&envoy);
        let by_kid = shown.keys().filter(|name| name.starts_with("attestation_signed_by_kid_")).count();
        (by_kid == 2 && shown.contains_key("attestation_sign_duration_us_bucket")).then_some(shown)
    })
}

fn scrape(envoy: &Envoy) -> BTreeMap<String, BTreeSet<String>> {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let text = envoy.prometheus();
    for (name, rest) in text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('{')) {
        let labels = rest.split("\",").filter_map(|label| label.split_once("=\"")).map(|(label, _)| label.to_owned());
        shown.entry(name.to_owned()).or_default().extend(labels);
    }
    shown
}

/// What a daemon shows that rotates keys is compared with the rules in attest/tests/cli/auto.rs.
#[test]
fn every_metric_and_label_that_is_queried_is_there() {
    let shown = shown();
    let recorded = in_rules("record: ");
    let queries: Vec<String> =
        dashboard_queries().into_iter().chain(in_rules("expr: ").into_iter().map(str::to_owned)).collect();
    assert!(queries.len() > 30, "queries were found: {}", queries.len());
    for query in &queries {
        let words = words(query);
        if query.contains("attest_rotation_") {
            continue;
        }
        let metrics: Vec<&String> = words.iter().filter(|word| is_metric(word)).collect();
        let by_kid = query.contains("__name__=~\"attestation_signed_by_kid_.+\"");
        assert!(by_kid || !metrics.is_empty(), "no metric in {query}");
        for metric in &metrics {
            if is_of_the_other_host(metric) {
                continue;
            }
            let is_there = recorded.contains(&metric.as_str()) || shown.contains_key(*metric);
            assert!(is_there, "Envoy shows no {metric}: {query}");
        }
        for label in labels(query) {
            let of_metrics = metrics.iter().filter_map(|metric| shown.get(*metric)).any(|own| own.contains(&label));
            let made = query.contains(&format!("\"{label}\", \"$1\"")) || (by_kid && label == "__name__");
            assert!(of_metrics || made || SCRAPED.contains(&label.as_str()), "no label {label}: {query}");
        }
    }
}

/// The one metric that Wasm does not have.
const OF_THE_NATIVE_MODULE: &str = "attestation_panics";

fn is_of_the_other_host(metric: &str) -> bool {
    match Host::under_test() {
        Host::Wasm => metric == OF_THE_NATIVE_MODULE,
        Host::Native => metric.starts_with("envoy_wasm_"),
    }
}

/// Without discovery there are no statistics of it; each other alert can fire.
#[test]
fn shipped_configuration_has_the_alerts_metrics() {
    let envoy = Bootstrap::shipped(Shipped::read("envoy/envoy.yaml")).start();
    let shown = eventually("a histogram", || {
        envoy.send(&Request::get("/healthz"));
        let shown = scrape(&envoy);
        shown.contains_key("attestation_keys_published").then_some(shown)
    });
    let queries = in_rules("expr: ").join(" ");
    let metrics: BTreeSet<String> = words(&queries).into_iter().filter(|word| is_metric(word)).collect();
    let recorded = in_rules("record: ");
    for metric in metrics.iter().filter(|metric| !recorded.contains(&metric.as_str())) {
        let is_known = metric == OF_THE_NATIVE_MODULE
            || shown.contains_key(metric)
            || metric.starts_with("envoy_extension_config_discovery");
        assert!(is_known || metric.starts_with("attestation_sign_duration_us"), "no {metric}");
    }
}

#[test]
fn the_listener_of_the_metrics_has_nothing_else() {
    let scraped = Bootstrap::new(json!({"signing_key": A})).start();
    let mut shown = snippet("docs/operations.md", "metrics-listener");
    shown["listeners"][0]["address"]["socket_address"] = json!({"address": "127.0.0.1", "port_value": 0});
    let endpoint = &mut shown["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    endpoint["address"]["socket_address"]["port_value"] = scraped.admin().address().port().into();
    let mut document: Value = serde_saphyr::from_str(include_str!("../../envoy/envoy.yaml")).expect("YAML");
    for name in ["listeners", "clusters"] {
        document["static_resources"][name].as_array_mut().expect("a list").push(shown[name][0].clone());
    }
    let envoy = Bootstrap::shipped(Shipped::of(document)).start();
    let ask = |path: &str| Client::connect(envoy.admin().listener("metrics")).send(&Request::get(path));
    let metrics = ask("/stats/prometheus");
    assert!(metrics.status == 200 && metrics.text().contains("attestation_keys_published{"), "{}", metrics.text());
    for path in
        ["/", "/config_dump", "/quitquitquit", "/stats/prometheus/../config_dump", "/stats/prometheus%2f..%2fclusters"]
    {
        assert_eq!(ask(path).status, 404, "{path}");
    }
}

#[test]
fn every_statistic_of_the_filter_is_on_the_dashboard() {
    let queries = dashboard_queries().join("\n");
    for metric in shown().keys().filter(|name| name.starts_with("attestation_")) {
        let name = if metric.starts_with("attestation_signed_by_kid_") { "attestation_signed_by_kid_" } else { metric };
        assert!(queries.contains(name), "{name} is on no panel");
    }
}

#[test]
fn the_documented_access_log_names_the_assertion() {
    let fields = OPERATIONS.lines().filter_map(|line| line.trim().split_once(": \"%"));
    let format: Value = fields.map(|(name, value)| (name, format!("%{}", value.trim_end_matches('"')))).collect();
    assert!(format["jti"].is_string() && format["status"].is_string(), "{format}");
    let log = access_log(&json!({"json_format": format}));
    let envoy = Bootstrap::new(json!({"signing_key": A})).http(log).start();
    let jti = Assertion::read(&envoy.get("/named?q=1").token()).claim("jti").clone();
    envoy.send(&Request::get("/refused").host("a:b:c"));
    let lines: Vec<Value> = eventually("two lines", || {
        let log = envoy.log();
        let lines: Vec<_> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() == 2).then_some(lines)
    });
    assert_eq!((&lines[0]["jti"], &lines[0]["path"], &lines[0]["status"]), (&jti, &json!("/named"), &json!(200)));
    assert_eq!((&lines[1]["jti"], &lines[1]["status"]), (&Value::Null, &json!(400)));
}

/// `make check-rules` runs them; `make alerts` has most fire on a real Prometheus.
#[test]
fn every_alert_fires_in_a_test_of_the_rules() {
    let tests: Value = serde_saphyr::from_str(RULES_TEST).expect("YAML");
    let of_alerts = tests["tests"].as_array().into_iter().flatten().flat_map(|test| test["alert_rule_test"].as_array());
    let firing =
        of_alerts.flatten().filter(|test| test["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()));
    let firing: BTreeSet<&str> = firing.filter_map(|test| test["alertname"].as_str()).collect();
    assert_eq!(firing, in_rules("alert: ").into_iter().collect());
}

#[test]
fn every_alert_is_explained() {
    let alerts = in_rules("alert: ");
    assert!(alerts.len() > 10);
    for alert in &alerts {
        assert!(OPERATIONS.contains(&format!("\n| `{alert}` |")), "docs/operations.md says what to do about {alert}");
    }
    let named = OPERATIONS.split('`').filter(|word| word.starts_with("Attestation"));
    named.for_each(|name| assert!(alerts.contains(&name), "docs/operations.md speaks of {name}, which is no alert"));
}
