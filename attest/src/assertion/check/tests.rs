use attestation_filter::keys::{Keyring, SigningKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::new_key::KeyType;

const NOW: f64 = 1_700_000_000.0;

struct Signer {
    keys: Keyring,
    kid: String,
    keyset: Keyset,
}

impl Signer {
    fn new(key_type: KeyType) -> Self {
        let keys = Keyring::parse(key_type.generate().unwrap().as_bytes()).ok().unwrap();
        let keyset = Keyset::parse(keys.keyset().json().as_bytes()).unwrap();
        Self { kid: keys.signing_key().public_key().kid().to_owned(), keys, keyset }
    }

    fn sign(&self, claims: &Value) -> String {
        let random = SystemRandom::new();
        let alg = self.keys.signing_key().public_key().alg();
        let input = unsigned(&json!({ "alg": alg, "kid": self.kid, "typ": "JWT" }), claims);
        let message = input.trim_end_matches('.');
        let signature = match self.keys.signing_key() {
            SigningKey::P256(key) => {
                let der = key.pkcs8_der().unwrap();
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap();
                key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec()
            }
            SigningKey::Rsa(key) => {
                let key = aws_lc_rs::rsa::KeyPair::from_pkcs8(key.pkcs8_der()).unwrap();
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn good_claims() -> Value {
    json!({ "iss": "app.example.com", "aud": "app.example.com", "iat": 1_699_999_990, "exp": 1_700_000_290, "sub": "ann" })
}

fn with(member: &str, value: Value) -> Value {
    let mut claims = good_claims();
    claims[member] = value;
    claims
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", encode(header), encode(claims))
}

fn faults(text: &str, keyset: &Keyset, expected: &Expected) -> Vec<String> {
    check(text, Ok(keyset), expected, NOW).faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_assertion_has_no_fault() {
    for key_type in [KeyType::P256, KeyType::Rsa2048] {
        let signer = Signer::new(key_type);
        let token = signer.sign(&good_claims());
        for text in [token.clone(), format!("Bearer {token}\n"), format!("  bearer   {token}")] {
            let verdict = check(&text, Ok(&signer.keyset), &Expected::default(), NOW);
            assert!(verdict.is_good(), "{:?}", verdict.faults);
            assert_eq!(verdict.token.unwrap().text("sub"), "ann");
        }
    }
}

#[test]
fn every_changed_byte_of_a_token_is_noticed() {
    let signer = Signer::new(KeyType::P256);
    let token = signer.sign(&good_claims());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let verdict = check(&String::from_utf8(changed).unwrap(), Ok(&signer.keyset), &Expected::default(), NOW);
        assert!(!verdict.is_good(), "byte {at}");
    }
}

#[test]
fn times_are_judged_in_words() {
    let signer = Signer::new(KeyType::P256);
    let judge = |claims: &Value, leeway: u64| {
        let expected = Expected { leeway: Duration::from_secs(leeway), ..Expected::default() };
        faults(&signer.sign(claims), &signer.keyset, &expected)
    };
    assert_eq!(judge(&with("exp", json!(1_699_999_988)), 0), ["expired 12 s ago"]);
    assert_eq!(judge(&with("exp", json!(1_699_999_988)), 13), [""; 0]);
    assert_eq!(judge(&with("exp", json!(1_699_999_988)), 10), ["expired 12 s ago"]);
    assert_eq!(judge(&with("exp", json!(1_700_000_000)), 0), ["expired 0 s ago"]);
    assert_eq!(judge(&with("nbf", json!(1_700_000_005)), 0), ["not yet valid: it becomes so in 5 s"]);
    assert_eq!(judge(&with("iat", json!(1_700_000_005)), 0), ["not yet valid: it was issued 5 s in the future"]);
    assert_eq!(judge(&with("iat", json!(1_700_000_005)), 5), [""; 0]);
    assert_eq!(judge(&with("exp", json!("soon")), 0), ["the claim exp is not a number of seconds since 1970"]);
    assert_eq!(judge(&with("exp", json!(1_700_000_000.5)), 0), [""; 0]);
    assert_eq!(judge(&json!({}), 0), ["the claim exp is missing"]);
}

#[test]
fn audience_and_issuer_are_compared_whole() {
    let signer = Signer::new(KeyType::P256);
    let expected =
        Expected { audiences: vec!["a".into(), "b".into()], issuers: vec!["i".into()], ..Expected::default() };
    let judge = |aud: Value, iss: Value| {
        let mut claims = with("aud", aud);
        claims["iss"] = iss;
        faults(&signer.sign(&claims), &signer.keyset, &expected)
    };
    assert_eq!(judge(json!("b"), json!("i")), [""; 0]);
    assert_eq!(judge(json!(["x", "a"]), json!("i")), [""; 0]);
    assert_eq!(judge(json!("ab"), json!("i")), ["other audience: it is for ab, and not for a, b"]);
    assert_eq!(judge(json!([]), json!("i")), ["other audience: it is for none, and not for a, b"]);
    assert_eq!(judge(json!("a"), json!("")), ["other issuer: it is from \"\", and not from i"]);
    assert_eq!(judge(json!(7), json!(7)).len(), 2);
}

#[test]
fn a_signature_of_another_key_is_bad_and_its_claims_are_still_judged() {
    let (signer, other) = (Signer::new(KeyType::P256), Signer::new(KeyType::P256));
    let forged = Signer { kid: signer.kid.clone(), ..other };
    let token = forged.sign(&with("exp", json!(1)));
    let verdict = check(&token, Ok(&signer.keyset), &Expected::default(), NOW);
    assert_eq!(verdict.faults[0], Fault::Signature);
    assert_eq!(verdict.faults[1].code(), "expired");
    assert!(!verdict.is_signed());
}

#[test]
fn keys_are_found_by_kid_alone() {
    let (signer, other) = (Signer::new(KeyType::P256), Signer::new(KeyType::P256));
    let token = signer.sign(&good_claims());
    let wrong = faults(&token, &other.keyset, &Expected::default());
    assert_eq!(wrong, [format!("wrong kid: no key {} in the keyset, which has {}", signer.kid, other.kid)]);
    let empty = Keyset::parse(br#"{"keys":[]}"#).unwrap();
    assert_eq!(faults(&token, &empty, &Expected::default()), ["the keyset is empty"]);
    let no_kid = unsigned(&json!({ "alg": "ES256" }), &good_claims());
    assert!(faults(&no_kid, &signer.keyset, &Expected::default())[0].starts_with("the header names no key"));
}

#[test]
fn an_algorithm_that_is_not_the_key_s_is_refused() {
    let (ec, rsa) = (Signer::new(KeyType::P256), Signer::new(KeyType::Rsa2048));
    let confused = Signer { kid: ec.kid.clone(), ..rsa };
    let token = confused.sign(&good_claims());
    assert_eq!(
        faults(&token, &ec.keyset, &Expected::default()),
        ["alg is RS256, but the key with this kid is EC P-256 for ES256"]
    );
    for (alg, code) in [
        (json!("none"), "algorithm_none"),
        (json!("NONE"), "algorithm_none"),
        (json!("HS256"), "shared_secret_algorithm"),
        (json!("ES384"), "bad_algorithm"),
        (json!(null), "bad_algorithm"),
    ] {
        let token = unsigned(&json!({ "alg": alg, "kid": ec.kid }), &good_claims());
        let verdict = check(&token, Ok(&ec.keyset), &Expected::default(), NOW);
        assert_eq!(verdict.faults[0].code(), code, "{alg}");
    }
    let critical = unsigned(&json!({ "alg": "ES256", "kid": ec.kid, "crit": ["b64"] }), &good_claims());
    assert_eq!(check(&critical, Ok(&ec.keyset), &Expected::default(), NOW).faults[0], Fault::Critical);
}

#[test]
fn what_is_no_jws_is_said_in_words() {
    let keyset = Keyset::parse(br#"{"keys":[]}"#).unwrap();
    for (text, code) in [
        ("", "empty"),
        ("Bearer ", "empty"),
        ("abc", "not_three_parts"),
        ("a.b.c.d.e", "not_three_parts"),
        ("e30=.e30.", "bad_base64"),
        ("e30.e+0.", "bad_base64"),
        ("e30.e30.!", "bad_base64"),
        ("bm8.e30.", "bad_json"),
        ("e30.W10.", "bad_json"),
        ("é.é.é", "bad_base64"),
    ] {
        assert_eq!(check(text, Ok(&keyset), &Expected::default(), NOW).faults[0].code(), code, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_checks_panic(text in "\\PC{0,80}", header in "\\PC{0,40}", payload in "\\PC{0,40}") {
        let keyset = Keyset::parse(br#"{"keys":[{}]}"#).unwrap();
        check(&text, Ok(&keyset), &Expected::default(), NOW);
        let made = format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        check(&made, Ok(&keyset), &Expected::default(), NOW);
    }
}
