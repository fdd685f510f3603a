//! No client makes the log grow: what concerns a request is counted, what concerns a state is logged once.

use serde_json::{Value, json};

use harness::filters::{jwt_authn, lua, metadata};
use harness::idp::IdentityProvider;
use harness::keys::{A, KID_A, X_A, Y_A};
use harness::{ASSERTION_HEADER, Bootstrap, Capability, Envoy, HOST, Host, JWKS_PATH, Request, only_on};

use crate::applied::lines_since;

const MANY: usize = 300;
const BAD_ROUTES: &str = "natively Envoy refuses a route with a bad setting";

fn route(path: &str, settings: &Value) -> Value {
    json!({
        "match": {"path": path},
        "metadata": {"filter_metadata": {"attestation": settings}},
        "route": {"cluster": "upstream"},
    })
}

/// Takes users from a header. Of any other source a line says, once, that it has nothing.
fn from_headers(mut settings: Value) -> Bootstrap {
    settings["identity_sources"] = json!([{"headers": {"sub": "x-user"}}]);
    Bootstrap::new(settings)
}

/// Sends each of these many times over one connection, and waits for nothing but their answers.
fn send_many(envoy: &Envoy, requests: &[Request], count: usize) {
    let mut client = envoy.connect();
    for number in 0..count {
        for request in requests {
            let request = request.clone().header("x-number", number.to_string());
            let Ok(reply) = client.try_send(&request) else {
                client = envoy.connect();
                continue;
            };
            if reply.is_last() {
                client = envoy.connect();
            }
        }
    }
}

/// That these requests leave no line, with the status that each has.
fn check_quiet(envoy: &Envoy, cases: &[(&str, Request, u16)]) {
    for (what, request, status) in cases {
        assert_eq!(envoy.send(request).status, *status, "{what}");
        let mark = envoy.log().len();
        send_many(envoy, std::slice::from_ref(request), MANY);
        let lines = lines_since(envoy, mark);
        assert_eq!(lines, [""; 0], "{what}: {} lines for {MANY} requests", lines.len());
    }
}

#[test]
fn refused_requests_leave_no_line() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-user", "email": "x-user-email"}}],
        "max_assertion_bytes": 2000,
        "user_endpoints": true,
    }))
    .route(route("/denied", &json!({"on_missing_identity": "deny"})))
    .start();
    let user = |path: &str| Request::get(path).header("x-user", "ada");
    check_quiet(
        &envoy,
        &[
            ("nobody", Request::get("/denied"), 401),
            ("too long", Request::get("/").header("x-user", "u".repeat(4000)), 431),
            ("no host", user("/").host("a:b:c"), 400),
            ("an odd host", user("/").host("%ff"), 400),
            ("no identity at an endpoint", Request::get("/.pomerium/jwt"), 401),
            ("no host at an endpoint", user("/.pomerium/user").host("a:b:c"), 400),
            ("discovery of no host", Request::get("/.well-known/pomerium").host("[]"), 400),
            ("a method that is not allowed", Request::new("DELETE", JWKS_PATH), 405),
            ("a forged assertion", user("/").header(ASSERTION_HEADER, "forged"), 200),
            ("a claim header", user("/").header("x-pomerium-claim-email", "eve"), 200),
            ("an identity twice", Request::get("/denied").header("x-user", "a").header("x-user", "b"), 401),
            ("an identity in Latin-1", Request::get("/denied").header("x-user", b"\xff\xfe"), 401),
            ("a header of odd bytes", user("/").header("x-user-email", b"\xc3\x28"), 200),
            ("anonymous", Request::get("/"), 200),
        ],
    );
}

#[test]
fn refused_grpc_requests_leave_no_line() {
    let envoy = from_headers(json!({"signing_key": A, "user_endpoints": true, "on_missing_identity": "deny"})).start();
    for path in ["/", JWKS_PATH, "/.well-known/pomerium", "/.pomerium/jwt"] {
        let mark = envoy.log().len();
        send_many(&envoy, &[Request::get(path).header("content-type", "application/grpc")], MANY);
        assert_eq!(lines_since(&envoy, mark), [""; 0], "{path}");
    }
}

#[test]
fn refused_actors_leave_no_line() {
    let key = json!({"kty": "EC", "crv": "P-256", "kid": KID_A, "x": X_A, "y": Y_A});
    for on_unverifiable in ["deny", "drop"] {
        let actor = json!({
            "trusted": [{"issuer": "peer", "jwks": {"keys": [key]}}],
            "on_unverifiable": on_unverifiable,
        });
        let envoy = from_headers(json!({"signing_key": A, "actor": actor, "bind": ["method"]})).start();
        let status = if on_unverifiable == "deny" { 401 } else { 200 };
        let with = |token: &str| Request::get("/").header(ASSERTION_HEADER, token);
        let own = envoy.get("/").token();
        check_quiet(
            &envoy,
            &[
                ("no token", with("forged"), status),
                ("another's token", with(&own), status),
                ("a damaged token", with(&own[..own.len() - 2]), status),
                ("two tokens", with(&own).header(ASSERTION_HEADER, &own), status),
            ],
        );
    }
}

#[test]
fn unbound_requests_leave_no_line() {
    let envoy = from_headers(json!({"signing_key": A, "bind": ["request_id"]}))
        .http(json!({"generate_request_id": false}))
        .start();
    check_quiet(&envoy, &[("no request ID", Request::get("/"), 400)]);
}

#[test]
fn odd_identities_leave_no_line_of_their_own() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "on_missing_identity": "deny",
        "claims": {"dept": {"from": "dept"}},
    }))
    .filter(jwt_authn(&provider))
    .start();
    let with = |claims: Value| Request::get("/").header("authorization", provider.bearer(claims));
    check_quiet(
        &envoy,
        &[
            ("no subject", with(json!({"azp": "x"})), 401),
            ("a subject of null", with(json!({"sub": null})), 401),
            ("a subject that is an object", with(json!({"sub": {"a": 1}})), 401),
            ("odd groups", with(json!({"sub": "u", "groups": [null, {"a": 1}, 1.5, true]})), 200),
            ("groups of null", with(json!({"sub": "u", "groups": null})), 200),
        ],
    );
    // A number that is left out is a state of the configuration: one line, whoever asks how often.
    let mark = envoy.log().len();
    let numbers: Vec<Request> = (0..20_u64)
        .map(|n| with(json!({"sub": "u", "dept": 9_007_199_254_740_993 + n, "groups": [u64::MAX - 4096 * n]})))
        .collect();
    send_many(&envoy, &numbers, MANY / 10);
    let lines = lines_since(&envoy, mark);
    assert!(lines.len() <= 2, "one line for each claim: {lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains("dept")).count(), 1, "{lines:#?}");
}

#[test]
fn an_ambiguous_namespace_is_told_of_once() {
    if !only_on(Host::Wasm, "natively an object below a namespace cannot be read") {
        return;
    }
    let two = json!({"a": {"sub": "a"}, "b": {"sub": "b"}});
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": [{"metadata": {"namespace": "test"}}]}))
        .filter(metadata("test", &two))
        .start();
    let mark = envoy.log().len();
    send_many(&envoy, &[Request::get("/")], MANY);
    let lines = lines_since(&envoy, mark);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("test") && lines[0].contains("path"), "{lines:#?}");
}

#[test]
fn a_bad_route_is_named_once() {
    if !only_on(Host::Wasm, BAD_ROUTES) {
        return;
    }
    let bad = |n: usize| route(&format!("/bad/{n}"), &json!({"audience": [], "on_missing_identity": "deny"}));
    let count = 3;
    let envoy = (0..count).fold(Bootstrap::new(json!({"signing_key": A})), |b, n| b.route(bad(n))).start();
    let requests: Vec<Request> = (0..count).map(|n| Request::get(&format!("/bad/{n}"))).collect();
    let mark = envoy.log().len();
    send_many(&envoy, &requests, MANY / count);
    let lines = lines_since(&envoy, mark);
    assert!((1..=count).contains(&lines.len()), "{count} bad routes: {lines:#?}");
    assert!(lines.iter().all(|line| line.contains("audience")), "{lines:#?}");
    assert_eq!(envoy.stat("refused.bad_route"), u64::try_from(MANY).unwrap());
}

#[test]
fn many_bad_routes_are_not_named_again_and_again() {
    if !only_on(Host::Wasm, BAD_ROUTES) {
        return;
    }
    let count = 1500;
    let bad = |n: usize| route(&format!("/bad/{n}"), &json!({"audience": format!("a-{n}"), "on_missing_identity": n}));
    let envoy = (0..count).fold(Bootstrap::new(json!({"signing_key": A})), |b, n| b.route(bad(n))).start();
    let requests: Vec<Request> = (0..count).map(|n| Request::get(&format!("/bad/{n}"))).collect();
    send_many(&envoy, &requests, 1);
    let mark = envoy.log().len();
    send_many(&envoy, &requests, 2);
    let lines = lines_since(&envoy, mark);
    assert_eq!(lines.len(), 0, "the log has grown by {} lines", lines.len());
    assert_eq!(envoy.get("/").status, 200);
}

#[test]
fn requests_without_a_key_leave_no_line_each() {
    let envoy = Bootstrap::new(json!({
        "signing_key_file": "/k.pem",
        "signing_key_refresh": "0.1s",
        "signing_key_wait": "0s",
    }))
    .key_file("")
    .start();
    assert_eq!(envoy.get("/").status, 503);
    let before = lines_since(&envoy, 0).len();
    send_many(&envoy, &[Request::get("/"), Request::get(JWKS_PATH)], MANY);
    let after = lines_since(&envoy, 0);
    assert!(after.len() <= before + 2, "the state of the file, once: {after:#?}");
}

#[test]
fn debug_lines_name_the_source_and_no_token() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-user"}}],
        "on_missing_identity": "deny",
    }))
    .log_level("debug")
    .start();
    let mark = envoy.log().len();
    envoy.get("/");
    let token = envoy.send(&Request::get("/").header("x-user", "ada").host(HOST)).token();
    let log = envoy.log_since(mark);
    let debug: Vec<&str> = harness::log::ours(&log).into_iter().filter(|line| line.contains("[debug]")).collect();
    assert!(debug.iter().any(|line| line.contains("headers")), "which source won: {debug:#?}");
    assert!(!debug.iter().any(|line| line.contains(&token[..40])), "no token: {debug:#?}");
}

/// Writes a user and, for each request, an object under a name that was not there before, as a service would that passes on
/// what is in a stranger's token.
const PASSES_ON: &str = r#"
function envoy_on_request(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("who", "sub", "ada")
  metadata:set("who", "extra-" .. (handle:headers():get("x-number") or "0"), {a = 1})
end
"#;

#[test]
fn metadata_that_nobody_reads_leaves_no_line() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let sources = json!([{"metadata": {"namespace": "who", "path": []}}]);
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": sources})).filter(lua(PASSES_ON)).start();
    assert_eq!(envoy.attest(&Request::get("/")).claim("sub"), "ada");
    let mark = envoy.log().len();
    send_many(&envoy, &[Request::get("/")], MANY);
    assert_eq!(envoy.log_since(mark), "", "{MANY} requests, each with a member of its own");
}
