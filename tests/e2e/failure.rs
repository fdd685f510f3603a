//! Whatever bytes a client sends, and whatever an earlier filter left behind, no worker falls.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use harness::filters::lua;
use harness::keys::A;
use harness::modules;
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Client, Envoy, Host, JWKS_PATH, Reply, Request, only_on};

/// Two workers with every feature on that reads something a client can send.
fn storm_proof() -> Bootstrap {
    Bootstrap::new(json!({
        "signing_key": A,
        "user_endpoints": true,
        "identity_sources": [
            {"metadata": {"namespace": "envoy.filters.http.jwt_authn"}},
            {"headers": {"sub": "x-user", "email": "x-email", "groups": "x-groups", "dept": "x-dept"}},
            {"client_certificate": {"sub": "uri_san"}},
        ],
        "claims": {"dept": {"from": "dept"}, "env": {"value": "prod"}},
        "jwt_claims_headers": {"X-Claim-Email": "email", "X-Claim-Groups": "groups", "X-Claim-Dept": "dept"},
        "jwt_groups_filter": ["admins", "staff"],
    }))
    .workers(2)
    .http(json!({"max_request_headers_kb": 512}))
}

/// Every worker still signs, and what it signs verifies.
fn assert_unharmed(envoy: &Envoy, context: &str) {
    let keys = envoy.keys();
    let mut clients: Vec<Client> = (0..6).map(|_| envoy.connect()).collect();
    for client in &mut clients {
        let reply = client.send(&Request::get("/").header("x-user", "u-1"));
        assert_eq!(reply.status, 200, "{context}");
        let assertion = keys.verify(&reply.token());
        assert_eq!(assertion.claim("sub"), "u-1", "{context}");
    }
}

/// Sends raw bytes. Envoy may close, refuse or forward; it may not fail, and it may not forward without an assertion.
fn throw(envoy: &Envoy, context: &str, bytes: &[u8]) -> Option<Reply> {
    let reply = envoy.connect().send_raw(bytes);
    if let Some(reply) = &reply {
        assert!(reply.status < 500, "{context}: status {}: {:?}", reply.status, String::from_utf8_lossy(&reply.body));
        if let Some(seen) = reply.try_seen() {
            let value = seen.one(ASSERTION_HEADER).unwrap_or_else(|| panic!("{context}: no assertion: {seen:?}"));
            Assertion::read(&value);
        }
    }
    reply
}

/// A request whose parts are any bytes.
fn raw(method: &[u8], target: &[u8], host: &[u8], lines: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = [method, b" ", target, b" HTTP/1.1\r\nhost: ", host, b"\r\n"].concat();
    for (name, value) in lines {
        bytes.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Header names whose values the filter reads, strips or leaves alone.
const NAMES: [&str; 10] = [
    "x-user",
    "x-email",
    "x-groups",
    "x-dept",
    "x-claim-email",
    "x-pomerium-jwt-assertion",
    "X_Pomerium.Jwt-Assertion",
    "x-pomerium-claim-any",
    "if-none-match",
    "x-indifferent",
];

#[test]
fn every_byte_in_every_header_value() {
    let envoy = storm_proof().start();
    for byte in 0..=u8::MAX {
        for name in NAMES {
            let context = format!("byte {byte:#04x} in {name}");
            for value in [vec![b'a', byte, b'b'], vec![byte], vec![byte, byte]] {
                throw(&envoy, &context, &raw(b"GET", b"/", b"app.example.com", &[(name.as_bytes(), &value)]));
            }
        }
        if byte % 64 == 63 {
            assert_unharmed(&envoy, &format!("values up to {byte:#04x}"));
        }
    }
}

#[test]
fn every_byte_in_names_paths_hosts_methods_and_the_filters_own_paths() {
    let envoy = storm_proof().start();
    for byte in 0..=u8::MAX {
        let context = format!("byte {byte:#04x}");
        let host = b"app.example.com";
        for (before, after) in [("x-us", "er"), ("x-pomerium", "jwt-assertion"), ("x-pomerium-claim-", ""), ("", "x")] {
            let name = [before.as_bytes(), &[byte], after.as_bytes()].concat();
            throw(&envoy, &format!("{context} in a name"), &raw(b"GET", b"/", host, &[(&name, b"v")]));
        }
        for path in ["/", JWKS_PATH, "/.well-known/pomerium", "/.pomerium/jwt?", "/.pomerium/user"] {
            let target = [path.as_bytes(), &[byte]].concat();
            throw(&envoy, &format!("{context} after {path}"), &raw(b"GET", &target, host, &[]));
        }
        for odd in [vec![byte], [b"a", &[byte][..], b"b"].concat(), [b"app.example.com:", &[byte][..]].concat()] {
            throw(&envoy, &format!("{context} in the host"), &raw(b"GET", b"/", &odd, &[]));
            let discovery = raw(b"GET", b"/.well-known/pomerium", &odd, &[]);
            throw(&envoy, &format!("{context} in the host of discovery"), &discovery);
        }
        throw(&envoy, &format!("{context} in the method"), &raw(&[b'G', byte], b"/", host, &[]));
        let etag = raw(b"GET", JWKS_PATH.as_bytes(), host, &[(b"if-none-match", &[b'"', byte, b'"'])]);
        throw(&envoy, &format!("{context} in if-none-match"), &etag);
        if byte % 64 == 63 {
            assert_unharmed(&envoy, &format!("{context} and those before"));
        }
    }
}

#[test]
fn every_byte_in_trailers() {
    let envoy = storm_proof().start();
    for byte in 0..=u8::MAX {
        for name in ["x-pomerium-jwt-assertion", "x-indifferent"] {
            let head =
                b"POST / HTTP/1.1\r\nhost: app.example.com\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
            let in_value = [&head[..], name.as_bytes(), b": ", &[byte], b"\r\n\r\n"].concat();
            let in_name = [&head[..], name.as_bytes(), &[byte], b": v\r\n\r\n"].concat();
            for bytes in [in_value, in_name] {
                // Envoy may find the trailers wrong after the head went upstream, and then it resets the request.
                let _ = envoy.connect().send_raw(&bytes);
            }
        }
    }
    assert_unharmed(&envoy, "every byte in trailers");
}

#[test]
fn huge_values() {
    let envoy = storm_proof().start();
    for length in [1 << 10, 16 << 10, 64 << 10, 200 << 10] {
        for name in NAMES {
            for filling in ["a", ",", "admins,", "\u{e9}", "\"", "\\", "="] {
                let value = filling.repeat(length / filling.len());
                let bytes = raw(b"GET", b"/", b"app.example.com", &[(name.as_bytes(), value.as_bytes())]);
                throw(&envoy, &format!("{length} bytes of {filling:?} in {name}"), &bytes);
            }
        }
        let host = "a".repeat(length);
        throw(&envoy, &format!("a host of {length}"), &raw(b"GET", b"/", host.as_bytes(), &[]));
        let target = format!("{JWKS_PATH}?{}", "a".repeat(length));
        throw(&envoy, &format!("a query of {length}"), &raw(b"GET", target.as_bytes(), b"app.example.com", &[]));
    }
    assert_unharmed(&envoy, "huge values");
}

#[test]
fn many_lines() {
    let envoy = storm_proof().start();
    for name in NAMES {
        let lines = vec![(name.as_bytes(), &b"v"[..]); 90];
        throw(&envoy, &format!("90 lines of {name}"), &raw(b"GET", b"/", b"app.example.com", &lines));
    }
    let names: Vec<String> = (0..90).map(|i| format!("x-pomerium-claim-{i}")).collect();
    let lines: Vec<(&[u8], &[u8])> = names.iter().map(|name| (name.as_bytes(), &b"v"[..])).collect();
    throw(&envoy, "90 claim headers", &raw(b"GET", b"/", b"app.example.com", &lines));
    assert_unharmed(&envoy, "many lines");
}

#[test]
fn odd_requests() {
    let envoy = storm_proof().start();
    let requests: [(&str, &[u8]); 28] = [
        ("two hosts", b"GET / HTTP/1.1\r\nhost: a.example\r\nhost: b.example\r\n\r\n"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n"),
        ("an empty host", b"GET / HTTP/1.1\r\nhost:\r\n\r\n"),
        ("a bracket", b"GET / HTTP/1.1\r\nhost: [\r\n\r\n"),
        ("brackets the wrong way", b"GET / HTTP/1.1\r\nhost: ]:80[\r\n\r\n"),
        ("an at sign", b"GET / HTTP/1.1\r\nhost: @\r\n\r\n"),
        ("a colon", b"GET / HTTP/1.1\r\nhost: :\r\n\r\n"),
        ("a port alone", b"GET / HTTP/1.1\r\nhost: :80\r\n\r\n"),
        ("a port too big", b"GET / HTTP/1.1\r\nhost: a:99999999999999999999\r\n\r\n"),
        ("dots", b"GET / HTTP/1.1\r\nhost: ...\r\n\r\n"),
        ("a folded line", b"GET / HTTP/1.1\r\nhost: app.example.com\r\nx-user: a\r\n b\r\n\r\n"),
        ("a bare return", b"GET / HTTP/1.1\r\nhost: app.example.com\r\nx-user: a\rb\r\n\r\n"),
        ("bare line feeds", b"GET / HTTP/1.1\nhost: app.example.com\nx-user: a\n\n"),
        ("an empty name", b"GET / HTTP/1.1\r\nhost: app.example.com\r\n: v\r\n\r\n"),
        ("no colon", b"GET / HTTP/1.1\r\nhost: app.example.com\r\nx-user\r\n\r\n"),
        ("HTTP/1.0", b"GET / HTTP/1.0\r\nhost: app.example.com\r\n\r\n"),
        ("HTTP/1.0 without a host", b"GET / HTTP/1.0\r\n\r\n"),
        ("HTTP/1.0 keys without a host", b"GET /.well-known/pomerium/jwks.json HTTP/1.0\r\n\r\n"),
        ("HTTP/1.0 discovery without a host", b"GET /.well-known/pomerium HTTP/1.0\r\n\r\n"),
        ("HTTP/0.9", b"GET /\r\n"),
        ("an absolute target", b"GET http://b.example/x HTTP/1.1\r\nhost: a.example\r\n\r\n"),
        ("an odd absolute target", b"GET http://%ff@[/x HTTP/1.1\r\nhost: a.example\r\n\r\n"),
        ("a star", b"OPTIONS * HTTP/1.1\r\nhost: app.example.com\r\n\r\n"),
        ("TRACE", b"TRACE / HTTP/1.1\r\nhost: app.example.com\r\n\r\n"),
        ("CONNECT", b"CONNECT app.example.com:443 HTTP/1.1\r\nhost: app.example.com:443\r\n\r\n"),
        ("an unknown method", b"FOO / HTTP/1.1\r\nhost: app.example.com\r\n\r\n"),
        ("an upgrade", b"GET / HTTP/1.1\r\nhost: app.example.com\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
        ("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ];
    for (what, bytes) in requests {
        let mut client = envoy.connect();
        // The last one is no request at all: Envoy answers 400 or waits for more, so it gets an end of line.
        let reply = client.send_raw(&[bytes, b"\r\n\r\n"].concat());
        if let Some(reply) = reply {
            assert!(reply.status < 500, "{what}: status {}", reply.status);
            if let Some(seen) = reply.try_seen() {
                assert!(seen.one(ASSERTION_HEADER).is_some(), "{what} went upstream unsigned: {seen:?}");
            }
        }
    }
    assert_unharmed(&envoy, "odd requests");
}

#[test]
fn a_request_cut_off_anywhere() {
    let envoy = storm_proof().start();
    let whole = b"POST / HTTP/1.1\r\nhost: app.example.com\r\nx-user: u-1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-a: b\r\n\r\n";
    for length in 0..whole.len() {
        envoy.connect().abandon(&whole[..length]);
    }
    assert_unharmed(&envoy, "requests cut off");
}

#[test]
fn identity_headers_with_bytes_that_are_not_utf8_are_no_identity() {
    let envoy = storm_proof().start();
    for value in [&b"\xff"[..], b"a\xffb", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"] {
        let reply = throw(
            &envoy,
            "not UTF-8",
            &raw(b"GET", b"/", b"app.example.com", &[(b"x-user", value), (b"x-email", b"ada@example.com")]),
        );
        let reply = reply.expect("a reply");
        let assertion = envoy.keys().verify(&reply.token());
        assert_eq!(assertion.claim("sub"), "", "{value:?}: what cannot be represented is left out");
        assert!(!assertion.payload_text.contains('\u{fffd}'), "{value:?}: and not replaced");
    }
}

/// What an earlier filter may leave in the dynamic metadata, written by Lua so that it can be anything.
const ODD_METADATA: &str = r#"
function deep(depth)
  local value = "bottom"
  for i = 1, depth do value = {inner = value} end
  return value
end
function list(depth)
  local value = "bottom"
  for i = 1, depth do value = {value} end
  return value
end
function many(count)
  local value = {}
  for i = 1, count do value["member" .. i] = i end
  return value
end
function repeated(count)
  local value = {}
  for i = 1, count do value[i] = "group" .. i end
  return value
end
local cases = {
  bytes = function() return {sub = "a\255b", email = "\192\128", name = "ok"} end,
  email_bytes = function() return {sub = "u-1", email = "\192\128", name = "ok"} end,
  surrogate = function() return {sub = "\237\160\128"} end,
  name_bytes = function() return {["\255"] = "x", sub = "u-1"} end,
  nan = function() return {sub = "u-1", dept = 0/0} end,
  infinite = function() return {sub = "u-1", dept = 1/0, level = -1/0} end,
  big_number = function() return {sub = "u-1", dept = 1e300, level = 9007199254740993} end,
  number_sub = function() return {sub = 12345} end,
  bool_sub = function() return {sub = true, email = false} end,
  object_sub = function() return {sub = {a = "b"}, email = {"x"}} end,
  deep = function() return {sub = "u-1", dept = deep(90)} end,
  deep_list = function() return {sub = "u-1", groups = list(90)} end,
  huge = function() return {sub = "u-1", dept = string.rep("x", 300000)} end,
  many = function() return {sub = "u-1", dept = many(3000)} end,
  many_groups = function() return {sub = "u-1", groups = repeated(3000)} end,
  mixed_groups = function() return {sub = "u-1", groups = {"admins", 7, true, {"x"}, {a = 1}}} end,
  nul = function() return {sub = "a\0b", email = "\1\2\3"} end,
  quotes = function() return {sub = "\"\\\b\f\n\r\t/", name = "</script>"} end,
  empty = function() return {} end,
  empty_name = function() return {[""] = "x", sub = "u-1"} end,
  string_top = function() return "only a string" end,
  number_top = function() return 5 end,
  list_top = function() return {"a", "b"} end,
}
function envoy_on_request(handle)
  local case = cases[handle:headers():get("x-case") or ""]
  if case then
    handle:streamInfo():dynamicMetadata():set("envoy.filters.http.jwt_authn", "payload", case())
  end
end
"#;

const CASES: [&str; 23] = [
    "bytes",
    "email_bytes",
    "surrogate",
    "name_bytes",
    "nan",
    "infinite",
    "big_number",
    "number_sub",
    "bool_sub",
    "object_sub",
    "deep",
    "deep_list",
    "huge",
    "many",
    "many_groups",
    "mixed_groups",
    "nul",
    "quotes",
    "empty",
    "empty_name",
    "string_top",
    "number_top",
    "list_top",
];

#[test]
fn odd_identity_data() {
    let envoy = storm_proof().filter(lua(ODD_METADATA)).start();
    let keys = envoy.keys();
    for case in CASES {
        let request = Request::get("/").header("x-case", case);
        let reply = envoy.send(&request);
        assert_eq!(reply.status, 200, "{case}: {:?}", String::from_utf8_lossy(&reply.body));
        let assertion = keys.verify(&reply.token());
        for name in ["sub", "user", "email", "name", "sid"] {
            assert!(assertion.claim(name).is_string(), "{case}: {name} is a string: {}", assertion.claim(name));
        }
        let groups = assertion.claim("groups").as_array().unwrap_or_else(|| panic!("{case}: groups is a list"));
        assert!(groups.iter().all(Value::is_string), "{case}: groups has strings only: {groups:?}");
        assert!(!assertion.payload_text.contains('\u{fffd}'), "{case}: nothing is replaced");
        for path in ["/.pomerium/jwt", "/.pomerium/user"] {
            let status = envoy.send(&Request::get(path).header("x-case", case)).status;
            assert!(matches!(status, 200 | 401), "{case}: {path} answers {status}");
        }
    }
    let bytes = keys.verify(&envoy.send(&Request::get("/").header("x-case", "bytes")).token());
    assert_eq!(bytes.claim("sub"), "", "a subject that is no text is none");
    assert_eq!(bytes.claim("name"), "", "and without a subject there is nobody");
    let email = keys.verify(&envoy.send(&Request::get("/").header("x-case", "email_bytes")).token());
    assert_eq!(email.claim("email"), "", "an email that is no text is left out");
    // Natively all of it is JSON that Envoy writes, and with such a text or number in it, it is none: nobody.
    let [sub, name] = if envoy.host() == Host::Wasm { ["u-1", "ok"] } else { ["", ""] };
    assert_eq!([email.claim("sub"), email.claim("name")], [sub, name], "what is a text stays");
    let nan = keys.verify(&envoy.send(&Request::get("/").header("x-case", "nan")).token());
    assert_eq!(nan.claim("sub"), sub);
    assert_eq!(*nan.claim("dept"), Value::Null, "a number that JSON cannot write is left out");
    assert!(!nan.members().contains(&"dept".to_owned()), "and not written as null");
    assert_unharmed(&envoy, "odd identity data");
}

#[test]
fn these_tests_see_a_trap_when_there_is_one() {
    if !only_on(Host::Wasm, "a module that traps is a Wasm module") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("trapping.wasm");
    std::fs::write(&module, modules::trapping()).unwrap();
    let envoy = Bootstrap::new(json!({})).module(module).start();
    assert_eq!(envoy.get("/").status, 503);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(envoy))).is_err(), "the end of an Envoy is the check");
}
