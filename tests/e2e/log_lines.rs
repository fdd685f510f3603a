//! The table of log lines in docs/operations.md: what the filter says at which level, and how often.

use serde_json::{Value, json};

use harness::filters::metadata;
use harness::keys::{A, B, pem};
use harness::log::ours;
use harness::{Bootstrap, Capability, Envoy, Host, Request, eventually, only_on};

const OPERATIONS: &str = include_str!("../../docs/operations.md");
const PATH: &str = "/etc/attestation/signing-key.pem";

/// How often each is made to happen.
const TIMES: usize = 20;

/// A row: the level, and what the filter says.
type Row = (&'static str, &'static str);

const REFUSED: Row = ("error", "a refused configuration");
const KEY_FILE: Row = ("error", "a key file that cannot be fetched or used, and when that changes");
const ROUTE: Row = ("error", "a route whose metadata is wrong; a signature that could not be made");
const EPHEMERAL: Row = ("warning", "no key is configured: an ephemeral one signs, with its public half");
const REPEATED: Row = ("warning", "a key that is in the file twice");
const FOREIGN: Row = ("warning", "something else wrote signing keys into the shared data; the file's are back");
const NOTICED: Row =
    ("warning", "a metadata namespace with several objects and no `path`; a claim that cannot be represented");
const SILENT: Row =
    ("warning", "a metadata namespace or filter state with nothing in it in a worker's first hundred requests");
const LOADED: Row = ("info", "which keys were loaded, by `kid`");
const REQUEST: Row = ("debug", "which identity source won, why a request was refused");

/// [`FOREIGN`] is shown in `key_file`, [`REQUEST`] in `quiet` and `observability`, the others here.
const ALL: [Row; 10] = [REFUSED, KEY_FILE, ROUTE, EPHEMERAL, REPEATED, FOREIGN, NOTICED, SILENT, LOADED, REQUEST];

#[test]
fn every_row_of_the_log_table_is_known_here() {
    let table = OPERATIONS.split("## Logs").nth(1).expect("a section").lines();
    let rows = table.filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows: Vec<_> = rows.map(|(level, row)| (level, row.split(" | ").next().unwrap_or_default())).collect();
    assert_eq!(rows, ALL);
}

/// How many lines of a row's level the filter has written with these words in them.
fn lines(envoy: &Envoy, (level, _): Row, words: &str) -> usize {
    let log = envoy.log();
    let is_meant = |line: &&&str| line.contains(&format!("[{level}]")) && line.contains(words);
    ours(&log).iter().filter(is_meant).count()
}

fn ask(envoy: &Envoy, path: &str) {
    for _ in 0..TIMES {
        envoy.get(path);
    }
}

#[test]
fn a_refused_configuration_is_told_of_once() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).workers(2).dynamic().start();
    envoy.push_rejected(json!({"signing_key": A, "audience": []}));
    ask(&envoy, "/");
    assert_eq!(lines(&envoy, REFUSED, "audience"), 1);
}

#[test]
fn a_change_of_the_key_file_is_told_of_once() {
    let settings = json!({"signing_key_file": PATH, "signing_key_refresh": "0.1s"});
    let envoy = Bootstrap::new(settings).key_file(pem(A)).workers(2).start();
    eventually("keys", || (envoy.get("/").status == 200).then_some(()));
    let failed = |times| eventually("a failure", || (lines(&envoy, KEY_FILE, "key file") == times).then_some(()));
    envoy.replace_key_file("");
    failed(1);
    envoy.replace_key_file("no key");
    failed(2);
    envoy.replace_key_file(format!("{}{}", pem(B), pem(B)));
    eventually("the key that is there twice", || (lines(&envoy, REPEATED, "repeat") == 1).then_some(()));
    ask(&envoy, "/");
    assert_eq!(lines(&envoy, KEY_FILE, "key file"), 2, "{}", envoy.log());
    assert_eq!(lines(&envoy, REPEATED, "repeat"), 1);
    assert_eq!(lines(&envoy, LOADED, "published, signing in"), 2, "{}", envoy.log());
}

#[test]
fn an_ephemeral_key_is_told_of_once() {
    let envoy = Bootstrap::new(json!({})).workers(2).dynamic().start();
    ask(&envoy, "/");
    envoy.push_accepted(json!({"audience": "another"}));
    ask(&envoy, "/");
    assert_eq!(lines(&envoy, EPHEMERAL, "ephemeral"), 1, "{}", envoy.log());
    assert_eq!(lines(&envoy, EPHEMERAL, "set signing_key_file, or SIGNING_KEY in the environment"), 1);
}

#[test]
fn what_is_noticed_of_identities_is_told_of_once() {
    if !only_on(Host::Wasm, "natively an object below a namespace cannot be read") {
        return;
    }
    let two = json!({"a": {"sub": "a"}, "b": {"sub": "b"}});
    let sources = json!([{"metadata": {"namespace": "test"}}]);
    let envoy =
        Bootstrap::new(json!({"signing_key": A, "identity_sources": sources})).filter(metadata("test", &two)).start();
    ask(&envoy, "/");
    assert_eq!(lines(&envoy, NOTICED, "path"), 1, "{}", envoy.log());
}

/// Sends so many requests over each of six connections, three for a worker.
fn ask_all(envoy: &Envoy, times: usize) {
    for mut client in envoy.spread() {
        for _ in 0..times {
            client.send(&Request::get("/"));
        }
    }
}

#[test]
fn a_silent_source_is_told_of_once() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let sources = json!([{"metadata": {"namespace": "nowhere"}}, {"filter_state": "nobody"}]);
    let settings = json!({"signing_key": A, "identity_sources": sources});
    let envoy = Bootstrap::new(settings.clone()).workers(2).dynamic().start();
    let told = |source: &str| lines(&envoy, SILENT, &format!("{source} (identity_sources, number"));
    let both = || (told("metadata:nowhere"), told("filter_state:nobody"));
    ask_all(&envoy, 16);
    assert_eq!(both(), (0, 0), "{}", envoy.log());
    ask_all(&envoy, 300);
    assert_eq!(both(), (1, 1), "{}", envoy.log());
    for word in ["payload_in_metadata", "set_filter_state", "comes before this one"] {
        assert!(lines(&envoy, SILENT, word) > 0, "{word}");
    }
    let mut other = settings;
    other["audience"] = "another".into();
    envoy.push_accepted(other);
    eventually("the other configuration", || {
        ask_all(&envoy, 110);
        (both() == (2, 2)).then_some(())
    });
}

#[test]
fn a_source_that_names_users_is_not_told_of() {
    let sources = json!([{"metadata": {"namespace": "test", "path": ["user"]}}]);
    let user = metadata("test", &json!({"user": {"sub": "ann"}}));
    let settings = json!({"signing_key": A, "identity_sources": sources});
    let envoy = Bootstrap::new(settings).filter(user).workers(2).start();
    ask_all(&envoy, 250);
    assert_eq!(lines(&envoy, SILENT, "had nothing"), 0, "{}", envoy.log());
}

#[test]
fn a_wrong_route_is_told_of_once() {
    let wrong: Value = json!({
        "match": {"path": "/wrong"},
        "metadata": {"filter_metadata": {"attestation": {"audience": []}}},
        "route": {"cluster": "upstream"},
    });
    let envoy = Bootstrap::new(json!({"signing_key": A})).wrong_route(wrong, "audience").start();
    if !only_on(Host::Wasm, "natively Envoy refuses a route with a bad setting") {
        return;
    }
    ask(&envoy, "/wrong");
    assert_eq!(lines(&envoy, ROUTE, "audience"), 1, "{}", envoy.log());
    assert_eq!(
        lines(&envoy, ROUTE, "route without a name (virtual host \"all\", cluster \"upstream\")"),
        1,
        "{}",
        envoy.log()
    );
    assert_eq!(envoy.send(&Request::get("/")).status, 200);
}
