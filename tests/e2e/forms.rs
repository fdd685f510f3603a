//! The forms that a setting may have: each spelling that is read, what it means, and what is refused.

use serde_json::{Value, json};

use harness::filters::jwt_authn;
use harness::idp::IdentityProvider;
use harness::keys::A;
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, HOST, Host, Reply, Request};

use crate::applied::{apply, check_refused, claims, lines_since, some_claims};

/// Hands over a configuration that leaves `iss` to the host, and waits until it is in force.
fn apply_for_host(envoy: &Envoy, label: &str, configuration: &Value) -> Value {
    envoy.reconfigure(label, {
        let mut configuration = configuration.clone();
        configuration["signing_key"] = A.into();
        configuration
    });
    claims(&envoy.get("/"))
}

#[test]
fn issuer_format_is_read_in_every_spelling() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let uri = format!("https://{HOST}/");
    for (format, expected) in [
        ("hostOnly", HOST),
        ("hostonly", HOST),
        ("HOSTONLY", HOST),
        ("IssuerHostOnly", HOST),
        ("issuerhostonly", HOST),
        ("ISSUERHOSTONLY", HOST),
        ("", HOST),
        ("uri", &uri),
        ("URI", &uri),
        ("Uri", &uri),
        ("IssuerURI", &uri),
        ("issueruri", &uri),
        ("ISSUERURI", &uri),
    ] {
        let label = format!("format {format:?}");
        let claims = apply_for_host(&envoy, &label, &json!({"jwt_issuer_format": format}));
        assert_eq!(claims["iss"], expected, "{label}");
    }
    for bad in [json!("url"), json!("host"), json!("host_only"), json!(" uri"), json!("Issuer"), json!(null), json!(1)]
    {
        check_refused(&envoy, &json!({"jwt_issuer_format": bad}), &["jwt_issuer_format", "hostOnly", "uri"]);
    }
}

#[test]
fn a_route_reads_the_same_issuer_formats() {
    let formats = ["URI", "IssuerURI", "issuerHostOnly", "HOSTONLY", ""];
    let mut bootstrap = Bootstrap::new(json!({"signing_key": A}));
    for (number, format) in formats.iter().enumerate() {
        bootstrap = bootstrap.route(route(&format!("/{number}"), &json!({"jwt_issuer_format": format})));
    }
    let envoy = bootstrap.start();
    let issuers: Vec<Value> = (0..formats.len()).map(|n| claims(&envoy.get(&format!("/{n}")))["iss"].clone()).collect();
    let uri = format!("https://{HOST}/");
    assert_eq!(json!(issuers), json!([uri, uri, HOST, HOST, HOST]));
}

fn route(path: &str, settings: &Value) -> Value {
    json!({
        "match": {"path": path},
        "metadata": {"filter_metadata": {"attestation": settings}},
        "route": {"cluster": "upstream"},
    })
}

/// An Envoy behind jwt_authn that gets one configuration after another.
struct Asked {
    provider: IdentityProvider,
    envoy: Envoy,
}

fn asked() -> Asked {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).dynamic().start();
    Asked { provider, envoy }
}

impl Asked {
    fn ask(&self, token: &Value) -> Reply {
        let mut token = token.clone();
        if token.get("sub").is_none() {
            token["sub"] = "u-1".into();
        }
        self.envoy.send(&Request::get("/").header("authorization", self.provider.bearer(token)))
    }
}

/// The claim `x` by one rule, of one token after another.
fn check_rule(asked: &Asked, name: &str, rule: &Value, cases: &[(Value, Value)]) {
    let label = format!("{name} {rule}");
    apply(&asked.envoy, &label, &json!({"claims": {name: rule}}));
    for (token, expected) in cases {
        assert_eq!(claims(&asked.ask(token))[name], *expected, "{label}: {token}");
    }
}

#[test]
fn first_of_takes_the_first_that_is_not_empty() {
    let asked = asked();
    let email = json!({"first_of": ["email", "preferred_username", ["emails", 0]]});
    check_rule(
        &asked,
        "email",
        &email,
        &[
            (json!({"email": "e", "preferred_username": "p", "emails": ["s"]}), json!("e")),
            (json!({"preferred_username": "p", "emails": ["s"]}), json!("p")),
            (json!({"email": "", "preferred_username": "p"}), json!("p")),
            (json!({"email": null, "preferred_username": "", "emails": ["s", "t"]}), json!("s")),
            (json!({"emails": []}), json!("")),
            (json!({"emails": {"0": "s"}}), json!("")),
            (json!({}), json!("")),
        ],
    );
    let anything = json!({"first_of": [["a", "b"], "c", ["d", 1, "e"]]});
    check_rule(
        &asked,
        "x",
        &anything,
        &[
            (json!({"a": {"b": 5}, "c": 6}), json!(5)),
            (json!({"a": {"b": 0}, "c": 6}), json!(0)),
            (json!({"a": {"b": false}, "c": 6}), json!(false)),
            (json!({"a": {"b": []}, "c": 6}), json!(6)),
            (json!({"a": {"b": {}}, "c": 6}), json!(6)),
            (json!({"a": "text", "c": ["y"]}), json!(["y"])),
            (json!({"d": [{"e": 1}, {"e": {"f": 2}}]}), json!({"f": 2})),
            (json!({"d": [{"e": 1}]}), Value::Null),
            (json!({"c": ""}), Value::Null),
        ],
    );
    check_rule(
        &asked,
        "groups",
        &json!({"first_of": ["roles", "groups"]}),
        &[
            (json!({"roles": ["r"], "groups": ["g"]}), json!(["r"])),
            (json!({"roles": [], "groups": ["g"]}), json!(["g"])),
            (json!({"roles": "r"}), json!(["r"])),
        ],
    );
}

#[test]
fn the_subject_can_be_the_first_of_several() {
    let asked = asked();
    let configuration = json!({
        "claims": {"sub": {"first_of": ["oid", "upn", "sub"]}},
        "on_missing_identity": "deny",
    });
    apply(&asked.envoy, "first of", &configuration);
    for (token, expected) in [
        (json!({"oid": "o", "upn": "u", "sub": "s"}), "o"),
        (json!({"upn": "u", "sub": "s"}), "u"),
        (json!({"oid": "", "sub": "s"}), "s"),
    ] {
        assert_eq!(some_claims(&asked.ask(&token), &["sub", "user"]), json!([expected, expected]), "{token}");
    }
    assert_eq!(asked.ask(&json!({"oid": "", "upn": null, "sub": ""})).status, 401);
}

#[test]
fn a_list_of_places_walks_down_objects_and_lists() {
    let asked = asked();
    for (rule, token, expected) in [
        (json!({"from": ["emails", 0]}), json!({"emails": ["a", "b"]}), json!("a")),
        (json!({"from": ["emails", 1]}), json!({"emails": ["a", "b"]}), json!("b")),
        (json!({"from": ["emails", 2]}), json!({"emails": ["a", "b"]}), Value::Null),
        (json!({"from": ["emails", 0, "value"]}), json!({"emails": [{"value": "a"}]}), json!("a")),
        (json!({"from": ["a", 0, 1, "b"]}), json!({"a": [[1, {"b": [true]}]]}), json!([true])),
        (json!({"from": ["a", 0]}), json!({"a": {"0": "member"}}), Value::Null),
        (json!({"from": ["a", 0]}), json!({"a": "text"}), Value::Null),
        (json!({"from": ["a", "b"]}), json!({"a": [{"b": 1}]}), Value::Null),
        (json!({"from": ["a.b"]}), json!({"a": {"b": 1}}), Value::Null),
        (json!({"from": ["a.b"]}), json!({"a.b": 1}), json!(1)),
    ] {
        check_rule(&asked, "x", &rule, &[(token, expected)]);
    }
}

#[test]
fn a_dotted_name_without_its_member_is_walked_down() {
    let asked = asked();
    let nested = json!({"realm_access": {"roles": ["a", "b"]}});
    let flat = json!({"realm_access.roles": ["flat"], "realm_access": {"roles": ["a", "b"]}});
    check_rule(
        &asked,
        "x",
        &json!({"from": "realm_access.roles"}),
        &[
            (nested.clone(), json!(["a", "b"])),
            (flat.clone(), json!(["flat"])),
            (json!({"realm_access": {}}), Value::Null),
            (json!({"realm_access": "text"}), Value::Null),
            (json!({}), Value::Null),
        ],
    );
    check_rule(&asked, "groups", &json!({"from": "realm_access.roles"}), &[(nested.clone(), json!(["a", "b"]))]);
    check_rule(&asked, "x", &json!({"from": "a.b.c.d"}), &[(json!({"a": {"b": {"c": {"d": 7}}}}), json!(7))]);
    for form in [json!(["realm_access.roles"]), json!("realm_access.roles"), json!({"x-roles": "realm_access.roles"})] {
        let header = if form.is_object() { "x-roles" } else { "x-pomerium-claim-realm_access.roles" };
        apply(&asked.envoy, &format!("claim headers {form}"), &json!({"jwt_claims_headers": form}));
        for (token, claim, text) in [(&nested, json!(["a", "b"]), "a,b"), (&flat, json!(["flat"]), "flat")] {
            let reply = asked.ask(token);
            assert_eq!(reply.seen().one(header).as_deref(), Some(text), "{form}: {token}");
            assert_eq!(claims(&reply)["realm_access.roles"], claim, "{form}: {token}");
        }
    }
}

#[test]
fn a_list_for_the_name_is_joined_with_commas() {
    let asked = asked();
    apply(&asked.envoy, "as it is", &json!({}));
    assert_eq!(claims(&asked.ask(&json!({"name": ["Ada", "Lovelace"]})))["name"], "Ada,Lovelace");
    assert_eq!(claims(&asked.ask(&json!({"name": ["Ada"]})))["name"], "Ada");
    assert_eq!(claims(&asked.ask(&json!({"name": []})))["name"], "");
    check_rule(
        &asked,
        "name",
        &json!({"from": "names"}),
        &[
            (json!({"names": ["Ada", "King", "Lovelace"]}), json!("Ada,King,Lovelace")),
            (json!({"names": "Ada"}), json!("Ada")),
        ],
    );
    for name in ["email", "sid"] {
        let mut token = json!({});
        token[name] = json!(["a", "b"]);
        apply(&asked.envoy, &format!("only the name, not {name}"), &json!({}));
        assert_eq!(claims(&asked.ask(&token))[name], "", "{token}");
    }
}

#[test]
fn bad_rules_are_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for rule in [
        json!({"first_of": []}),
        json!({"first_of": null}),
        json!({"first_of": "email"}),
        json!({"first_of": {}}),
        json!({"first_of": [null]}),
        json!({"first_of": [5]}),
        json!({"first_of": [[]]}),
        json!({"first_of": [{"from": "a"}]}),
        json!({"first_of": ["a"], "from": "b"}),
        json!({"first_of": ["a"], "value": "b"}),
        json!({"from": ["a", -1]}),
        json!({"from": ["a", 0.5]}),
        json!({"from": ["a", true]}),
        json!({"from": ["a", null]}),
        json!({"from": ["a", ["b"]]}),
    ] {
        check_refused(&envoy, &json!({"claims": {"dept": rule}}), &["claims", "dept"]);
    }
    for own in ["iss", "aud", "jti", "iat", "exp"] {
        check_refused(&envoy, &json!({"claims": {own: {"first_of": ["a"]}}}), &["claims", own]);
    }
}

#[test]
fn claim_values_as_text_are_one_string_each() {
    let asked = asked();
    let rules = json!({
        "dept": {"from": "dept"},
        "level": {"from": "level"},
        "ratio": {"from": "ratio"},
        "staff": {"from": "staff"},
        "roles": {"from": "roles"},
        "ids": {"from": "ids"},
        "none": {"from": "none"},
    });
    let token = json!({
        "dept": "research", "level": 42, "ratio": 1.5, "staff": true, "roles": ["a", "b"], "ids": [1, 2],
        "groups": ["g", "h"], "email": "a@b.c",
    });
    let names = ["dept", "level", "ratio", "staff", "roles", "ids", "none", "groups", "email"];
    for (kind, expected) in [
        ("json", json!(["research", 42, 1.5, true, ["a", "b"], [1, 2], null, ["g", "h"], "a@b.c"])),
        ("text", json!(["research", "42", "1.5", "true", "a,b", "1,2", null, ["g", "h"], "a@b.c"])),
    ] {
        apply(&asked.envoy, kind, &json!({"claim_values": kind, "claims": rules}));
        assert_eq!(some_claims(&asked.ask(&token), &names), expected, "{kind}");
    }
    let of_a_header = json!({"claim_values": "text", "jwt_claims_headers": ["roles", "level"]});
    apply(&asked.envoy, "a claim that a header adds", &of_a_header);
    let reply = asked.ask(&token);
    assert_eq!(some_claims(&reply, &["roles", "level"]), json!(["a,b", "42"]), "an extra claim too");
    assert_eq!(reply.seen().one("x-pomerium-claim-roles").as_deref(), Some("a,b"));
    for bad in [json!("Text"), json!("string"), json!(""), json!(null), json!(true), json!([])] {
        check_refused(&asked.envoy, &json!({"claim_values": bad}), &["claim_values", "json", "text"]);
    }
}

#[test]
fn claim_headers_in_a_string_are_split() {
    let asked = asked();
    let token = json!({"email": "a@b.c", "family_name": "Lovelace", "groups": ["g", "h"], "Dept": "r"});
    let expected = [
        ("x-pomerium-claim-email", Some("a@b.c".to_owned())),
        ("x-pomerium-claim-family_name", Some("Lovelace".to_owned())),
        ("x-pomerium-claim-groups", Some("g,h".to_owned())),
        ("x-pomerium-claim-dept", Some("r".to_owned())),
        ("x-pomerium-claim-none", Host::under_test().empty_header()),
    ];
    let count = expected.iter().filter(|(_, value)| value.is_some()).count();
    for form in [
        json!("email,family_name,groups,Dept,none"),
        json!("email, family_name, groups, Dept, none"),
        json!("email family_name groups Dept none"),
        json!(" email\tfamily_name\n groups,, Dept ,\r\nnone , "),
        json!("email,email family_name,groups email,Dept none none"),
        json!(["email", "family_name", "groups", "Dept", "none"]),
    ] {
        apply(&asked.envoy, &form.to_string(), &json!({"jwt_claims_headers": form}));
        let reply = asked.ask(&token);
        let seen = reply.seen();
        for (header, value) in &expected {
            assert_eq!(seen.one(header), *value, "{form}: {header}: {:?}", seen.names());
        }
        let names: Vec<String> = seen.names().into_iter().filter(|name| name.starts_with("x-pomerium-claim")).collect();
        assert_eq!(names.len(), count, "{form}: {names:?}");
        assert_eq!(some_claims(&reply, &["family_name", "Dept"]), json!(["Lovelace", "r"]), "{form}");
    }
    for form in [json!(""), json!(" , \n"), json!([]), json!({})] {
        apply(&asked.envoy, &format!("none: {form}"), &json!({"jwt_claims_headers": form}));
        let names = asked.ask(&token).seen().names();
        assert!(!names.iter().any(|name| name.starts_with("x-pomerium-claim")), "{form}: {names:?}");
    }
}

#[test]
fn a_claim_header_keeps_its_name_as_it_is() {
    let asked = asked();
    apply(&asked.envoy, "as it is", &json!({"jwt_claims_headers": ["family_name"]}));
    let request = Request::get("/")
        .header("authorization", asked.provider.bearer(json!({"sub": "u", "family_name": "Lovelace"})))
        .header("x-pomerium-claim-family-name", "forged")
        .header("x-pomerium-claim-family_name", "forged")
        .header("x_pomerium_claim_family.name", "forged");
    let seen = asked.envoy.send(&request).seen();
    assert!(!seen.contains("forged"), "{seen:?}");
    assert_eq!(seen.one("x-pomerium-claim-family_name").as_deref(), Some("Lovelace"));
    assert_eq!(seen.one("x-pomerium-claim-family-name"), None);
}

#[test]
fn a_claim_that_names_no_header_is_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for bad in [
        json!(["a b"]),
        json!(["é"]),
        json!(["a/b"]),
        json!(["a:b"]),
        json!(["https://example.com/roles"]),
        json!("email,https://example.com/roles"),
        json!("a@b"),
        json!(["a,b"]),
        json!(["a\nb"]),
        json!(["(a)"]),
    ] {
        check_refused(&envoy, &json!({"jwt_claims_headers": bad}), &["jwt_claims_headers"]);
    }
    let any_claim = json!({"X-Roles": "https://example.com/roles", "X-Odd": "a b"});
    apply(&envoy, "a map names its headers itself", &json!({"jwt_claims_headers": any_claim}));
    assert_eq!(envoy.get("/").seen().one("x-roles"), envoy.host().empty_header());
}

#[test]
fn groups_in_a_header_are_split_as_configured() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let ldap = "CN=Ops,OU=Groups|CN=Sales, admins,OU=Groups";
    for (what, groups, value, expected) in [
        ("commas", json!("x-groups"), "a, b,c", json!(["a", "b", "c"])),
        ("commas, spelled out", json!({"header": "x-groups"}), "a,b", json!(["a", "b"])),
        (
            "a bar",
            json!({"header": "x-groups", "separator": "|"}),
            ldap,
            json!(["CN=Ops,OU=Groups", "CN=Sales, admins,OU=Groups"]),
        ),
        ("a semicolon", json!({"header": "X-Groups", "separator": ";"}), "a,b;c", json!(["a,b", "c"])),
        (
            "JSON",
            json!({"header": "x-groups", "format": "json"}),
            r#"["CN=Ops,OU=Groups", "Sales, admins", 7, true, null]"#,
            json!(["CN=Ops,OU=Groups", "Sales, admins", "7"]),
        ),
        ("JSON that is none", json!({"header": "x-groups", "format": "json"}), "admins,ops", json!([])),
        ("JSON that is cut off", json!({"header": "x-groups", "format": "json"}), r#"["admins","#, json!([])),
        ("empty JSON", json!({"header": "x-groups", "format": "json"}), "[]", json!([])),
    ] {
        apply(&envoy, what, &json!({"identity_sources": [{"headers": {"sub": "x-user", "groups": groups}}]}));
        let reply = envoy.send(&Request::get("/").header("x-user", "ada").header("x-groups", value));
        assert_eq!(claims(&reply)["groups"], expected, "{what}");
    }
    let filtered = json!({
        "identity_sources": [{"headers": {"sub": "x-user", "groups": {"header": "x-groups", "separator": "|"}}}],
        "jwt_groups_filter": ["admins"],
    });
    apply(&envoy, "filtered", &filtered);
    let reply = envoy.send(&Request::get("/").header("x-user", "ada").header("x-groups", "Sales, admins|ops"));
    assert_eq!(claims(&reply)["groups"], json!([]), "a part of a group is no group");
}

#[test]
fn bad_ways_to_split_groups_are_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for groups in [
        json!({}),
        json!({"separator": "|"}),
        json!({"format": "json"}),
        json!({"header": 5}),
        json!({"header": "a b"}),
        json!({"header": "x-groups", "separator": ""}),
        json!({"header": "x-groups", "separator": 5}),
        json!({"header": "x-groups", "separator": null}),
        json!({"header": "x-groups", "format": "xml"}),
        json!({"header": "x-groups", "format": null}),
        json!({"header": "x-groups", "format": "json", "separator": "|"}),
        json!({"header": "x-groups", "seperator": "|"}),
    ] {
        let sources = json!([{"headers": {"sub": "x-user", "groups": groups}}]);
        check_refused(&envoy, &json!({"identity_sources": sources}), &["identity_sources"]);
    }
    let other = json!([{"headers": {"sub": {"header": "x-user", "separator": "|"}}}]);
    check_refused(&envoy, &json!({"identity_sources": other}), &["identity_sources"]);
}

#[test]
fn a_routes_groups_filter_adds_to_the_plugins() {
    let all = json!({"headers": {"sub": "x-user", "groups": "x-groups"}});
    let ask = |envoy: &Envoy, path: &str| {
        let request = Request::get(path).header("x-user", "ada").header("x-groups", "a,b,c,d");
        claims(&envoy.send(&request))["groups"].clone()
    };
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": [all], "jwt_groups_filter": ["a", "x"]}))
        .route(route("/b", &json!({"jwt_groups_filter": ["b"]})))
        .route(route("/ab", &json!({"jwt_groups_filter": ["b", "a"]})))
        .wrong_route(route("/none", &json!({"jwt_groups_filter": []})), "jwt_groups_filter")
        .start();
    assert_eq!(ask(&envoy, "/"), json!(["a"]));
    assert_eq!(ask(&envoy, "/b"), json!(["a", "b"]));
    assert_eq!(ask(&envoy, "/ab"), json!(["a", "b"]));
    if envoy.host().takes_wrong_routes() {
        let mark = envoy.log().len();
        assert_eq!(envoy.get("/none").status, 500, "an empty list of a route is refused");
        let lines = lines_since(&envoy, mark);
        assert!(lines.iter().any(|line| line.contains("jwt_groups_filter")), "{lines:?}");
    }

    let only_route = Bootstrap::new(json!({"signing_key": A, "identity_sources": [all]}))
        .route(route("/b", &json!({"jwt_groups_filter": ["b"]})))
        .dynamic()
        .start();
    assert_eq!(ask(&only_route, "/b"), json!(["b"]));
    assert_eq!(ask(&only_route, "/"), json!(["a", "b", "c", "d"]));
    check_refused(&only_route, &json!({"jwt_groups_filter": []}), &["jwt_groups_filter"]);
}

#[test]
fn iat_is_backdated_and_exp_is_not() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for (backdate, lifetime, seconds, life) in
        [("0s", "300s", 0, 300), ("30s", "300s", 30, 300), ("60s", "10s", 60, 10), ("1s", "1s", 1, 1)]
    {
        apply(&envoy, backdate, &json!({"iat_backdate": backdate, "token_lifetime": lifetime}));
        let before = jsonwebtoken::get_current_timestamp();
        let claims = claims(&envoy.get("/"));
        let after = jsonwebtoken::get_current_timestamp();
        let [iat, exp] = ["iat", "exp"].map(|name| claims[name].as_u64().expect("whole seconds"));
        assert!((before..=after).contains(&(iat + seconds)), "{backdate}: iat {iat} between {before} and {after}");
        assert_eq!(exp, iat + seconds + life, "{backdate}: exp is now and {lifetime}");
    }
    for bad in ["61s", "60.1s", "-1s", "30", "1m", ""] {
        check_refused(&envoy, &json!({"iat_backdate": bad}), &["iat_backdate"]);
    }
    for bad in [json!(30), json!(null), json!(true)] {
        check_refused(&envoy, &json!({"iat_backdate": bad}), &["iat_backdate"]);
    }
}

fn preflight(path: &str) -> Request {
    Request::new("OPTIONS", path)
        .header("origin", "https://elsewhere.example")
        .header("access-control-request-method", "POST")
}

#[test]
fn a_preflight_of_nobody_passes_where_it_may() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let sources = json!([{"headers": {"sub": "x-user"}}]);
    for choice in ["deny", "skip", "sign"] {
        let more = json!({
            "cors_allow_preflight": true,
            "on_missing_identity": choice,
            "identity_sources": sources,
            "jwt_claims_headers": {"X-Email": "email"},
        });
        apply(&envoy, choice, &more);
        let forged = preflight("/").header(ASSERTION_HEADER, "forged").header("x-email", "forged");
        let reply = envoy.send(&forged);
        assert_eq!(reply.status, 200, "{choice}");
        let seen = reply.seen();
        assert_eq!((seen.one(ASSERTION_HEADER), seen.one("x-email")), (None, None), "{choice}");
        assert_eq!(seen.one("origin").as_deref(), Some("https://elsewhere.example"), "{choice}");
    }
    apply(
        &envoy,
        "and nothing else",
        &json!({"cors_allow_preflight": true, "on_missing_identity": "deny", "identity_sources": sources}),
    );
    let before = envoy.upstream_requests();
    let origin = ("origin", "https://elsewhere.example");
    let method = ("access-control-request-method", "POST");
    for request in [
        Request::new("OPTIONS", "/"),
        Request::new("OPTIONS", "/").headers([origin]),
        Request::new("OPTIONS", "/").headers([method]),
        Request::new("GET", "/").headers([origin, method]),
        Request::new("POST", "/").headers([origin, method]).body("x"),
        Request::new("HEAD", "/").headers([origin, method]),
    ] {
        assert_eq!(envoy.send(&request).status, 401, "{request:?}");
    }
    assert_eq!(envoy.upstream_requests(), before);
    let somebody = envoy.send(&preflight("/").header("x-user", "ada"));
    assert_eq!(claims(&somebody)["sub"], "ada", "a preflight of somebody is signed");
}

#[test]
fn a_preflight_is_a_request_like_any_other_by_default() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    assert_eq!(claims(&envoy.send(&preflight("/")))["sub"], "");
    for more in [json!({}), json!({"cors_allow_preflight": false})] {
        let mut configuration = more.clone();
        configuration["on_missing_identity"] = "deny".into();
        apply(&envoy, &more.to_string(), &configuration);
        assert_eq!(envoy.send(&preflight("/")).status, 401, "{more}");
    }
    for bad in [json!("true"), json!(1), json!(null), json!([])] {
        check_refused(&envoy, &json!({"cors_allow_preflight": bad}), &["cors_allow_preflight"]);
    }
}

#[test]
fn signing_key_wait_is_a_duration() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for bad in [json!("2"), json!(2), json!("2m"), json!("-1s"), json!(null), json!(true), json!(""), json!("1,5s")] {
        check_refused(&envoy, &json!({"signing_key_wait": bad}), &["signing_key_wait"]);
    }
}
