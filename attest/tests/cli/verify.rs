//! Every verdict.

use serde_json::{Value, json};

use crate::support::{Keys, Proxy, claims, encode, now, run, run_with_stdin};

fn keyset_file(keys: &Keys) -> String {
    keys.write("keyset.json", &keys.keyset())
}

fn codes(answer: &Value) -> Vec<&str> {
    answer["faults"].as_array().unwrap().iter().map(|fault| fault["code"].as_str().unwrap()).collect()
}

fn judged(keys: &Keys, token: &str, more: &[&str]) -> (i32, Value) {
    let keyset = keyset_file(keys);
    let said = run(&[&["--json", "verify", token, "--jwks", &keyset], more].concat());
    (said.code, said.json())
}

#[test]
fn a_good_assertion_is_shown_and_verified() {
    for key_type in ["p256", "rsa-2048"] {
        let keys = Keys::of_type(key_type);
        let (token, keyset) = (keys.sign(&claims()), keyset_file(&keys));
        let said = run(&["verify", &token, "--jwks", &keyset, "--audience", "app.example.com"]);
        assert_eq!(said.code, 0, "{}", said.all());
        assert!(said.stdout.contains(&format!("verified with kid {}", keys.kids()[0])), "{}", said.stdout);
        assert!(said.stdout.contains("ann@example.com") && said.stdout.contains("UTC, in 5 min"), "{}", said.stdout);
        assert!(!said.stdout.contains('\u{1b}'), "no colours in a pipe");
    }
}

#[test]
fn what_was_not_checked_is_named() {
    let keys = Keys::new();
    let (token, keyset) = (keys.sign(&claims()), keyset_file(&keys));
    let said = run(&["verify", &token, "--jwks", &keyset]);
    assert!(said.stdout.contains("not checked: audience, issuer"), "{}", said.stdout);
    let checked = ["--audience", "app.example.com", "--issuer", "app.example.com"];
    assert_eq!(judged(&keys, &token, &checked[..2]).1["not_checked"], json!(["issuer"]));
    assert_eq!(judged(&keys, &token, &checked).1["not_checked"], json!([]));
    let said = run(&[&["verify", &token, "--jwks", &keyset][..], &checked].concat());
    assert!(!said.stdout.contains("not checked"), "{}", said.stdout);
}

#[test]
fn the_token_may_come_from_standard_input_and_with_bearer() {
    let keys = Keys::new();
    let (token, keyset) = (keys.sign(&claims()), keyset_file(&keys));
    let said = run_with_stdin(&["--json", "verify", "-", "--jwks", &keyset], &format!("Bearer {token}\n"));
    assert_eq!((said.code, &said.json()["verified"]), (0, &json!(true)));
    assert_eq!(said.json()["claims"], claims_of(&token));
}

fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn the_keyset_may_be_a_url() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let said = run(&["verify", &keys.sign(&claims()), "--jwks", &proxy.url]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert_eq!(proxy.times_asked(), 1);
}

#[test]
fn an_expired_or_early_assertion_says_by_how_much() {
    let keys = Keys::new();
    let mut old = claims();
    old["exp"] = json!(now() - 12);
    let said = run(&["verify", &keys.sign(&old), "--jwks", &keyset_file(&keys)]);
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("expired 12 s ago") || said.stdout.contains("expired 13 s ago"), "{}", said.stdout);
    assert_eq!(judged(&keys, &keys.sign(&old), &["--leeway", "60"]).0, 0);
    let mut early = claims();
    early["nbf"] = json!(now() + 100);
    let (code, answer) = judged(&keys, &keys.sign(&early), &[]);
    assert_eq!((code, codes(&answer)), (1, vec!["not_yet_valid"]));
}

#[test]
fn every_fault_has_its_code_and_everything_wrong_is_named() {
    let (keys, other) = (Keys::new(), Keys::new());
    let kid = &keys.kids()[0];
    let good = keys.sign(&claims());
    let unsigned = |alg: &str| format!("{}.{}.", encode(&json!({ "alg": alg, "kid": kid })), encode(&claims()));
    let stolen_kid = other.sign_with_header(&json!({ "alg": "ES256", "kid": kid }), &claims());
    let cases: [(String, &[&str], &[&str]); 11] = [
        (other.sign(&claims()), &[], &["unknown_kid"]),
        (stolen_kid, &[], &["bad_signature"]),
        (unsigned("none"), &[], &["algorithm_none"]),
        (unsigned("HS256"), &[], &["shared_secret_algorithm"]),
        (unsigned("RS256"), &[], &["algorithm_mismatch"]),
        (good.clone(), &["--audience", "x", "--issuer", "y"], &["wrong_audience", "wrong_issuer"]),
        (good.replace('.', ""), &[], &["not_three_parts"]),
        (format!("{good}="), &[], &["bad_base64"]),
        (format!("AAAA.{}", good.split_once('.').unwrap().1), &[], &["bad_json"]),
        (String::new(), &[], &["empty"]),
        (keys.sign(&json!({})), &[], &["missing_claim"]),
    ];
    for (token, more, expected) in cases {
        let (code, answer) = judged(&keys, &token, more);
        assert_eq!((code, codes(&answer)), (1, expected.to_vec()), "{token}");
        assert_eq!(answer["verified"], false);
    }
}

#[test]
fn a_key_that_is_not_for_signatures_is_refused() {
    for key_type in ["p256", "rsa-2048"] {
        let keys = Keys::of_type(key_type);
        let token = keys.sign(&claims());
        let judge = |member: &str, value: Value| {
            let mut keyset: Value = serde_json::from_str(&keys.keyset()).unwrap();
            keyset["keys"][0][member] = value;
            run(&["--json", "verify", &token, "--jwks", &keys.write("other.json", &keyset.to_string())])
        };
        for (member, value, reason) in [
            ("use", json!("enc"), "its use is \"enc\""),
            ("use", json!("SIG"), "its use is \"SIG\""),
            ("use", json!(null), "its use is null"),
            ("key_ops", json!(["sign"]), "its key_ops are [\"sign\"]"),
            ("key_ops", json!([]), "its key_ops are []"),
            ("key_ops", json!("verify"), "its key_ops are \"verify\""),
        ] {
            let (said, name) = (judge(member, value.clone()), format!("{member} {value}"));
            let answer = said.json();
            assert_eq!((said.code, codes(&answer)), (1, vec!["unusable_key"]), "{name}");
            assert!(answer["faults"][0]["message"].as_str().unwrap().contains(reason), "{name}: {answer}");
        }
        for operations in [json!(["verify"]), json!(["sign", "verify"])] {
            assert_eq!(judge("key_ops", operations).code, 0);
        }
    }
}

#[test]
fn a_wrong_kid_names_those_of_the_keyset() {
    let (keys, other) = (Keys::new(), Keys::new());
    let said = run(&["verify", &other.sign(&claims()), "--jwks", &keyset_file(&keys)]);
    assert!(said.stdout.contains(&format!("wrong kid: no key {}", other.kids()[0])), "{}", said.stdout);
    assert!(said.stdout.contains(&format!("which has {}", keys.kids()[0])), "{}", said.stdout);
    let empty = keys.write("empty.json", r#"{"keys":[]}"#);
    let said = run(&["verify", &keys.sign(&claims()), "--jwks", &empty]);
    assert!(said.stdout.contains("the keyset is empty") && said.stdout.contains("ephemeral"), "{}", said.stdout);
}

#[test]
fn a_keyset_that_cannot_be_had_says_what_to_try() {
    let keys = Keys::new();
    let token = keys.sign(&claims());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pem = keys.file().to_owned();
    for (source, hint) in [
        (format!("http://{free}/"), "nothing listens there"),
        ("/nonexistent/keyset.json".to_owned(), "attest jwks"),
        (pem, "attest jwks"),
        (Proxy::new("<html>").url, "not JSON"),
    ] {
        let said = run(&["verify", &token, "--jwks", &source]);
        assert_eq!(said.code, 1);
        assert!(said.stdout.contains(hint), "{source}: {}", said.all());
        assert!(said.stdout.contains("ann@example.com"), "the token is shown nevertheless");
    }
}

#[test]
fn without_a_keyset_the_claims_are_still_judged() {
    let keys = Keys::new();
    let mut old = claims();
    old["exp"] = json!(now() - 12);
    let token = keys.sign(&old);
    let no_keyset = ["verify", &token, "--jwks", "/nonexistent"];
    let answer = run(&[&["--json"], &no_keyset[..], &["--audience", "x"]].concat()).json();
    assert_eq!(codes(&answer), ["keyset_unavailable", "expired", "wrong_audience"]);
    assert_eq!((&answer["signature"], &answer["not_checked"]), (&json!(false), &json!(["signature", "issuer"])));
    let said = run(&no_keyset);
    assert!(said.stdout.contains("not checked: signature, audience, issuer; name"), "{}", said.stdout);
    let said = run(&[&no_keyset[..], &["--audience", "x", "--issuer", "y"]].concat());
    assert!(said.stdout.contains("not checked: signature\n"), "{}", said.stdout);
    let forged = Keys::new().sign_with_header(&json!({ "alg": "ES256", "kid": keys.kids()[0] }), &claims());
    assert_eq!(judged(&keys, &forged, &[]).1["not_checked"], json!(["audience", "issuer"]));
}

#[test]
fn a_hostile_token_cannot_drive_the_terminal() {
    let keys = Keys::new();
    let evil = "\u{1b}]0;owned\u{7}\u{9b}31m\u{7f}";
    let mut claims = claims();
    claims[evil] = json!({ evil: evil });
    claims["aud"] = json!(evil);
    let token = keys.sign_with_header(&json!({ "alg": evil, "kid": evil, evil: evil }), &claims);
    for more in [&["--audience", "x"][..], &["--json"]] {
        let said = run(&[&["verify", &token, "--jwks", &keyset_file(&keys)], more].concat());
        assert_eq!(said.code, 1);
        assert!(said.all().chars().all(|c| c == '\n' || !c.is_control()), "{:?}", said.all());
    }
}
