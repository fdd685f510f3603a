//! Which signing keys are accepted, which refused, and what is published.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use harness::keys::{
    A, B, KID_A, KID_B, KID_RSA, RSA, X_A, X_B, Y_A, Y_B, base64, fixture, openssl, pem, pkcs8, public,
};
use harness::log::{ours, the_refusal};
use harness::{Assertion, Bootstrap, Capability, Client, Envoy, JWKS_PATH, Request, Secrets, eventually, odd_keys};

/// A key as an operator might write it, and what is published of it; the first signs.
struct Accepted {
    what: &'static str,
    key: String,
    kids: Vec<&'static str>,
}

fn accepted(what: &'static str, key: impl Into<String>, kids: &[&'static str]) -> Accepted {
    Accepted { what, key: key.into(), kids: kids.to_vec() }
}

#[test]
fn every_form_of_key_is_accepted_and_published() {
    let envoy = Bootstrap::new(json!({})).dynamic().start();
    let no_rsa = Capability::HostSigns.is_lacking();
    for case in forms().into_iter().chain(sets()).filter(|case| !no_rsa || case.kids[0] != KID_RSA) {
        let mark = case.what;
        let assertion = envoy.reconfigure(mark, json!({"signing_key": case.key}));
        assert_eq!(assertion.kid(), case.kids[0], "{mark}: the first private key signs");
        assert_eq!(envoy.keys().kids(), case.kids, "{mark}: every key is published, in order, once");
    }
}

fn forms() -> Vec<Accepted> {
    let pem_a = pem(A);
    let encoded = base64(&pem_a);
    let crlf = pem_a.replace('\n', "\r\n");
    vec![
        accepted("SEC1", &*pem_a, &[KID_A]),
        accepted("PKCS#8", pkcs8(A), &[KID_A]),
        accepted("SEC1 without its public half", openssl(&["ec", "-no_public"], &pem_a), &[KID_A]),
        accepted("base64 on one line", &*encoded, &[KID_A]),
        accepted("base64 without padding", encoded.trim_end_matches('='), &[KID_A]),
        accepted("base64 of PKCS#8", base64(&pkcs8(A)), &[KID_A]),
        accepted("base64 wrapped as base64 does", wrapped(&encoded, 76, "\n"), &[KID_A]),
        accepted("base64 wrapped and unpadded", wrapped(encoded.trim_end_matches('='), 64, "\r\n"), &[KID_A]),
        accepted("base64 amid white space", format!(" \t{}\x0c\n\n", wrapped(&encoded, 7, " \t\r\n\x0c")), &[KID_A]),
        accepted("CRLF", &*crlf, &[KID_A]),
        accepted("base64 of CRLF", base64(&crlf), &[KID_A]),
        accepted("empty lines around", format!("\n\n{pem_a}\n\n"), &[KID_A]),
        accepted("no line break at the end", pem_a.trim_end(), &[KID_A]),
        accepted("text outside the blocks", format!("the key of 2024: see below\n{pem_a}that was it\n"), &[KID_A]),
        accepted("EC PARAMETERS first", format!("{}{pem_a}", ec_parameters()), &[KID_A]),
        accepted("EC PARAMETERS last", format!("{pem_a}{}", ec_parameters()), &[KID_A]),
        accepted("PKCS#1 RSA", pem(RSA), &[KID_RSA]),
        accepted("base64 of PKCS#1 RSA", RSA, &[KID_RSA]),
        accepted("PKCS#8 RSA", pkcs8(RSA), &[KID_RSA]),
        accepted("PKCS#8 under a SEC1 label", relabelled(&pkcs8(A), "EC PRIVATE KEY"), &[KID_A]),
        accepted("PKCS#8 under another label", relabelled(&pkcs8(A), "ECDSA PRIVATE KEY"), &[KID_A]),
        accepted("PKCS#8 under a PKCS#1 label", relabelled(&pkcs8(RSA), "RSA PRIVATE KEY"), &[KID_RSA]),
        accepted("a byte-order mark", format!("\u{feff}{}", pem(A)), &[KID_A]),
    ]
}

fn sets() -> Vec<Accepted> {
    let (a, b, rsa) = (pem(A), pem(B), pem(RSA));
    let hundred = format!("{a}{}", public(A).repeat(99));
    vec![
        accepted("two private keys", format!("{a}{b}"), &[KID_A, KID_B]),
        accepted("two private keys, the other way", format!("{b}{a}"), &[KID_B, KID_A]),
        accepted("a retired key's public half", format!("{a}{}", public(B)), &[KID_A, KID_B]),
        accepted("a public key between", format!("{a}{}{rsa}", public(B)), &[KID_A, KID_B, KID_RSA]),
        accepted("EC then RSA", format!("{a}{rsa}"), &[KID_A, KID_RSA]),
        accepted("RSA then EC", format!("{rsa}{a}"), &[KID_RSA, KID_A]),
        accepted("an RSA public key", format!("{a}{}", public(RSA)), &[KID_A, KID_RSA]),
        accepted("base64 of a set", base64(&format!("{a}\n# old\n{b}")), &[KID_A, KID_B]),
        accepted("a repeat in another form", format!("{a}{}{b}", pkcs8(A)), &[KID_A, KID_B]),
        accepted("a hundred blocks", hundred, &[KID_A]),
    ]
}

fn ec_parameters() -> String {
    openssl(&["ecparam", "-name", "prime256v1"], "")
}

fn wrapped(text: &str, width: usize, separator: &str) -> String {
    let lines: Vec<&str> = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join(separator)
}

#[test]
fn fresh_openssl_keys_sign() {
    let ecparam = openssl(&["ecparam", "-genkey", "-name", "prime256v1"], "");
    assert!(ecparam.contains("BEGIN EC PARAMETERS"), "openssl prints parameters first: {ecparam}");
    let genpkey = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "");
    let envoy = Bootstrap::new(json!({})).dynamic().start();
    let mut keys = vec![("ecparam -genkey", ecparam), ("genpkey", genpkey)];
    if !Capability::HostSigns.is_lacking() {
        keys.push(("RSA 4096", fixture("rsa-4096.pem")));
    }
    for (what, key) in keys {
        let assertion = envoy.reconfigure(what, json!({"signing_key": key}));
        let algorithm = if what.starts_with("RSA") { "RS256" } else { "ES256" };
        assert_eq!(assertion.header["alg"], algorithm, "{what}");
    }
}

#[test]
fn a_repeated_key_is_dropped_with_a_warning() {
    let key = format!("{}{}{}", pem(A), pem(B), pem(A));
    let envoy = Bootstrap::new(json!({"signing_key": key})).start();
    assert_eq!(envoy.keys().kids(), [KID_A, KID_B]);
    let log = envoy.log();
    let warnings: Vec<&str> = ours(&log).into_iter().filter(|line| line.contains("[warning]")).collect();
    assert!(warnings.iter().any(|line| line.contains('3')), "a warning names the third block: {warnings:?}\n{log}");
    Secrets::of([A, B]).assert_not_in("our lines", ours(&log).join("\n"));
}

#[test]
fn a_published_key_has_the_vectors_members() {
    let envoy = Bootstrap::new(json!({"signing_key": format!("{}{}{}", pem(A), pem(B), pem(RSA))})).start();
    let keys = envoy.keys();
    for (key, kid, x, y) in [(&keys.keys()[0], KID_A, X_A, Y_A), (&keys.keys()[1], KID_B, X_B, Y_B)] {
        let members = json!({"use": "sig", "kty": "EC", "kid": kid, "crv": "P-256", "alg": "ES256", "x": x, "y": y});
        assert_eq!(*key, members);
    }
    let rsa = &keys.keys()[2];
    assert_eq!(rsa["kty"], "RSA");
    assert_eq!(rsa["alg"], "RS256");
    assert_eq!(rsa["e"], "AQAB");
    assert_eq!(rsa["kid"], KID_RSA);
    assert_eq!(rsa_thumbprint(rsa), KID_RSA, "the kid is the SHA-256 of the RFC 7638 input");
}

fn rsa_thumbprint(jwk: &Value) -> String {
    let input = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, jwk["e"], jwk["n"]);
    hex(&Sha256::digest(input))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key that is refused, the block that is to blame, and a word of the reason.
struct Rejected {
    what: &'static str,
    key: String,
    /// Number and label; `None` where there is no block to name.
    block: Option<(usize, &'static str)>,
}

fn rejected(what: &'static str, key: impl Into<String>, number: usize, label: &'static str) -> Rejected {
    Rejected { what, key: key.into(), block: Some((number, label)) }
}

fn shapeless(what: &'static str, key: impl Into<String>) -> Rejected {
    Rejected { what, key: key.into(), block: None }
}

#[test]
fn every_other_key_is_refused_with_its_block_and_the_last_good_one_signs_on() {
    let envoy = Bootstrap::new(json!({"signing_key": pem(A)})).dynamic().start();
    for case in wrong_keys().into_iter().chain(wrong_insides()).chain(wrong_sets()).chain(shapeless_keys()) {
        let log = envoy.push_rejected(json!({"signing_key": case.key}));
        let line = the_refusal(&log);
        assert!(line.contains("signing_key"), "{}: the line names the field: {line}", case.what);
        if let Some((number, label)) = case.block {
            assert!(names_block(&line, number), "{}: the line names block {number}: {line}", case.what);
            assert!(line.contains(label), "{}: the line names the label {label}: {line}", case.what);
        }
        Secrets::of([&case.key]).assert_not_in("the refusal", &line);
        assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A, "{}: the last good key signs on", case.what);
    }
}

fn names_block(line: &str, number: usize) -> bool {
    let line = line.to_lowercase();
    let at = |form: String| {
        line.match_indices(&form).any(|(i, _)| !line[i + form.len()..].starts_with(|c: char| c.is_ascii_digit()))
    };
    at(format!("block {number}")) || at(format!("block #{number}"))
}

fn wrong_keys() -> Vec<Rejected> {
    let curve = |name: &str| openssl(&["ecparam", "-genkey", "-noout", "-name", name], "");
    let p384 = curve("secp384r1");
    let ed25519 = openssl(&["genpkey", "-algorithm", "ed25519"], "");
    let encrypted = ["-passout", "pass:secret"];
    let legacy = openssl(&[&["ec", "-aes128"], &encrypted[..]].concat(), &pem(A));
    let modern = openssl(&[&["pkcs8", "-topk8"], &encrypted[..]].concat(), &pem(A));
    vec![
        rejected("P-384", &*p384, 1, "EC PRIVATE KEY"),
        rejected("P-384 in PKCS#8", openssl(&["pkcs8", "-topk8", "-nocrypt"], &p384), 1, "PRIVATE KEY"),
        rejected("P-521", curve("secp521r1"), 1, "EC PRIVATE KEY"),
        rejected("secp256k1", curve("secp256k1"), 1, "EC PRIVATE KEY"),
        rejected(
            "secp256k1 in PKCS#8",
            openssl(&["pkcs8", "-topk8", "-nocrypt"], &curve("secp256k1")),
            1,
            "PRIVATE KEY",
        ),
        rejected("Ed25519", &*ed25519, 1, "PRIVATE KEY"),
        rejected("a certificate", certificate(), 1, "CERTIFICATE"),
        rejected("an encrypted SEC1 key", legacy, 1, "EC PRIVATE KEY"),
        rejected("an encrypted PKCS#8 key", modern, 1, "ENCRYPTED PRIVATE KEY"),
        rejected("RSA 1024", fixture("rsa-1024.pem"), 1, "RSA PRIVATE KEY"),
        rejected("RSA 2040", fixture("rsa-2040.pem"), 1, "RSA PRIVATE KEY"),
        rejected("RSA 4224", fixture("rsa-4224.pem"), 1, "RSA PRIVATE KEY"),
        rejected(
            "RSA 1024 in PKCS#8",
            openssl(&["pkcs8", "-topk8", "-nocrypt"], &fixture("rsa-1024.pem")),
            1,
            "PRIVATE KEY",
        ),
        rejected("a public key", public(A), 1, "PUBLIC KEY"),
        rejected("an RSA public key", public(RSA), 1, "PUBLIC KEY"),
    ]
}

fn certificate() -> String {
    let key = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "");
    openssl(&["req", "-x509", "-key", "/dev/stdin", "-subj", "/CN=test", "-days", "1"], &key)
}

fn wrong_insides() -> Vec<Rejected> {
    vec![
        rejected("another public half, SEC1", odd_keys::mismatched_sec1(), 1, "EC PRIVATE KEY"),
        rejected("another public half, PKCS#8", odd_keys::mismatched_pkcs8(), 1, "PRIVATE KEY"),
        rejected("another public half, RSA", odd_keys::mismatched_rsa(), 1, "RSA PRIVATE KEY"),
        rejected("scalar zero", odd_keys::zero_scalar(), 1, "EC PRIVATE KEY"),
        rejected("a scalar beyond the order", odd_keys::huge_scalar(), 1, "EC PRIVATE KEY"),
        rejected("a byte too many", odd_keys::trailing_byte(), 1, "EC PRIVATE KEY"),
        rejected("bytes too few", odd_keys::cut_short(), 1, "EC PRIVATE KEY"),
        rejected("no DER", odd_keys::block("PRIVATE KEY", b"not a key at all"), 1, "PRIVATE KEY"),
        rejected("nothing inside", odd_keys::block("PRIVATE KEY", b""), 1, "PRIVATE KEY"),
        rejected("a SEC1 key under an RSA label", relabelled(&pem(A), "RSA PRIVATE KEY"), 1, "RSA PRIVATE KEY"),
    ]
}

fn relabelled(pem: &str, label: &str) -> String {
    odd_keys::block(label, pem::parse(pem).unwrap().contents())
}

/// The last number of a key in PKCS#1 only makes signing faster.
fn damaged_rsa() -> String {
    let mut der = pem::parse(pem(RSA)).unwrap().into_contents();
    *der.last_mut().unwrap() ^= 2;
    odd_keys::block("RSA PRIVATE KEY", &der)
}

fn wrong_sets() -> Vec<Rejected> {
    let a = pem(A);
    let p384 = openssl(&["ecparam", "-genkey", "-noout", "-name", "secp384r1"], "");
    let p384_public = openssl(&["ec", "-pubout"], &p384);
    let ed25519_public = openssl(&["pkey", "-pubout"], &openssl(&["genpkey", "-algorithm", "ed25519"], ""));
    let rsa_1024_public = openssl(&["pkey", "-pubout"], &fixture("rsa-1024.pem"));
    let pkcs1_public = openssl(&["rsa", "-RSAPublicKey_out"], &pem(RSA));
    vec![
        rejected("a second key of P-384", format!("{a}{p384}"), 2, "EC PRIVATE KEY"),
        rejected(
            "a third key that does not match",
            format!("{a}{}{}", pem(B), odd_keys::mismatched_sec1()),
            3,
            "EC PRIVATE KEY",
        ),
        rejected("a certificate after the key", format!("{a}{}", certificate()), 2, "CERTIFICATE"),
        rejected("a public key before the private one", format!("{}{a}", public(B)), 1, "PUBLIC KEY"),
        rejected("a public key of P-384", format!("{a}{p384_public}"), 2, "PUBLIC KEY"),
        rejected("a public key of Ed25519", format!("{a}{ed25519_public}"), 2, "PUBLIC KEY"),
        rejected("a public key off the curve", format!("{a}{}", odd_keys::off_the_curve()), 2, "PUBLIC KEY"),
        rejected("a public key of RSA 1024", format!("{a}{rsa_1024_public}"), 2, "PUBLIC KEY"),
        rejected("a public key in PKCS#1", format!("{a}{pkcs1_public}"), 2, "RSA PUBLIC KEY"),
        rejected(
            "an unknown label",
            format!("{a}{}", odd_keys::block("OPENSSH PRIVATE KEY", b"x")),
            2,
            "OPENSSH PRIVATE KEY",
        ),
        rejected("an RSA key with a damaged number", format!("{a}{}", damaged_rsa()), 2, "RSA PRIVATE KEY"),
        rejected("a wrong key in base64", base64(&format!("{a}{p384}")), 2, "EC PRIVATE KEY"),
    ]
}

fn shapeless_keys() -> Vec<Rejected> {
    let a = pem(A);
    let encoded = base64(&a);
    let half = &encoded[..encoded.len() / 2];
    let without_end = a.split("-----END").next().unwrap();
    vec![
        shapeless("text", "hello"),
        shapeless("base64 of text", base64("hello")),
        shapeless("truncated base64", &half[..half.len() / 4 * 4]),
        shapeless("truncated base64, no multiple of four", &half[..half.len() / 4 * 4 - 3]),
        shapeless("base64 with a stray character", encoded.replacen('L', "!", 1)),
        shapeless("base64url", format!("{}-_", &encoded[..encoded.len() - 4])),
        shapeless("a block without its end", without_end),
        shapeless("a key, then a block without its end", format!("{a}{without_end}")),
        shapeless("base64 of DER", STANDARD.encode(pem::parse(&a).unwrap().contents())),
        shapeless("parameters and no key", ec_parameters()),
        shapeless("101 blocks", format!("{a}{}", public(A).repeat(100))),
        shapeless(
            "101 blocks, half of them no keys",
            format!("{a}{}", format!("{}{}", ec_parameters(), public(B)).repeat(50)),
        ),
    ]
}

#[test]
fn a_bad_key_from_the_environment_stops_envoy() {
    let mismatched = odd_keys::mismatched_sec1();
    let refused = Bootstrap::new(json!({})).host_env("SIGNING_KEY", &mismatched).start_refused();
    assert!(!refused.status.success(), "{}", refused.status);
    let line = the_refusal(&refused.log);
    assert!(line.contains("SIGNING_KEY") && names_block(&line, 1), "{line}");
    Secrets::of([&mismatched]).assert_not_in("the log", &refused.log);
}

#[test]
fn the_first_place_that_has_a_key_is_taken() {
    if Capability::HostSigns.is_lacking() {
        return;
    }
    let environment = |bootstrap: Bootstrap| bootstrap.env("SIGNING_KEY", A).env("SIGNING_KEY_FILE", "/key.pem");
    let envoy = environment(Bootstrap::new(json!({"audience": "start"}))).key_file(pem(RSA)).dynamic().start();
    for (what, configuration, kid) in [
        ("the environment's key before the environment's file", json!({}), KID_A),
        ("a configured key before any environment", json!({"signing_key": B}), KID_B),
        ("a configured file before any environment", json!({"signing_key_file": "/key.pem"}), KID_RSA),
        ("the environment again", json!({}), KID_A),
    ] {
        let assertion = envoy.reconfigure(what, configuration);
        assert_eq!(assertion.kid(), kid, "{what}");
    }
    let line = the_refusal(&envoy.push_rejected(json!({"signing_key": A, "signing_key_file": "/key.pem"})));
    assert!(line.contains("signing_key") && line.contains("signing_key_file"), "both fields are named: {line}");
}

#[test]
fn the_environments_file_is_taken_where_nothing_else_is_set() {
    let envoy = Bootstrap::new(json!({})).env("SIGNING_KEY_FILE", "/key.pem").key_file(pem(B)).start();
    let reply = eventually("the key file", || Some(envoy.get("/")).filter(|reply| reply.status != 503));
    assert_eq!(envoy.keys().verify(&reply.token()).kid(), KID_B);
}

#[test]
fn a_key_in_the_hosts_environment_is_in_no_dump_and_no_log() {
    let envoy = Bootstrap::new(json!({})).host_env("SIGNING_KEY", A).log_level("trace").start();
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
    envoy.assert_tells_nothing_of([A]);
}

#[test]
fn without_a_key_all_workers_share_one_for_good_and_publish_none() {
    let envoy = Bootstrap::new(json!({"audience": "before"})).workers(3).dynamic().start();
    assert_eq!(envoy.get(JWKS_PATH).text(), r#"{"keys":[]}"#);

    let before = kids_of_all_workers(&envoy, "before");
    envoy.push_accepted(json!({"audience": "after"}));
    let after = eventually("every worker to have the new configuration", || {
        let clients = envoy.spread();
        let assertions = read_all(clients);
        assertions.iter().all(|a| a.claim("aud") == "after").then(|| kids(&assertions))
    });
    assert_eq!(before.len(), 1, "every worker signs with the same key: {before:?}");
    assert_eq!(before, after, "and so it stays when the configuration is replaced");

    let key = logged_public_key(&envoy.log());
    assert_eq!(before, [thumbprint_of_spki(&key)], "the logged key is the one that signs");
    assert_eq!(envoy.get(JWKS_PATH).text(), r#"{"keys":[]}"#);
}

fn kids_of_all_workers(envoy: &Envoy, audience: &str) -> Vec<String> {
    let assertions = read_all(envoy.spread());
    assert!(assertions.iter().all(|a| a.claim("aud") == audience));
    kids(&assertions)
}

fn read_all(mut clients: Vec<Client>) -> Vec<Assertion> {
    clients.iter_mut().map(|client| Assertion::read(&client.send(&Request::get("/")).token())).collect()
}

fn kids(assertions: &[Assertion]) -> Vec<String> {
    let mut kids: Vec<String> = assertions.iter().map(|a| a.kid().to_owned()).collect();
    kids.sort();
    kids.dedup();
    kids
}

/// The public key that the log shows, once, as base64 of PEM.
fn logged_public_key(log: &str) -> Vec<u8> {
    let armour = STANDARD.encode("-----BEGIN PUBLIC KEY-----");
    let start = armour.trim_end_matches('=').get(..30).unwrap();
    let found: Vec<&str> = log
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')))
        .filter(|word| word.starts_with(start))
        .collect();
    let [encoded] = found[..] else { panic!("the public key is logged {} times:\n{log}", found.len()) };
    let pem = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
    pem::parse(pem).unwrap().contents().to_vec()
}

/// The RFC 7638 thumbprint of a P-256 key: the point is the last 64 bytes of its SPKI.
fn thumbprint_of_spki(spki: &[u8]) -> String {
    let (x, y) = spki[spki.len() - 64..].split_at(32);
    let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
    hex(&Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)))
}
