//! What a client sends in the place of the filter's own headers goes no further, whatever is done to its name.

mod again;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;

use serde_json::{Value, json};

use harness::filters::lua;
use harness::keys::A;
use harness::{ASSERTION_HEADER, Bootstrap, Client, Envoy, HOST, Http2Client, Request, Seen, tcp};

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
        &["upgrade, x-pomerium-jwt-assertion\u{a0}, \u{a0}x-email"],
        &["upgrade, \"x-pomerium-jwt-assertion\""],
    ] {
        let seen = upgrade(&envoy, lines);
        let options: Vec<String> = seen
            .all("connection")
            .iter()
            .flat_map(|line| line.split(','))
            .map(|option| option.to_lowercase().trim_matches(|letter: char| !letter.is_ascii_alphanumeric()).to_owned())
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
