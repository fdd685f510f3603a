//! An identity names somebody: what has none of the required claims is nobody, by every source and for every setting.

use rcgen::DnType;
use serde_json::{Value, json};

use harness::filters::{jwt_authn, metadata};
use harness::idp::IdentityProvider;
use harness::keys::A;
use harness::tls::{Authority, dns, uri};
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, Host, Request, only_on};

use crate::applied::{
    apply, check_refused, claims, filter_state, grown, identity_in_filter_state, lines_since, some_claims, subject,
};

/// Verified tokens that name nobody: none has a `sub` or a `user` that is text. (jwt_authn itself lets no `sub` pass
/// that is no string.)
fn nobodies() -> Vec<Value> {
    vec![
        json!({}),
        json!({"azp": "x"}),
        json!({"scope": "read"}),
        json!({"email": "ada@example.com", "name": "Ada", "groups": ["admins"], "sid": "s-1"}),
        json!({"sub": ""}),
        json!({"user": null}),
        json!({"sub": "", "user": ""}),
        json!({"user": true}),
        json!({"sub": "", "user": false}),
        json!({"user": 1.5}),
        json!({"user": ["ada"]}),
        json!({"user": {"id": "ada"}}),
    ]
}

fn bearer(provider: &IdentityProvider, claims: &Value) -> Request {
    Request::get("/").header("authorization", provider.bearer(claims.clone()))
}

#[test]
fn a_verified_token_of_nobody_is_denied() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A, "on_missing_identity": "deny", "user_endpoints": true}))
        .filter(jwt_authn(&provider))
        .start();
    for token in nobodies() {
        for path in ["/", "/.pomerium/jwt", "/.pomerium/user"] {
            let request = Request::get(path).header("authorization", provider.bearer(token.clone()));
            let reply = envoy.send(&request);
            assert_eq!(reply.status, 401, "{path}: {token}");
            assert!(!reply.text().contains("eyJ"), "{path}: {token}: {}", reply.text());
        }
    }
    assert_eq!(envoy.upstream_requests(), 0);
    let refused = u64::try_from(3 * nobodies().len()).unwrap();
    assert_eq!(envoy.stat("refused.missing_identity"), refused);
    for (token, expected) in [
        (json!({"sub": "ada"}), "ada"),
        (json!({"user": "ada"}), "ada"),
        (json!({"sub": "", "user": "ada"}), "ada"),
        (json!({"user": 0}), "0"),
        (json!({"user": -7}), "-7"),
    ] {
        let reply = envoy.send(&bearer(&provider, &token));
        assert_eq!(reply.status, 200, "{token}");
        assert_eq!(some_claims(&reply, &["sub", "user"]), json!([expected, expected]), "{token}");
    }
}

#[test]
fn nobody_is_skipped_or_signed_without_token_claims() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).dynamic().start();
    let more = json!({"claims": {"client": {"from": "azp"}, "env": {"value": "prod"}}, "user_endpoints": true});
    for choice in ["skip", "sign"] {
        let mut configuration = more.clone();
        configuration["on_missing_identity"] = choice.into();
        apply(&envoy, choice, &configuration);
        for mut token in nobodies() {
            token["azp"] = "a-client".into();
            let reply = envoy.send(&bearer(&provider, &token));
            assert_eq!(reply.status, 200, "{choice}: {token}");
            if choice == "skip" {
                assert_eq!(reply.seen().one(ASSERTION_HEADER), None, "{token}");
            } else {
                let names = ["sub", "user", "email", "groups", "sid", "name", "client", "env"];
                let expected = json!(["", "", "", [], "", "", null, "prod"]);
                assert_eq!(some_claims(&reply, &names), expected, "{token}");
            }
            for path in ["/.pomerium/jwt", "/.pomerium/user"] {
                let request = Request::get(path).header("authorization", provider.bearer(token.clone()));
                assert_eq!(envoy.send(&request).status, 401, "{choice}: {path}: {token}");
            }
        }
    }
}

#[test]
fn a_source_that_names_nobody_falls_to_the_next() {
    let provider = IdentityProvider::new();
    let sources = json!([
        {"metadata": {"namespace": "envoy.filters.http.jwt_authn"}},
        {"headers": {"sub": "x-auth-user", "email": "x-auth-email"}},
        {"metadata": {"namespace": "test.last"}},
    ]);
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": sources, "on_missing_identity": "deny"}))
        .filter(jwt_authn(&provider))
        .filter(metadata("test.last", &json!({"who": {"sub": "last"}})))
        .start();
    for mut token in nobodies() {
        token["email"] = "of-the-token@example.com".into();
        let request = bearer(&provider, &token);
        let reply = envoy.send(&request.clone().header("x-auth-user", "second"));
        assert_eq!(some_claims(&reply, &["sub", "email"]), json!(["second", ""]), "{token}: sources are not mixed");
        assert_eq!(claims(&envoy.send(&request.clone().header("x-auth-email", "a@b.c")))["sub"], "last", "{token}");
        let twice = request.clone().header("x-auth-user", "second").header("x-auth-user", "second");
        assert_eq!(claims(&envoy.send(&twice))["sub"], "last", "{token}");
        assert_eq!(claims(&envoy.send(&request))["sub"], "last", "{token}");
    }
    let somebody = bearer(&provider, &json!({"sub": "first"})).header("x-auth-user", "second");
    assert_eq!(claims(&envoy.send(&somebody))["sub"], "first");
}

#[test]
fn a_header_source_without_its_subject_is_nobody() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-user", "groups": "x-groups", "email": "x-email"}}],
        "on_missing_identity": "deny",
    }))
    .start();
    type Line = (&'static str, &'static [u8]);
    let nobodies: Vec<(&str, Vec<Line>)> = vec![
        ("groups alone", vec![("x-groups", b"admins")]),
        ("email alone", vec![("x-email", b"ada@example.com")]),
        ("an empty subject", vec![("x-user", b""), ("x-groups", b"admins")]),
        ("a subject in Latin-1", vec![("x-user", b"zo\xeb"), ("x-groups", b"admins")]),
        ("a subject that is one odd byte", vec![("x-user", b"\xff"), ("x-groups", b"admins")]),
        ("a subject twice", vec![("x-user", b"ada"), ("x-user", b"ada")]),
        ("an email twice", vec![("x-user", b"ada"), ("x-email", b"a@b.c"), ("x-email", b"d@e.f")]),
        ("nothing", vec![]),
    ];
    for (what, lines) in nobodies {
        assert_eq!(envoy.send(&Request::get("/").headers(lines)).status, 401, "{what}");
    }
    let groups = Request::get("/").header("x-user", "zoë").header("x-groups", "a").header("x-groups", "b");
    assert_eq!(some_claims(&envoy.send(&groups), &["sub", "groups"]), json!(["zoë", ["a", "b"]]));
}

#[test]
fn a_failed_or_missing_token_is_nobody() {
    let provider = IdentityProvider::new();
    let mut filter = jwt_authn(&provider);
    filter["typed_config"]["providers"]["idp"]["failed_status_in_metadata"] = "status".into();
    filter["typed_config"]["rules"][0]["requires"] =
        json!({"requires_any": {"requirements": [{"provider_name": "idp"}, {"allow_missing_or_failed": {}}]}});
    let envoy = Bootstrap::new(json!({"signing_key": A, "on_missing_identity": "deny"})).filter(filter).start();
    assert_eq!(envoy.get("/").status, 401, "no token at all");
    let stranger = IdentityProvider::new().bearer(json!({"sub": "ada"}));
    for bearer in ["Bearer", "Bearer x", "Bearer x.y.z", &stranger] {
        assert_eq!(envoy.send(&Request::get("/").header("authorization", bearer)).status, 401, "{bearer}");
    }
    assert_eq!(envoy.upstream_requests(), 0);
    assert_eq!(claims(&envoy.send(&bearer(&provider, &json!({"sub": "ada"}))))["sub"], "ada");
}

#[test]
fn an_ambiguous_namespace_is_nobody_and_logged_once() {
    if !only_on(Host::Wasm, "natively an object below a namespace cannot be read") {
        return;
    }
    for name in ["aaa", "zzz"] {
        let provider = IdentityProvider::new();
        let mut filter = jwt_authn(&provider);
        filter["typed_config"]["providers"]["idp"]["header_in_metadata"] = name.into();
        let envoy = Bootstrap::new(json!({"signing_key": A})).filter(filter).dynamic().start();
        let source = |path: Option<&str>| match path {
            None => json!({"metadata": {"namespace": "envoy.filters.http.jwt_authn"}}),
            Some(path) => json!({"metadata": {"namespace": "envoy.filters.http.jwt_authn", "path": [path]}}),
        };
        let ada = || envoy.send(&bearer(&provider, &json!({"sub": "ada"})));

        let mark = envoy.log().len();
        apply(&envoy, "ambiguous", &json!({"on_missing_identity": "deny", "identity_sources": [source(None)]}));
        for _ in 0..20 {
            assert_eq!(ada().status, 401, "{name} beside payload");
        }
        let lines = lines_since(&envoy, mark);
        let hints = lines.iter().filter(|line| line.contains("path")).count();
        assert_eq!(hints, 1, "{name}: one line says to set path: {lines:#?}");

        let sources = json!([source(None), source(Some("payload"))]);
        apply(&envoy, "falls through", &json!({"on_missing_identity": "deny", "identity_sources": sources}));
        assert_eq!(claims(&ada())["sub"], "ada", "{name}: the next source is tried");
    }
}

#[test]
fn one_object_among_scalars_is_found_without_a_path() {
    let mut envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "test"}}],
        "on_missing_identity": "deny",
    }));
    envoy = envoy.filter(metadata("test", &json!({"a": "text", "b": 5, "c": ["x"], "d": {"sub": "ada"}, "e": null})));
    assert_eq!(claims(&envoy.start().get("/"))["sub"], "ada");
}

/// A list of required claims, and tokens with whether they are somebody.
fn requirements() -> Vec<(Value, Vec<(Value, bool)>)> {
    vec![
        (json!(["sub"]), vec![(json!({"sub": "u"}), true), (json!({"email": "a@b.c"}), false)]),
        (
            json!(["user"]),
            vec![(json!({"sub": "u"}), true), (json!({"user": "u"}), true), (json!({"name": "n"}), false)],
        ),
        (
            json!(["email"]),
            vec![
                (json!({"email": "a@b.c"}), true),
                (json!({"sub": "u"}), false),
                (json!({"sub": "u", "email": ""}), false),
                (json!({"email": ["a@b.c"]}), false),
                (json!({"email": true}), false),
            ],
        ),
        (
            json!(["name"]),
            vec![(json!({"name": "n"}), true), (json!({"sub": "u"}), false), (json!({"name": []}), false)],
        ),
        (json!(["sid"]), vec![(json!({"sid": "s"}), true), (json!({"sub": "u"}), false)]),
        (
            json!(["groups"]),
            vec![
                (json!({"groups": ["a"]}), true),
                (json!({"groups": "a"}), true),
                (json!({"groups": [7]}), true),
                (json!({"groups": []}), false),
                (json!({"groups": [null, true, 1.5, {"a": 1}]}), false),
                (json!({"groups": {"a": 1}}), false),
                (json!({"sub": "u"}), false),
            ],
        ),
        (
            json!(["sub", "email", "groups"]),
            vec![
                (json!({"sub": "u", "email": "a@b.c", "groups": ["a"]}), true),
                (json!({"user": "u", "email": "a@b.c", "groups": ["a"]}), true),
                (json!({"sub": "u", "email": "a@b.c"}), false),
                (json!({"sub": "u", "groups": ["a"]}), false),
                (json!({"email": "a@b.c", "groups": ["a"]}), false),
            ],
        ),
        (json!([]), vec![(json!({"azp": "x"}), true), (json!({"sub": "u"}), true)]),
    ]
}

#[test]
fn required_claims_decide_who_is_somebody() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).dynamic().start();
    for (required, tokens) in requirements() {
        let configuration = json!({"required_claims": required, "on_missing_identity": "deny"});
        apply(&envoy, &required.to_string(), &configuration);
        assert_eq!(envoy.get("/").status, 401, "{required}: no token");
        for (token, is_somebody) in tokens {
            let status = envoy.send(&bearer(&provider, &token)).status;
            assert_eq!(status, if is_somebody { 200 } else { 401 }, "{required}: {token}");
        }
    }
}

#[test]
fn required_claims_hold_after_mapping_before_filter() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).dynamic().start();
    apply(
        &envoy,
        "mapped",
        &json!({
            "on_missing_identity": "deny",
            "claims": {"sub": {"from": "uid"}, "groups": {"from": "roles"}},
            "required_claims": ["sub", "groups"],
            "jwt_groups_filter": ["other"],
        }),
    );
    let reply = envoy.send(&bearer(&provider, &json!({"uid": "u-1", "roles": ["admins"]})));
    assert_eq!(some_claims(&reply, &["sub", "groups"]), json!(["u-1", []]), "the filter comes after");
    for token in [
        json!({"uid": "u-1"}),
        json!({"roles": ["admins"]}),
        json!({"uid": "", "roles": ["admins"]}),
        json!({"uid": {"id": "u-1"}, "roles": ["admins"]}),
        json!({"uid": "u-1", "groups": ["admins"]}),
    ] {
        assert_eq!(envoy.send(&bearer(&provider, &token)).status, 401, "{token}");
    }
}

#[test]
fn a_constant_is_no_evidence() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).dynamic().start();
    for (claims, required) in [
        (json!({"sub": {"value": "service"}}), json!(["sub"])),
        (json!({"user": {"value": "service"}}), json!(["sub"])),
        (json!({"sub": {"value": "service"}, "user": {"value": "service"}}), json!(["sub"])),
        (json!({"email": {"value": "a@b.c"}}), json!(["email"])),
        (json!({"groups": {"value": ["admins"]}}), json!(["groups"])),
        (json!({"env": {"value": "prod"}}), json!(["sub"])),
        (json!({"env": {"value": "prod"}}), json!([])),
    ] {
        for choice in ["deny", "skip"] {
            let configuration = json!({"claims": claims, "required_claims": required, "on_missing_identity": choice});
            apply(&envoy, &format!("{choice} {claims}"), &configuration);
            assert_eq!(subject(&envoy.get("/")), None, "{configuration}: no token");
            let hollow = json!({"azp": "x"});
            if required != json!([]) {
                assert_eq!(subject(&envoy.send(&bearer(&provider, &hollow))), None, "{configuration}: {hollow}");
            }
        }
    }
}

#[test]
fn bad_required_claims_are_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for bad in [
        Value::Null,
        json!("sub"),
        json!(true),
        json!({}),
        json!({"sub": true}),
        json!([null]),
        json!([5]),
        json!([""]),
        json!(["subject"]),
        json!(["Sub"]),
        json!(["iss"]),
        json!(["sub", "department"]),
    ] {
        check_refused(&envoy, &json!({"required_claims": bad}), &["required_claims"]);
    }
}

#[test]
fn a_source_that_can_never_name_anybody_is_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let headers = |fields: Value| json!({"headers": fields});
    let certificate = |fields: Value| json!({"client_certificate": fields});
    for (source, more, missing) in [
        (headers(json!({"email": "x-email"})), json!({}), "sub"),
        (headers(json!({"groups": "x-groups"})), json!({}), "sub"),
        (headers(json!({"uid": "x-uid"})), json!({}), "sub"),
        (headers(json!({"sub": "x-user"})), json!({"required_claims": ["sub", "email"]}), "email"),
        (headers(json!({"sub": "x-user"})), json!({"required_claims": ["groups"]}), "groups"),
        (headers(json!({"groups": "x-groups"})), json!({"claims": {"sub": {"value": "service"}}}), "sub"),
        (headers(json!({"sub": "x-user"})), json!({"claims": {"sub": {"from": "uid"}}}), "sub"),
        (certificate(json!({"name": "dns_san"})), json!({}), "sub"),
        (certificate(json!({"email": "uri_san", "name": "subject"})), json!({}), "sub"),
        (certificate(json!({"sub": "uri_san"})), json!({"required_claims": ["name"]}), "name"),
    ] {
        let mut configuration = more.clone();
        let good = json!({"metadata": {"namespace": "envoy.filters.http.jwt_authn"}});
        for sources in [json!([source]), json!([good, source])] {
            configuration["identity_sources"] = sources;
            check_refused(&envoy, &configuration, &["identity_sources", missing]);
        }
    }
}

#[test]
fn a_source_that_can_name_somebody_is_accepted() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for (fields, more, header, expected) in [
        (json!({"sub": "x-a"}), json!({}), "x-a", json!(["v", "v", ""])),
        (json!({"user": "x-a"}), json!({}), "x-a", json!(["v", "v", ""])),
        (json!({"email": "x-a"}), json!({"required_claims": ["email"]}), "x-a", json!(["", "", "v"])),
        (json!({"email": "x-a"}), json!({"required_claims": []}), "x-a", json!(["", "", "v"])),
        (json!({"uid": "x-a"}), json!({"claims": {"sub": {"from": "uid"}}}), "x-a", json!(["v", "v", ""])),
        (json!({"uid": "x-a"}), json!({"claims": {"user": {"from": "uid"}}}), "x-a", json!(["v", "v", ""])),
        (
            json!({"uid": "x-a", "email": "x-b"}),
            json!({"claims": {"sub": {"first_of": ["id", "uid"]}}}),
            "x-a",
            json!(["v", "v", ""]),
        ),
    ] {
        let mut configuration = more.clone();
        configuration["identity_sources"] = json!([{"headers": fields}]);
        configuration["on_missing_identity"] = "deny".into();
        apply(&envoy, &configuration.to_string(), &configuration);
        let reply = envoy.send(&Request::get("/").header(header, "v"));
        assert_eq!(some_claims(&reply, &["sub", "user", "email"]), expected, "{configuration}");
        assert_eq!(envoy.get("/").status, 401, "{configuration}");
    }
}

#[test]
fn a_certificate_without_the_required_name_is_nobody() {
    let authority = Authority::new();
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"client_certificate": {"sub": "uri_san", "name": "dns_san"}}],
        "on_missing_identity": "deny",
    }))
    .transport_socket(authority.transport_socket())
    .start();
    let ask = |names: &[rcgen::SanType]| {
        let certificate = authority.certify_subject(&[(DnType::CommonName, "workload")], names);
        authority.connect(envoy.address(), Some(&certificate)).send(&Request::get("/"))
    };
    assert_eq!(ask(&[dns("workload.example.com")]).status, 401);
    assert_eq!(ask(&[]).status, 401);
    let spiffe = "spiffe://example.com/workload";
    assert_eq!(some_claims(&ask(&[uri(spiffe)]), &["sub", "name"]), json!([spiffe, ""]));
}

#[test]
fn filter_state_is_an_identity_where_it_is_an_object() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"filter_state": "attestation.identity"}],
        "on_missing_identity": "deny",
        "claims": {"dept": {"from": ["org", "unit"]}, "level": {"from": "level"}},
    }))
    .filter(identity_in_filter_state())
    .start();
    let with = |json: &str| envoy.send(&Request::get("/").header("x-identity", json));
    let names = ["sub", "user", "email", "groups", "sid", "name", "dept", "level"];
    for (identity, expected) in [
        (
            r#"{"sub":"u-1","email":"a@b.c","groups":["a",7,null,true,1.5,{}],"org":{"unit":"x"},"level":3}"#,
            json!(["u-1", "u-1", "a@b.c", ["a", "7"], "", "", "x", 3]),
        ),
        (r#" { "user" : "ada" , "groups" : "one" } "#, json!(["ada", "ada", "", ["one"], "", "", null, null])),
        (r#"{"sub":"zo\u00eb","name":"Zo\u00eb"}"#, json!(["zoë", "zoë", "", [], "", "Zoë", null, null])),
    ] {
        assert_eq!(some_claims(&with(identity), &names), expected, "{identity}");
    }
    for identity in [
        "",
        "null",
        "true",
        "7",
        "\"ada\"",
        "[]",
        r#"[{"sub":"ada"}]"#,
        "{}",
        r#"{"email":"a@b.c"}"#,
        r#"{"sub":""}"#,
        r#"{"sub":null}"#,
        r#"{"sub":true}"#,
        r#"{"sub":1.5}"#,
        r#"{"sub":["ada"]}"#,
        r#"{"sub":{"id":"ada"}}"#,
        r#"{"sub":"ada""#,
        r#"{"sub":"ada"} x"#,
        r#"{'sub':'ada'}"#,
        "ada",
        "-",
    ] {
        assert_eq!(with(identity).status, 401, "{identity}");
    }
    let deep = format!(r#"{{"sub":{}"ada"{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(with(&deep).status, 401, "a deep one");
    for odd in ["1e400", r#""\ud800""#, &format!("{}{}", "[".repeat(150), "]".repeat(150))] {
        let identity = format!(r#"{{"sub":"ada","level":{odd},"org":{{"unit":"x"}}}}"#);
        assert_eq!(some_claims(&with(&identity), &["sub", "dept", "level"]), json!(["ada", "x", null]), "{identity}");
    }
    assert_eq!(claims(&with(r#"{"sub":"still here"}"#))["sub"], "still here");
    let headers = [("attestation.identity", r#"{"sub":"eve"}"#), ("attestation-identity", r#"{"sub":"eve"}"#)];
    assert_eq!(envoy.send(&Request::get("/").headers(headers)).status, 401, "a client's header is none");
}

#[test]
fn jwt_authn_reaches_the_filter_through_filter_state() {
    let provider = IdentityProvider::new();
    let payload = "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload)%";
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"filter_state": "attestation.identity"}],
        "on_missing_identity": "deny",
    }))
    .filter(jwt_authn(&provider))
    .filter(filter_state("attestation.identity", payload))
    .start();
    let ada = json!({"sub": "ada", "groups": ["a", "b,c"], "email": "a@b.c"});
    let reply = envoy.send(&bearer(&provider, &ada));
    assert_eq!(some_claims(&reply, &["sub", "groups", "email"]), json!(["ada", ["a", "b,c"], "a@b.c"]));
    assert_eq!(envoy.send(&bearer(&provider, &json!({"azp": "x"}))).status, 401);
    assert_eq!(envoy.get("/").status, 401);
}

#[test]
fn a_bad_filter_state_source_is_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for bad in [Value::Null, json!(""), json!(5), json!([]), json!({}), json!({"name": "x"})] {
        check_refused(&envoy, &json!({"identity_sources": [{"filter_state": bad}]}), &["identity_sources"]);
    }
    let two = json!([{"filter_state": "x", "headers": {"sub": "x-user"}}]);
    check_refused(&envoy, &json!({"identity_sources": two}), &["identity_sources"]);
}

#[test]
fn groups_keep_text_and_whole_numbers_alone() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).start();
    for (groups, expected) in [
        (json!("a"), json!(["a"])),
        (json!("a,b"), json!(["a,b"])),
        (json!(["a", 7, -7, 0]), json!(["a", "7", "-7", "0"])),
        (json!(["a", true, false, null, 1.5, {"b": 1}, ["c"]]), json!(["a"])),
        (json!(true), json!([])),
        (json!({"a": true}), json!([])),
        (json!(null), json!([])),
    ] {
        let token = json!({"sub": "ada", "groups": groups});
        let reply = envoy.send(&bearer(&provider, &token));
        assert_eq!(some_claims(&reply, &["sub", "groups"]), json!(["ada", expected]), "{token}");
    }
}

#[test]
fn anonymous_and_lacking_identities_are_counted() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).start();
    let ask = |request: Request| grown(&envoy, || assert_eq!(envoy.send(&request).status, 200));
    ask(bearer(&provider, &json!({"sub": "ada"})));
    let somebody = ask(bearer(&provider, &json!({"sub": "ada"})));
    let anonymous = ask(Request::get("/"));
    let lacking = ask(bearer(&provider, &json!({"azp": "x"})));
    let by_anonymous: Vec<_> = anonymous.difference(&somebody).collect();
    assert_eq!(by_anonymous.len(), 1, "one counter more for an anonymous assertion: {anonymous:?}");
    let by_lacking: Vec<_> = lacking.difference(&anonymous).collect();
    assert_eq!(by_lacking.len(), 1, "one more where an identity lacked a required claim: {lacking:?}");
    assert!(lacking.is_superset(&anonymous), "that one is anonymous too: {lacking:?}");
}

/// Where an answer of the filter itself is enough.
fn is_known(envoy: &Envoy, request: &Request) -> bool {
    envoy.send(request).status == 200
}

#[test]
fn user_endpoints_follow_the_required_claims() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).dynamic().start();
    for (required, token, expected) in [
        (json!(["sub"]), json!({"user": "ada"}), true),
        (json!(["sub"]), json!({"email": "a@b.c"}), false),
        (json!(["email"]), json!({"email": "a@b.c"}), true),
        (json!(["email"]), json!({"sub": "ada"}), false),
        (json!([]), json!({"azp": "x"}), true),
    ] {
        apply(&envoy, &format!("{required} {token}"), &json!({"required_claims": required, "user_endpoints": true}));
        for path in ["/.pomerium/jwt", "/.pomerium/user"] {
            let request = Request::get(path).header("authorization", provider.bearer(token.clone()));
            assert_eq!(is_known(&envoy, &request), expected, "{required}: {path}: {token}");
        }
    }
}
