//! The paths that the filter answers itself.

use serde::Deserialize;
use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, KID_B, RSA, pem};
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, HOST, JWKS_PATH, Members, Reply, Request, eventually};

const DISCOVERY_PATH: &str = "/.well-known/pomerium";

#[test]
fn the_keyset_is_served_with_its_headers() {
    let envoy = Bootstrap::new(json!({"signing_key": format!("{}{}", pem(A), pem(RSA))})).start();
    let reply = envoy.get(JWKS_PATH);
    check_keyset_headers(&reply);
    assert_eq!(reply.status, 200);
    assert_eq!(
        member_order(&reply.text()),
        [vec!["use", "kty", "kid", "crv", "alg", "x", "y"], vec!["use", "kty", "kid", "alg", "n", "e"],]
    );

    let head = envoy.send(&Request::new("HEAD", JWKS_PATH));
    assert_eq!(head.status, 200);
    check_keyset_headers(&head);
    assert_eq!(head.header("etag"), reply.header("etag"));
    assert_eq!(envoy.upstream_requests(), 0, "no upstream sees any of it");
}

fn check_keyset_headers(reply: &Reply) {
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "public, max-age=60"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(reply.header(name).as_deref(), Some(value), "{name}");
    }
    let etag = reply.header("etag").expect("an etag");
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "a strong etag: {etag}");
    assert_eq!(reply.header(ASSERTION_HEADER), None, "no assertion in an answer");
}

/// The member names of each key, in the order in which they are written.
fn member_order(keyset: &str) -> Vec<Vec<String>> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<Members>,
    }
    let keyset: Keys = serde_json::from_str(keyset).unwrap();
    keyset.keys.into_iter().map(|key| key.0).collect()
}

#[test]
fn the_keyset_is_not_sent_twice_to_a_client_that_has_it() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    let etag = envoy.get(JWKS_PATH).header("etag").unwrap();
    let fresh =
        [etag.clone(), "*".into(), format!("W/{etag}"), format!("\"other\", {etag}"), format!("\"a\",{etag},\"b\"")];
    for method in ["GET", "HEAD"] {
        for condition in &fresh {
            let reply = envoy.send(&Request::new(method, JWKS_PATH).header("if-none-match", condition));
            assert_eq!(reply.status, 304, "{method} if-none-match: {condition}");
            assert_eq!(reply.header("etag").as_ref(), Some(&etag), "{method} if-none-match: {condition}");
            assert_eq!(reply.header("cache-control").as_deref(), Some("public, max-age=60"), "{method} {condition}");
            assert_eq!(reply.header("access-control-allow-origin").as_deref(), Some("*"), "{method} {condition}");
        }
        for condition in ["\"other\"", "W/\"other\"", "", "\"\"", etag.trim_matches('"')] {
            let reply = envoy.send(&Request::new(method, JWKS_PATH).header("if-none-match", condition));
            assert_eq!(reply.status, 200, "{method} if-none-match: {condition}");
        }
    }
    let lines = Request::get(JWKS_PATH).header("if-none-match", "\"other\"").header("if-none-match", &etag);
    assert_eq!(envoy.send(&lines).status, 304, "a list in two header lines");
}

#[test]
fn the_etag_is_the_same_on_every_worker_and_another_for_other_keys() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).workers(2).dynamic().start();
    let etags = |envoy: &Envoy| {
        let mut clients: Vec<_> = (0..6).map(|_| envoy.connect()).collect();
        let mut etags: Vec<_> =
            clients.iter_mut().map(|client| client.send(&Request::get(JWKS_PATH)).header("etag").unwrap()).collect();
        etags.sort();
        etags.dedup();
        etags
    };
    let before = etags(&envoy);
    assert_eq!(before.len(), 1, "{before:?}");
    envoy.push_accepted(json!({"signing_key": format!("{}{}", pem(A), pem(B))}));
    eventually("another etag on every worker", || {
        let after = etags(&envoy);
        (after.len() == 1 && after != before).then_some(())
    });
    assert_eq!(envoy.keys().kids(), [KID_A, KID_B]);
}

#[test]
fn a_browser_may_ask_and_nobody_may_write() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    let preflight = Request::new("OPTIONS", JWKS_PATH)
        .header("origin", "https://elsewhere.example")
        .header("access-control-request-method", "GET");
    let reply = envoy.send(&preflight);
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin").as_deref(), Some("*"));
    let methods = reply.header("access-control-allow-methods").expect("the allowed methods");
    assert!(methods.contains("GET"), "{methods}");

    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let reply = envoy.send(&Request::new(method, JWKS_PATH).body("{}"));
        assert_eq!(reply.status, 405, "{method}");
        let allow = reply.header("allow").unwrap_or_else(|| panic!("{method}: no allow"));
        let allowed: Vec<&str> = allow.split(',').map(str::trim).collect();
        assert!(["GET", "HEAD", "OPTIONS"].iter().all(|m| allowed.contains(m)), "{method}: {allow}");
        assert!(!allowed.contains(&method), "{method}: {allow}");
    }
    assert_eq!(envoy.upstream_requests(), 0);
}

#[test]
fn a_query_does_not_change_the_match_and_anything_else_does() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "user_endpoints": true})).start();
    let slash = format!("{DISCOVERY_PATH}/");
    assert_eq!(envoy.get(&slash).json(), envoy.get(DISCOVERY_PATH).json());
    for path in [JWKS_PATH, DISCOVERY_PATH, &slash, "/.pomerium/jwt", "/.pomerium/user"] {
        let before = envoy.upstream_requests();
        for query in ["?", "?a=b", "?/../x", "??", "?a=/b/.well-known"] {
            envoy.get(&format!("{path}{query}"));
            assert_eq!(envoy.upstream_requests(), before, "{path}{query} reached the upstream");
        }
        let others = [
            format!("{path}/"),
            format!("{path}/x"),
            format!("{path}x"),
            format!("/{path}"),
            format!("/x{path}"),
            format!("{path};a=b"),
            format!("{path}%20"),
            format!("{path}%3f"),
            path.to_uppercase(),
            path.replace("/.", "/%2e"),
        ];
        // Discovery is answered there, too, as Pomerium does.
        let is_answered = |other: &String| path == DISCOVERY_PATH && *other == format!("{DISCOVERY_PATH}/");
        for other in others.iter().filter(|other| !is_answered(other)) {
            let reply = envoy.get(other);
            let seen = reply.try_seen().unwrap_or_else(|| panic!("{other} was answered: {}", reply.status));
            assert!(seen.one(ASSERTION_HEADER).is_some(), "{other} is signed like any request");
        }
    }
}

#[test]
fn path_and_age_of_the_keyset_can_be_set() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "jwks_path": "/keys.json", "jwks_max_age": "3600s"})).start();
    let reply = envoy.get("/keys.json");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control").as_deref(), Some("public, max-age=3600"));
    assert_eq!(reply.json()["keys"][0]["kid"], KID_A);
    assert_eq!(envoy.get("/keys.json?fresh").status, 200);
    envoy.get(JWKS_PATH).seen();
    let discovery = envoy.get(DISCOVERY_PATH).json();
    assert_eq!(discovery["jwks_uri"], format!("http://{HOST}/keys.json"));
}

#[test]
fn the_keyset_needs_no_identity_no_host_and_no_injection() {
    for configuration in [
        json!({"on_missing_identity": "deny"}),
        json!({"pass_identity_headers": false}),
        json!({"max_assertion_bytes": 1}),
        json!({}),
    ] {
        let mut with_key = configuration.clone();
        with_key["signing_key"] = A.into();
        let envoy = Bootstrap::new(with_key).start();
        for host in [HOST, "a:b:c"] {
            let reply = envoy.send(&Request::get(JWKS_PATH).host(host));
            assert_eq!(reply.status, 200, "{configuration}, host {host}");
            assert_eq!(reply.json()["keys"][0]["kid"], KID_A, "{configuration}, host {host}");
        }
    }
}

#[test]
fn discovery_names_the_issuer_and_where_the_keys_are() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let formats = [
        ("host only", json!({})),
        ("uri", json!({"jwt_issuer_format": "uri"})),
        ("set", json!({"issuer": "https://issuer.example/"})),
    ];
    for (label, mut configuration) in formats {
        configuration["signing_key"] = A.into();
        envoy.reconfigure(label, configuration);
        for host in [HOST, "app.example.com:8443", "App.Example.COM:8443", "[::1]:8443", "[::1]", "127.0.0.1:80"] {
            let discovery = envoy.send(&Request::get(DISCOVERY_PATH).host(host)).json();
            let issuer = envoy.attest(&Request::get("/").host(host)).claim("iss").clone();
            assert_eq!(discovery["issuer"], issuer, "{label}, host {host}");
            let uri = discovery["jwks_uri"].as_str().unwrap_or_else(|| panic!("{label}, host {host}: {discovery}"));
            assert_eq!(uri.to_lowercase(), format!("http://{}{JWKS_PATH}", host.to_lowercase()), "{label}");
        }
    }
}

#[test]
fn discovery_has_no_issuer_for_what_is_no_host() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    for host in ["", "a:b:c", "[]", "%ff", "user@app.example.com"] {
        assert_eq!(envoy.send(&Request::get(DISCOVERY_PATH).host(host)).status, 400, "host {host:?}");
    }
    assert_eq!(envoy.upstream_requests(), 0);
}

#[test]
fn user_endpoints_are_off_unless_asked_for() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    for path in ["/.pomerium/jwt", "/.pomerium/user"] {
        assert!(envoy.get(path).seen().one(ASSERTION_HEADER).is_some(), "{path} is a path like any other");
    }
}

#[test]
fn a_user_can_see_their_own_assertion() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "user_endpoints": true,
        "identity_sources": [{"headers": {"sub": "x-auth-user", "email": "x-auth-email"}}],
    }))
    .start();
    let identified = |path: &str| {
        let request = Request::get(path).header("x-auth-user", "u-1").header("x-auth-email", "ada@example.com");
        let reply = envoy.send(&request);
        assert_eq!(reply.status, 200, "{path}");
        let cache_control = reply.header("cache-control").unwrap_or_default();
        assert!(cache_control.contains("no-store"), "{path}: cache-control: {cache_control}");
        assert_eq!(reply.header(ASSERTION_HEADER), None, "{path}");
        reply
    };
    let token = token_in(&identified("/.pomerium/jwt").text());
    let assertion = envoy.keys().verify(&token);
    check_user(&assertion.claims);
    assert_eq!(assertion.claim("iss"), HOST);
    let user = identified("/.pomerium/user");
    assert!(user.header("content-type").unwrap_or_default().starts_with("application/json"));
    check_user(&user.json());
    for claim in ["iss", "aud", "exp", "iat", "jti"] {
        assert_eq!(user.json().get(claim), None, "{claim} is of the assertion, not of the user");
    }
    assert!(!user.text().contains("eyJ"), "the claims alone");

    for path in ["/.pomerium/jwt", "/.pomerium/user"] {
        let reply = envoy.get(path);
        assert_eq!(reply.status, 401, "{path} without an identity");
        assert!(!reply.text().contains("eyJ"), "{path}: {}", reply.text());
        let spoof =
            Request::get(path).header(ASSERTION_HEADER, &token).header("x-pomerium-claim-email", "eve@example.com");
        assert_eq!(envoy.send(&spoof).status, 401, "{path}: a spoof is no identity");
    }
    assert_eq!(envoy.upstream_requests(), 0);
}

/// The token in an answer, whether it is the whole of it or its only string.
fn token_in(body: &str) -> String {
    let start = body.find("eyJ").unwrap_or_else(|| panic!("no token: {body}"));
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    body[start..].chars().take_while(|c| is_of_token(*c)).collect()
}

fn check_user(claims: &Value) {
    assert_eq!(claims["sub"], "u-1");
    assert_eq!(claims["user"], "u-1");
    assert_eq!(claims["email"], "ada@example.com");
}
