//! Each field of the plugin configuration, and how a bad value is refused.

use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, KID_B, pem};
use harness::log::{ours, the_refusal};
use harness::{ASSERTION_HEADER, Bootstrap, Capability, Configuration, Envoy, HOST, Host, Request, Secrets};

/// Values that a field must refuse: the field's name, and the values.
fn bad_values() -> Vec<(&'static str, Vec<Value>)> {
    let not_a_string = || vec![Value::Null, json!(5), json!(true), json!([]), json!({})];
    let not_a_duration = || {
        let strings =
            ["", "s", "5", "5m", "1h", "abc", "-1s", "1s ", " 1s", "1,5s", "NaNs", "infs", "1e3s", "0x5s", "1s1s"];
        [vec![Value::Null, json!(5), json!(true), json!({})], strings.map(Value::from).to_vec()].concat()
    };
    let not_a_bool = || vec![Value::Null, json!("true"), json!(1), json!([])];
    let header_names = ["", "a b", "a:b", ":path", "a\nb", "é", "a\"b", "a(b)", "a,b", "a/b"].map(Value::from).to_vec();
    vec![
        ("signing_key", not_a_string()),
        ("signing_key_file", [not_a_string(), vec![json!("/key.pem?x")]].concat()),
        ("signing_key_cluster", not_a_string()),
        ("signing_key_refresh", not_a_duration()),
        ("signing_key_wait", [not_a_duration(), ["61s", "60.1s"].map(Value::from).to_vec()].concat()),
        ("signer", [not_a_string(), vec![json!("gpu"), json!("")]].concat()),
        ("assertion_header", [not_a_string(), header_names].concat()),
        ("assertion_prefix", [not_a_string(), vec![json!("a\nb"), json!("a\u{0}b"), json!("\u{7f}")]].concat()),
        ("jwt_issuer_format", [not_a_string(), vec![json!("url"), json!("Issuer")]].concat()),
        ("issuer", not_a_string()),
        ("audience", vec![Value::Null, json!(5), json!(true), json!({}), json!([]), json!([5]), json!(["a", null])]),
        (
            "token_lifetime",
            [not_a_duration(), ["0s", "0.5s", "86401s", "999999999999s"].map(Value::from).to_vec()].concat(),
        ),
        ("iat_backdate", [not_a_duration(), ["61s", "3600s"].map(Value::from).to_vec()].concat()),
        ("reuse", [not_a_duration(), ["151s", "300s", "86400s"].map(Value::from).to_vec()].concat()),
        ("pass_identity_headers", not_a_bool()),
        ("required_claims", vec![Value::Null, json!("sub"), json!({}), json!(["dept"]), json!(["iss"]), json!([null])]),
        ("on_missing_identity", [not_a_string(), vec![json!("allow"), json!("")]].concat()),
        ("cors_allow_preflight", not_a_bool()),
        ("claim_values", [not_a_string(), vec![json!("string"), json!("")]].concat()),
        ("jwt_groups_filter", vec![Value::Null, json!("a"), json!(5), json!({}), json!([]), json!([5]), json!([null])]),
        ("max_assertion_bytes", vec![Value::Null, json!("5"), json!(1.5), json!(-1), json!(true), json!([])]),
        ("jwks_path", [not_a_string(), vec![json!(""), json!("/keys?x")]].concat()),
        ("jwks_max_age", not_a_duration()),
        ("openid_configuration", [not_a_bool(), vec![json!(true)]].concat()),
        ("user_endpoints", not_a_bool()),
    ]
}

/// Values of the structured fields that must be refused.
fn bad_structures() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "identity_sources",
            vec![
                Value::Null,
                json!("metadata"),
                json!({}),
                json!([null]),
                json!([5]),
                json!([{}]),
                json!([{"cookie": {"name": "session"}}]),
                json!([{"metadata": {}}]),
                json!([{"metadata": null}]),
                json!([{"metadata": {"namespace": 5}}]),
                json!([{"metadata": {"namespace": "n", "path": "a"}}]),
                json!([{"metadata": {"namespace": "n", "path": [5]}}]),
                json!([{"metadata": {"namespace": "n", "paths": ["a"]}}]),
                json!([{"metadata": {"namespace": "n"}, "headers": {"sub": "x-user"}}]),
                json!([{"filter_state": ""}]),
                json!([{"filter_state": {"name": "attestation.identity"}}]),
                json!([{"headers": 5}]),
                json!([{"headers": {"email": "x-email"}}]),
                json!([{"headers": {"sub": "x-user", "groups": {"separator": "|"}}}]),
                json!([{"headers": {"sub": "x-user", "groups": {"header": "x-groups", "separator": ""}}}]),
                json!([{"headers": {"sub": "x-user", "groups": {"header": "x-groups", "format": "csv"}}}]),
                json!([{"client_certificate": {"email": "uri_san"}}]),
                json!([{"headers": {"sub": 5}}]),
                json!([{"headers": {"sub": null}}]),
                json!([{"headers": {"sub": "a b"}}]),
                json!([{"client_certificate": {"sub": "email_san"}}]),
                json!([{"client_certificate": {"sub": 5}}]),
                json!([{"metadata": {"namespace": "n"}}, {"unknown": {}}]),
            ],
        ),
        (
            "claims",
            vec![
                Value::Null,
                json!([]),
                json!("dept"),
                json!({"dept": null}),
                json!({"dept": "dept"}),
                json!({"dept": {}}),
                json!({"dept": {"from": []}}),
                json!({"dept": {"from": 5}}),
                json!({"dept": {"from": null}}),
                json!({"dept": {"from": [5, "a"]}}),
                json!({"dept": {"from": ["a", -1]}}),
                json!({"dept": {"from": ["a", true]}}),
                json!({"dept": {"first_of": []}}),
                json!({"dept": {"first_of": "a"}}),
                json!({"dept": {"first_of": ["a"], "from": "b"}}),
                json!({"dept": {"value": 9007199254740992_i64}}),
                json!({"dept": {"from": "a", "value": "b"}}),
                json!({"dept": {"form": "a"}}),
                json!({"dept": {"from": "a", "extra": 1}}),
                json!({"iss": {"value": "x"}}),
                json!({"aud": {"value": "x"}}),
                json!({"jti": {"from": "x"}}),
                json!({"iat": {"value": 1}}),
                json!({"exp": {"from": "exp"}}),
            ],
        ),
        (
            "jwt_claims_headers",
            vec![
                Value::Null,
                json!(5),
                json!(true),
                json!({"a b": "email"}),
                json!({"": "email"}),
                json!({":path": "email"}),
                json!({"X-Email": 5}),
                json!({"X-Email": null}),
                json!([5]),
                json!([null]),
                json!(["a b"]),
                json!("a b:c"),
                json!({"X-Pomerium-Jwt-Assertion": "email"}),
                json!({"x-pomerium-jwt-assertion": "email"}),
            ],
        ),
    ]
}

#[test]
fn a_bad_value_is_refused_by_name_and_the_last_good_configuration_serves() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for (field, values) in bad_values().into_iter().chain(bad_structures()) {
        for value in values {
            let context = format!("{field}: {value}");
            let mut configuration = json!({"signing_key": A, "audience": "wrong"});
            configuration[field] = value;
            check_refused(&envoy, &context, configuration.clone().into(), field);
            check_refused(&envoy, &context, Configuration::Text(configuration.to_string()), field);
        }
    }
}

/// Pushes a bad configuration; the filter must say in one line which field is wrong, and go on as before.
fn check_refused(envoy: &Envoy, context: &str, configuration: Configuration, field: &str) {
    let verdict = envoy.push(&configuration);
    assert!(!verdict.is_accepted, "{context}: accepted");
    let line = the_refusal(&verdict.log);
    assert!(line.contains(field), "{context}: the line names the field: {line}");
    Secrets::of([A]).assert_not_in("the refusal", &line);
    let assertion = envoy.attest(&Request::get("/"));
    assert_eq!(assertion.claim("aud"), HOST, "{context}: the last good configuration serves");
}

#[test]
fn a_refusal_says_what_it_got_and_what_is_allowed() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let signers: &[&str] = match envoy.host() {
        Host::Wasm => &["gpu", "auto", "host", "wasm"],
        Host::Native => &["gpu", "auto"],
    };
    for (field, value, words) in [
        ("signer", json!("gpu"), signers),
        ("jwt_issuer_format", json!("url"), &["url", "hostOnly", "uri"]),
        ("on_missing_identity", json!("allow"), &["allow", "sign", "skip", "deny"]),
        ("token_lifetime", json!("86401s"), &["86401"]),
        ("assertion_header", json!("a b"), &["a b"]),
        ("jwks_path", json!("/keys?x"), &["/keys?x"]),
        ("reuse", json!("151s"), &["151", "token_lifetime"]),
        ("claims", json!({"iss": {"value": "x"}}), &["iss"]),
        (
            "identity_sources",
            json!([{"client_certificate": {"sub": "email_san"}}]),
            &["email_san", "uri_san", "dns_san", "subject", "sha256_fingerprint"],
        ),
    ] {
        let mut configuration = json!({"signing_key": A});
        configuration[field] = value;
        let line = the_refusal(&envoy.push_rejected(configuration));
        for word in words {
            assert!(line.contains(word), "{field}: the line says {word:?}: {line}");
        }
    }
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for (field, configuration) in [
        ("sining_key", json!({"sining_key": "x"})),
        ("Audience", json!({"Audience": "x"})),
        ("token-lifetime", json!({"token-lifetime": "60s"})),
        ("x", json!({"x": null})),
    ] {
        check_refused(&envoy, field, configuration.into(), field);
    }
}

#[test]
fn what_is_no_object_is_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let odd = ["[]", "5", "null", "true", "\"text\"", "text", "{} {}", "{'audience': 'x'}", "\0", "\n\u{1}"];
    check_texts_refused(&envoy, odd.map(str::to_owned));
}

#[test]
fn text_that_was_cut_off_anywhere_is_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let whole = json!({"signing_key": "x", "audience": ["one"], "claims": {"env": {"value": 1.5}}}).to_string();
    check_texts_refused(&envoy, (1..whole.len()).map(|length| whole[..length].to_owned()));
}

/// Every text must be refused; all are tried before the test fails.
fn check_texts_refused(envoy: &Envoy, texts: impl IntoIterator<Item = String>) {
    let mut accepted = Vec::new();
    for text in texts {
        let verdict = envoy.push(&Configuration::Text(text.clone()));
        if verdict.is_accepted {
            accepted.push(text);
            envoy.reconfigure("again", json!({"signing_key": A}));
        } else {
            the_refusal(&verdict.log);
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:?}");
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
}

#[test]
fn the_assertion_header_cannot_be_a_claim_header_too() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for configuration in [
        json!({"assertion_header": "X-Token", "jwt_claims_headers": {"x-token": "email"}}),
        json!({"assertion_header": "x-token", "jwt_claims_headers": {"X-TOKEN": "email"}}),
        json!({"assertion_header": "x-pomerium-claim-email", "jwt_claims_headers": ["email"]}),
        json!({"assertion_header": "X-Pomerium-Claim-Family-Name", "jwt_claims_headers": "family_name"}),
    ] {
        let context = configuration.to_string();
        check_refused(&envoy, &context, configuration.into(), "jwt_claims_headers");
    }
}

/// Every field with a good value that is not its default. Natively `signer` has no other, and there is no cluster.
fn complete() -> Value {
    let mut complete = of_either_host();
    if Capability::FlatMetadata.is_lacking() {
        let sources = complete["identity_sources"].as_array_mut().expect("sources");
        sources.retain(|source| source["metadata"] != json!({"namespace": "n"}));
    }
    if Host::under_test() == Host::Wasm {
        complete["signing_key_cluster"] = "elsewhere".into();
        complete["signer"] = "wasm".into();
    }
    complete
}

fn of_either_host() -> Value {
    json!({
        "signing_key": B,
        "signing_key_refresh": "2.5s",
        "assertion_header": "X-Assertion",
        "assertion_prefix": "Bearer ",
        "jwt_issuer_format": "uri",
        "issuer": "https://issuer.example",
        "audience": ["one", "two"],
        "token_lifetime": "120s",
        "reuse": "60s",
        "pass_identity_headers": true,
        "identity_sources": [
            {"metadata": {"namespace": "n", "path": ["a", "b"]}},
            {"metadata": {"namespace": "n"}},
            {"client_certificate": {"sub": "uri_san", "name": "subject", "sid": "sha256_fingerprint", "user": "dns_san"}},
            {"headers": {"sub": "x-auth-user"}},
        ],
        "on_missing_identity": "deny",
        "claims": {"env": {"value": "prod"}, "dept": {"from": "dept"}, "roles": {"from": ["https://example.com/roles", "x"]}},
        "jwt_claims_headers": {"X-Email": "email"},
        "jwt_groups_filter": ["admins"],
        "max_assertion_bytes": 4096,
        "jwks_path": "/keys",
        "jwks_max_age": "10s",
        "user_endpoints": true,
    })
}

#[test]
fn a_complete_configuration_means_the_same_as_a_struct_and_as_text() {
    let complete = complete();
    for configuration in [
        Configuration::Struct(complete.clone()),
        Configuration::Text(complete.to_string()),
        Configuration::Text(format!("\n  {:#}\n", complete)),
    ] {
        let envoy = Bootstrap::new(configuration.clone()).start();
        let keys = harness::KeySet::from_json(envoy.get("/keys").json());
        assert_eq!(keys.kids(), [KID_B], "{configuration:?}");
        assert_eq!(envoy.get("/").status, 401, "{configuration:?}");
        let reply = envoy.send(&Request::get("/").header("x-auth-user", "u-1"));
        let value = reply.seen().one("x-assertion").expect("the assertion");
        let assertion = keys.verify(value.strip_prefix("Bearer ").expect("the prefix"));
        assert_eq!(*assertion.claim("aud"), json!(["one", "two"]), "{configuration:?}");
        assert_eq!(assertion.claim("iss"), "https://issuer.example", "{configuration:?}");
        assert_eq!(assertion.claim("env"), "prod", "{configuration:?}");
        assert_eq!(assertion.claim("sub"), "u-1", "{configuration:?}");
    }
}

#[test]
fn an_empty_or_absent_configuration_is_valid() {
    let absent =
        [Configuration::Absent, Configuration::Text(String::new()), Configuration::Text("{}".into()), json!({}).into()];
    for configuration in absent {
        let envoy = Bootstrap::new(configuration.clone()).env("SIGNING_KEY", A).start();
        assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A, "{configuration:?}");
    }
}

#[test]
fn a_struct_that_begins_like_json_is_read_as_a_struct() {
    // A first entry of 123 bytes: its length byte is `{`, after the tag 0x0a, which is a line break.
    let issuer = "i".repeat(111);
    let envoy = Bootstrap::new(json!({"issuer": issuer})).env("SIGNING_KEY", A).start();
    assert_eq!(*envoy.attest(&Request::get("/")).claim("iss"), issuer);
}

#[test]
fn a_bad_configuration_at_the_start_stops_envoy() {
    let refused = Bootstrap::new(json!({"signing_key": A, "token_lifetime": "5m"})).start_refused();
    assert!(!refused.status.success(), "{}", refused.status);
    assert!(the_refusal(&refused.log).contains("token_lifetime"));
    Secrets::of([A]).assert_not_in("the log", &refused.log);
}

#[test]
fn no_line_of_ours_has_key_bytes_at_any_level() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().workers(2).log_level("trace").start();
    envoy.get("/").token();
    envoy.push_accepted(json!({"signing_key": format!("{}{}", pem(B), pem(A))}));
    envoy.push_rejected(json!({"signing_key": B, "signer": "gpu"}));
    envoy.push_rejected(json!({"signing_key": format!("{}{}", pem(B), &pem(A)[..100])}));
    envoy.get("/").token();
    let log = envoy.log();
    let ours = ours(&log);
    assert!(!ours.is_empty(), "the filter logs something at trace level");
    Secrets::of([A, B]).assert_not_in("our lines", ours.join("\n"));
    assert!(envoy.get("/").seen().one(ASSERTION_HEADER).is_some());
}
