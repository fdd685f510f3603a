//! A key as people really have it: what is read all the same, and the accidents that are named with their cure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, KID_B, KID_RSA, RSA, base64, openssl, pem, pkcs8, public};
use harness::log::ours;
use harness::{Bootstrap, Capability, Envoy, Host, Request, Secrets, eventually, only_on};

use crate::applied::{apply, check_refused};

fn relabelled(pem: &str, label: &str) -> String {
    let (from, to) = ("PRIVATE KEY-----", format!("{label}-----"));
    assert!(pem.contains("-----BEGIN PRIVATE KEY-----"), "PKCS#8: {}", &pem[..30]);
    pem.replace(from, &to)
}

const MARK: &str = "\u{feff}";

#[test]
fn a_key_under_another_label_is_read() {
    let envoy = Bootstrap::new(json!({"signing_key": B})).dynamic().start();
    let mut keys = vec![
        ("PKCS#8 under EC", relabelled(&pkcs8(A), "EC PRIVATE KEY"), vec![KID_A]),
        ("PKCS#8 under ECDSA", relabelled(&pkcs8(A), "ECDSA PRIVATE KEY"), vec![KID_A]),
        ("base64 of that", base64(&relabelled(&pkcs8(A), "ECDSA PRIVATE KEY")), vec![KID_A]),
        ("a mark first", format!("{MARK}{}", pem(A)), vec![KID_A]),
        ("a mark and CRLF", format!("{MARK}{}", pem(A).replace('\n', "\r\n")), vec![KID_A]),
        ("base64 of a mark", base64(&format!("{MARK}{}", pem(A))), vec![KID_A]),
        (
            "parameters first",
            format!("{MARK}{}{}", openssl(&["ecparam", "-name", "prime256v1"], ""), pem(A)),
            vec![KID_A],
        ),
        ("a vertical tab", base64(&pem(A)).replacen('L', "L\u{b}", 1), vec![KID_A]),
        (
            "a public key after it",
            format!("{}{}", relabelled(&pkcs8(A), "EC PRIVATE KEY"), public(B)),
            vec![KID_A, KID_B],
        ),
    ];
    if !Capability::HostSigns.is_lacking() {
        keys.push(("PKCS#8 under RSA", relabelled(&pkcs8(RSA), "RSA PRIVATE KEY"), vec![KID_RSA]));
        keys.push(("EC under RSA", relabelled(&pkcs8(A), "RSA PRIVATE KEY"), vec![KID_A]));
        keys.push(("RSA under EC", relabelled(&pkcs8(RSA), "EC PRIVATE KEY"), vec![KID_RSA]));
    }
    for (what, key, kids) in keys {
        apply(&envoy, what, &json!({"signing_key": key}));
        assert_eq!(envoy.keys().kids(), kids, "{what}");
        assert_eq!(envoy.attest(&Request::get("/")).kid(), kids[0], "{what}");
    }
}

fn utf16(text: &str, is_little: bool) -> Vec<u8> {
    let units = format!("{MARK}{text}");
    units.encode_utf16().flat_map(|unit| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

fn certificate() -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("a name");
    params.self_signed(&key).expect("a certificate").pem()
}

/// What people have in place of a key, and the words of which the line has one each.
fn accidents() -> Vec<(&'static str, String, Vec<Vec<&'static str>>)> {
    let encoded = base64(&pem(A));
    let explicit = openssl(&["ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-genkey", "-noout"], "");
    vec![
        ("literal line breaks", pem(A).replace('\n', "\\n"), vec![vec!["\\n"], vec!["line break"]]),
        ("base64 of literal line breaks", base64(&pem(A).replace('\n', "\\n")), vec![vec!["\\n"]]),
        ("double quotes", format!("\"{}\"", pem(A)), vec![vec!["quot"]]),
        ("single quotes", format!("'{}'", pem(A)), vec![vec!["quot"]]),
        ("double quotes around base64", format!("\"{encoded}\""), vec![vec!["quot"]]),
        ("single quotes around base64", format!("'{encoded}'\n"), vec![vec!["quot"]]),
        ("base64 of base64", base64(&encoded), vec![vec!["base64"], vec!["twice", "base64 of base64"]]),
        ("base64 of wrapped base64", base64(A), vec![vec!["base64"], vec!["twice", "base64 of base64"]]),
        ("base64 of UTF-16", STANDARD.encode(utf16(&pem(A), true)), vec![vec!["UTF-16"], vec!["UTF-8", "ASCII"]]),
        ("base64 of UTF-16, big end first", STANDARD.encode(utf16(&pem(A), false)), vec![vec!["UTF-16"]]),
        ("a path", "/etc/attestation/signing-key.pem".into(), vec![vec!["signing_key_file"], vec!["path"]]),
        ("a path from here", "./signing-key.pem".into(), vec![vec!["signing_key_file"]]),
        (
            "a certificate after the key",
            format!("{}{}", pem(A), certificate()),
            vec![vec!["certificate"], vec!["leave it out", "remove"]],
        ),
        (
            "a certificate before the key",
            format!("{}{}", certificate(), pem(A)),
            vec![vec!["certificate"], vec!["leave it out", "remove"]],
        ),
        ("explicit parameters", explicit, vec![vec!["explicit"], vec!["named", "prime256v1"]]),
    ]
}

fn assert_says(line: &str, what: &str, words: &[Vec<&str>]) {
    for alternatives in words {
        assert!(alternatives.iter().any(|word| line.contains(word)), "{what}: the line says {alternatives:?}: {line}");
    }
}

#[test]
fn an_accident_is_named_with_its_cure() {
    let envoy = Bootstrap::new(json!({"signing_key": B})).dynamic().start();
    for (what, key, words) in accidents() {
        let verdict = envoy.push(&harness::Configuration::Struct(json!({"signing_key": key})));
        assert!(!verdict.is_accepted, "{what}: accepted");
        let line = harness::log::the_refusal(&verdict.log);
        assert!(line.contains("signing_key"), "{what}: {line}");
        assert_says(&line, what, &words);
        Secrets::of([A, B]).assert_not_in(what, &line);
        assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_B, "{what}: the last good key signs on");
    }
}

#[test]
fn an_accident_in_a_key_file_is_named_with_its_cure() {
    let file = json!({"signing_key_file": "/k.pem", "signing_key_refresh": "0.1s"});
    let envoy = Bootstrap::new(file).key_file(pem(B)).start();
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    let mut contents: Vec<_> =
        accidents().into_iter().map(|(what, key, words)| (what, key.into_bytes(), words)).collect();
    contents.retain(|(what, _, _)| !what.starts_with("a path"));
    contents.push(("UTF-16 of a Windows editor", utf16(&pem(A).replace('\n', "\r\n"), true), vec![vec!["UTF-16"]]));
    contents.push(("UTF-16, big end first", utf16(&pem(A), false), vec![vec!["UTF-16"]]));
    for (what, content, words) in contents {
        let (mark, failures) = (envoy.log().len(), envoy.key_stat("key_load_failures"));
        envoy.replace_key_file(&content);
        eventually(what, || (envoy.key_stat("key_load_failures") > failures).then_some(()));
        let log = envoy.log_since(mark);
        let lines = ours(&log).join("\n");
        assert_says(&lines, what, &words);
        Secrets::of([A, B]).assert_not_in(what, &lines);
        assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_B, "{what}: the last good key signs on");
        // The same accident again is no change of state, and not logged.
        let loads = envoy.key_stat("key_loads");
        envoy.replace_key_file(pem(B));
        eventually("the good file", || (envoy.key_stat("key_loads") > loads).then_some(()));
    }
    envoy.replace_key_file(format!("{MARK}{}", pem(A)));
    eventually("a file with a mark", || envoy.keys().kids().contains(&KID_A).then_some(()));
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
}

#[test]
fn a_bad_environment_is_named_with_its_cure() {
    for (what, key, words) in accidents().into_iter().filter(|(what, _, _)| !what.contains("line breaks")).take(6) {
        let refused = Bootstrap::new(json!({})).env("SIGNING_KEY", &key).start_refused();
        let line = harness::log::the_refusal(&refused.log);
        assert!(line.contains("SIGNING_KEY"), "{what}: {line}");
        assert_says(&line, what, &words);
        Secrets::of([A]).assert_not_in(what, &line);
    }
}

fn answers_only(authority: &str) -> Value {
    json!({"prefix": "/", "headers": [{"name": ":authority", "string_match": {"exact": authority}}]})
}

#[test]
fn the_key_file_is_asked_for_with_its_own_authority() {
    if !only_on(Host::Wasm, "the native module reads the file itself") {
        return;
    }
    let file = json!({"signing_key_file": "/k.pem", "signing_key_refresh": "0.1s"});
    let envoy: Envoy = Bootstrap::new(file).key_file(pem(A)).key_route(answers_only("signing-key")).start();
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    assert_eq!(envoy.keys().kids(), [KID_A]);
}

#[test]
fn a_key_and_a_file_together_are_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": B})).dynamic().start();
    let both = json!({"signing_key": A, "signing_key_file": "/k.pem"});
    check_refused(&envoy, &both, &["signing_key", "signing_key_file"]);
}
