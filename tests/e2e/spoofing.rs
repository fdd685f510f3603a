//! What a client sends in the place of the filter's own headers goes no further, whatever is done to its name.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use harness::filters::lua;
use harness::keys::{A, B, KID_A, X_A, Y_A};
use harness::{
    ASSERTION_HEADER, Assertion, Bootstrap, Client, Envoy, HOST, Host, Http2Client, Request, Seen, places, tcp,
};

use crate::actors::{by_peer, trusting};
use crate::applied::claims;
use crate::features::app::{App, OK, UNAVAILABLE};

const FORGED: &str = "forged";

/// A name as lighttpd hands it to CGI: every byte that is no letter or digit is the same.
fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// Whether a name is one of the filter's own under an alias.
fn is_ours(name: &str) -> bool {
    let name = folded(name);
    name.starts_with("x_pomerium_claim_") || NAMES.iter().any(|own| folded(own) == name)
}

/// A name with another byte in the place of all that are no letter or digit, or of one of them.
fn aliases(name: &str, byte: u8) -> Vec<Vec<u8>> {
    let dashes: Vec<usize> =
        name.bytes().enumerate().filter(|(_, b)| !b.is_ascii_alphanumeric()).map(|(place, _)| place).collect();
    let with = |places: &[usize]| {
        let mut bytes = name.as_bytes().to_vec();
        places.iter().for_each(|place| bytes[*place] = byte);
        bytes
    };
    let mut aliases: Vec<Vec<u8>> = dashes.iter().map(|place| with(&[*place])).collect();
    aliases.push(with(&dashes));
    aliases.push(with(&dashes).to_ascii_uppercase());
    aliases
}

/// The names that no client may set, with an assertion header and claim headers of the operator's own.
const NAMES: [&str; 6] = [
    "x-own-assertion",
    "x-pomerium-jwt-assertion-for",
    "x-pomerium-claim-email",
    "x-pomerium-claim-family_name",
    "x-own-email",
    "x-own.dept",
];

fn guarded() -> Envoy {
    Bootstrap::new(json!({
        "signing_key": A,
        "assertion_header": "X-Own-Assertion",
        "jwt_claims_headers": {"X-Own-Email": "email", "X-Own.Dept": "dept"},
    }))
    .start()
}

fn assert_none_forged(sent: &[u8], seen: &Seen) {
    assert!(!seen.contains(FORGED), "sent {}: {seen:?}", sent.escape_ascii());
    let assertions = seen.names().iter().filter(|name| folded(name) == "x_own_assertion").count();
    assert_eq!(assertions, 1, "sent {}: {seen:?}", sent.escape_ascii());
}

/// Sends a header line of any bytes; `None` where Envoy refuses it.
fn over_http1(address: SocketAddr, name: &[u8]) -> Option<Seen> {
    let head = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n");
    Client::connect(address).send_raw(&[head.as_bytes(), name, b": forged\r\n\r\n"].concat())?.try_seen()
}

/// The same in a trailer.
fn in_a_trailer(address: SocketAddr, name: &[u8]) -> Option<Seen> {
    let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n");
    let end = b": forged\r\nx-kept: kept\r\n\r\n";
    Client::connect(address).send_raw(&[head.as_bytes(), name, end].concat())?.try_seen()
}

#[test]
fn no_byte_in_place_of_a_dash_lets_a_header_pass() {
    let envoy = guarded();
    let address = envoy.address();
    let mut passed = 0;
    for name in NAMES {
        // Many at once: Envoy lets those that it refuses wait for a second.
        let seen: Vec<(Vec<u8>, Option<Seen>)> = thread::scope(|scope| {
            let asked: Vec<_> = (0..=255_u8)
                .flat_map(|byte| aliases(name, byte))
                .filter(|alias| !alias.iter().any(|byte| matches!(byte, b'\n' | b'\r' | b':')))
                .map(|alias| scope.spawn(move || (alias.clone(), over_http1(address, &alias))))
                .collect();
            asked.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        for (alias, seen) in seen {
            let Some(seen) = seen else { continue };
            if is_ours(&String::from_utf8_lossy(&alias)) {
                passed += 1;
                assert_none_forged(&alias, &seen);
            }
        }
    }
    assert!(passed > 6 * 15, "such requests go on without the header: {passed}");
    assert_eq!(envoy.stat("spoofs_stripped"), passed);
}

/// What HTTP allows in a header name beside letters and digits (RFC 9110, section 5.6.2).
const TOKEN_BYTES: &[u8] = b"!#$%&'*+-.^_`|~";

#[test]
fn no_byte_in_place_of_a_dash_lets_a_trailer_pass() {
    let envoy = guarded();
    for name in NAMES {
        for byte in TOKEN_BYTES {
            for alias in aliases(name, *byte) {
                let seen = in_a_trailer(envoy.address(), &alias).expect("a request that is forwarded");
                assert_none_forged(&alias, &seen);
                assert_eq!(seen.trailer_names(), ["x-kept"], "sent {}", alias.escape_ascii());
            }
        }
    }
}

#[test]
fn no_byte_in_place_of_a_dash_passes_over_http2() {
    let envoy = guarded();
    let mut client = Http2Client::connect(envoy.address());
    for name in NAMES {
        for byte in TOKEN_BYTES {
            for alias in aliases(name, *byte).into_iter().filter(|alias| alias == &alias.to_ascii_lowercase()) {
                let request = Request::new("POST", "/").body("hi").header(&alias, FORGED).trailer(&alias, FORGED);
                let Ok(reply) = client.try_send(&request) else { panic!("refused: {}", alias.escape_ascii()) };
                assert_none_forged(&alias, &reply.seen());
                assert_eq!(reply.seen().trailer_names(), [""; 0], "sent {}", alias.escape_ascii());
            }
        }
    }
}

#[test]
fn a_header_is_removed_where_none_is_injected() {
    let names = ["x~pomerium~jwt~assertion", "X*Pomerium*Claim*Email", "x-pomerium-jwt-assertion-for", "x|email"];
    let identified = |request: Request| request.header("x-user", "ada");
    for (what, more, is_identified) in [
        ("not injected", json!({"pass_identity_headers": false}), true),
        ("skipped", json!({"on_missing_identity": "skip"}), false),
    ] {
        let mut configuration = json!({
            "signing_key": A,
            "identity_sources": [{"headers": {"sub": "x-user"}}],
            "jwt_claims_headers": {"X-Email": "email"},
        });
        for (name, value) in more.as_object().unwrap() {
            configuration[name] = value.clone();
        }
        let envoy = Bootstrap::new(configuration).start();
        for name in names {
            let request = Request::new("POST", "/").body("hi").header(name, FORGED).trailer(name, FORGED);
            let seen = envoy.send(&if is_identified { identified(request) } else { request }).seen();
            assert!(!seen.contains(FORGED), "{what}: {name}: {seen:?}");
            assert_eq!(seen.one(ASSERTION_HEADER), None, "{what}: {name}");
        }
    }
}

#[test]
fn for_and_claims_go_with_another_assertion_header() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "assertion_header": "authorization"})).start();
    for name in [
        "x-pomerium-jwt-assertion-for",
        "X_Pomerium_Jwt_Assertion_For",
        "x!pomerium!claim!anything",
        "x-pomerium-claim-",
    ] {
        let seen = envoy.send(&Request::get("/").header(name, FORGED)).seen();
        assert!(!seen.contains(FORGED), "{name}: {seen:?}");
    }
}

#[test]
fn neighbours_of_the_names_pass() {
    let envoy = guarded();
    let neighbours = [
        "x-own-assertions",
        "x-own-assertion-for",
        "x--own-assertion",
        "x-own-assertion-",
        "xownassertion",
        "x-pomerium-jwt-assertion-fork",
        "x-pomerium-jwt-assertion-for-me",
        "x-pomerium-claims",
        "x-own-emails",
        "x1own1email",
    ];
    for name in neighbours {
        let seen = envoy.send(&Request::get("/").header(name, "kept")).seen();
        assert_eq!(seen.one(name).as_deref(), Some("kept"), "{name}");
    }
    assert_eq!(envoy.stat("spoofs_stripped"), 0);
}

/// Opens a WebSocket with these `Connection` lines, and reads what the upstream received.
fn upgrade(envoy: &Envoy, lines: &[&str]) -> Seen {
    let lines: String = lines.iter().map(|line| format!("connection: {line}\r\n")).collect();
    let request = format!("GET /chat HTTP/1.1\r\nhost: {HOST}\r\n{lines}upgrade: websocket\r\n\r\n");
    let mut stream = tcp(envoy.address());
    stream.write_all(request.as_bytes()).expect("send the request");
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).expect("an answer");
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        if let Some(seen) = serde_json::from_str::<Value>(body).ok().as_ref().and_then(Seen::from_json) {
            assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
            return seen;
        }
        assert!(count > 0, "closed after {text}");
    }
}

#[test]
fn an_upgrade_does_not_make_our_headers_hop_by_hop() {
    let envoy = Bootstrap::new(
        json!({"signing_key": A, "jwt_claims_headers": {"X-Email": "email", "x-pomerium-claim-name": "name"}}),
    )
    .http(json!({"upgrade_configs": [{"upgrade_type": "websocket"}]}))
    .start();
    for lines in [
        &["Upgrade, x-pomerium-jwt-assertion"][..],
        &["x-pomerium-jwt-assertion, Upgrade"],
        &["X-Pomerium-JWT-Assertion,upgrade,X-Email"],
        &["upgrade ,\tx-pomerium-jwt-assertion , x-pomerium-claim-name"],
        &["upgrade", "x-pomerium-jwt-assertion"],
        &["x-pomerium-jwt-assertion", "upgrade, x-email"],
        &["upgrade, x-pomerium-jwt-assertion, x-pomerium-jwt-assertion"],
        &["upgrade,,x-pomerium-jwt-assertion,"],
        &["keep-alive, upgrade, x-pomerium-claim-name"],
    ] {
        let seen = upgrade(&envoy, lines);
        let options: Vec<String> = seen
            .all("connection")
            .iter()
            .flat_map(|line| line.split(','))
            .map(|option| option.trim().to_lowercase())
            .filter(|option| !option.is_empty())
            .collect();
        assert!(options.contains(&"upgrade".into()), "{lines:?}: {options:?}");
        let ours = options.iter().filter(|option| option.starts_with("x-"));
        assert_eq!(ours.count(), 0, "{lines:?}: {options:?}");
        assert!(seen.one(ASSERTION_HEADER).is_some(), "{lines:?}");
        assert!(seen.one("upgrade").is_some(), "{lines:?}");
    }
    let kept = upgrade(&envoy, &["upgrade, x-other, x-pomerium-jwt-assertion"]);
    assert!(kept.all("connection").join(",").contains("x-other"), "what is not ours stays: {kept:?}");
}

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

/// Sets the headers of an identity source as ext_authz would, and leaves out what it does not know.
const AUTHENTICATES: &str = r#"
function envoy_on_request(handle)
  handle:headers():replace("x-user", "bob")
end
"#;

#[test]
fn an_alias_of_a_claim_header_is_removed() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-user"}}],
        "jwt_claims_headers": {"x-remote-user": "sub"},
    }))
    .filter(lua(AUTHENTICATES))
    .start();
    let seen = envoy.send(&Request::get("/").header("x_remote_user", "eve").header("X.Remote~User", "eve")).seen();
    assert!(!seen.contains("eve"), "{seen:?}");
    assert_eq!(seen.one("x-remote-user").as_deref(), Some("bob"));
}
