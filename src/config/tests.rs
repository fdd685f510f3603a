use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::claims::{Audience, ClaimRule};
use crate::keys::feed::Secret;
use crate::value::protobuf::build;

fn read(config: &Json) -> Result<Config, ConfigError> {
    Config::read(Platform::Wasm, config.to_string().as_bytes(), |_| None)
}

fn error(config: &Json) -> String {
    let by_json = read(config).err().unwrap().to_string();
    let by_struct = Config::read(Platform::Wasm, &build::object(config), |_| None).err().unwrap().to_string();
    assert_eq!(by_json, by_struct);
    by_json
}

#[test]
fn nothing_is_a_configuration() {
    for empty in ["", "{}", " \n"] {
        let config = Config::read(Platform::Wasm, empty.as_bytes(), |_| None).ok().unwrap();
        assert_eq!(config.assertion_header.as_str(), "x-pomerium-jwt-assertion");
        assert_eq!((config.token_lifetime, config.jwks_max_age), (300, 60));
        assert_eq!(config.jwks_path, "/.well-known/pomerium/jwks.json");
        assert_eq!(config.identity_sources, [IdentitySource::jwt_authn()]);
        assert_eq!(config.settings, Settings::default());
        assert!(matches!(config.key_source, KeySource::Ephemeral));
    }
}

#[test]
fn every_field_is_read_from_either_form() {
    let config = json!({
        "signing_key_file": "/etc/keys/signing.pem", "signing_key_cluster": "keys", "signing_key_refresh": "0.5s",
        "signer": "wasm", "assertion_header": "Authorization", "assertion_prefix": "Bearer ",
        "jwt_issuer_format": "uri", "issuer": "me", "audience": ["a", "b"], "token_lifetime": "60s", "reuse": "30s",
        "pass_identity_headers": false, "on_missing_identity": "deny",
        "identity_sources": [
            {"metadata": {"namespace": "n", "path": ["a", "b"]}},
            {"headers": {"sub": "X-User"}},
            {"client_certificate": {"sub": "uri_san"}},
        ],
        "claims": {"department": {"from": "dept"}, "env": {"value": {"a": [1, null]}}},
        "jwt_claims_headers": {"X-Email": "email"}, "jwt_groups_filter": ["admin"], "max_assertion_bytes": 4096,
        "jwks_path": "/keys", "jwks_max_age": "0s", "user_endpoints": true,
    });
    let read = [read(&config), Config::read(Platform::Wasm, &build::object(&config), |_| None)]
        .map(|config| config.ok().unwrap());
    assert_eq!(format!("{:?}", read[0]), format!("{:?}", read[1]));
    let config = &read[0];
    let KeySource::File(file) = &config.key_source else { panic!("no file") };
    assert_eq!((file.path.as_str(), file.cluster.as_str()), ("/etc/keys/signing.pem", "keys"));
    assert_eq!((file.refresh, config.reuse), (Duration::from_millis(500), Some(Duration::from_secs(30))));
    assert_eq!(config.settings.audience, Some(Audience::Many(vec!["a".into(), "b".into()])));
    assert_eq!(config.settings.rule("env"), Some(&ClaimRule::Value(json!({"a": [1, null]}))));
    assert_eq!(config.max_assertion_bytes, Some(4096));
}

#[test]
fn a_struct_that_begins_like_json_is_still_one() {
    // A line feed and `{` are the tag and the length of an entry of 123 bytes.
    let config = json!({"issuer": "i".repeat(111)});
    let bytes = build::object(&config);
    assert_eq!(&bytes[..2], b"\n{");
    assert_eq!(Config::read(Platform::Wasm, &bytes, |_| None).ok().unwrap().settings.issuer, Some("i".repeat(111)));
}

#[test]
fn claim_headers_have_three_forms() {
    let pairs = |config: Json| -> Vec<(String, String)> {
        let config = read(&json!({"jwt_claims_headers": config})).ok().unwrap();
        config.claims.headers.iter().map(|header| (header.header.as_str().to_owned(), header.claim.clone())).collect()
    };
    let expected = [("x-pomerium-claim-email", "email"), ("x-pomerium-claim-family_name", "family_name")];
    let expected = expected.map(|(header, claim)| (header.to_owned(), claim.to_owned()));
    assert_eq!(pairs(json!(["email", "family_name"])), expected);
    assert_eq!(pairs(json!("email, family_name\temail,")), expected);
    assert_eq!(
        pairs(json!({"X-Roles": "https://example.com/roles"})),
        [("x-roles".into(), "https://example.com/roles".into())]
    );
}

#[test]
fn keys_come_from_the_first_place_that_is_set() {
    let source = |config: Json, key: Option<&str>, file: Option<&str>| {
        let environment = |name: &str| match name {
            "SIGNING_KEY" => key.map(str::to_owned),
            _ => file.map(str::to_owned),
        };
        format!(
            "{:?}",
            Config::read(Platform::Wasm, config.to_string().as_bytes(), environment).ok().unwrap().key_source
        )
    };
    assert!(source(json!({"signing_key": "k"}), Some("e"), Some("/e")).contains("\"signing_key\""));
    assert!(source(json!({"signing_key_file": "/f"}), Some("e"), Some("/e")).contains("\"/f\""));
    assert!(source(json!({}), Some("e"), Some("/e")).contains("SIGNING_KEY"));
    assert!(source(json!({}), None, Some("/e")).contains("\"/e\""));
    assert_eq!(source(json!({}), None, None), "Ephemeral");
}

#[test]
fn a_peers_key_for_something_else_is_named() {
    let vector = include_bytes!("../../tests/vectors/signing-key-a.b64");
    let keyring = crate::keys::Keyring::parse(vector).ok().unwrap();
    for (member, value, expected) in [
        ("use", json!("enc"), r#"got "enc"; allowed is "sig", or nothing"#),
        ("use", json!(null), r#"got null; allowed is "sig", or nothing"#),
        ("alg", json!("RS256"), r#"got "RS256"; allowed is "ES256", or nothing"#),
        ("key_ops", json!(["sign"]), r#"got a list; allowed is a list with "verify" in it, or nothing"#),
        ("key_ops", json!("verify"), r#"got "verify"; allowed is a list"#),
    ] {
        let mut key: Json = serde_json::from_str(&keyring.signing_key().public_key().jwk()).unwrap();
        key[member] = value;
        let config = json!({"actor": {"trusted": [{"issuer": "front", "jwks": {"keys": [key]}}]}});
        assert_eq!(error(&config), format!("actor.trusted[0].jwks.keys[0].{member}: {expected}"));
    }
}

#[test]
fn what_is_wrong_is_named_with_what_is_allowed() {
    for (config, expected) in [
        (json!({"audiance": "x"}), "audiance: unknown field; allowed are"),
        (json!({"issuer": null}), "issuer: got null; allowed is a string"),
        (json!({"issuer": ""}), "issuer: got \"\"; allowed is a string that is not empty"),
        (json!({"audience": []}), "audience: got an empty list; allowed is"),
        (json!({"audience": ["a", ""]}), "audience[1]: got \"\"; allowed is"),
        (
            json!({"token_lifetime": "0s"}),
            "token_lifetime: got \"0s\"; allowed is a duration such as \"5s\" or \"0.5s\", from 1s to 86400s",
        ),
        (json!({"token_lifetime": "86401s"}), "token_lifetime: got \"86401s\""),
        (json!({"token_lifetime": 300}), "token_lifetime: got 300; allowed is a duration"),
        (json!({"token_lifetime": "5m"}), "token_lifetime: got \"5m\""),
        (json!({"token_lifetime": "-5s"}), "token_lifetime: got \"-5s\""),
        (json!({"reuse": "151s"}), "reuse: got \"151s\" with token_lifetime \"300s\"; allowed is at most half"),
        (json!({"signer": "hsm"}), "signer: got \"hsm\"; allowed is one of auto, host, wasm"),
        (json!({"assertion_header": "x y"}), "assertion_header: got \"x y\"; allowed is a header name"),
        (json!({"assertion_header": ":path"}), "assertion_header: got \":path\""),
        (json!({"assertion_prefix": "a\nb"}), "assertion_prefix: got \"a\\nb\"; allowed is visible ASCII"),
        (json!({"jwks_path": "/a?b"}), "jwks_path: got \"/a?b\"; allowed is an absolute path"),
        (json!({"jwks_path": "a"}), "jwks_path: got \"a\""),
        (json!({"jwks_path": "/.well-known/pomerium"}), "jwks_path: got"),
        (json!({"max_assertion_bytes": 0}), "max_assertion_bytes: got 0; allowed is a whole number from 1 to 2^53-1"),
        (json!({"max_assertion_bytes": 1_u64 << 53}), "max_assertion_bytes: got 9007199254740992"),
        (json!({"max_assertion_bytes": 1.5}), "max_assertion_bytes: got 1.5"),
        (json!({"claims": {"iss": {"value": "x"}}}), "claims.iss: got \"iss\"; allowed is any claim but"),
        (json!({"claims": {"a": {"from": []}}}), "claims.a.from: got an empty list"),
        (
            json!({"claims": {"a": {}}}),
            "claims.a: got an object; allowed is an object with exactly one of from, first_of, value",
        ),
        (
            json!({"claims": {"a": {"from": "b", "value": 1}}}),
            "claims.a: got an object; allowed is an object with exactly one",
        ),
        (json!({"claims": {"a": {"form": "b"}}}), "claims.a.form: unknown field; allowed are first_of, from, value"),
        (json!({"claims": {"email": {"value": 5}}}), "claims.email.value: got 5; allowed is a string"),
        (json!({"jwt_claims_headers": {"X-Pomerium_Jwt-Assertion": "email"}}), "jwt_claims_headers: got"),
        (json!({"jwt_claims_headers": ["a b"]}), "jwt_claims_headers[0]: got \"a b\""),
        (json!({"jwt_claims_headers": "a,b:c"}), "jwt_claims_headers: got \"b:c\""),
        (
            json!({"identity_sources": [{"metadata": {"path": []}}]}),
            "identity_sources[0].metadata.namespace: got nothing",
        ),
        (
            json!({"identity_sources": [{"client_certificate": {"sub": "cn"}}]}),
            "identity_sources[0].client_certificate.sub: got \"cn\"; allowed is one of uri_san",
        ),
        (
            json!({"signing_key": "a", "signing_key_file": "/b"}),
            "signing_key_file: got a path beside signing_key; allowed is one of the two",
        ),
        (json!({"signing_key": 5}), "signing_key: got a number; allowed is a string: PEM, or base64 of PEM"),
    ] {
        let error = error(&config);
        assert!(error.starts_with(expected), "{config}: {error}");
    }
}

#[test]
fn a_key_in_the_wrong_place_is_not_repeated() {
    let secret = "MHcCAQEEICTXyUCJabiGMmpwujbPfXxMKc3Z3E3KDriDnd/fKbNk";
    for field in ["signer", "token_lifetime", "assertion_header", "jwks_path", "reuse", "jwt_claims_headers"] {
        let error = read(&json!({field: secret})).err().unwrap().to_string();
        assert!(!error.contains("MHcC"), "{error}");
    }
    let error = read(&json!({secret: 1})).err().unwrap().to_string();
    assert!(!error.contains("MHcC"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Config::read(Platform::Wasm, &bytes, |_| None);
    }
}

fn read_natively(config: &Json) -> Result<Config, ConfigError> {
    Config::read(Platform::Native, config.to_string().as_bytes(), |_| None)
}

#[test]
fn native_defaults_look_into_filter_state() {
    let config = read_natively(&json!({"signer": "auto", "signing_key_file": "/k"})).ok().unwrap();
    assert_eq!(config.identity_sources, [IdentitySource::FilterState("attestation.identity".into())]);
}

#[test]
fn native_metadata_is_the_namespace_itself() {
    let flat = json!({"identity_sources": [{"metadata": {"namespace": "n"}}]});
    let sources = read_natively(&flat).ok().unwrap().identity_sources;
    assert_eq!(sources, [IdentitySource::Metadata { namespace: "n".into(), path: Some(vec![]) }]);
}

#[test]
fn what_a_native_host_lacks_is_refused() {
    let metadata = |source: Json| json!({"identity_sources": [{"headers": {"sub": "x"}}, {"metadata": source}]});
    let jwt_authn = "envoy.filters.http.jwt_authn";
    for (config, expected) in [
        (json!({"signer": "wasm"}), "signer: got \"wasm\"; allowed is one of auto"),
        (
            json!({"signing_key_file": "/k", "signing_key_cluster": "c"}),
            "signing_key_cluster: got \"c\"; allowed is nothing",
        ),
        (metadata(json!({"namespace": jwt_authn})), "identity_sources[1].metadata.namespace: got \"envoy.filters"),
        (metadata(json!({"namespace": "n", "path": ["a"]})), "identity_sources[1].metadata.path: got a list"),
    ] {
        let error = read_natively(&config).err().unwrap().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("metadata") || error.contains("write {filter_state: attestation.identity}"), "{error}");
    }
}

#[test]
fn secret_is_a_name_or_a_name_and_a_source() {
    let source = |secret: Json| match read_natively(&json!({"signing_key_secret": secret})) {
        Ok(Config { key_source: KeySource::Secret(secret), .. }) => Ok(secret),
        Ok(_) => panic!("no secret"),
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(source(json!("s")).unwrap(), Secret { name: "s".into(), source: None });
    let dynamic = source(json!({"name": "s", "sds_config": {"ads": {}}})).unwrap();
    assert_eq!(dynamic.source.as_deref(), Some(r#"{"ads":{}}"#));
    let unfit = [json!(""), json!({}), json!(["s"]), json!(null), json!({"name": "s"})];
    for bad in unfit.into_iter().chain([json!({"name": "s", "sds_config": "x"})]) {
        assert!(source(bad.clone()).is_err(), "{bad}");
    }
    for other in ["signing_key", "signing_key_file"] {
        assert!(read_natively(&json!({"signing_key_secret": "s", other: "/k"})).is_err(), "{other}");
    }
}

#[test]
fn secret_is_refused_in_wasm() {
    let error = read(&json!({"signing_key_secret": "s"})).err().unwrap().to_string();
    assert!(error.starts_with("signing_key_secret: got \"s\"; allowed is nothing"), "{error}");
}

#[test]
fn native_route_has_the_forms_of_a_plugin_configuration() {
    let config = json!({"audience": "a", "claims": {"n": {"value": 1}}});
    for bytes in [config.to_string().into_bytes(), build::object(&config)] {
        assert_eq!(route_members(&bytes).ok().unwrap().len(), 2);
    }
    assert!(route_members(b"").ok().unwrap().is_empty());
    for bad in [json!({"audience": []}), json!({"signing_key": "k"}), json!([])] {
        assert!(route_members(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
}
