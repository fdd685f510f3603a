//! What the filter has sent itself, when Envoy runs it again: after an internal redirect, and for another try where it is an
//! upstream filter.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, X_A, Y_A};
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, HOST, Host, Request, places};

use super::FORGED;
use crate::actors::{by_peer, trusting};
use crate::applied::claims;
use crate::features::app::{App, OK, UNAVAILABLE};

/// An upstream that sends `/from/…` on to where the rest of its query says, and tells of what it received elsewhere.
fn redirecting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind the redirecting upstream");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || redirect(stream));
        }
    });
    address
}

/// One request a connection, without a body.
fn redirect(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok() != Some(1) {
            return;
        }
        head.push(byte[0]);
    }
    let head: String = head.iter().copied().map(char::from).collect();
    let (start_line, lines) = head.split_once("\r\n").unwrap_or_default();
    let target = start_line.split(' ').nth(1).unwrap_or_default();
    let answer = if let Some((_, location)) = target.split_once("/from?") {
        format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    } else {
        let headers: Value = lines.lines().filter_map(|l| l.split_once(": ")).map(|(n, v)| json!([n, v])).collect();
        let body = json!({"seen": {"start_line": start_line, "headers": headers, "trailers": []}}).to_string();
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    let _ = stream.write_all(answer.as_bytes());
}

/// A route that follows redirects inside Envoy.
fn following(prefix: &str, settings: &Value) -> Value {
    json!({
        "match": {"prefix": prefix},
        "metadata": {"filter_metadata": {"attestation": settings}},
        "route": {
            "cluster": "upstream",
            "internal_redirect_policy": {"max_internal_redirects": 3, "allow_cross_scheme_redirect": true},
        },
    })
}

#[test]
fn an_internal_redirect_is_signed_anew_as_no_spoof() {
    let peer = json!({"issuer": "peer.example", "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "kid": KID_A, "x": X_A, "y": Y_A}]}});
    for more in [json!({}), json!({"actor": {"trusted": [peer], "on_unverifiable": "deny"}})] {
        let mut configuration = json!({
            "signing_key": A,
            "identity_sources": [{"headers": {"sub": "x-user", "email": "x-user-email"}}],
            "jwt_claims_headers": {"X-Email": "email", "x-pomerium-claim-name": "name"},
        });
        for (name, value) in more.as_object().unwrap() {
            configuration[name] = value.clone();
        }
        let envoy = Bootstrap::new(configuration)
            .upstream(redirecting())
            .route(following("/unsigned", &json!({"pass_identity_headers": false})))
            .route(following("/billing", &json!({"audience": "billing"})))
            .route(following("/", &json!({})))
            .start();
        let ask = |location: &str| {
            let request =
                Request::get(&format!("/from?{location}")).header("x-user", "ada").header("x-user-email", "a@b.c");
            let reply = envoy.send(&request);
            assert_eq!(reply.status, 200, "{location}: {more}");
            reply
        };
        let reply = ask(&format!("http://{HOST}/to"));
        assert_eq!(reply.seen().target(), "/to", "{more}");
        let first = claims(&reply);
        assert_eq!((&first["sub"], &first["aud"], first.get("act")), (&json!("ada"), &json!(HOST), None), "{more}");
        assert_eq!(reply.seen().all("x-email"), ["a@b.c"], "{more}");

        let reply = ask("http://other.example.com/to");
        assert_eq!(claims(&reply)["aud"], "other.example.com", "{more}: it names the host where it goes now");
        assert_eq!(claims(&ask(&format!("http://{HOST}/billing")))["aud"], "billing", "{more}");
        let twice = ask(&format!("http://{HOST}/from?http://third.example.com/to"));
        assert_eq!(claims(&twice)["aud"], "third.example.com", "{more}");
        let unsigned = ask(&format!("http://{HOST}/unsigned")).seen();
        assert_eq!((unsigned.one(ASSERTION_HEADER), unsigned.one("x-email")), (None, None), "{more}");
        assert_eq!(envoy.stat("spoofs_stripped"), 0, "{more}");
        assert_eq!(envoy.stat("refused.bad_actor"), 0, "{more}");
    }
}

/// Who called does not change where Envoy sends the request on.
#[test]
fn an_internal_redirect_keeps_who_acts() {
    let envoy = Bootstrap::new(json!({
        "signing_key": B,
        "issuer": "us",
        "audience": "app",
        "identity_sources": [{"headers": {"sub": "x-user"}}],
        "actor": trusting("deny"),
    }))
    .upstream(redirecting())
    .route(following("/", &json!({})))
    .start();
    for path in
        ["/to".to_owned(), format!("/from?http://{HOST}/to"), format!("/from?http://{HOST}/from?http://{HOST}/to")]
    {
        let request = Request::get(&path).header("x-user", "orders").header(ASSERTION_HEADER, by_peer(&json!("app")));
        let reply = envoy.send(&request);
        assert_eq!(reply.status, 200, "{path}");
        let claims = claims(&reply);
        assert_eq!((&claims["sub"], &claims["act"]["sub"]), (&json!("orders"), &json!("ann")), "{path}");
    }
}

/// The filter once more, before the one under test, with a header of its own.
fn first_filter(settings: &Value) -> Value {
    let value = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": settings});
    let typed_config = match Host::under_test() {
        Host::Wasm => json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "first",
                "vm_config": {
                    "vm_id": "first",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": places::module().unwrap()}},
                },
                "configuration": value,
            },
        }),
        Host::Native => json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {"name": "attestation"},
            "filter_name": "first",
            "filter_config": value,
        }),
    };
    json!({"name": "first", "typed_config": typed_config})
}

#[test]
fn two_filters_know_their_own_after_a_redirect() {
    let settings = |header: &str| {
        json!({
            "signing_key": A,
            "issuer": "us",
            "audience": "app",
            "assertion_header": header,
            "identity_sources": [{"headers": {"sub": "x-user"}}],
            "actor": trusting("deny"),
        })
    };
    let envoy = Bootstrap::new(settings(ASSERTION_HEADER))
        .filter(first_filter(&settings("x-first")))
        .upstream(redirecting())
        .route(following("/", &json!({})))
        .start();
    let reply = envoy.send(&Request::get(&format!("/from?http://{HOST}/to")).header("x-user", "ann"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let seen = reply.seen();
    assert!(seen.one(ASSERTION_HEADER).is_some() && seen.one("x-first").is_some(), "{seen:?}");
    assert_eq!((envoy.stat("spoofs_stripped"), envoy.stat("refused.bad_actor")), (0, 0));
    assert!(!envoy.log().contains("[envoy_bug]"), "{}", envoy.log());
}

#[test]
fn an_upstream_filter_knows_its_own_in_another_try() {
    let app = App::start(|number, _| Some(if number < 2 { UNAVAILABLE } else { OK }));
    let settings = json!({
        "signing_key": A,
        "assertion_header": "x-first",
        "identity_sources": [{"headers": {"sub": "x-user"}}],
        "actor": trusting("deny"),
    });
    let codec = json!({"name": "envoy.filters.http.upstream_codec", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
    }});
    let cluster = json!({
        "name": "app",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "socket_address": {"address": app.address.ip(), "port_value": app.address.port()},
        }}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {}},
            "http_filters": [first_filter(&settings), codec],
        }},
    });
    let route = json!({
        "match": {"prefix": "/"},
        "route": {"cluster": "app", "retry_policy": {"retry_on": "5xx", "num_retries": 2}},
    });
    let envoy = Bootstrap::new(json!({"signing_key": A})).cluster(cluster).route(route).start();
    let reply = envoy.send(&Request::get("/").header("x-user", "ann"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let tries = app.received(3);
    let tokens: BTreeSet<_> = tries.iter().flat_map(|tried| tried.all("x-first")).collect();
    assert_eq!(tokens.len(), 3, "each is signed anew: {tries:?}");
    // Natively the cluster's name stands before those of the upstream filter.
    let stats = envoy.admin().stats();
    let sum = |name: &str| {
        let name = Host::under_test().statistic(name);
        stats.iter().filter(|(stat, _)| stat.ends_with(&name)).map(|(_, count)| count).sum::<u64>()
    };
    let signed: u64 = ["signed.native", "signed.host", "signed.wasm"].map(sum).iter().sum();
    assert_eq!((signed, sum("spoofs_stripped"), sum("refused.bad_actor")), (4, 0, 0));
    assert!(!envoy.log().contains("[envoy_bug]"), "{}", envoy.log());
}

#[test]
fn a_client_cannot_pass_its_header_off_as_our_own() {
    let envoy =
        Bootstrap::new(json!({"signing_key": A})).upstream(redirecting()).route(following("/", &json!({}))).start();
    let request = Request::get(&format!("/from?http://{HOST}/to")).header(ASSERTION_HEADER, FORGED);
    let reply =
        envoy.send(&request.clone().header("x-envoy-original-url", "http://x/").header("x-envoy-internal", "true"));
    assert_eq!(Assertion::read(&reply.token()).kid(), KID_A);
    assert_eq!(envoy.stat("spoofs_stripped"), 1, "the client's, once, and not ours");
    let replayed = Request::get("/").header(ASSERTION_HEADER, reply.token());
    assert_ne!(envoy.send(&replayed).token(), reply.token());
    assert_eq!(envoy.stat("spoofs_stripped"), 2, "an assertion of ours that a client has is a spoof");
}
