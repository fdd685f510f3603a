//! The assertion in place of the client's own `authorization`, for apps that read a bearer token there.

use serde_json::{Value, json};

use harness::filters::jwt_authn;
use harness::idp::IdentityProvider;
use harness::keys::A;
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Envoy, HOST, Request};

/// An Envoy that takes a bearer token of the provider and hands on a bearer token of its own. `forward` lets jwt_authn
/// leave the client's token in its place.
fn envoy(provider: &IdentityProvider, forward: bool, on_missing_identity: &str) -> Envoy {
    let mut filter = jwt_authn(provider);
    filter["typed_config"]["providers"]["idp"]["forward"] = forward.into();
    Bootstrap::new(json!({
        "signing_key": A,
        "assertion_header": "Authorization",
        "assertion_prefix": "Bearer ",
        "user_endpoints": true,
        "on_missing_identity": on_missing_identity,
    }))
    .filter(filter)
    .route(json!({
        "match": {"prefix": "/stripped"},
        "metadata": {"filter_metadata": {"attestation": {"pass_identity_headers": false}}},
        "route": {"cluster": "upstream"},
    }))
    .start()
}

/// The assertion that the app reads from `authorization`, verified.
fn bearer_at_the_app(envoy: &Envoy, request: &Request) -> Assertion {
    let seen = envoy.send(request).seen();
    let value = seen.one("authorization").expect("a bearer token");
    assert_eq!(seen.one(ASSERTION_HEADER), None, "it is in one place only");
    envoy.keys().verify(value.strip_prefix("Bearer ").expect("the prefix"))
}

#[test]
fn the_app_gets_our_bearer_token_in_place_of_the_clients() {
    let provider = IdentityProvider::new();
    let bearer = provider.bearer(json!({"sub": "ann", "email": "ann@example.com"}));
    let with_token = |path: &str| Request::get(path).header("authorization", &bearer);
    for forward in [false, true] {
        let envoy = envoy(&provider, forward, "sign");
        let assertion = bearer_at_the_app(&envoy, &with_token("/"));
        assert_eq!(assertion.claim("sub"), "ann", "jwt_authn saw the client's own (forward: {forward})");
        assert_eq!(assertion.claim("iss"), HOST, "forward: {forward}");
        assert_eq!(bearer_at_the_app(&envoy, &Request::get("/")).claim("sub"), "", "forward: {forward}");

        let stranger = IdentityProvider::new().bearer(json!({"sub": "eve"}));
        assert_eq!(envoy.send(&Request::get("/").header("authorization", stranger)).status, 401);
        let replayed = format!("Bearer {}", token(&envoy, &with_token("/.pomerium/jwt")));
        let reply = envoy.send(&Request::get("/").header("authorization", replayed));
        assert_eq!(reply.status, 401, "what an app receives does not sign anybody in");
        assert_eq!(envoy.send(&with_token("/stripped")).seen().one("authorization"), None, "forward: {forward}");
    }
}

fn token(envoy: &Envoy, request: &Request) -> String {
    let reply = envoy.send(request);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control").as_deref(), Some("no-store"));
    reply.text().trim().to_owned()
}

#[test]
fn the_user_endpoints_know_the_user_by_the_clients_token() {
    let provider = IdentityProvider::new();
    let bearer = provider.bearer(json!({"sub": "ann", "groups": ["admins"]}));
    let with_token = |path: &str| Request::get(path).header("authorization", &bearer);
    for (forward, on_missing_identity) in [(false, "sign"), (true, "deny")] {
        let envoy = envoy(&provider, forward, on_missing_identity);
        // The token as it is, ready to be sent on; the prefix belongs to the header.
        let assertion = envoy.keys().verify(&token(&envoy, &with_token("/.pomerium/jwt")));
        let user: Value = envoy.send(&with_token("/.pomerium/user?x")).json();
        for claims in [&assertion.claims, &user] {
            assert_eq!((&claims["sub"], &claims["groups"]), (&json!("ann"), &json!(["admins"])));
        }
        assert_eq!(assertion.claim("aud"), HOST);
        assert_eq!(user["aud"], Value::Null, "what an assertion says of itself is not of the user");
        for path in ["/.pomerium/jwt", "/.pomerium/user"] {
            let reply = envoy.get(path);
            assert_eq!(reply.status, 401, "{path}: nobody");
            assert!(reply.header("www-authenticate").is_some(), "{path}");
            assert_eq!(envoy.send(&Request::new("POST", path).body("x")).status, 405, "{path}");
        }
        assert_eq!(envoy.upstream_requests(), 0);
    }
}
