//! The token to the byte: header, members, times, issuer and audience for every shape of host.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use harness::keys::{A, KID_A};
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, HOST, Request};

const MEMBERS: [&str; 11] = ["aud", "email", "exp", "groups", "iat", "iss", "jti", "name", "sid", "sub", "user"];

#[test]
fn an_anonymous_assertion_is_complete_and_canonical() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    let before = now();
    let assertion = envoy.attest(&Request::get("/"));
    let after = now();

    assert_eq!(assertion.header_text, format!(r#"{{"alg":"ES256","kid":"{KID_A}","typ":"JWT"}}"#));
    assert_eq!(assertion.signature.len(), 64, "r and s, 32 bytes each");
    assert_eq!(assertion.members(), MEMBERS, "every member, sorted");
    for name in ["sub", "user", "email", "name", "sid"] {
        assert_eq!(assertion.claim(name), "", "{name}");
    }
    assert_eq!(*assertion.claim("groups"), json!([]));
    assert_eq!(assertion.claim("iss"), HOST);
    assert_eq!(assertion.claim("aud"), HOST);
    let (iat, exp) = (integer(&assertion, "iat"), integer(&assertion, "exp"));
    assert!((before..=after).contains(&iat), "iat {iat} is the time of the request, {before} to {after}");
    assert_eq!(exp - iat, 300, "the default lifetime");
}

#[test]
fn every_assertion_has_an_identifier_of_its_own() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).workers(2).start();
    let mut clients: Vec<_> = (0..4).map(|_| envoy.connect()).collect();
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        for client in &mut clients {
            let assertion = Assertion::read(&client.send(&Request::get("/")).token());
            let jti = assertion.claim("jti").as_str().unwrap().to_owned();
            assert!(is_uuid_v4(&jti), "a random UUID: {jti}");
            assert!(seen.insert(jti.clone()), "twice: {jti}");
        }
    }
}

/// RFC 9562: 8-4-4-4-12 lowercase hex digits, version 4, variant 10.
fn is_uuid_v4(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-'));
    is_hex && lengths == [8, 4, 4, 4, 12] && groups[2].starts_with('4') && groups[3].starts_with(['8', '9', 'a', 'b'])
}

/// A host header, and the issuer and audience in both formats; `None` where the request is answered 400.
const HOSTS: [(&str, Option<(&str, &str)>); 19] = [
    ("app.example.com", Some(("app.example.com", "https://app.example.com/"))),
    ("app.example.com:8443", Some(("app.example.com", "https://app.example.com/"))),
    ("App.EXAMPLE.com", Some(("app.example.com", "https://app.example.com/"))),
    ("APP.example.com:80", Some(("app.example.com", "https://app.example.com/"))),
    ("localhost", Some(("localhost", "https://localhost/"))),
    ("localhost:1", Some(("localhost", "https://localhost/"))),
    ("127.0.0.1", Some(("127.0.0.1", "https://127.0.0.1/"))),
    ("127.0.0.1:8080", Some(("127.0.0.1", "https://127.0.0.1/"))),
    ("[::1]", Some(("::1", "https://[::1]/"))),
    ("[::1]:8443", Some(("::1", "https://[::1]/"))),
    ("[2001:DB8::A]:443", Some(("2001:db8::a", "https://[2001:db8::a]/"))),
    ("xn--bcher-kva.example", Some(("xn--bcher-kva.example", "https://xn--bcher-kva.example/"))),
    ("", None),
    ("a:b:c", None),
    ("[]", None),
    ("[", None),
    ("%ff", None),
    ("user@app.example.com", None),
    ("user:secret@app.example.com:8443", None),
];

#[test]
fn issuer_and_audience_come_from_the_host() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    for (host, expected) in HOSTS {
        check_host(&envoy, host, expected.map(|(name, _)| (name, name)));
    }
}

#[test]
fn the_issuer_can_be_a_uri() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "jwt_issuer_format": "uri"})).start();
    for (host, expected) in HOSTS {
        check_host(&envoy, host, expected.map(|(name, uri)| (uri, name)));
    }
}

/// Sends a request for a host and compares issuer and audience.
fn check_host(envoy: &harness::Envoy, host: &str, expected: Option<(&str, &str)>) {
    let before = envoy.upstream_requests();
    let reply = envoy.send(&Request::get("/").host(host));
    if let Some((issuer, audience)) = expected {
        assert_eq!(reply.status, 200, "host {host:?}");
        let assertion = envoy.keys().verify(&reply.token());
        assert_eq!(assertion.claim("iss"), issuer, "host {host:?}");
        assert_eq!(assertion.claim("aud"), audience, "host {host:?}");
    } else {
        assert_eq!(reply.status, 400, "host {host:?}");
        assert_eq!(envoy.upstream_requests(), before, "host {host:?} reached the upstream");
    }
}

#[test]
fn a_missing_host_is_a_client_error_only_where_it_is_needed() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for (fields, is_needed) in [
        (json!({"audience": "a"}), true),
        (json!({"audience": "b", "issuer": "https://issuer.example"}), false),
        (json!({"audience": "c", "issuer": "https://issuer.example", "jwt_issuer_format": "uri"}), false),
    ] {
        let mut configuration = fields.clone();
        configuration["signing_key"] = A.into();
        let label = fields["audience"].as_str().unwrap();
        envoy.reconfigure(label, configuration);
        for host in ["", "a:b:c", "[]", "%ff", "user@app.example.com"] {
            let reply = envoy.send(&Request::get("/").host(host));
            assert_eq!(reply.status, if is_needed { 400 } else { 200 }, "{fields}, host {host:?}");
            if !is_needed {
                let assertion = envoy.keys().verify(&reply.token());
                assert_eq!(*assertion.claim("iss"), fields["issuer"], "{fields}, host {host:?}");
                assert_eq!(*assertion.claim("aud"), fields["audience"], "{fields}, host {host:?}");
            }
        }
    }

    envoy.push_accepted(json!({"signing_key": A, "issuer": "https://issuer.example"}));
    let host_is_audience = || envoy.attest(&Request::get("/")).claim("aud") == HOST;
    harness::eventually("the last configuration", || host_is_audience().then_some(()));
    assert_eq!(envoy.send(&Request::get("/").host("a:b:c")).status, 400, "the audience still needs the host");
}

#[test]
fn issuer_and_audience_can_be_set() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "issuer": "https://issuer.example/",
        "jwt_issuer_format": "uri",
        "audience": ["https://one.example", "two"],
    }))
    .start();
    let assertion = envoy.attest(&Request::get("/"));
    assert_eq!(assertion.claim("iss"), "https://issuer.example/");
    assert_eq!(*assertion.claim("aud"), json!(["https://one.example", "two"]));
}

#[test]
fn the_lifetime_is_configured_in_seconds() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for (lifetime, seconds) in [("60s", 60), ("1s", 1), ("3600s", 3600), ("86400s", 86_400)] {
        envoy.push_accepted(json!({"signing_key": A, "token_lifetime": lifetime, "audience": lifetime}));
        let token = harness::eventually(lifetime, || {
            let token = envoy.get("/").token();
            (Assertion::read(&token).claim("aud") == lifetime).then_some(token)
        });
        let assertion = Assertion::read(&token);
        assert_eq!(integer(&assertion, "exp") - integer(&assertion, "iat"), seconds, "{lifetime}");
    }
}

#[test]
fn header_and_prefix_can_be_set() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "assertion_header": "Authorization",
        "assertion_prefix": "Bearer ",
    }))
    .start();
    let reply = envoy.send(&Request::get("/").header("authorization", "Basic Zm9yZ2Vk"));
    let value = reply.seen().one("authorization").expect("the assertion");
    let token = value.strip_prefix("Bearer ").expect("the prefix, with its space");
    envoy.keys().verify(token);
    assert_eq!(reply.seen().one(ASSERTION_HEADER), None, "the usual header is not set too");
}

#[test]
fn an_assertion_that_is_too_long_is_not_forwarded() {
    let configuration = json!({"signing_key": A, "assertion_prefix": "Bearer "});
    let envoy = Bootstrap::new(configuration.clone()).dynamic().log_level("debug").start();
    let length = envoy.get("/").seen().one(ASSERTION_HEADER).unwrap().len();

    let mut enough = configuration.clone();
    enough["max_assertion_bytes"] = length.into();
    enough["issuer"] = HOST.to_uppercase().into();
    envoy.push_accepted(enough);
    harness::eventually("the limit that is just met", || {
        let value = envoy.get("/").seen().one(ASSERTION_HEADER)?;
        (Assertion::read(&value[7..]).claim("iss") == &HOST.to_uppercase()).then_some(())
    });

    let mut short = configuration;
    short["max_assertion_bytes"] = (length - 1).into();
    let mark = envoy.log().len();
    envoy.push_accepted(short);
    harness::eventually("the limit that is exceeded by a byte", || (envoy.get("/").status == 431).then_some(()));
    let before = envoy.upstream_requests();
    assert_eq!(envoy.get("/").status, 431);
    assert_eq!(envoy.upstream_requests(), before);
    let log = envoy.log_since(mark);
    let ours = harness::log::ours(&log);
    let said = format!("its assertion would have {length} bytes, max_assertion_bytes allows {}", length - 1);
    let lines: Vec<&&str> = ours.iter().filter(|line| line.contains(&said)).collect();
    assert!(!lines.is_empty(), "a log line says so:\n{log}");
    assert!(lines.iter().all(|line| line.contains("[debug]")), "no client makes the log grow:\n{lines:#?}");
    assert!(!ours.join("\n").contains("eyJ"), "and no line has a token:\n{ours:#?}");
}

fn integer(assertion: &Assertion, name: &str) -> i64 {
    let value: &Value = assertion.claim(name);
    let number = value.as_i64().unwrap_or_else(|| panic!("{name} is {value}"));
    let text = format!(r#""{name}":{number}"#);
    let rest = assertion.payload_text.split_once(&text).unwrap_or_else(|| panic!("no {text}")).1;
    assert!(rest.starts_with([',', '}']), "{name} is written as an integer");
    number
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}
