//! Assertions that stand for more than one request: those of peers, those that are used again; and what each may cost.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

use harness::filters::metadata;
use harness::keys::{A, B, KID_A, X_A, Y_A, openssl, pem, pkcs8};
use harness::log::the_refusal;
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, HOST, Reply, Request};

use crate::applied::claims;

const PEER: &str = "peer.example";

/// What a peer that signs with [`A`] says of its user.
pub fn by_peer(audience: &Value) -> String {
    by_peer_at(audience, &json!({}))
}

/// The same with these times.
fn by_peer_at(audience: &Value, times: &Value) -> String {
    let now = jsonwebtoken::get_current_timestamp();
    let mut claims = json!({"iss": PEER, "sub": "ann", "aud": audience, "iat": now, "exp": now + 60});
    claims.as_object_mut().expect("an object").extend(times.as_object().expect("an object").clone());
    let key = EncodingKey::from_ec_der(::pem::parse(pkcs8(A)).expect("a key").contents());
    let header = Header { kid: Some(KID_A.into()), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, &claims, &key).expect("a token")
}

pub fn trusting(on_unverifiable: &str) -> Value {
    let key = json!({"kty": "EC", "crv": "P-256", "kid": KID_A, "x": X_A, "y": Y_A});
    json!({"trusted": [{"issuer": PEER, "jwks": {"keys": [key]}}], "on_unverifiable": on_unverifiable})
}

fn with(audience: &Value) -> Request {
    Request::get("/").header(ASSERTION_HEADER, by_peer(audience))
}

/// Whether the peer's word was taken.
fn is_believed(reply: &Reply) -> bool {
    match reply.status {
        401 => false,
        _ => claims(reply).get("act").is_some(),
    }
}

#[test]
fn a_peers_key_that_is_not_for_signatures_is_refused() {
    for (member, value) in [("use", json!("enc")), ("key_ops", json!(["sign"])), ("alg", json!("ES384"))] {
        let mut actor = trusting("drop");
        actor["trusted"][0]["jwks"]["keys"][0][member] = value;
        let refused = Bootstrap::new(json!({"signing_key": B, "actor": actor})).start_refused();
        let line = the_refusal(&refused.log);
        assert!(line.contains(&format!("actor.trusted[0].jwks.keys[0].{member}: got")), "{line}");
    }
    let mut actor = trusting("deny");
    let key = &mut actor["trusted"][0]["jwks"]["keys"][0];
    (key["use"], key["key_ops"], key["alg"]) = (json!("sig"), json!(["sign", "verify"]), json!("ES256"));
    let envoy = Bootstrap::new(json!({"signing_key": B, "issuer": "us", "actor": actor})).start();
    assert!(is_believed(&envoy.send(&with(&json!(HOST)))));
}

#[test]
fn a_peers_word_is_taken_by_its_exp_and_nbf() {
    let envoy = Bootstrap::new(json!({"signing_key": B, "issuer": "us", "actor": trusting("deny")})).start();
    let now = jsonwebtoken::get_current_timestamp();
    for (times, expected) in [
        (json!({"nbf": now - 10}), true),
        (json!({"iat": now + 500}), true),
        (json!({"exp": now - 10}), false),
        (json!({"exp": (now + 60).to_string()}), false),
        (json!({"nbf": now + 500}), false),
        (json!({"nbf": (now - 10).to_string()}), false),
        (json!({"nbf": null}), false),
    ] {
        let token = by_peer_at(&json!(HOST), &times);
        let reply = envoy.send(&Request::get("/").header(ASSERTION_HEADER, token));
        assert_eq!(is_believed(&reply), expected, "{times}");
    }
}

#[test]
fn a_peers_audience_is_compared_with_ours() {
    for on_unverifiable in ["deny", "drop"] {
        let envoy = Bootstrap::new(json!({
            "signing_key": B,
            "issuer": "us",
            "audience": "orders-api",
            "actor": trusting(on_unverifiable),
        }))
        .route(json!({
            "match": {"path": "/billing"},
            "metadata": {"filter_metadata": {"attestation": {"audience": ["billing-api", "ledger-api"]}}},
            "route": {"cluster": "upstream"},
        }))
        .start();
        for (audience, path, host, expected) in [
            (json!("orders-api"), "/", HOST, true),
            (json!("orders-api"), "/", "billing.example", true),
            (json!(["x", "orders-api"]), "/", HOST, true),
            (json!("orders-api"), "/", "a:b:c", true),
            (json!("billing.example"), "/", "billing.example", false),
            (json!(HOST), "/", HOST, false),
            (json!(""), "/", "a:b:c", false),
            (json!([""]), "/", "a:b:c", false),
            (json!(""), "/", HOST, false),
            (json!([]), "/", HOST, false),
            (json!("Orders-API"), "/", HOST, false),
            (json!("billing-api"), "/billing", HOST, true),
            (json!("ledger-api"), "/billing", HOST, true),
            (json!(["x", "ledger-api"]), "/billing", HOST, true),
            (json!("orders-api"), "/billing", HOST, false),
            (json!(HOST), "/billing", HOST, false),
        ] {
            let mut request = Request::get(path).host(host);
            request = request.header(ASSERTION_HEADER, by_peer(&audience));
            let reply = envoy.send(&request);
            assert_eq!(is_believed(&reply), expected, "{on_unverifiable}: aud {audience} for {path} at {host}");
            let refusal = if on_unverifiable == "deny" && !expected { 401 } else { 200 };
            assert_eq!(reply.status, refusal, "{on_unverifiable}: aud {audience} for {path} at {host}");
        }
    }
}

#[test]
fn a_peers_audience_is_the_host_where_ours_is() {
    let envoy = Bootstrap::new(json!({"signing_key": B, "issuer": "us", "actor": trusting("deny")})).start();
    for (audience, host, status) in [
        (json!(HOST), HOST, 200),
        (json!(HOST), "App.Example.COM:8443", 200),
        (json!(HOST), "other.example.com", 401),
        (json!(""), "a:b:c", 400),
        (json!(""), "", 400),
        (json!(""), HOST, 401),
    ] {
        let reply = envoy.send(&with(&audience).host(host));
        let is_refused = status == 400 && reply.status == 401;
        assert!(reply.status == status || is_refused, "aud {audience} at {host:?}: {}", reply.status);
        assert_eq!(reply.status == 200 && is_believed(&reply), status == 200, "aud {audience} at {host:?}");
    }
}

/// A wall clock that a test sets.
struct Clock {
    directory: TempDir,
}

impl Clock {
    /// Builds the library that an Envoy preloads; its first reading is right.
    fn new() -> Self {
        let clock = Self { directory: tempfile::tempdir().expect("a directory") };
        clock.set(0);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/clock.c");
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(clock.library())
            .arg(source)
            .status()
            .expect("run cc, which Rust needs as well");
        assert!(status.success(), "cc {source}: {status}");
        clock
    }

    /// Sets it this far ahead, in seconds.
    fn set(&self, offset: i64) {
        let path = self.directory.path().join("offset");
        let mut file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("the offset");
        file.write_all(&offset.to_ne_bytes()).expect("set the offset");
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("clock.so")
    }

    /// An Envoy that goes by it.
    fn given_to(&self, bootstrap: Bootstrap) -> Bootstrap {
        let offset = self.directory.path().join("offset");
        bootstrap
            .host_env("LD_PRELOAD", self.library().to_str().expect("a path"))
            .host_env("CLOCK_FILE", offset.to_str().expect("a path"))
    }
}

#[test]
fn a_clock_set_back_empties_what_is_used_again() {
    let clock = Clock::new();
    let envoy = clock
        .given_to(Bootstrap::new(json!({
            "signing_key": A,
            "reuse": "30s",
            "identity_sources": [{"headers": {"sub": "x-user"}}],
        })))
        .start();
    let token = || envoy.send(&Request::get("/").header("x-user", "ada")).token();
    let first = token();
    assert_eq!(token(), first, "it is used again");
    for offset in [-3600, -7200, 0, -5, 3600, 0] {
        let before = token();
        clock.set(offset);
        let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap() + offset;
        let after = token();
        let iat = harness::Assertion::read(&after).claim("iat").as_i64().expect("whole seconds");
        assert!((now - 31..=now + 2).contains(&iat), "clock {offset}: iat {iat}, now {now}");
        let had = harness::Assertion::read(&before).claim("iat").as_i64().expect("whole seconds");
        if had > now + 2 {
            assert_ne!(after, before, "clock {offset}: an assertion from the future is not used again");
        }
        assert_eq!(token(), after, "clock {offset}: the new one is used again");
    }
}

#[test]
fn reuse_is_refused_together_with_binding() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let both = json!({"reuse": "30s", "bind": ["method"]});
    crate::applied::check_refused(&envoy, &both, &["reuse", "bind"]);
}

/// 64 claims that may be shed, of an identity with an object of 48 kB, and each claim's place in the identity.
fn shedding(from: fn(usize) -> String) -> Envoy {
    let names: Vec<String> = (0..64).map(|n| format!("c{n:02}")).collect();
    let mut who = json!({"sub": "ada"});
    for (n, name) in names.iter().enumerate() {
        who[name] = format!("value {n}").into();
    }
    let big: serde_json::Map<_, _> = (0..2400).map(|n| (format!("member-{n:04}"), json!("12345"))).collect();
    who["big"] = Value::Object(big);
    let claims: serde_json::Map<_, _> =
        names.iter().enumerate().map(|(n, name)| (name.clone(), json!({"from": from(n)}))).collect();
    Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "test"}}],
        "claims": claims,
        "shed": names,
        "max_assertion_bytes": 4000,
    }))
    .filter(metadata("test", &json!({"who": who})))
    .start()
}

/// What that costs, `make bench-micro` counts.
#[test]
fn a_large_identity_is_shed_to_what_is_allowed() {
    let last = |n| if n == 63 { "big".into() } else { format!("c{n:02}") };
    let first = |n| if n == 0 { "big".into() } else { format!("c{n:02}") };
    let all = |_| "big".into();
    for (what, envoy) in [("last", shedding(last)), ("first", shedding(first)), ("all", shedding(all))] {
        let token = envoy.get("/").token();
        assert!(token.len() <= 4000, "{what}: {} bytes", token.len());
        assert_eq!(envoy.keys().verify(&token).claim("sub"), "ada", "{what}");
    }
}

/// What a forged one costs, `make bench-micro` counts.
#[test]
fn a_forged_or_oversized_actor_token_is_refused() {
    let key = openssl(&["genrsa", "4096"], "");
    let modulus = openssl(&["rsa", "-noout", "-modulus"], &key);
    let hex = modulus.trim().strip_prefix("Modulus=").expect("a modulus");
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|n| u8::from_str_radix(&hex[n..n + 2], 16).unwrap()).collect();
    let jwk = json!({"kty": "RSA", "kid": "rsa-4096", "n": URL_SAFE_NO_PAD.encode(bytes), "e": "AQAB"});
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "actor": {"trusted": [{"issuer": PEER, "jwks": {"keys": [jwk]}}], "on_unverifiable": "deny"},
    }))
    .start();
    let now = jsonwebtoken::get_current_timestamp();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "RS256", "kid": "rsa-4096", "typ": "JWT"}));
    let payload = part(json!({"iss": PEER, "sub": "ann", "aud": HOST, "exp": now + 600, "iat": now}));
    let forged = format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0x55; 512]));
    assert_eq!(envoy.get("/").status, 200);
    for (what, token) in [
        ("forged", forged),
        ("dots", ".".repeat(50_000)),
        ("a long header", format!("{}.{payload}.x", "e".repeat(50_000))),
        ("a long payload", format!("{header}.{}.x", URL_SAFE_NO_PAD.encode(vec![b'['; 36_000]))),
        ("a long signature", format!("{header}.{payload}.{}", "A".repeat(50_000))),
    ] {
        assert_eq!(envoy.send(&Request::get("/").header(ASSERTION_HEADER, &token)).status, 401, "{what}");
    }
}

#[test]
fn a_vector_key_is_what_the_peer_signs_with() {
    // What these tests rest on: the same token is believed where everything fits.
    let envoy = Bootstrap::new(json!({"signing_key": pem(B), "actor": trusting("deny")})).start();
    let reply = envoy.send(&with(&json!(HOST)));
    assert_eq!(claims(&reply)["act"], json!({"iss": PEER, "sub": "ann"}));
}
