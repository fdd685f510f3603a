//! Many signatures of each kind, each verified by two libraries, some of them by OpenSSL too; and no number of theirs
//! is there twice.
//!
//! `SIGNATURES` says how many of each kind; `make crypto-evidence` makes a hundred thousand.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use harness::environment::number;
use harness::keys::{A, RSA, openssl, public};
use harness::{Assertion, Bootstrap, Capability, Host, Request, only_on};

const USUALLY: usize = 2000;
/// OpenSSL takes a process each, so it verifies one in so many.
const BY_OPENSSL: usize = 40;

/// Of all kinds together.
static TOKEN_IDS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static RS: Mutex<BTreeSet<Vec<u8>>> = Mutex::new(BTreeSet::new());

#[test]
fn of_the_host_with_ecdsa() {
    if !only_on(Host::Wasm, "natively `signer` is only auto") {
        return;
    }
    if Capability::HostSigns.is_lacking() {
        return;
    }
    all_verify(A, "host");
}

#[test]
fn of_the_module_with_ecdsa() {
    if !only_on(Host::Wasm, "natively `signer` is only auto") {
        return;
    }
    all_verify(A, "wasm");
}

#[test]
fn of_the_host_with_rsa() {
    if !only_on(Host::Wasm, "natively `signer` is only auto") {
        return;
    }
    if Capability::HostSigns.is_lacking() {
        return;
    }
    all_verify(RSA, "host");
}

fn all_verify(key: &str, signer: &str) {
    let count = number("SIGNATURES", USUALLY);
    let envoy = Bootstrap::new(json!({"signing_key": key, "signer": signer})).start();
    let keys = envoy.keys();
    let openssl = OpenSsl::new(key);
    let mut client = envoy.connect();
    for number in 0..count {
        let token = client.send(&Request::get("/")).token();
        let assertion = keys.verify(&token);
        assert!(ring_verifies(&keys.keys()[0], &token, &assertion), "ring does not verify {token}");
        assert!(number % BY_OPENSSL != 0 || openssl.verifies(&token, &assertion), "OpenSSL does not verify {token}");
        let token_id = assertion.claim("jti").as_str().expect("a jti").to_owned();
        assert!(is_new(&TOKEN_IDS, token_id), "a jti that was there before: {token}");
        let r = || assertion.signature[..32].to_vec();
        assert!(key == RSA || is_new(&RS, r()), "an r that was there before: {token}");
    }
    let counted = [envoy.stat("signed.host"), envoy.stat("signed.wasm"), envoy.stat("sign_fallbacks")];
    let count_as_counted = u64::try_from(count).expect("a count");
    assert_eq!(counted, if signer == "host" { [count_as_counted, 0, 0] } else { [0, count_as_counted, 0] });
    let [token_ids, rs] = [TOKEN_IDS.lock().expect("no failure").len(), RS.lock().expect("no failure").len()];
    let by_openssl = count.div_ceil(BY_OPENSSL);
    println!("{count} signatures, {by_openssl} verified by OpenSSL; so far {token_ids} token IDs, {rs} values of r");
}

fn is_new<T: Ord>(seen: &Mutex<BTreeSet<T>>, value: T) -> bool {
    seen.lock().expect("no failure before").insert(value)
}

fn signed(token: &str) -> &str {
    token.rsplit_once('.').expect("a signature").0
}

fn ring_verifies(jwk: &Value, token: &str, assertion: &Assertion) -> bool {
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("a member")).expect("base64url");
    let (message, signature) = (signed(token).as_bytes(), assertion.signature.as_slice());
    match jwk["kty"].as_str() {
        Some("EC") => {
            let point = [vec![4], number("x"), number("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
        }
        _ => {
            let key = RsaPublicKeyComponents { n: number("n"), e: number("e") };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
        }
    }
}

/// The `openssl` command, with a public key.
struct OpenSsl {
    directory: TempDir,
}

impl OpenSsl {
    fn new(key: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("key"), public(key)).expect("write the key");
        Self { directory }
    }

    fn verifies(&self, token: &str, assertion: &Assertion) -> bool {
        let [key, signature] = ["key", "signature"].map(|name| self.directory.path().join(name).display().to_string());
        let der = match assertion.signature.len() {
            64 => {
                p256::ecdsa::Signature::from_slice(&assertion.signature).expect("r and s").to_der().as_bytes().to_vec()
            }
            _ => assertion.signature.clone(),
        };
        fs::write(&signature, der).expect("write the signature");
        openssl(&["dgst", "-sha256", "-verify", &key, "-signature", &signature], signed(token)).contains("Verified OK")
    }
}
