//! Requests of different kinds.

use std::hint::black_box;

use attestation_filter::attester::{Attester, Decision};
use attestation_filter::config::{Config, Platform};
use attestation_filter::host::fake::{FakeHost, Sign};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

const KEY: &str = include_str!("../../../tests/vectors/signing-key-a.b64");

/// A filter and the request that it gets again and again.
type Case = fn() -> (Json, FakeHost);

/// All of them, by name.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("5 groups", || (json!({}), request("/").with_metadata(&identity(5)))),
    ("500 groups", || (json!({}), request("/").with_metadata(&identity(500)))),
    ("anonymous", || (json!({}), request("/"))),
    ("identity from headers", from_headers),
    ("route metadata", || {
        let route = json!({"attestation": {"audience": "app"}});
        (json!({}), request("/").with_metadata(&identity(5)).with_route_metadata(&route))
    }),
    ("reused", || (json!({"reuse": "60s"}), request("/").with_metadata(&identity(5)))),
    ("signed in Wasm", || (json!({"signer": "wasm"}), request("/").with_metadata(&identity(5)))),
    ("64 claims of 48 kB shed", all_shed),
    ("64 text claims of 48 kB shed", texts_shed),
    ("60 headers of 48 kB", long_headers),
    ("forged actor of RSA-4096", forged_actor),
    ("keyset", || (json!({}), request("/.well-known/pomerium/jwks.json"))),
];

/// Runs a case so many times.
pub(crate) fn run(name: &str, requests: u64) {
    let (_, case) = CASES.iter().find(|(case, _)| *case == name).expect("a case");
    let (mut config, request) = case();
    config["signing_key"] = KEY.into();
    let config = Config::read(Platform::Wasm, config.to_string().as_bytes(), |_| None).expect("a valid configuration");
    let attester = Attester::new(config, &request).unwrap_or_else(|error| panic!("{error}"));
    let worker = attester.worker();
    for _ in 0..requests {
        match black_box(attester.on_request(&worker, black_box(&request))) {
            Decision::Forward(changes) => assert!(!changes.set.is_empty()),
            Decision::Respond(response) => assert!(matches!(response.status, 200 | 401)),
            Decision::Wait => panic!("there is a key"),
        }
    }
}

/// A request with the headers that a browser sends, in a process whose signatures were made before.
fn request(path: &str) -> FakeHost {
    let headers = [
        (":authority", "app.example.com"),
        (":path", path),
        (":method", "GET"),
        (":scheme", "https"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("cookie", "session=9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d; theme=dark"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "0c0e2b6e-6c5f-4a62-9a6d-0f4c0f8f5a0e"),
    ];
    FakeHost { logs_debug: false, ..FakeHost::request(&headers) }.with_sign(Sign::Repeats)
}

/// What an identity provider says of somebody.
fn identity(groups: usize) -> Json {
    let groups: Vec<String> = (0..groups).map(|number| format!("team-{number:04}")).collect();
    json!({"envoy.filters.http.jwt_authn": {"payload": {
        "iss": "https://idp.example.com/", "aud": "app", "iat": 1_700_000_000, "exp": 4_102_444_800_u64,
        "sub": "8a1f6c52-93d7-4a6e-b0c4-2f7de91b6a35", "email": "alice@corp.example.com", "name": "Alice Example",
        "sid": "5f0f2b3c-7a61-4f0e-9a0b-1d2c3e4f5a6b", "groups": groups,
    }}})
}

fn from_headers() -> (Json, FakeHost) {
    let source = json!({"headers": {"sub": "x-user", "email": "x-email", "name": "x-name", "groups": "x-groups"}});
    let fields = [
        ("x-user", "8a1f6c52-93d7-4a6e-b0c4-2f7de91b6a35"),
        ("x-email", "alice@corp.example.com"),
        ("x-name", "Alice Example"),
        ("x-groups", "team-0000,team-0001,team-0002,team-0003,team-0004"),
    ];
    (json!({"identity_sources": [source]}), request("/").with_headers(&fields))
}

/// The most that an identity can have the filter do to keep within `max_assertion_bytes`.
fn all_shed() -> (Json, FakeHost) {
    let names: Vec<String> = (0..64).map(|number| format!("c{number:02}")).collect();
    let big: serde_json::Map<String, Json> =
        (0..2400).map(|number| (format!("member-{number:04}"), "12345".into())).collect();
    let claims: serde_json::Map<String, Json> =
        names.iter().map(|name| (name.clone(), json!({"from": "big"}))).collect();
    let config = json!({"claims": claims, "shed": names, "max_assertion_bytes": 4000});
    let identity = json!({"envoy.filters.http.jwt_authn": {"payload": {"sub": "ann", "big": big}}});
    (config, request("/").with_metadata(&identity))
}

/// The same of texts that are made of many numbers.
fn texts_shed() -> (Json, FakeHost) {
    let (mut config, _) = all_shed();
    config["claim_values"] = "text".into();
    (config, with_many_numbers())
}

/// One long list in many headers.
fn long_headers() -> (Json, FakeHost) {
    let headers: serde_json::Map<String, Json> =
        (0..60).map(|number| (format!("x-number-{number}"), "big".into())).collect();
    (json!({ "jwt_claims_headers": headers }), with_many_numbers())
}

fn with_many_numbers() -> FakeHost {
    let payload = json!({"sub": "ann", "big": vec![1; 24_000]});
    request("/").with_metadata(&json!({"envoy.filters.http.jwt_authn": {"payload": payload}}))
}

/// The most that a client can have the filter do with an assertion of its own: all is right but the signature.
fn forged_actor() -> (Json, FakeHost) {
    let part = |json: Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let mut modulus = [0xa5; 512];
    modulus[511] |= 1;
    let key = json!({"kty": "RSA", "kid": "k", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB"});
    let actor = json!({"trusted": [{"issuer": "i", "jwks": {"keys": [key]}}], "on_unverifiable": "deny"});
    let header = part(json!({"alg": "RS256", "kid": "k"}));
    let claims = part(json!({"iss": "i", "sub": "s", "aud": "app.example.com", "exp": 4_102_444_800_u64}));
    let token = format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([0x55; 512]));
    (json!({"actor": actor}), request("/").with_headers(&[("x-pomerium-jwt-assertion", &token)]))
}
