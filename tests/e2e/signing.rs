//! Where a signature is made, with which algorithm, and how long an assertion may be used again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

use harness::capability::assert_signs_in_wasm;
use harness::filters::lua;
use harness::keys::{A, B, KID_A, KID_B, KID_RSA, RSA, pem, pkcs8};
use harness::log::the_refusal;
use harness::{Assertion, Bootstrap, Capability, Envoy, Host, Request, eventually, only_on};

/// How many assertions the host and Wasm signed while `act` ran.
fn signed_during(envoy: &Envoy, act: impl FnOnce()) -> (u64, u64) {
    let count = || (envoy.stat("signed.host"), envoy.stat("signed.wasm"));
    let before = count();
    act();
    let after = count();
    (after.0 - before.0, after.1 - before.1)
}

/// Five assertions, each of which must verify with the published keys.
fn sign_five(envoy: &Envoy, kid: &str) {
    for _ in 0..5 {
        assert_eq!(envoy.attest(&Request::get("/")).kid(), kid);
    }
}

#[test]
fn the_host_signs_unless_wasm_is_asked_to() {
    if !only_on(Host::Wasm, "natively `signer` is only auto") {
        return;
    }
    if Capability::HostSigns.is_lacking() {
        return;
    }
    let envoy = Bootstrap::new(json!({"signing_key": B})).dynamic().start();
    for (what, configuration, kid, expected) in [
        ("auto is the default", json!({"signing_key": A}), KID_A, (5, 0)),
        ("auto", json!({"signing_key": A, "signer": "auto"}), KID_A, (5, 0)),
        ("wasm", json!({"signing_key": A, "signer": "wasm"}), KID_A, (0, 5)),
        ("host", json!({"signing_key": A, "signer": "host"}), KID_A, (5, 0)),
        ("host, PKCS#8", json!({"signing_key": pkcs8(A), "signer": "host"}), KID_A, (5, 0)),
        ("RSA, auto", json!({"signing_key": RSA}), KID_RSA, (5, 0)),
        ("RSA, host", json!({"signing_key": RSA, "signer": "host"}), KID_RSA, (5, 0)),
        ("wasm again", json!({"signing_key": B, "signer": "wasm"}), KID_B, (0, 5)),
    ] {
        envoy.reconfigure(what, configuration);
        let by_kid = envoy.stat(&format!("signed_by_kid.{kid}"));
        assert_eq!(signed_during(&envoy, || sign_five(&envoy, kid)), expected, "{what}");
        assert_eq!(envoy.stat(&format!("signed_by_kid.{kid}")), by_kid + 5, "{what}");
    }
    assert_eq!(envoy.stat("sign_fallbacks"), 0);
}

#[test]
fn an_ephemeral_key_signs_on_either_side() {
    if !only_on(Host::Wasm, "natively there is no other side") {
        return;
    }
    if Capability::HostSigns.is_lacking() {
        return;
    }
    for (signer, expected) in [("host", (3, 0)), ("wasm", (0, 3))] {
        let envoy = Bootstrap::new(json!({"signer": signer})).start();
        let sign = || (0..3).for_each(|_| assert_eq!(Assertion::read(&envoy.get("/").token()).signature.len(), 64));
        assert_eq!(signed_during(&envoy, sign), expected, "{signer}");
    }
}

#[test]
fn an_rsa_key_is_not_for_wasm() {
    if !only_on(Host::Wasm, "the native module signs with RSA by itself") {
        return;
    }
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for key in [RSA.to_owned(), pkcs8(RSA), format!("{}{}", pem(RSA), pem(A))] {
        let line = the_refusal(&envoy.push_rejected(json!({"signing_key": key, "signer": "wasm"})));
        for word in ["signer", "RSA", "wasm"] {
            assert!(line.contains(word), "the line says {word}: {line}");
        }
        assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
    }
}

#[test]
fn both_kinds_of_key_live_in_one_ring() {
    if Capability::HostSigns.is_lacking() {
        return;
    }
    let envoy = Bootstrap::new(json!({"signing_key": B})).dynamic().start();
    let mut earlier = Vec::new();
    for (what, keys, kid, algorithm, length) in [
        ("P-256 before RSA", format!("{}{}", pem(A), pem(RSA)), KID_A, "ES256", 64),
        ("RSA before P-256", format!("{}{}", pem(RSA), pem(A)), KID_RSA, "RS256", 256),
        ("P-256 first again", format!("{}{}{}", pem(A), pem(RSA), pem(B)), KID_A, "ES256", 64),
    ] {
        let assertion = envoy.reconfigure(what, json!({"signing_key": keys}));
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}","typ":"JWT"}}"#);
        assert_eq!(assertion.header_text, header, "{what}");
        assert_eq!(assertion.signature.len(), length, "{what}");
        earlier.push(envoy.get("/").token());
        for token in &earlier {
            envoy.keys().verify(token);
        }
    }
}

#[test]
fn an_envoy_that_cannot_sign_has_it_done_in_wasm() {
    if !only_on(Host::Wasm, "the native module signs by itself") {
        return;
    }
    assert_signs_in_wasm(Bootstrap::new(json!({"signing_key": B})).without_sign());
}

#[test]
fn signing_on_the_host_where_it_cannot_stops_an_envoy_at_its_start() {
    if !only_on(Host::Wasm, "natively `signer` is only auto") {
        return;
    }
    let refused = Bootstrap::new(json!({"signing_key": A, "signer": "host"})).without_sign().start_refused();
    assert!(!refused.status.success(), "{}", refused.status);
    assert!(the_refusal(&refused.log).contains("signer"));
}

#[test]
fn an_rsa_key_file_that_nothing_can_sign_with_is_told_of() {
    if !only_on(Host::Wasm, "the native module signs with RSA by itself") {
        return;
    }
    let configuration = json!({"signing_key_file": "/signing-key.pem", "signing_key_refresh": "0.1s"});
    let envoy = Bootstrap::new(configuration).without_sign().key_file(pem(RSA)).start();
    eventually("the failure to be counted", || (envoy.key_stat("key_load_failures") > 0).then_some(()));
    assert_eq!(envoy.get("/").status, 503);
    let line = the_refusal(&envoy.log());
    assert!(line.contains("RSA") && line.contains("/signing-key.pem"), "{line}");
    envoy.replace_key_file(pem(A));
    eventually("a key that can sign", || (envoy.get("/").status == 200).then_some(()));
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
}

#[test]
fn wasm_signs_as_rfc_6979_says() {
    if !only_on(Host::Wasm, "the native module signs with another library") {
        return;
    }
    let envoy = Bootstrap::new(json!({"signing_key": A, "signer": "wasm"})).start();
    let key = signing_key(A);
    for number in 0..20 {
        let token = envoy.send(&Request::get("/").host(format!("host-{number}.example"))).token();
        let (input, _) = token.rsplit_once('.').unwrap();
        let expected: Signature = key.sign(input.as_bytes());
        assert_eq!(Assertion::read(&token).signature, expected.to_bytes().as_slice(), "{token}");
    }
}

/// The private key of a vector: in SEC1, the 32 bytes after the seventh.
fn signing_key(vector: &str) -> SigningKey {
    let pem = pem::parse(pem(vector)).unwrap();
    SigningKey::from_slice(&pem.contents()[7..39]).unwrap()
}

#[test]
fn by_default_every_request_has_an_assertion_of_its_own() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": [{"headers": {"sub": "x-auth-user"}}]}))
        .workers(2)
        .start();
    let mut clients = envoy.spread();
    let tokens: Vec<Assertion> = (0..300)
        .map(|number| {
            let client = &mut clients[number % 6];
            Assertion::read(&client.send(&Request::get("/").header("x-auth-user", "u-1")).token())
        })
        .collect();
    let identifiers: BTreeSet<&str> = tokens.iter().map(|token| token.claim("jti").as_str().unwrap()).collect();
    assert_eq!(identifiers.len(), tokens.len());
    assert_eq!(envoy.stat("reused"), 0);
}

/// Assertions are used again for a minute.
fn reusing() -> Value {
    json!({
        "signing_key": A,
        "reuse": "60s",
        "identity_sources": [{"headers": {"sub": "x-auth-user", "email": "x-auth-email", "groups": "x-auth-groups"}}],
        "claims": {"dept": {"from": "dept"}},
    })
}

fn user(name: &str) -> Request {
    Request::get("/").header("x-auth-user", name)
}

#[test]
fn an_assertion_is_used_again_only_where_every_claim_would_be_the_same() {
    let route = |path: &str, settings: Value| json!({"match": {"path": path}, "metadata": {"filter_metadata": {"attestation": settings}}, "route": {"cluster": "upstream"}});
    let envoy = Bootstrap::new(reusing())
        .route(route("/audience", json!({"audience": "other"})))
        .route(route("/issuer", json!({"issuer": "other"})))
        .route(route("/format", json!({"jwt_issuer_format": "uri"})))
        .route(route("/filter", json!({"jwt_groups_filter": ["b"]})))
        .route(route("/claims", json!({"claims": {"env": {"value": "prod"}}})))
        .start();
    let at = |path: &str| Request::get(path).header("x-auth-user", "u-1").header("x-auth-groups", "a,b");
    let requests = [
        user("u-1"),
        user("u-2"),
        user("U-1"),
        user("u-1").header("x-auth-email", "ada@example.com"),
        user("u-1").header("x-auth-groups", "a"),
        user("u-1").header("x-auth-groups", "a,b"),
        user("u-1").header("x-auth-groups", "b,a"),
        user("u-1").host("other.example.com"),
        Request::get("/"),
        at("/audience"),
        at("/issuer"),
        at("/format"),
        at("/filter"),
        at("/claims"),
    ];
    let tokens = || -> Vec<String> { requests.iter().map(|request| envoy.send(request).token()).collect() };
    let first = tokens();
    let distinct: BTreeSet<&String> = first.iter().collect();
    assert_eq!(distinct.len(), requests.len(), "no two of these requests have an assertion in common");
    let before = envoy.stat("reused");
    assert_eq!(tokens(), first, "and each has the same one again");
    assert_eq!(envoy.stat("reused") - before, u64::try_from(requests.len()).unwrap());

    let alike = [
        Request::get("/elsewhere?x=y"),
        Request::new("POST", "/").body("hello"),
        Request::get("/").header("x-other", "1"),
    ];
    for request in alike.map(|request| request.header("x-auth-user", "u-1")) {
        assert_eq!(envoy.send(&request).token(), first[0], "what is in no claim makes no difference: {request:?}");
    }
    for token in &first {
        envoy.keys().verify(token);
    }
}

#[test]
fn an_assertion_is_used_again_for_as_long_as_configured() {
    let mut configuration = reusing();
    configuration["reuse"] = "1s".into();
    let envoy = Bootstrap::new(configuration).start();
    let mut client = envoy.connect();
    for _ in 0..2 {
        let start = Instant::now();
        let token = client.send(&user("u-1")).token();
        let received = Instant::now();
        let next = eventually("the assertion's time to be over", || {
            let sent = Instant::now();
            let next = client.send(&user("u-1")).token();
            let is_overdue = sent.duration_since(received) > Duration::from_millis(1050);
            assert!(next != token || !is_overdue, "used again after its time");
            (next != token).then_some(next)
        });
        assert!(start.elapsed() > Duration::from_millis(950), "given up after {:?}", start.elapsed());
        assert_ne!(Assertion::read(&next).claim("jti"), Assertion::read(&token).claim("jti"));
    }
}

/// Takes an identity's `exp` from a request header.
const EXPIRING: &str = r#"
function envoy_on_request(handle)
  local who = {sub = "u-1", exp = tonumber(handle:headers():get("x-exp"))}
  handle:streamInfo():dynamicMetadata():set("test", "who", who)
end
"#;

#[test]
fn a_kept_assertion_does_not_outlive_its_identity() {
    if !only_on(Host::Wasm, "natively an object below a namespace cannot be read") {
        return;
    }
    let sources = json!([{"metadata": {"namespace": "test"}}]);
    let configuration = json!({"signing_key": A, "reuse": "60s", "identity_sources": sources});
    let envoy = Bootstrap::new(configuration).filter(lua(EXPIRING)).start();
    let mut client = envoy.connect();
    let exp = jsonwebtoken::get_current_timestamp() + 3;
    let mut token = || client.send(&Request::get("/").header("x-exp", exp.to_string())).token();
    let first = token();
    assert_eq!(token(), first, "used again while the identity is good");
    eventually("the identity to expire", || (jsonwebtoken::get_current_timestamp() >= exp).then_some(()));
    let late: BTreeSet<String> = (0..5).map(|_| token()).collect();
    assert!(!late.contains(&first), "used again after the identity's exp");
    assert_eq!(late.len(), 5, "and nothing is kept for an identity that has expired");
}

#[test]
fn a_kept_assertion_is_for_no_identity_that_has_ended() {
    let source = json!({"headers": {"sub": "x-user", "exp": "x-exp"}});
    let envoy = Bootstrap::new(json!({"signing_key": A, "reuse": "60s", "identity_sources": [source]})).start();
    let mut client = envoy.connect();
    let mut token = |exp: &str| client.send(&Request::get("/").header("x-user", "u-1").header("x-exp", exp)).token();
    let now = jsonwebtoken::get_current_timestamp();
    let good = (now + 1000).to_string();
    let kept = token(&good);
    assert_eq!(token(&(now + 500).to_string()), kept, "its end is no part of what an assertion says");
    for ended in [(now - 1).to_string().as_str(), "0", "soon", "-1"] {
        let [one, another] = [token(ended), token(ended)];
        assert!(one != kept && another != kept && one != another, "{ended}");
    }
    assert_eq!(token(&good), kept);
}

#[test]
fn a_new_key_empties_the_store() {
    let mut configuration = reusing();
    configuration["signing_key_file"] = "/signing-key.pem".into();
    configuration["signing_key_refresh"] = "0.1s".into();
    configuration.as_object_mut().unwrap().remove("signing_key");
    let envoy = Bootstrap::new(configuration).key_file(pem(A)).start();
    let signed_by = |kid: &str| {
        eventually(kid, || {
            let reply = envoy.send(&user("u-1"));
            let token = (reply.status == 200).then(|| reply.token())?;
            (Assertion::read(&token).kid() == kid).then_some(token)
        })
    };
    let first = signed_by(KID_A);
    envoy.replace_key_file(format!("{}{}", pem(B), pem(A)));
    let second = signed_by(KID_B);
    assert_eq!(envoy.send(&user("u-1")).token(), second, "the new key's assertion is kept in its turn");
    envoy.replace_key_file(format!("{}{}", pem(A), pem(B)));
    assert_ne!(signed_by(KID_A), first, "the key is back, its old assertion is not");
}

#[test]
fn a_new_configuration_empties_the_store() {
    let envoy = Bootstrap::new(reusing()).dynamic().start();
    let audience = |label: &str| {
        let mut configuration = reusing();
        configuration["audience"] = label.into();
        envoy.push_accepted(configuration);
        eventually(label, || {
            let token = envoy.send(&user("u-1")).token();
            (Assertion::read(&token).claim("aud") == label).then_some(token)
        })
    };
    let first = audience("one");
    assert_eq!(envoy.send(&user("u-1")).token(), first);
    audience("two");
    assert_ne!(audience("one"), first, "the configuration is back, its old assertion is not");
}

#[test]
fn the_store_is_bounded_and_keeps_what_is_used() {
    let envoy = Bootstrap::new(reusing()).start();
    let mut client = envoy.connect();
    let mut token = |name: &str| client.send(&user(name)).token();
    let [idle, busy] = ["idle", "busy"].map(&mut token);
    for number in 0..1100 {
        token(&format!("u-{number}"));
        if number % 100 == 0 {
            assert_eq!(token("busy"), busy, "what is used stays, after {number} others");
        }
    }
    assert_ne!(token("idle"), idle, "what was not used for 1100 others made room for them");
}

#[test]
fn reuse_is_refused_beyond_half_of_the_lifetime() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for (lifetime, reuse) in [("60s", "31s"), ("60s", "60s"), ("10s", "5.001s"), ("300s", "150.5s")] {
        let configuration = json!({"signing_key": A, "token_lifetime": lifetime, "reuse": reuse});
        let line = the_refusal(&envoy.push_rejected(configuration));
        assert!(line.contains("reuse") && line.contains("token_lifetime"), "{lifetime}, {reuse}: {line}");
    }
    for (lifetime, reuse) in [("60s", "30s"), ("10s", "5s"), ("300s", "150s"), ("300s", "0.5s")] {
        let label = format!("{lifetime}, {reuse}");
        envoy.reconfigure(&label, json!({"signing_key": A, "token_lifetime": lifetime, "reuse": reuse}));
    }
}
