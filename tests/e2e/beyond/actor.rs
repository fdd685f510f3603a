mod nested;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use harness::filters::metadata;
use harness::keys::{A, B, KID_A, KID_B, KID_RSA, RSA, X_A, X_B, Y_A, Y_B, openssl, pem, pkcs8, public};
use harness::log::the_refusal;
use harness::{
    ASSERTION_HEADER, Assertion, Bootstrap, Capability, Envoy, HOST, JWKS_PATH, KeySet, Request, eventually,
};

const FRONT: &str = "https://front.example";
const MIDDLE: &str = "https://middle.example";
/// Stands in every claim of a token that must go no further.
const MARK: &str = "from-the-incoming-assertion";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A keyset with one P-256 key.
fn key_set(kid: &str, x: &str, y: &str) -> Value {
    json!({"keys": [{"use": "sig", "kty": "EC", "kid": kid, "crv": "P-256", "alg": "ES256", "x": x, "y": y}]})
}

/// Signs as a peer does, or as somebody who would like to be one.
fn sign(key: &str, kid: Option<&str>, claims: &Value) -> String {
    let mut header = json!({"alg": "ES256", "typ": "JWT"});
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    sign_with(&header, Algorithm::ES256, &ec_key(key), claims)
}

/// Signs whatever header there is, well, with this algorithm and key.
fn sign_with(header: &Value, algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn ec_key(key: &str) -> EncodingKey {
    EncodingKey::from_ec_der(&der(&pkcs8(key)))
}

fn der(pem: &str) -> Vec<u8> {
    ::pem::parse(pem).unwrap().into_contents()
}

/// What the front says of its user, to be changed.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": FRONT, "aud": HOST, "sub": "ann", "exp": now() + 60, "iat": now(),
        "email": MARK, "name": MARK, "groups": [MARK], "roles": [MARK],
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn by_front(changes: Value) -> String {
    sign(A, Some(KID_A), &claims(changes))
}

/// A chain of actors this deep, the innermost with something more to say.
fn chain(depth: u32) -> Value {
    (0..depth).fold(Value::Null, |before, n| match before {
        Value::Null => json!({"sub": format!("actor-{n}"), "email": MARK}),
        before => json!({"sub": format!("actor-{n}"), "act": before, "roles": [MARK]}),
    })
}

/// The front, and two peers whose word counts for themselves alone.
fn trusted() -> Value {
    json!([
        {"issuer": FRONT, "jwks": key_set(KID_A, X_A, Y_A)},
        {"issuer": "other peer", "jwks": key_set(KID_B, X_B, Y_B)},
        {"issuer": MIDDLE, "jwks": {"keys": [{"kty": "RSA", "kid": KID_RSA, "n": modulus(), "e": "AQAB"}]}},
    ])
}

/// The RSA key's modulus as a JWK has it, by OpenSSL's account.
fn modulus() -> String {
    let printed = openssl(&["rsa", "-noout", "-modulus"], &pem(RSA));
    let hex = printed.trim().strip_prefix("Modulus=").unwrap();
    let bytes = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    URL_SAFE_NO_PAD.encode(bytes.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect::<Vec<_>>())
}

/// An Envoy behind the front. Its own identity provider has an opinion on `act` too, which counts for nothing.
fn back(on_unverifiable: &str) -> Envoy {
    let who = json!({"who": {"sub": "back-user", "act": {"sub": "made-up-by-the-identity-provider"}}});
    Bootstrap::new(json!({
        "signing_key": B,
        "identity_sources": [{"metadata": {"namespace": "test"}}],
        "claims": {"act": {"from": "act"}},
        "actor": {"trusted": trusted(), "on_unverifiable": on_unverifiable},
    }))
    .filter(metadata("test", &who))
    .start()
}

fn with(token: &str) -> Request {
    Request::get("/").header(ASSERTION_HEADER, token)
}

#[test]
fn a_chain_of_envoys_names_every_actor() {
    let own_identity = |name: &str| metadata("test", &json!({"who": {"sub": name, "email": MARK}}));
    let sources = json!([{"metadata": {"namespace": "test"}}]);
    let settings =
        |key: &str, issuer: &str| json!({"signing_key": key, "issuer": issuer, "identity_sources": sources.clone()});
    let trusting = |mut settings: Value, issuer: &str, peer: &Envoy| {
        settings["actor"] = json!({
            "trusted": [{"issuer": issuer, "jwks": peer.get(JWKS_PATH).json()}],
            "on_unverifiable": "deny",
        });
        settings
    };
    let back = Bootstrap::new(settings(B, "back")).filter(own_identity("carol")).dynamic().start();
    let key = if Capability::HostSigns.is_lacking() { B } else { RSA };
    let middle = Bootstrap::new(settings(key, MIDDLE)).filter(own_identity("bob")).dynamic().next(&back).start();
    let front = Bootstrap::new(settings(A, FRONT)).filter(own_identity("ann")).next(&middle).start();
    back.push_accepted(trusting(settings(B, "back"), MIDDLE, &middle));
    middle.push_accepted(trusting(settings(key, MIDDLE), FRONT, &front));
    let keys = back.keys();
    let assertion = eventually("the middle to name the front", || {
        let assertion = keys.verify(&front.get("/").token());
        assertion.claim("act").get("act").is_some().then_some(assertion)
    });
    assert_eq!(
        *assertion.claim("act"),
        json!({"iss": MIDDLE, "sub": "bob", "act": {"iss": FRONT, "sub": "ann"}}),
        "the nearest actor is the outermost (RFC 8693, section 4.1)"
    );
    assert_eq!(assertion.claim("sub"), "carol", "the back's own user");
    assert_eq!(assertion.claim("iss"), "back");

    let forged = front.send(&with("forged"));
    assert_eq!(keys.verify(&forged.token()).claim("act"), assertion.claim("act"), "the front strips what clients send");
    assert_eq!(front.get("/").seen().names().iter().filter(|name| *name == ASSERTION_HEADER).count(), 1);
}

/// A NumericDate may have a fraction (RFC 7519, section 2).
fn half_a_second_after(seconds: u64) -> f64 {
    f64::from(u32::try_from(seconds).unwrap()) + 0.5
}

/// Assertions that are believed, and the `act` they make.
fn believed() -> Vec<(&'static str, String, Value)> {
    let ann = || json!({"iss": FRONT, "sub": "ann"});
    let rsa_header = json!({"alg": "RS256", "kid": KID_RSA});
    let rsa_key = EncodingKey::from_rsa_der(&der(&pem(RSA)));
    let by_middle = sign_with(&rsa_header, Algorithm::RS256, &rsa_key, &claims(json!({"iss": MIDDLE})));
    vec![
        ("a plain one", by_front(json!({})), ann()),
        ("a list of audiences", by_front(json!({"aud": ["other.example.com", HOST]})), ann()),
        ("a time from which it holds", by_front(json!({"nbf": now() - 5})), ann()),
        ("a fraction of a second", by_front(json!({"exp": half_a_second_after(now() + 60)})), ann()),
        ("an RSA key", by_middle, json!({"iss": MIDDLE, "sub": "ann"})),
        (
            "as deep as is allowed",
            by_front(json!({"act": chain(3)})),
            json!({
                "iss": FRONT,
                "sub": "ann",
                "act": {"sub": "actor-2", "act": {"sub": "actor-1", "act": {"sub": "actor-0"}}},
            }),
        ),
    ]
}

/// Assertions that must not be believed.
fn unbelievable() -> Vec<(&'static str, String)> {
    let changed = |what, changes| (what, by_front(changes));
    let mut cases = vec![
        changed("expired", json!({"exp": now() - 1})),
        changed("expired this second", json!({"exp": now()})),
        changed("without an end", json!({"exp": null})),
        changed("an end in words", json!({"exp": (now() + 60).to_string()})),
        changed("not yet begun", json!({"nbf": now() + 60})),
        changed("another audience", json!({"aud": "other.example.com"})),
        changed("other audiences", json!({"aud": ["other.example.com", "app.example.com.evil.example"]})),
        changed("no audience", json!({"aud": null})),
        changed("an empty list of audiences", json!({"aud": []})),
        changed("an audience that is an object", json!({"aud": {HOST: true}})),
        changed("another issuer", json!({"iss": "https://elsewhere.example"})),
        changed("no issuer", json!({"iss": null})),
        changed("another peer's issuer", json!({"iss": "other peer"})),
        changed("no subject", json!({"sub": null})),
        changed("an empty subject", json!({"sub": ""})),
        changed("a subject that is a number", json!({"sub": 7})),
        changed("too many actors", json!({"act": chain(4)})),
        changed("far too many actors", json!({"act": chain(60)})),
        changed("an actor that is text", json!({"act": "bob"})),
        changed("an actor without a name", json!({"act": {"iss": "x"}})),
        changed("a broken link in the chain", json!({"act": {"sub": "bob", "act": {"sub": ""}}})),
        ("somebody else's key under the peer's kid", sign(B, Some(KID_A), &claims(json!({})))),
        ("another peer's key", sign(B, Some(KID_B), &claims(json!({})))),
        ("an unknown kid", sign(A, Some("unknown"), &claims(json!({})))),
        ("no kid", sign(A, None, &claims(json!({})))),
    ];
    cases.extend(misleading());
    cases.extend(tampered());
    cases.extend(malformed());
    cases
}

/// Tokens whose header lies, though somebody did sign them.
fn misleading() -> Vec<(&'static str, String)> {
    let header_with = |name: &str, value: Value| {
        let mut header = json!({"alg": "ES256", "typ": "JWT", "kid": KID_A});
        header[name] = value;
        header
    };
    let by_a = |header: &Value| sign_with(header, Algorithm::ES256, &ec_key(A), &claims(json!({})));
    let hmac = |secret: &[u8]| {
        let header = header_with("alg", json!("HS256"));
        sign_with(&header, Algorithm::HS256, &EncodingKey::from_secret(secret), &claims(json!({})))
    };
    let brought = header_with("jwk", key_set(KID_A, X_B, Y_B)["keys"][0].clone());
    let rsa_key = EncodingKey::from_rsa_der(&der(&pem(RSA)));
    let rsa_under_ec = sign_with(&header_with("alg", json!("RS256")), Algorithm::RS256, &rsa_key, &claims(json!({})));
    vec![
        ("alg none over a good signature", by_a(&header_with("alg", json!("none")))),
        ("no alg over a good signature", by_a(&header_with("alg", Value::Null))),
        ("RS256 over a good signature", by_a(&header_with("alg", json!("RS256")))),
        ("ES384 over a good signature", by_a(&header_with("alg", json!("ES384")))),
        ("alg in lower case", by_a(&header_with("alg", json!("es256")))),
        ("critical extensions", by_a(&header_with("crit", json!(["b64"])))),
        ("no critical extensions, but the word", by_a(&header_with("crit", json!([])))),
        ("a kid that is a number", by_a(&header_with("kid", json!(7)))),
        ("a key of its own", sign_with(&brought, Algorithm::ES256, &ec_key(B), &claims(json!({})))),
        ("an RSA signature under the kid of a P-256 key", rsa_under_ec),
        ("HMAC with the public key as its secret", hmac(public(A).as_bytes())),
        ("HMAC with the coordinates as its secret", hmac(format!("{X_A}{Y_A}").as_bytes())),
        ("HMAC with nothing as its secret", hmac(b"")),
    ]
}

/// Tokens with a signature that is not one.
fn tampered() -> Vec<(&'static str, String)> {
    let good = by_front(json!({}));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let none = |alg: &str| base64(json!({"alg": alg, "kid": KID_A}).to_string().as_bytes());
    let other = by_front(json!({"sub": "bob"}));
    let other_payload = other.split('.').nth(1).unwrap();
    vec![
        ("alg none", format!("{}.{payload}.", none("none"))),
        ("alg None", format!("{}.{payload}.", none("None"))),
        ("another payload", format!("{header}.{other_payload}.{signature}")),
        ("a signature of zeros", format!("{header}.{payload}.{}", base64(&[0; 64]))),
        ("a signature of ones", format!("{header}.{payload}.{}", base64(&[0xff; 64]))),
        ("a short signature", format!("{header}.{payload}.{}", &signature[..84])),
        ("a long signature", format!("{header}.{payload}.{signature}AAAA")),
        ("no signature", format!("{header}.{payload}.")),
        ("a signature with padding", format!("{good}==")),
    ]
}

fn malformed() -> Vec<(&'static str, String)> {
    let good = by_front(json!({}));
    let json_of = |text: &str| URL_SAFE_NO_PAD.encode(text);
    vec![
        ("empty", String::new()),
        ("one word", "forged".into()),
        ("two segments", good.rsplit_once('.').unwrap().0.into()),
        ("four segments", format!("{good}.e30")),
        ("dots", "..".into()),
        ("not base64url", format!("+{good}")),
        ("a list for a header", format!("{}.{}.e30", json_of("[]"), json_of("{}"))),
        ("nothing but braces", format!("{0}.{0}.e30", json_of("{}"))),
        ("a prefix that nobody configured", format!("Bearer {good}")),
        ("two in one line", format!("{good},{good}")),
        ("deeply nested", format!("{}.{}.e30", json_of("{}"), json_of(&"[".repeat(20_000)))),
    ]
}

#[test]
fn a_verified_assertion_becomes_act_and_nothing_else_of_it_goes_on() {
    for on_unverifiable in ["drop", "deny"] {
        let envoy = back(on_unverifiable);
        let keys = envoy.keys();
        for (what, token, act) in believed() {
            let what = format!("{what}, {on_unverifiable}");
            let assertion = check(&envoy, &keys, &what, &with(&token));
            assert_eq!(assertion.0, act, "{what}");
        }
        for (what, request) in [
            ("a port", with(&by_front(json!({}))).host("app.example.com:8443")),
            ("capital letters", with(&by_front(json!({}))).host("APP.Example.com")),
        ] {
            let act = check(&envoy, &keys, what, &request).0;
            assert_eq!(act, json!({"iss": FRONT, "sub": "ann"}), "the audience is the host that is asked, with {what}");
        }
        let alias = Request::get("/").header("x_pomerium_jwt_assertion", by_front(json!({})));
        for (what, request) in [("none at all", Request::get("/")), ("an alias of the header", alias)] {
            assert_eq!(check(&envoy, &keys, what, &request).0, Value::Null, "{what}");
        }
        assert_eq!(envoy.stat("refused.bad_actor"), 0);
    }
}

/// Sends a request that must go on and returns the `act` of its assertion, after a look at everything else.
fn check(envoy: &Envoy, keys: &KeySet, what: &str, request: &Request) -> (Value, String) {
    let reply = envoy.send(request);
    assert_eq!(reply.status, 200, "{what}");
    let seen = reply.seen();
    let token = seen.one(ASSERTION_HEADER).unwrap_or_else(|| panic!("{what}: no assertion"));
    let assertion = keys.verify(&token);
    assert_eq!(assertion.kid(), KID_B, "{what}: it is the back's own");
    assert_eq!(assertion.claim("sub"), "back-user", "{what}");
    assert!(!assertion.payload_text.contains(MARK), "{what}: {}", assertion.payload_text);
    assert!(!assertion.payload_text.contains("made-up"), "{what}: {}", assertion.payload_text);
    (assertion.claim("act").clone(), token)
}

#[test]
fn what_cannot_be_verified_is_dropped_or_denied() {
    let (dropping, denying) = (back("drop"), back("deny"));
    let keys = dropping.keys();
    let cases = unbelievable();
    for (what, token) in &cases {
        let (act, _) = check(&dropping, &keys, what, &with(token));
        assert_eq!(act, Value::Null, "{what}: dropped");
        let reply = denying.send(&with(token));
        assert_eq!(reply.status, 401, "{what}: denied");
        assert!(!reply.text().contains("ey"), "{what}: {}", reply.text());
    }
    let good = by_front(json!({}));
    let others: [(&str, Request); 3] = [
        ("twice the same", with(&good).header(ASSERTION_HEADER, &good)),
        ("a good one and a bad one", with(&good).header(ASSERTION_HEADER, "forged")),
        ("for the host of another request", with(&good).host("other.example.com")),
    ];
    for (what, request) in &others {
        assert_eq!(check(&dropping, &keys, what, request).0, Value::Null, "{what}: dropped");
        assert_eq!(denying.send(request).status, 401, "{what}: denied");
    }
    let refused = u64::try_from(cases.len() + others.len()).unwrap();
    assert_eq!((dropping.stat("refused.bad_actor"), denying.stat("refused.bad_actor")), (0, refused));
    assert_eq!(denying.upstream_requests(), 0);
}

#[test]
fn bytes_that_are_no_text_are_no_assertion() {
    let (dropping, denying) = (back("drop"), back("deny"));
    for value in [&b"\xff"[..], b"ey\xc3.e30.e30", b"\x80\x80.\xff.\xfe"] {
        let request = Request::get("/").header(ASSERTION_HEADER, value);
        assert_eq!(check(&dropping, &dropping.keys(), "bytes", &request).0, Value::Null, "{value:?}");
        assert_eq!(denying.send(&request).status, 401, "{value:?}");
    }
}

#[test]
fn the_chain_is_as_long_as_is_configured() {
    let actor = |max_depth: u32| json!({"trusted": trusted(), "on_unverifiable": "deny", "max_depth": max_depth});
    let envoy = Bootstrap::new(json!({"signing_key": B})).dynamic().start();
    for max_depth in [1, 2, 6] {
        let label = format!("at most {max_depth}");
        envoy.reconfigure(&label, json!({"signing_key": B, "actor": actor(max_depth)}));
        for before in 0..8 {
            let act = if before == 0 { Value::Null } else { chain(before) };
            let status = if before < max_depth { 200 } else { 401 };
            // The label is the audience of the envoy's own assertions, and so of what is meant for it.
            let token = by_front(json!({"aud": label, "act": act}));
            assert_eq!(envoy.send(&with(&token)).status, status, "{label}: {before} before the peer");
        }
    }
}

#[test]
fn with_another_header_and_a_prefix_the_assertion_is_found_there() {
    let envoy = Bootstrap::new(json!({
        "signing_key": B,
        "assertion_header": "authorization",
        "assertion_prefix": "Bearer ",
        "actor": {"trusted": trusted(), "on_unverifiable": "deny"},
    }))
    .start();
    let token = by_front(json!({}));
    let bearer = format!("Bearer {token}");
    let seen = envoy.send(&Request::get("/").header("authorization", &bearer)).seen();
    let value = seen.one("authorization").unwrap();
    let assertion = envoy.keys().verify(value.strip_prefix("Bearer ").unwrap());
    assert_eq!(*assertion.claim("act"), json!({"iss": FRONT, "sub": "ann"}));
    let line = |value: &str| Request::get("/").header("authorization", value);
    for (what, request) in [
        ("without the prefix", line(&token)),
        ("another prefix", line(&format!("bearer {token}"))),
        ("twice; Envoy joins them", line(&bearer).header("authorization", &bearer)),
    ] {
        assert_eq!(envoy.send(&request).status, 401, "{what}");
    }
    assert_eq!(envoy.send(&with(&token)).status, 200, "the usual header is not looked at");
}

#[test]
fn a_kept_assertion_is_not_given_to_another_actor() {
    let envoy = Bootstrap::new(json!({
        "signing_key": B,
        "reuse": "60s",
        "actor": {"trusted": trusted()},
    }))
    .start();
    let act = |token: &str| Assertion::read(token).claim("act").clone();
    let by = |name: &str| by_front(json!({"sub": name}));
    let requests = [with(&by("ann")), with(&by("bob")), Request::get("/"), with("forged"), with(&by("ann"))];
    for round in 0..2 {
        let tokens = requests.each_ref().map(|request| envoy.send(request).token());
        let subjects = tokens.each_ref().map(|token| act(token)["sub"].clone());
        assert_eq!(subjects, [json!("ann"), json!("bob"), Value::Null, Value::Null, json!("ann")], "round {round}");
        assert_eq!((&tokens[0], &tokens[2]), (&tokens[4], &tokens[3]), "kept, round {round}");
    }
    assert_eq!(envoy.stat("reused"), 7, "ten requests, three assertions");
}

#[test]
fn trust_that_makes_no_sense_is_refused_by_name() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let peer = |jwks: Value| json!({"trusted": [{"issuer": FRONT, "jwks": jwks}]});
    let with_member = |name: &str, value: Value| {
        let mut jwks = key_set(KID_A, X_A, Y_A);
        jwks["keys"][0][name] = value;
        peer(jwks)
    };
    for (what, actor) in [
        ("nobody is named", json!({})),
        ("no keys", json!({"trusted": [{"issuer": FRONT}]})),
        ("no issuer", json!({"trusted": [{"jwks": key_set(KID_A, X_A, Y_A)}]})),
        ("an empty issuer", json!({"trusted": [{"issuer": "", "jwks": key_set(KID_A, X_A, Y_A)}]})),
        ("a URL for a keyset", peer(json!("https://front.example/keys"))),
        ("a curve that is not P-256", with_member("crv", json!("P-384"))),
        ("a point that is not on the curve", with_member("y", json!(X_A))),
        ("no kid", with_member("kid", Value::Null)),
        ("a private key", with_member("d", json!(X_A))),
        ("a symmetric key", peer(json!({"keys": [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}]}))),
        ("neither drop nor deny", json!({"trusted": trusted(), "on_unverifiable": "allow"})),
        ("an unknown member", json!({"trusted": trusted(), "depth": 3})),
        ("a depth in words", json!({"trusted": trusted(), "max_depth": "3"})),
    ] {
        let line = the_refusal(&envoy.push_rejected(json!({"signing_key": A, "actor": actor})));
        assert!(line.contains("actor"), "{what}: {line}");
    }
}
