//! Numbers never make one user of two: a whole number that a double may have changed is no text and no claim.

use serde_json::{Value, json};

use harness::filters::{jwt_authn, metadata};
use harness::idp::IdentityProvider;
use harness::keys::A;
use harness::{Bootstrap, Envoy, Host, Reply, Request};

use crate::applied::{
    apply, check_refused, claims, grown, identity_in_filter_state, lines_since, some_claims, subject,
};

/// The greatest whole number that no other is taken for.
const GREATEST: i64 = 9_007_199_254_740_991;

/// Whole numbers that are what they were.
fn exact() -> Vec<i64> {
    vec![0, 1, -1, 7, 2_147_483_648, GREATEST - 1, GREATEST, -GREATEST]
}

/// Whole numbers that may have been others.
fn inexact() -> Vec<Value> {
    vec![
        json!(GREATEST + 1),
        json!(-GREATEST - 1),
        json!(GREATEST + 2),
        json!(GREATEST + 3),
        json!(-GREATEST - 3),
        json!(281_674_916_028_284_928_i64),
        json!(281_674_916_028_284_930_i64),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e19),
        json!(-1e22),
        json!(1e300),
    ]
}

/// Each shape that holds a number somewhere.
fn holding(number: &Value) -> Vec<Value> {
    vec![
        number.clone(),
        json!([number]),
        json!([1, "a", number]),
        json!([[[number]]]),
        json!({"a": number}),
        json!({"a": {"b": [{"c": number, "d": 1}]}}),
        json!([{"a": number}]),
    ]
}

/// A fraction of sixteen digits. Envoy writes it into filter state as a whole number.
fn long_fraction() -> Option<Value> {
    (Host::under_test() == Host::Wasm).then(|| json!(4_503_599_627_370_495.5))
}

struct Asked {
    provider: IdentityProvider,
    envoy: Envoy,
}

/// Somebody behind jwt_authn, with claims and claim headers.
fn behind_jwt_authn(more: Value) -> Asked {
    let provider = IdentityProvider::new();
    let mut configuration = json!({"signing_key": A, "on_missing_identity": "deny"});
    for (name, value) in more.as_object().into_iter().flatten() {
        configuration[name] = value.clone();
    }
    let envoy = Bootstrap::new(configuration).filter(jwt_authn(&provider)).dynamic().start();
    Asked { provider, envoy }
}

impl Asked {
    fn ask(&self, token: &Value) -> Reply {
        self.envoy.send(&Request::get("/").header("authorization", self.provider.bearer(token.clone())))
    }
}

#[test]
fn an_inexact_number_names_nobody() {
    // jwt_authn itself lets no `sub` pass that is no string.
    let asked = behind_jwt_authn(json!({"user_endpoints": true}));
    for number in inexact() {
        for token in [json!({"user": number}), json!({"user": number, "email": "a@b.c", "groups": ["a"]})] {
            assert_eq!(asked.ask(&token).status, 401, "{token}");
        }
        let named = json!({"sub": "ada", "user": number});
        assert_eq!(some_claims(&asked.ask(&named), &["sub", "user"]), json!(["ada", "ada"]), "{named}");
    }
    assert_eq!(asked.envoy.stat("refused.missing_identity"), u64::try_from(2 * inexact().len()).unwrap());
    for number in exact() {
        let text = number.to_string();
        assert_eq!(some_claims(&asked.ask(&json!({"user": number})), &["sub", "user"]), json!([text, text]));
    }
}

#[test]
fn an_inexact_number_is_no_text_for_a_standard_claim() {
    let asked = behind_jwt_authn(json!({}));
    for name in ["email", "name", "sid"] {
        for number in inexact() {
            let mut token = json!({"sub": "ada"});
            token[name] = number;
            assert_eq!(claims(&asked.ask(&token))[name], "", "{token}");
        }
        for number in exact() {
            let mut token = json!({"sub": "ada"});
            token[name] = number.into();
            assert_eq!(claims(&asked.ask(&token))[name], number.to_string(), "{token}");
        }
    }
    for number in inexact() {
        let token = json!({"sub": "ada", "groups": ["a", number, "b"]});
        assert_eq!(claims(&asked.ask(&token))["groups"], json!(["a", "b"]), "{token}");
        let token = json!({"sub": "ada", "groups": number});
        assert_eq!(claims(&asked.ask(&token))["groups"], json!([]), "{token}");
    }
    let numbers = exact();
    let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
    assert_eq!(claims(&asked.ask(&json!({"sub": "ada", "groups": numbers})))["groups"], json!(texts));
}

#[test]
fn fractions_and_bools_are_no_standard_claim() {
    let asked = behind_jwt_authn(json!({}));
    for odd in [json!(1.5), json!(-0.25), json!(1e-7), json!(true), json!(false)].into_iter().chain(long_fraction()) {
        assert_eq!(asked.ask(&json!({"user": odd})).status, 401, "{odd}");
        let token = json!({"sub": "ada", "email": odd, "name": odd, "sid": odd, "groups": [odd]});
        let names = ["email", "name", "sid", "groups"];
        assert_eq!(some_claims(&asked.ask(&token), &names), json!(["", "", "", []]), "{token}");
    }
}

#[test]
fn a_claim_that_holds_an_inexact_number_is_left_out() {
    let asked =
        behind_jwt_authn(json!({"claims": {"x": {"from": "x"}, "y": {"from": "y"}, "z": {"from": ["z", "z"]}}}));
    for number in inexact() {
        for value in holding(&number) {
            let token = json!({"sub": "ada", "x": value, "y": "kept", "z": {"z": value}});
            let claims = claims(&asked.ask(&token));
            assert_eq!((claims.get("x"), claims.get("z")), (None, None), "{token}");
            assert_eq!((&claims["sub"], &claims["y"]), (&json!("ada"), &json!("kept")), "{token}");
        }
    }
    for number in exact() {
        for value in holding(&json!(number)) {
            let token = json!({"sub": "ada", "x": value, "z": {"z": value}});
            let claims = claims(&asked.ask(&token));
            assert_eq!((&claims["x"], &claims["z"]), (&value, &value), "{token}");
        }
    }
    let kept = [json!(1.5), json!(-0.25), json!(true), json!([false, 0.5, {"a": 1e-7}])];
    for value in kept.into_iter().chain(long_fraction()) {
        let token = json!({"sub": "ada", "x": value});
        assert_eq!(claims(&asked.ask(&token))["x"], value, "{token}: fractions and bools stay what they are");
    }
}

#[test]
fn a_claim_header_with_an_inexact_number_is_left_out() {
    let asked = behind_jwt_authn(json!({"jwt_claims_headers": {"X-X": "x", "X-Sub": "sub", "X-Groups": "groups"}}));
    for number in inexact() {
        for value in holding(&number) {
            let token = json!({"sub": "ada", "x": value, "groups": [number, "a"]});
            let reply = asked.ask(&token);
            let seen = reply.seen();
            assert_eq!(seen.one("x-x").unwrap_or_default(), "", "{token}");
            assert_eq!(claims(&reply).get("x"), None, "{token}");
            assert_eq!(seen.one("x-groups").as_deref(), Some("a"), "{token}");
            assert_eq!(seen.one("x-sub").as_deref(), Some("ada"), "{token}");
        }
    }
    for (value, text) in [
        (json!(GREATEST), GREATEST.to_string()),
        (json!(-GREATEST), (-GREATEST).to_string()),
        (json!([1, GREATEST]), format!("1,{GREATEST}")),
        (json!(1.5), "1.5".into()),
        (json!(true), "true".into()),
        (json!([0.5, false]), "0.5,false".into()),
    ] {
        let token = json!({"sub": "ada", "x": value});
        assert_eq!(asked.ask(&token).seen().one("x-x"), Some(text), "{token}");
    }
}

#[test]
fn a_mapped_inexact_number_is_no_text() {
    let asked = behind_jwt_authn(json!({"claims": {"sub": {"from": "uid"}, "email": {"from": "mail"}}}));
    for number in inexact() {
        assert_eq!(asked.ask(&json!({"uid": number})).status, 401, "{number}");
        let token = json!({"uid": "ada", "mail": number});
        assert_eq!(some_claims(&asked.ask(&token), &["sub", "email"]), json!(["ada", ""]), "{token}");
    }
    assert_eq!(claims(&asked.ask(&json!({"uid": GREATEST})))["sub"], GREATEST.to_string());
}

/// Users whose numbers a double holds as the same, and one that it tells from both.
const NEIGHBOURS: [&str; 3] = ["281674916028284928", "281674916028284930", "281674916028284999"];

#[test]
fn two_users_never_become_one() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .filter(jwt_authn(&provider))
        .filter(identity_in_filter_state())
        .dynamic()
        .start();
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let of_token = |text: &str| {
        let token = json!({"uid": number(text), "x": {"id": number(text)}, "groups": [number(text)]});
        Request::get("/").header("authorization", provider.bearer(token))
    };
    let of_filter_state =
        |text: &str| Request::get("/").header("x-identity", format!(r#"{{"uid":{text},"x":{{"id":{text}}}}}"#));
    let of_header = |text: &str| Request::get("/").header("x-user", text);
    let ask = |label: &str, source: Value, request: &dyn Fn(&str) -> Request| {
        let more = json!({
            "identity_sources": [source],
            "on_missing_identity": "deny",
            "claims": {"x": {"from": "x"}, "sub": {"from": "uid"}},
        });
        apply(&envoy, label, &more);
        NEIGHBOURS.map(|text| subject(&envoy.send(&request(text))))
    };
    let namespace = json!({"metadata": {"namespace": "envoy.filters.http.jwt_authn"}});
    assert_eq!(ask("metadata", namespace, &of_token), [None, None, None]);
    let state = json!({"filter_state": "attestation.identity"});
    assert_eq!(ask("filter state", state, &of_filter_state), [None, None, None]);
    let texts = NEIGHBOURS.map(|text| Some(text.to_owned()));
    assert_eq!(ask("header", json!({"headers": {"uid": "x-user"}}), &of_header), texts, "a header is text");
}

#[test]
fn filter_state_has_the_same_numbers_as_metadata() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"filter_state": "attestation.identity"}],
        "on_missing_identity": "deny",
        "claims": {"x": {"from": "x"}},
        "jwt_claims_headers": {"X-X": "x"},
    }))
    .filter(identity_in_filter_state())
    .start();
    let ask = |identity: &str| envoy.send(&Request::get("/").header("x-identity", identity));
    for number in ["9007199254740992", "9007199254740993", "-9007199254740992", "18446744073709551615", "1e300", "1e16"]
    {
        assert_eq!(ask(&format!(r#"{{"sub":{number}}}"#)).status, 401, "{number}");
        for value in [number.to_owned(), format!("[{number}]"), format!(r#"{{"a":[{{"b":{number}}}]}}"#)] {
            let reply = ask(&format!(r#"{{"sub":"ada","x":{value},"email":{number},"groups":["a",{number}]}}"#));
            let claims = claims(&reply);
            assert_eq!(claims.get("x"), None, "{value}");
            assert_eq!((&claims["email"], &claims["groups"]), (&json!(""), &json!(["a"])), "{value}");
            assert_eq!(reply.seen().one("x-x").unwrap_or_default(), "", "{value}");
        }
    }
    for (number, text) in [("9007199254740991", "9007199254740991"), ("-9007199254740991", "-9007199254740991")] {
        let reply = ask(&format!(r#"{{"sub":{number},"x":{number}}}"#));
        assert_eq!(claims(&reply)["sub"], text);
        assert_eq!(claims(&reply)["x"].to_string(), text);
        assert_eq!(reply.seen().one("x-x").as_deref(), Some(text));
    }
}

#[test]
fn groups_in_a_header_of_json_have_the_same_numbers() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-user", "groups": {"header": "x-groups", "format": "json"}}}],
    }))
    .start();
    let groups = |json: &str| {
        let request = Request::get("/").header("x-user", "ada").header("x-groups", json);
        claims(&envoy.send(&request))["groups"].clone()
    };
    assert_eq!(groups(r#"["a",7,9007199254740991]"#), json!(["a", "7", "9007199254740991"]));
    for odd in
        ["9007199254740992", "9007199254740993", "281674916028284930", "-9007199254740992", "1.5", "true", "null"]
    {
        assert_eq!(groups(&format!(r#"["a",{odd},"b"]"#)), json!(["a", "b"]), "{odd}");
    }
    let sub = claims(&envoy.send(&Request::get("/").header("x-user", "281674916028284930")));
    assert_eq!(sub["sub"], "281674916028284930", "text stays text");
}

#[test]
fn an_inexact_constant_is_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for number in [json!(GREATEST + 1), json!(-GREATEST - 1), json!(281_674_916_028_284_930_i64), json!(u64::MAX)] {
        for value in holding(&number) {
            check_refused(&envoy, &json!({"claims": {"tenant": {"value": value}}}), &["claims", "tenant"]);
        }
    }
    check_refused(&envoy, &json!({"claims": {"tenant": {"value": 1e300}}}), &["claims", "tenant"]);
    for value in [
        json!(GREATEST),
        json!(-GREATEST),
        json!("281674916028284930"),
        json!([{"a": [GREATEST, 0.5, "9007199254740993"]}]),
        json!(0.1),
    ] {
        apply(&envoy, &value.to_string(), &json!({"claims": {"tenant": {"value": value}}}));
        assert_eq!(claims(&envoy.get("/"))["tenant"], value);
    }
}

#[test]
fn an_inexact_constant_of_a_route_is_an_error_there() {
    let claims_of = |value: Value| json!({"claims": {"tenant": {"value": value}}});
    let route = |path: &str, settings: Value| {
        json!({
            "match": {"path": path},
            "metadata": {"filter_metadata": {"attestation": settings}},
            "route": {"cluster": "upstream"},
        })
    };
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .wrong_route(route("/bad", claims_of(json!(GREATEST + 1))), "tenant")
        .wrong_route(route("/nested", claims_of(json!({"a": [-GREATEST - 1]}))), "tenant")
        .route(route("/good", claims_of(json!(GREATEST))))
        .start();
    for path in ["/bad", "/nested"].into_iter().filter(|_| envoy.host().takes_wrong_routes()) {
        let mark = envoy.log().len();
        assert_eq!(envoy.get(path).status, 500, "{path}");
        let lines = lines_since(&envoy, mark);
        assert!(lines.iter().any(|line| line.contains("tenant")), "{path}: a line names the claim: {lines:?}");
    }
    assert_eq!(claims(&envoy.get("/good"))["tenant"], GREATEST);
    assert_eq!(envoy.upstream_requests(), 1);
}

#[test]
fn what_is_left_out_is_counted_and_named_once() {
    let identity = json!({"who": {"sub": "ada", "uid": GREATEST + 1, "ids": [GREATEST + 3], "fine": 1}});
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(metadata("test", &identity)).dynamic().start();
    let more = json!({
        "identity_sources": [{"metadata": {"namespace": "test"}}],
        "claims": {"employee": {"from": "uid"}, "tickets": {"from": "ids"}, "fine": {"from": "fine"}},
    });
    apply(&envoy, "without", &json!({"identity_sources": [{"metadata": {"namespace": "test"}}]}));
    envoy.get("/").token();
    let usual = grown(&envoy, || drop(envoy.get("/").token()));
    for round in ["first", "second"] {
        let mark = envoy.log().len();
        apply(&envoy, round, &more);
        for _ in 0..20 {
            envoy.get("/").token();
        }
        let lines = lines_since(&envoy, mark);
        for name in ["employee", "tickets"] {
            let count = lines.iter().filter(|line| line.contains(name)).count();
            assert_eq!(count, 1, "{round} configuration: {name} is named once: {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.contains("fine")), "{round} configuration: {lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("900719925474099")), "the value is not logged: {lines:#?}");
        let more: Vec<_> = grown(&envoy, || drop(envoy.get("/").token())).difference(&usual).cloned().collect();
        assert_eq!(more.len(), 1, "{round} configuration: one counter tells of it: {more:?}");
        let before = envoy.stat(&more[0]);
        envoy.get("/").token();
        assert_eq!(envoy.stat(&more[0]), before + 2, "{round} configuration: each claim counts: {more:?}");
    }
}
