//! What a route's metadata changes, for that route alone.

use serde_json::{Value, json};

use harness::filters::metadata;
use harness::keys::A;
use harness::log::ours;
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Envoy, HOST, Host, Request, only_on};

/// A route to the upstream with settings of its own.
fn route(prefix: &str, settings: &Value) -> Value {
    json!({
        "match": {"prefix": prefix},
        "metadata": {"filter_metadata": {"attestation": settings}},
        "route": {"cluster": "upstream"},
    })
}

#[test]
fn each_setting_holds_for_its_route_alone() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "test"}}],
        "claims": {"env": {"value": "prod"}},
    }))
    .filter(metadata("test", &json!({"who": {"sub": "u-1", "groups": ["a", "b", "c"], "dept": "research"}})))
    .route(route("/issuer", &json!({"issuer": "https://route.example"})))
    .route(route("/audience", &json!({"audience": "one"})))
    .route(route("/audiences", &json!({"audience": ["one", "two"]})))
    .route(route("/uri", &json!({"jwt_issuer_format": "uri"})))
    .route(route("/groups", &json!({"jwt_groups_filter": ["b"]})))
    .route(route("/claims", &json!({"claims": {"dept": {"from": "dept"}, "tier": {"value": 1}}})))
    .route(route("/nothing", &json!({"pass_identity_headers": false})))
    .route(route("/other", &json!({})))
    .start();

    let claim = |path: &str, name: &str| envoy.attest(&Request::get(path)).claim(name).clone();
    assert_eq!(claim("/issuer", "iss"), "https://route.example");
    assert_eq!(claim("/issuer", "aud"), HOST);
    assert_eq!(claim("/audience", "aud"), "one");
    assert_eq!(claim("/uri", "iss"), format!("https://{HOST}/"));
    assert_eq!(claim("/groups", "groups"), json!(["b"]));
    assert_eq!(claim("/claims", "dept"), "research");
    assert_eq!(claim("/claims", "tier"), 1);
    assert_eq!(claim("/claims", "env"), "prod", "a route adds to the claims");
    assert_eq!(envoy.get("/nothing").seen().one(ASSERTION_HEADER), None);
    for path in ["/", "/other"] {
        let assertion = envoy.attest(&Request::get(path));
        assert_eq!(assertion.claim("iss"), HOST, "{path}");
        assert_eq!(assertion.claim("aud"), HOST, "{path}");
        assert_eq!(*assertion.claim("groups"), json!(["a", "b", "c"]), "{path}");
        assert_eq!(*assertion.claim("tier"), Value::Null, "{path}");
        assert_eq!(assertion.claim("env"), "prod", "{path}");
    }
}

#[test]
fn a_route_with_a_list_of_audiences_has_them_all() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "audience": "everywhere"}))
        .route(route("/two", &json!({"audience": ["one", "two"]})))
        .start();
    assert_eq!(*envoy.attest(&Request::get("/two")).claim("aud"), json!(["one", "two"]));
    assert_eq!(envoy.attest(&Request::get("/")).claim("aud"), "everywhere");
}

#[test]
fn a_route_chooses_injection_and_missing_identities() {
    let envoy =
        Bootstrap::new(json!({"signing_key": A, "pass_identity_headers": false, "on_missing_identity": "deny"}))
            .route(route("/on", &json!({"pass_identity_headers": true, "on_missing_identity": "sign"})))
            .route(route("/skip", &json!({"pass_identity_headers": true, "on_missing_identity": "skip"})))
            .route(route("/deny", &json!({"pass_identity_headers": true})))
            .start();
    let forged = |path: &str| Request::get(path).header(ASSERTION_HEADER, "forged");
    envoy.keys().verify(&envoy.send(&forged("/on")).token());
    assert_eq!(envoy.send(&forged("/skip")).seen().one(ASSERTION_HEADER), None);
    assert_eq!(envoy.send(&forged("/deny")).status, 401);
}

#[test]
fn a_route_with_issuer_and_audience_needs_no_host() {
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .route(route("/named", &json!({"issuer": "i", "audience": "a"})))
        .start();
    let assertion = envoy.attest(&Request::get("/named").host("a:b:c"));
    assert_eq!(assertion.claim("iss"), "i");
    assert_eq!(envoy.send(&Request::get("/").host("a:b:c")).status, 400);
}

#[test]
fn discovery_names_the_issuer_of_its_route() {
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .route(route("/", &json!({"issuer": "https://route.example"})))
        .start();
    assert_eq!(envoy.get("/.well-known/pomerium").json()["issuer"], "https://route.example");
    assert_eq!(envoy.attest(&Request::get("/")).claim("iss"), "https://route.example");
}

#[test]
fn a_bad_setting_is_an_error_on_its_route_alone() {
    if !only_on(Host::Wasm, "natively Envoy refuses a route with a bad setting") {
        return;
    }
    let bad = [
        ("pass_identity_headers", json!("false")),
        ("issuer", json!(5)),
        ("audience", json!([])),
        ("audience", json!([5])),
        ("jwt_issuer_format", json!("url")),
        ("jwt_groups_filter", json!("a")),
        ("on_missing_identity", json!("allow")),
        ("claims", json!({"iss": {"value": "x"}})),
        ("claims", json!({"dept": {}})),
        ("claims", json!([])),
        ("issuer", Value::Null),
        ("audiences", json!("x")),
        ("token_lifetime", json!("60s")),
        ("signing_key", json!("x")),
    ];
    let mut bootstrap = Bootstrap::new(json!({"signing_key": A}));
    for (i, (field, value)) in bad.iter().enumerate() {
        let mut settings = json!({});
        settings[field] = value.clone();
        bootstrap = bootstrap.route(route(&format!("/bad{i}/"), &settings));
    }
    let envoy = bootstrap.start();
    for (i, (field, value)) in bad.iter().enumerate() {
        let context = format!("{field}: {value}");
        let mark = envoy.log().len();
        check_error(&envoy, &format!("/bad{i}/"), &context);
        let log = envoy.log_since(mark);
        assert!(ours(&log).iter().any(|line| line.contains(field)), "{context}: a line names it:\n{log}");
    }
    assert_eq!(envoy.upstream_requests(), 0);
    Assertion::read(&envoy.get("/").token());
}

fn check_error(envoy: &Envoy, path: &str, context: &str) {
    let reply = envoy.get(path);
    assert_eq!(reply.status, 500, "{context}");
    assert_eq!(envoy.get(harness::JWKS_PATH).status, 200, "{context}: the keyset is on another route");
}
