//! Nothing that leaves the process has a private key in it, in any form: logs at every level, what Envoy tells about
//! itself, what clients and upstreams get, what the tool prints. What Envoy itself prints of an inline key is the one
//! exception, and stays where the README says it is.

use std::fs;
use std::process::Command;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};

use harness::keys::{A, B, KID_B, RSA, pem};
use harness::log::the_refusal;
use harness::{
    ASSERTION_HEADER, Assertion, Bootstrap, Capability, Envoy, JWKS_PATH, Reply, Request, Secrets, eventually, paths,
};

/// A configuration under which a client can bring about every kind of answer.
fn talkative() -> Value {
    json!({
        "signing_key_refresh": "0.1s",
        "user_endpoints": true,
        "jwt_claims_headers": ["email"],
        "max_assertion_bytes": 2000,
        "identity_sources": [{"headers": {"sub": "x-auth-user", "email": "x-auth-email"}}],
    })
}

fn route(path: &str, settings: &Value) -> Value {
    json!({
        "match": {"path": path},
        "metadata": {"filter_metadata": {"attestation": settings}},
        "route": {"cluster": "upstream"},
    })
}

fn with_routes(bootstrap: Bootstrap) -> Bootstrap {
    bootstrap
        .route(route("/deny", &json!({"on_missing_identity": "deny"})))
        .wrong_route(route("/wrong", &json!({"on_missing_identity": "perhaps"})), "perhaps")
        .workers(2)
        .log_level("trace")
}

/// Every kind of answer, with what the upstream got in those that it gave.
fn every_reply(envoy: &Envoy) -> Vec<Reply> {
    let user = |path: &str| Request::get(path).header("x-auth-user", "u-1");
    let paths = ["/", "/deny", "/wrong", JWKS_PATH, "/.well-known/pomerium", "/.pomerium/jwt", "/.pomerium/user"];
    let plain = paths.map(|path| envoy.send(&user(path)));
    let odd = [
        Request::get("/deny"),
        Request::get("/").host("a:b:c"),
        user("/").header("x-auth-email", "e".repeat(3000)),
        user("/").header(ASSERTION_HEADER, "forged").header("x-auth-email", b"\xff\x00".map(|byte| byte | 0x80)),
        Request::new("POST", JWKS_PATH),
        Request::new("OPTIONS", JWKS_PATH),
        Request::get("/signing-key.pem"),
    ];
    plain.into_iter().chain(odd.map(|request| envoy.send(&request))).collect()
}

fn assert_secret(envoy: &Envoy, keys: &[&str]) {
    let replies = every_reply(envoy);
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    let of_wrong_routes = envoy.host().takes_wrong_routes().then_some(500);
    for status in [200, 204, 400, 401, 405, 431].into_iter().chain(of_wrong_routes) {
        assert!(statuses.contains(&status), "{status} is among the answers: {statuses:?}");
    }
    let secrets = Secrets::of(keys);
    for reply in replies {
        secrets.assert_not_in("an answer", reply.bytes());
    }
    envoy.assert_tells_nothing_of(keys);
}

#[test]
fn a_key_file_at_trace_level_with_failures() {
    let mut configuration = talkative();
    configuration["signing_key_file"] = "/signing-key.pem".into();
    let envoy = with_routes(Bootstrap::new(configuration)).key_file("").dynamic().start();
    assert_eq!(envoy.get("/").status, 503);
    let last = if Capability::HostSigns.is_lacking() { pem(B) } else { pem(RSA) };
    for content in [format!("{}{}", pem(A), pem(RSA)), pem(A)[..150].to_owned(), last] {
        let before = (envoy.key_stat("key_loads"), envoy.key_stat("key_load_failures"));
        envoy.replace_key_file(content);
        let moved = || (envoy.key_stat("key_loads"), envoy.key_stat("key_load_failures")) != before;
        eventually("the file to be read", || moved().then_some(()));
        eventually("keys", || (envoy.get("/").status == 200).then_some(()));
    }
    envoy.push_rejected(json!({"signing_key_file": "/signing-key.pem", "token_lifetime": "5m"}));
    assert_secret(&envoy, &[A, B, RSA]);
}

#[test]
fn a_key_in_the_environment_at_trace_level() {
    let envoy = with_routes(Bootstrap::new(talkative())).host_env("SIGNING_KEY", A).start();
    assert_secret(&envoy, &[A]);
}

#[test]
fn a_key_in_the_environment_that_cannot_be_used_at_trace_level() {
    let bad = [A[..60].to_owned(), format!("{}{}", pem(A), &pem(B)[..150]), pem(A).replace("EC PRIVATE", "PRIVATE")];
    for key in bad {
        let refused = Bootstrap::new(json!({})).host_env("SIGNING_KEY", &key).log_level("trace").start_refused();
        assert!(refused.log.contains("signing_key") || refused.log.contains("SIGNING_KEY"), "{}", refused.log);
        Secrets::of([A, B]).assert_not_in("the log", &refused.log);
    }
}

/// The exception: Envoy's own configuration dump, and its debug log.
#[test]
fn an_inline_key_is_in_envoys_configuration_dump_and_nowhere_else() {
    let mut configuration = talkative();
    configuration["signing_key"] = A.into();
    let envoy = with_routes(Bootstrap::new(configuration)).log_level("info").start();
    let secrets = Secrets::of([A]);
    every_reply(&envoy).iter().for_each(|reply| secrets.assert_not_in("an answer", reply.bytes()));
    for (place, content) in envoy.all_it_tells() {
        match place {
            "/config_dump" | "/config_dump?include_eds" => assert!(secrets.find(content).is_some(), "{place}"),
            _ => secrets.assert_not_in(place, content),
        }
    }
}

#[test]
fn an_ephemeral_key_at_trace_level() {
    let envoy = with_routes(Bootstrap::new(talkative())).start();
    let token = envoy.get("/").token();
    let log = envoy.log();
    let (_, public) = log.split_once("public key: ").unwrap_or_else(|| panic!("the public key is logged:\n{log}"));
    let public: String = public.chars().take_while(|c| c.is_ascii_alphanumeric() || "+/=".contains(*c)).collect();
    let public = pem::parse(String::from_utf8(decoded(&public, 0)).expect("PEM")).expect("PEM");
    let point = &public.contents()[public.contents().len() - 65..];
    assert_eq!(Assertion::read(&token).header["alg"], "ES256");

    let replies = every_reply(&envoy).into_iter().map(|reply| ("an answer", reply.bytes()));
    for (place, content) in envoy.all_it_tells().chain(replies) {
        assert_eq!(private_half(&content, point), None, "the ephemeral key's private half is in {place}");
    }
}

/// Where a private key stands of which only the public point is known: every 32 bytes, raw or decoded from hex or
/// base64, are tried.
fn private_half(content: &[u8], point: &[u8]) -> Option<&'static str> {
    let is_private = |scalar: &[u8]| {
        EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, scalar, point).is_ok()
    };
    // Nobody draws 32 printable bytes.
    let is_binary = |window: &[u8]| window.iter().filter(|byte| !(b' '..=b'~').contains(byte)).count() > 4;
    if content.windows(32).any(|window| is_binary(window) && is_private(window)) {
        return Some("raw");
    }
    let text = String::from_utf8_lossy(content);
    let in_hex = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|run| run.len() >= 64);
    if in_hex.flat_map(|run| (0..2).map(|skip| unhex(&run[skip..]))).any(|bytes| bytes.windows(32).any(is_private)) {
        return Some("hex");
    }
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    let mut runs: Vec<&str> = text.split(|c| !is_base64(c)).filter(|run| run.len() >= 43).collect();
    runs.sort_unstable();
    runs.dedup();
    let bytes = runs.iter().flat_map(|run| (0..4).map(|skip| decoded(run, skip)));
    bytes.into_iter().any(|bytes| bytes.windows(32).any(|w| is_binary(w) && is_private(w))).then_some("base64")
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// What base64 of either alphabet says from the character with this number on.
fn decoded(text: &str, skip: usize) -> Vec<u8> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let text = text.get(skip..).unwrap_or_default().replace('-', "+").replace('_', "/");
    let whole = &text[..text.trim_end_matches('=').len() / 4 * 4];
    let rest = if text.ends_with('=') { text.as_str() } else { whole };
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(rest).unwrap_or_default()
}

#[test]
fn the_search_for_a_private_half_finds_it() {
    let text = pem(B);
    let der = pem::parse(&text).unwrap().contents().to_vec();
    let scalar = &der[7..39];
    let point = &der[der.len() - 65..];
    let hex: String = scalar.iter().map(|byte| format!("{byte:02x}")).collect();
    for (form, place) in
        [("raw", der.clone()), ("hex", format!("a{hex}").into_bytes()), ("base64", text.replace('\n', "").into())]
    {
        let amid = [b"a log line: ", &place[..], b" and more"].concat();
        assert_eq!(private_half(&amid, point), Some(form));
    }
    assert_eq!(private_half(KID_B.as_bytes(), point), None);
}

/// A configuration with a text in one field, for each field that takes one.
fn with_text_in_each_field(text: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("signing_key_file", json!({"signing_key_file": text})),
        ("signing_key_cluster", json!({"signing_key_file": "/signing-key.pem", "signing_key_cluster": text})),
        ("signing_key_secret", json!({"signing_key_secret": text})),
        ("issuer", json!({"issuer": text})),
        ("audience[1]", json!({"audience": ["app", text]})),
        ("assertion_header", json!({"assertion_header": text})),
        ("assertion_prefix", json!({"assertion_prefix": text})),
        ("jwt_groups_filter[0]", json!({"jwt_groups_filter": [text]})),
        ("identity_sources[0].filter_state", json!({"identity_sources": [{"filter_state": text}]})),
        ("identity_sources[0].metadata.namespace", json!({"identity_sources": [{"metadata": {"namespace": text}}]})),
        ("identity_sources[0].headers.sub", json!({"identity_sources": [{"headers": {"sub": text}}]})),
        ("claims.env.value", json!({"claims": {"env": {"value": text}}})),
        ("claims.env.value.deep[0]", json!({"claims": {"env": {"value": {"deep": [text]}}}})),
        ("claims.env.from", json!({"claims": {"env": {"from": text}}})),
        ("claims", json!({"claims": {text: {"from": "env"}}})),
        ("jwt_claims_headers", json!({"jwt_claims_headers": {text: "email"}})),
        ("jwks_path", json!({"jwks_path": text})),
        ("configuration", json!({text: true})),
    ]
}

#[test]
fn a_key_in_a_field_for_something_else_is_refused() {
    let envoy = Bootstrap::new(json!({"signing_key": B})).dynamic().start();
    let der = STANDARD.encode(pem::parse(self::pem(A)).unwrap().contents());
    let cut = format!("  {}", &A[..121]);
    for text in [self::pem(A), A.to_owned(), self::pem(RSA), der, format!("'{A}'"), cut] {
        for (field, mut configuration) in with_text_in_each_field(&text) {
            if !configuration.to_string().contains("signing_key_") {
                configuration["signing_key"] = B.into();
            }
            let line = the_refusal(&envoy.push_rejected(configuration));
            let expected =
                format!("rejected: {field}: got a private key; allowed is a private key in signing_key alone");
            assert!(line.contains(&expected), "{field}: {}", line.chars().take(200).collect::<String>());
            Secrets::of([A, RSA]).assert_not_in(field, line);
        }
    }
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_B, "the last good configuration serves on");
}

/// What the tool says, above all when it cannot do what it was asked for.
#[test]
fn what_the_tool_prints() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let contents = [
        ("good", pem(A)),
        ("base64", B.to_owned()),
        ("rsa", pem(RSA)),
        ("cut", pem(A)[..150].to_owned()),
        ("relabelled", pem(A).replace("EC PRIVATE", "PRIVATE")),
        ("two", format!("{}{}", pem(RSA), &pem(B)[..150])),
        ("not-base64", format!("{}!", &A[..100])),
    ];
    let url = "http://127.0.0.1:9/jwks.json";
    let mut failures = 0;
    for (name, content) in &contents {
        let path = file(name, content);
        for arguments in [
            vec!["jwks", &path],
            vec!["keygen", "-o", &path],
            vec!["verify", "a.b.c", "--jwks", &path],
            vec!["rotate", "stage", &path, "--jwks-url", url],
            vec!["rotate", "promote", "--now", &path],
            vec!["rotate", "retire", "--now", &path, "--json"],
            vec!["rotate", "stage", &path, "--key", &path],
            vec!["upstream", "--jwks", url, "--listen", "nowhere", "--demo-issuer-key", &path],
        ] {
            let output = Command::new(paths::attest()).args(&arguments).output().unwrap();
            failures += u32::from(!output.status.success());
            let said = [output.stdout, output.stderr].concat();
            assert!(!said.is_empty(), "{arguments:?}");
            Secrets::of([A, B, RSA]).assert_not_in(&format!("{arguments:?}"), said);
        }
    }
    assert!(failures > 30, "most of these fail: {failures}");
}

#[test]
fn the_tool_repeats_no_key_that_is_given_for_something_else() {
    for key in [pem(A), A.to_owned(), format!("{A}="), A[..120].to_owned()] {
        for arguments in [
            vec!["jwks", &key],
            vec!["--json", "jwks", &key],
            vec!["keygen", "-o", &key],
            vec!["keygen", &key],
            vec!["verify", &key, "--jwks", "keys.json"],
            vec!["verify", "a.b.c", "--jwks", &key],
            vec!["rotate", "stage", &key],
            vec!["rotate", "auto", "keys.pem", "--every", &key, "--json"],
            vec!["check", &key],
            vec!["doctor", "--admin", &key],
            vec![&key],
        ] {
            let output = Command::new(paths::attest()).args(&arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{}", arguments[0]);
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(said.contains("is a private key; give the file that holds it"), "{said}");
            Secrets::of([A]).assert_not_in(arguments[0], said);
        }
    }
}
