use serde_json::{Value, json};

use harness::keys::A;
use harness::log::the_refusal;
use harness::tls::Authority;
use harness::{Assertion, Bootstrap, Envoy, HOST, Reply, Request};

fn bound(assertion: &Assertion) -> Value {
    ["htm", "htu", "request_id"].iter().map(|name| assertion.claim(name).clone()).collect()
}

/// An Envoy that binds to these, and believes nothing that a client says about its connection.
fn binding_to(members: &Value) -> Bootstrap {
    Bootstrap::new(json!({"signing_key": A, "bind": members})).http(json!({"use_remote_address": true}))
}

#[test]
fn each_member_is_in_the_assertion_where_it_is_asked_for() {
    let envoy = binding_to(&json!([])).dynamic().start();
    let request = Request::new("POST", "/a/b;c=d?x=1&y=/z").host("App.Example.com:8443").body("hello");
    let origin = "http://app.example.com:8443";
    let uri = "http://app.example.com:8443/a/b;c=d";
    for (bind, htm, htu, has_request_id) in [
        (json!([]), Value::Null, Value::Null, false),
        (json!(["method"]), json!("POST"), Value::Null, false),
        (json!(["authority"]), Value::Null, json!(origin), false),
        (json!(["path"]), Value::Null, json!("/a/b;c=d"), false),
        (json!(["path", "authority"]), Value::Null, json!(uri), false),
        (json!(["request_id"]), Value::Null, Value::Null, true),
        (json!(["request_id", "path", "authority", "method"]), json!("POST"), json!(uri), true),
    ] {
        let what = bind.to_string();
        envoy.reconfigure(&what, json!({"signing_key": A, "bind": bind}));
        let reply = envoy.send(&request);
        let assertion = envoy.keys().verify(&reply.token());
        let request_id = reply.seen().one("x-request-id").filter(|_| has_request_id);
        assert_eq!(bound(&assertion), json!([htm, htu, request_id]), "{what}");
        let extra = [!htm.is_null(), !htu.is_null(), has_request_id].into_iter().filter(|is_there| *is_there).count();
        assert_eq!(assertion.members().len(), 11 + extra, "{what}: and nothing else");
    }
}

#[test]
fn the_uri_is_the_one_that_the_client_asked_for_without_its_query() {
    let rewritten = json!({
        "match": {"prefix": "/public/"},
        "route": {"cluster": "upstream", "prefix_rewrite": "/internal/", "host_rewrite_literal": "internal.example"},
    });
    let envoy =
        binding_to(&json!(["authority", "path"])).http(json!({"normalize_path": true})).route(rewritten).start();
    for (host, target, expected) in [
        (HOST, "/", "http://app.example.com/"),
        (HOST, "/?", "http://app.example.com/"),
        (HOST, "/a?b?c", "http://app.example.com/a"),
        (HOST, "/a%20b%2Fc?d", "http://app.example.com/a%20b%2Fc"),
        (HOST, "/a/./b/../c", "http://app.example.com/a/c"),
        (HOST, "/public/x?y", "http://app.example.com/public/x"),
        ("app.example.com:80", "/", "http://app.example.com:80/"),
        ("APP.example.com:8443", "/Path", "http://app.example.com:8443/Path"),
        ("[2001:DB8::1]:8443", "/", "http://[2001:db8::1]:8443/"),
        ("10.0.0.1:81", "/", "http://10.0.0.1:81/"),
        (HOST, "http://other.example:81/x?y", "http://other.example:81/x"),
    ] {
        let request = Request::get(target).host(host).header("x-forwarded-proto", "https");
        let reply = envoy.send(&request);
        let htu = Assertion::read(&reply.token()).claim("htu").clone();
        assert_eq!(htu, expected, "{host} {target}");
        let is_rewritten = reply.seen().target().starts_with("/internal/");
        assert_eq!(is_rewritten, target.starts_with("/public/"), "{target}");
    }
}

#[test]
fn the_scheme_is_that_of_the_connection_or_what_a_trusted_proxy_says() {
    let authority = Authority::new();
    let bind = json!({"signing_key": A, "bind": ["authority", "path"]});
    let encrypted = Bootstrap::new(bind.clone()).transport_socket(authority.transport_socket()).start();
    let reply = authority.connect(encrypted.address(), None).send(&Request::get("/x?y").host("app.example.com:8443"));
    assert_eq!(encrypted.keys_over(&authority).verify(&reply.token()).claim("htu"), "https://app.example.com:8443/x");
    let behind_a_proxy = Bootstrap::new(bind).start();
    let request = Request::get("/x").header("x-forwarded-proto", "https");
    assert_eq!(behind_a_proxy.attest(&request).claim("htu"), "https://app.example.com/x");
}

#[test]
fn a_request_that_lacks_what_it_would_be_bound_to_is_refused() {
    let envoy = binding_to(&json!(["method", "path", "request_id"]))
        .http(json!({"generate_request_id": false, "preserve_external_request_id": true}))
        .start();
    assert_eq!(envoy.get("/").status, 400);
    assert_eq!(envoy.send(&Request::get("/").header("x-request-id", "")).status, 400, "an empty one is none");
    assert_eq!(envoy.stat("refused.unbound"), 2);
    assert_eq!(envoy.upstream_requests(), 0);
    let assertion = envoy.attest(&Request::get("/").header("x-request-id", "r-1"));
    assert_eq!(bound(&assertion), json!(["GET", "/", "r-1"]));

    // Neither iss nor aud needs the host, but the binding does.
    let named = json!({"signing_key": A, "issuer": "i", "audience": "a", "bind": ["authority"]});
    let envoy = Bootstrap::new(named).start();
    for host in ["a:b:c", "user@app.example.com", "[::1", "%61pp.example.com"] {
        assert_eq!(envoy.send(&Request::get("/").host(host)).status, 400, "{host}");
    }
    assert_eq!(envoy.stat("refused.bad_host"), 4);
    assert_eq!(envoy.upstream_requests(), 0);
}

#[test]
fn a_binding_that_makes_no_sense_is_refused_by_name() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    for (fields, words) in [
        (json!({"bind": ["path"], "reuse": "10s"}), &["reuse", "bind"][..]),
        (json!({"bind": ["query"]}), &["bind", "query", "method", "authority", "path", "request_id"]),
        (json!({"bind": "path"}), &["bind"]),
        (json!({"bind": [null]}), &["bind"]),
        (json!({"bind": null}), &["bind"]),
        (json!({"bind": {"path": true}}), &["bind"]),
    ] {
        let mut configuration = fields.clone();
        configuration["signing_key"] = A.into();
        let line = the_refusal(&envoy.push_rejected(configuration));
        for word in words {
            assert!(line.contains(word), "{fields}: the line says {word:?}: {line}");
        }
    }
    envoy.reconfigure("nothing is bound", json!({"signing_key": A, "bind": [], "reuse": "10s"}));
}

/// An app that compares: a token is good for the method and the URI that it was made for (RFC 9449, section 4.3).
fn accepts(envoy: &Envoy, token: &str, request: &Reply) -> bool {
    let claims = envoy.keys().verify(token).claims;
    let seen = request.seen();
    let path = seen.target().split('?').next().unwrap().to_owned();
    let uri = format!("http://{}{path}", seen.one("host").unwrap());
    claims["htm"] == seen.method() && claims["htu"] == uri.as_str()
}

#[test]
fn an_app_that_compares_refuses_a_token_from_another_request() {
    let envoy = binding_to(&json!(["method", "authority", "path"])).start();
    let requests = [
        ("the request", Request::get("/transfer?to=ann")),
        ("another method", Request::new("DELETE", "/transfer?to=ann")),
        ("another path", Request::get("/balance")),
        ("a longer path", Request::get("/transfer/now")),
        ("another host", Request::get("/transfer").host("other.example.com")),
        ("another port", Request::get("/transfer").host("app.example.com:81")),
    ];
    let replies = requests.each_ref().map(|(_, request)| envoy.send(request));
    for (asked, (what, _)) in replies.iter().zip(&requests) {
        for (leaked, (from, _)) in replies.iter().zip(&requests) {
            assert_eq!(accepts(&envoy, &leaked.token(), asked), from == what, "a token of {from} for {what}");
        }
    }
    let other_query = envoy.send(&Request::get("/transfer?to=eve"));
    assert!(accepts(&envoy, &replies[0].token(), &other_query), "the query is not bound");
}
