//! The same over HTTP/2, in clear and over TLS: what is stripped, set, answered and refused.

use serde_json::json;

use harness::keys::{A, KID_A};
use harness::tls::Authority;
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, HOST, Http2Client, JWKS_PATH, KeySet, Reply, Request};

const FORGED: &str = "forged-by-the-client";

/// A TLS listener, and whoever its clients trust.
fn with_tls(bootstrap: Bootstrap) -> (Envoy, Authority) {
    let authority = Authority::new();
    (bootstrap.transport_socket(authority.transport_socket()).start(), authority)
}

fn keys(client: &mut Http2Client) -> KeySet {
    let reply = client.send(&Request::get(JWKS_PATH));
    assert_eq!(reply.status, 200);
    KeySet::from_json(reply.json())
}

/// Headers, trailers, methods and endpoints over one connection.
fn check_basics(client: &mut Http2Client, scheme: &str) {
    let spoofs = [ASSERTION_HEADER, "x_pomerium_jwt_assertion", "x-pomerium.jwt-assertion", "x-pomerium-claim-email"];
    let request = Request::new("POST", "/path?query")
        .headers(spoofs.map(|name| (name, FORGED)))
        .header("x-kept", "kept")
        .body("hello")
        .trailer(ASSERTION_HEADER, FORGED)
        .trailer("x_pomerium_claim_email", FORGED)
        .trailer("x-kept-too", "kept");
    let seen = client.send(&request).seen();
    assert!(!seen.contains(FORGED), "{scheme}: a spoof reached the upstream: {seen:?}");
    assert_eq!(seen.one("x-kept").as_deref(), Some("kept"), "{scheme}");
    assert_eq!(seen.trailer_names(), ["x-kept-too"], "{scheme}");
    let token = seen.one(ASSERTION_HEADER).expect("an assertion");
    let assertion = keys(client).verify(&token);
    assert_eq!(assertion.claim("aud"), HOST, "{scheme}");
    assert_eq!(assertion.claim("iss"), HOST, "{scheme}");

    let head = client.send(&Request::new("HEAD", "/"));
    assert_eq!((head.status, head.body.len()), (200, 0), "{scheme}");
    let options = client.send(&Request::new("OPTIONS", "/").header(ASSERTION_HEADER, FORGED));
    keys(client).verify(&options.token());
    check_endpoints(client, scheme);
}

fn check_endpoints(client: &mut Http2Client, scheme: &str) {
    let head = client.send(&Request::new("HEAD", JWKS_PATH));
    assert_eq!((head.status, head.body.len()), (200, 0), "{scheme}");
    let etag = head.header("etag").expect("an etag");
    let fresh = client.send(&Request::get(JWKS_PATH).header("if-none-match", etag));
    assert_eq!((fresh.status, fresh.body.len()), (304, 0), "{scheme}");
    let preflight = client.send(&Request::new("OPTIONS", JWKS_PATH).header("origin", "https://elsewhere.example"));
    assert_eq!(preflight.status, 204, "{scheme}");
    assert_eq!(preflight.header("access-control-allow-origin").as_deref(), Some("*"), "{scheme}");
    let post = client.send(&Request::new("POST", JWKS_PATH).body("{}"));
    assert_eq!(post.status, 405, "{scheme}");
    assert!(post.header("allow").is_some(), "{scheme}");

    let discovery = client.send(&Request::get("/.well-known/pomerium").host("App.example.com:8443")).json();
    assert_eq!(discovery["issuer"], HOST, "{scheme}");
    let uri = discovery["jwks_uri"].as_str().expect("a URI").to_lowercase();
    assert_eq!(uri, format!("{scheme}://{HOST}:8443{JWKS_PATH}"));
}

#[test]
fn everything_works_in_clear() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    check_basics(&mut Http2Client::connect(envoy.address()), "http");
}

#[test]
fn everything_works_over_tls() {
    let (envoy, authority) = with_tls(Bootstrap::new(json!({"signing_key": A})));
    check_basics(&mut Http2Client::connect_tls(envoy.address(), &authority), "https");
    let discovery = authority.connect(envoy.address(), None).send(&Request::get("/.well-known/pomerium")).json();
    assert_eq!(discovery["jwks_uri"], format!("https://{HOST}{JWKS_PATH}"), "HTTP/1.1 over TLS");
}

#[test]
fn streams_of_one_connection_do_not_mix_their_identities() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-auth-user"}}],
        "reuse": "60s",
    }))
    .start();
    let mut client = Http2Client::connect(envoy.address());
    let user = |number: usize| format!("u-{}", number % 40);
    let requests: Vec<Request> = (0..200)
        .map(|number| {
            Request::new("POST", "/").header("x-auth-user", user(number)).body("hello").trailer("x-kept", "1")
        })
        .collect();
    let replies = client.send_together(&requests);
    let keys = keys(&mut client);
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(*keys.verify(&reply.token()).claim("sub"), user(number));
    }
}

#[test]
fn a_cookie_in_pieces_and_bytes_beyond_ascii_pass() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-auth-user", "name": "cookie"}}],
    }))
    .start();
    let mut client = Http2Client::connect(envoy.address());
    let request = Request::get("/").headers([
        ("cookie", &b"a=1"[..]),
        ("cookie", b"b=2"),
        ("x-auth-user", b"a\xffb"),
        ("x-any", b"\x80\xfe"),
    ]);
    let reply = client.send(&request);
    assert_eq!(reply.status, 200);
    assert_eq!(*keys(&mut client).verify(&reply.token()).claim("sub"), "", "what is no UTF-8 is left out");
}

/// The status of a gRPC reply, in headers or trailers.
fn grpc_status(reply: &Reply) -> Option<String> {
    assert_eq!(reply.status, 200, "gRPC has its status elsewhere");
    reply.header("grpc-status")
}

#[test]
fn a_grpc_call_gets_an_assertion_or_a_refusal_in_its_own_terms() {
    const UNAUTHENTICATED: &str = "16";
    const UNAVAILABLE: &str = "14";
    const INVALID_ARGUMENT: &str = "3";
    let call = || {
        Request::new("POST", "/package.Service/Method")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(b"\0\0\0\0\0")
    };
    let identified = || call().header("x-auth-user", "u-1");
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-auth-user"}}],
        "on_missing_identity": "deny",
    }))
    .start();
    let mut client = Http2Client::connect(envoy.address());
    let reply = client.send(&identified().header(ASSERTION_HEADER, FORGED));
    assert_eq!(*keys(&mut client).verify(&reply.token()).claim("sub"), "u-1");

    let before = envoy.upstream_requests();
    assert_eq!(grpc_status(&client.send(&call())).as_deref(), Some(UNAUTHENTICATED));
    assert_eq!(grpc_status(&client.send(&identified().host("a$b"))).as_deref(), Some(INVALID_ARGUMENT));
    assert_eq!(envoy.upstream_requests(), before);

    let keyless = Bootstrap::new(json!({"signing_key_file": "/signing-key.pem"})).key_file("").start();
    let reply = Http2Client::connect(keyless.address()).send(&call());
    assert_eq!(grpc_status(&reply).as_deref(), Some(UNAVAILABLE));
    assert!(reply.header("retry-after").is_some());
}

/// Envoy forwards CONNECT and opens protocols over HTTP/2.
fn with_tunnels() -> Bootstrap {
    Bootstrap::new(json!({"signing_key": A}))
        .route(json!({
            "match": {"connect_matcher": {}},
            "route": {"cluster": "upstream", "upgrade_configs": [{"upgrade_type": "CONNECT"}]},
        }))
        .http(json!({
            "upgrade_configs": [{"upgrade_type": "CONNECT"}, {"upgrade_type": "websocket"}],
            "http2_protocol_options": {"allow_connect": true},
        }))
}

#[test]
fn a_tunnel_gets_an_assertion_and_no_spoof() {
    let envoy = with_tunnels().start();
    let mut client = Http2Client::connect(envoy.address());
    let reply = client.send(&Request::new("CONNECT", "").host("app.example.com:443").header(ASSERTION_HEADER, FORGED));
    let seen = reply.seen();
    assert!(seen.start_line.starts_with("CONNECT "), "{}", seen.start_line);
    assert!(!seen.contains(FORGED), "{seen:?}");
    let token = seen.one(ASSERTION_HEADER).expect("an assertion");
    let assertion = keys(&mut client).verify(&token);
    assert_eq!(assertion.claim("aud"), HOST);
    assert_eq!(assertion.kid(), KID_A);
}

#[test]
fn a_websocket_over_http2_gets_an_assertion_and_no_spoof() {
    let envoy = with_tunnels().start();
    let mut client = Http2Client::connect(envoy.address());
    let request = Request::new("CONNECT", "/socket")
        .header("sec-websocket-version", "13")
        .header(ASSERTION_HEADER, FORGED)
        .header("x_pomerium_claim_email", FORGED);
    let seen = client.connect_protocol(&request, "websocket").seen();
    assert!(seen.start_line.starts_with("GET /socket"), "{}", seen.start_line);
    assert!(!seen.contains(FORGED), "{seen:?}");
    keys(&mut client).verify(&seen.one(ASSERTION_HEADER).expect("an assertion"));
}

#[test]
fn a_connect_that_nobody_wants_is_refused_and_harms_nothing() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "user_endpoints": true})).start();
    let mut client = Http2Client::connect(envoy.address());
    for host in [HOST, "app.example.com:443", "[::1]:443"] {
        let refusal = client.try_send(&Request::new("CONNECT", "").host(host));
        assert!(refusal.as_ref().map_or(true, |reply| reply.status >= 400), "{host}: {refusal:?}");
    }
    assert_eq!(envoy.upstream_requests(), 0);
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
}
