//! What keeps an assertion small, and what is counted of it.

use serde_json::json;

use harness::filters::metadata;
use harness::keys::A;
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, Request};

fn user() -> serde_json::Value {
    metadata(
        "test",
        &json!({"who": {"sub": "ann", "groups": ["a", "b", "c", "b"], "roles": ["b", "x", "y"], "teams": ["t"]}}),
    )
}

fn route(prefix: &str, settings: serde_json::Value) -> serde_json::Value {
    json!({
        "match": {"prefix": prefix},
        "metadata": {"filter_metadata": {"attestation": settings}},
        "route": {"cluster": "upstream"},
    })
}

/// The groups that reached the app, and how many more have been counted as removed.
fn groups_at(envoy: &Envoy, path: &str) -> (serde_json::Value, u64) {
    let before = envoy.stat("groups_removed");
    let assertion = envoy.attest(&Request::get(path));
    (assertion.claim("groups").clone(), envoy.stat("groups_removed") - before)
}

#[test]
fn groups_that_are_filtered_out_are_counted() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "test"}}],
        "jwt_groups_filter": ["b", "z"],
        "jwt_claims_headers": {"X-Groups": "groups"},
        "user_endpoints": true,
    }))
    .filter(user())
    .route(route("/all", json!({"jwt_groups_filter": ["a", "c"]})))
    .route(route("/more", json!({"jwt_groups_filter": ["c", "x"]})))
    .route(route("/none", json!({"claims": {"groups": {"from": "teams"}}})))
    .wrong_route(route("/wrong", json!({"jwt_groups_filter": []})), "jwt_groups_filter")
    .route(route("/roles", json!({"claims": {"groups": {"from": "roles"}}})))
    .route(route("/stripped", json!({"pass_identity_headers": false})))
    .start();
    assert_eq!(envoy.stat("groups_removed"), 0, "nothing has been signed yet");
    assert_eq!(groups_at(&envoy, "/"), (json!(["b", "b"]), 2));
    assert_eq!(groups_at(&envoy, "/all"), (json!(["a", "b", "c", "b"]), 0), "a route's groups are added");
    assert_eq!(groups_at(&envoy, "/more"), (json!(["b", "c", "b"]), 1));
    assert_eq!(groups_at(&envoy, "/none"), (json!([]), 1));
    if envoy.host().takes_wrong_routes() {
        assert_eq!(envoy.get("/wrong").status, 500, "Pomerium takes an empty list for none at all");
    }
    assert_eq!(groups_at(&envoy, "/roles"), (json!(["b"]), 2));
    assert_eq!(envoy.get("/").seen().one("x-groups").as_deref(), Some("b,b"), "the claim header is filtered too");

    let before = envoy.stat("groups_removed");
    envoy.get("/stripped").seen();
    envoy.get(harness::JWKS_PATH);
    assert_eq!(envoy.stat("groups_removed"), before, "without an assertion nothing is removed from one");
}

#[test]
fn an_assertion_that_is_too_long_is_refused_and_counted() {
    let configuration = |max: usize| json!({"signing_key": A, "max_assertion_bytes": max});
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    let length = envoy.get("/").token().len();
    let fitting = Bootstrap::new(configuration(length)).start();
    assert_eq!(fitting.get("/").token().len(), length, "to the byte");
    assert_eq!(fitting.stat("refused.too_long"), 0);

    let longer = Request::get("/").host("app1.example.com");
    assert_eq!(fitting.send(&longer).status, 431, "a longer host makes a longer assertion");
    assert_eq!(fitting.send(&longer).status, 431);
    assert_eq!((fitting.stat("refused.too_long"), fitting.upstream_requests()), (2, 1));
    assert_eq!(fitting.get(harness::JWKS_PATH).status, 200, "the keyset is not an assertion");
    assert!(fitting.get("/").seen().one(ASSERTION_HEADER).is_some(), "and others are served");
}
