//! What `attest check` prints, and how it ends; what it finds is tested beside its code.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::support::{Said, run, run_with_stdin};

fn shipped(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy").join(path).display().to_string()
}

fn wrong() -> String {
    std::fs::read_to_string(shipped("kubernetes/plain/envoy.yaml"))
        .unwrap()
        .replace("payload_in_metadata: identity", "forward: true")
}

fn check(arguments: &[&str], stdin: &str) -> Said {
    run_with_stdin(&[&["check", "-"], arguments].concat(), stdin)
}

#[test]
fn a_right_configuration_ends_with_0() {
    let said = run(&["check", &shipped("envoy.yaml"), "--envoy-version", "1.40"]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.stdout.contains("note[demo-issuer]") && said.stdout.contains("nothing is wrong"), "{}", said.stdout);
}

#[test]
fn a_wrong_configuration_ends_with_1() {
    let said = check(&[], &wrong());
    assert_eq!(said.code, 1, "{}", said.all());
    for part in
        ["error[no-payload-in-metadata]", "standard input:", "do: payload_in_metadata: identity", "1 error, 0 warnings"]
    {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
}

#[test]
fn a_configuration_without_the_filter_ends_with_1() {
    let said = check(&["--json"], "static_resources: {}");
    assert_eq!((said.code, &said.json()["findings"][0]["id"]), (1, &"filter-missing".into()));
}

#[test]
fn what_cannot_be_read_ends_with_2() {
    for text in ["a: [", "some: thing", "apiVersion: v1\nkind: Service"] {
        let said = check(&["--json"], text);
        assert_eq!(said.code, 2, "{text}: {}", said.all());
        assert!(said.json()["error"].as_str().is_some_and(|error| !error.is_empty()), "{text}");
    }
    assert_eq!(run(&["check", "/nonexistent"]).code, 2);
}

#[test]
fn a_wrong_command_line_is_json_too() {
    let said = run(&["check", "a.yaml", "--deny", "nothing", "--json"]);
    assert_eq!(said.code, 2);
    assert!(said.json()["error"].as_str().unwrap().contains("no-payload-in-metadata"), "{}", said.stdout);
}

#[test]
fn severities_can_be_chosen() {
    assert_eq!(check(&["--allow", "no-payload-in-metadata"], &wrong()).code, 0);
    assert_eq!(check(&["--deny", "key-file-not-checked", "--allow", "no-payload-in-metadata"], &wrong()).code, 1);
    assert_eq!(run(&["check", &shipped("envoy.yaml"), "--fail-on", "note"]).code, 1);
}

#[test]
fn a_key_in_a_field_for_a_name_is_not_printed() {
    let base64 = include_str!("../../../tests/vectors/signing-key-a.b64").trim();
    let key = String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap();
    let line = key.lines().nth(1).unwrap();
    let file = "signing_key_file: /run/secrets/attestation/signing-key.pem";
    for (path, old, name) in [
        ("kubernetes/plain/envoy.yaml", "signing_key_cluster: signing_key", "signing_key_cluster"),
        ("native/envoy.yaml", file, "signing_key_secret"),
    ] {
        let text = std::fs::read_to_string(shipped(path)).unwrap();
        for (form, secret) in [(&*key, line), (base64, base64), (line, line)] {
            let wrong = text.replace(old, &format!("{name}: {form:?}"));
            for option in [&[][..], &["--json"], &["--sarif"]] {
                let said = check(option, &wrong);
                assert_eq!(said.code, 1, "{}", said.all());
                assert!(said.stdout.contains("private key"), "{option:?}: {}", said.stdout);
                assert!(!said.all().contains(&secret[..20]), "{name}, {option:?}: {}", said.all());
            }
        }
    }
    let unreadable = check(&[], &format!("signing_key: \"{key}"));
    assert_eq!(unreadable.code, 2);
    assert!(!unreadable.all().contains(&line[..20]), "{}", unreadable.all());
}

#[test]
fn sarif_has_the_rule_and_the_line() {
    let said = check(&["--sarif"], &wrong());
    let log = said.json();
    let result = &log["runs"][0]["results"][0];
    assert_eq!((&log["version"], &result["ruleId"]), (&"2.1.0".into(), &"no-payload-in-metadata".into()));
    let line = result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64().unwrap();
    let place = wrong().lines().position(|line| line.contains("issuer: https://issuer.example.com")).unwrap() + 1;
    assert_eq!(usize::try_from(line).unwrap(), place, "the provider begins there");
}

#[test]
fn an_admin_interface_that_is_not_there_ends_with_2() {
    let said = run(&["doctor", "--admin", "http://127.0.0.1:1", "--json"]);
    assert_eq!(said.code, 2, "{}", said.all());
    assert!(said.json()["error"].as_str().unwrap().contains("does not answer"), "{}", said.stdout);
}
