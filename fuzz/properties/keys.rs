//! Signing keys: a text of PEM blocks, and the DER inside of them.

use std::collections::BTreeSet;

use attestation_filter::keys::{BlockError, KeyError, KeyText, Keyring, MAX_BLOCKS, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::KEY;
use super::host::contains;

const LABELS: [&str; 4] = ["EC PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "PUBLIC KEY"];

/// A text that is taken means the same in its other forms; one that is not is refused without repeating it.
pub fn key_text(bytes: &[u8]) {
    blocks_are_where_they_say(bytes);
    let parsed = Keyring::parse(bytes);
    if let Err(error) = &parsed {
        repeats_only_a_label(bytes, error);
    }
    let Ok(keys) = parsed else { return };
    are_published(&keys);
    if contains(bytes, b"-----BEGIN ") {
        is_the_same(&keys, STANDARD.encode(bytes).as_bytes());
        let lines = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        // A carriage return alone is no end of a line, and two ends in a row would be the end of PEM's older headers.
        if !lines.contains('\r') {
            is_the_same(&keys, lines.as_bytes());
            is_the_same(&keys, lines.replace('\n', "\r\n").as_bytes());
        }
    }
}

/// Blocks come in order, do not overlap, and each begins and ends with its own lines: what a rotation moves.
fn blocks_are_where_they_say(bytes: &[u8]) {
    let Ok(text) = KeyText::read(bytes) else { return };
    assert!(text.is_base64() || text.pem() == bytes);
    let mut end = 0;
    for block in text.blocks() {
        let range = block.range();
        assert!(end <= range.start);
        let framed = &text.pem()[range.clone()];
        assert!(
            framed.starts_with(format!("-----BEGIN {}-----", block.label()).as_bytes())
                || block.label() == "unreadable label"
        );
        assert!(framed.starts_with(b"-----BEGIN ") && framed.ends_with(b"-----"));
        end = range.end;
    }
}

/// The first byte chooses a label and whether a key stands before the block; the rest is its DER.
pub fn key_der(bytes: &[u8]) {
    let Some((choice, der)) = bytes.split_first() else { return };
    let label = LABELS[usize::from(*choice) % LABELS.len()];
    let block = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
    key_text(block.as_bytes());
    let first = String::from_utf8(STANDARD.decode(KEY.trim()).expect("the test key")).expect("PEM");
    if let Ok(keys) = Keyring::parse(format!("{first}{block}").as_bytes()) {
        assert_eq!(keys.keyset().keys().len() + keys.repeated().len(), 2);
        are_published(&keys);
    }
}

/// The signing key is published, first; every kid is right, and there once.
fn are_published(keys: &Keyring) {
    let published = keys.keyset().keys();
    assert!(!published.is_empty() && published.len() + keys.repeated().len() <= MAX_BLOCKS);
    assert_eq!(&published[0], keys.signing_key().public_key());
    let kids: BTreeSet<&str> = published.iter().map(|key| key.kid()).collect();
    assert_eq!(kids.len(), published.len());
    let set: Json = serde_json::from_str(&keys.keyset().json()).expect("a keyset of JSON");
    for (jwk, key) in set["keys"].as_array().expect("a list").iter().zip(published) {
        assert_eq!(jwk["kid"], key.kid());
        assert_eq!(key.kid(), thumbprint(jwk));
        assert!(
            key.kid().len() == 64
                && key.kid().bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        );
        assert!(["d", "p", "q", "dp", "dq", "qi", "k"].iter().all(|private| jwk.get(private).is_none()));
    }
    is_a_key(keys.signing_key());
}

/// RFC 7638, section 3: the required members in order; and the sizes that RFC 7518 asks for.
fn thumbprint(jwk: &Json) -> String {
    let member = |name: &str| jwk[name].as_str().expect("a member").to_owned();
    let number = |name: &str| URL_SAFE_NO_PAD.decode(member(name)).expect("base64url");
    let input = match jwk["kty"].as_str() {
        Some("EC") => {
            assert_eq!((number("x").len(), number("y").len()), (32, 32));
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, member("x"), member("y"))
        }
        _ => {
            assert!((256..=512).contains(&number("n").len()) && number("n")[0] != 0 && number("e")[0] != 0);
            format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, member("e"), member("n"))
        }
    };
    Sha256::digest(input).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is handed to the host is the same key again.
fn is_a_key(key: &SigningKey) {
    let pkcs8 = match key {
        SigningKey::P256(key) => key.pkcs8_der().expect("PKCS#8").to_vec(),
        SigningKey::Rsa(key) => key.pkcs8_der().to_vec(),
    };
    let block = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8));
    let again = Keyring::parse(block.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.signing_key().public_key(), key.public_key());
}

fn is_the_same(keys: &Keyring, text: &[u8]) {
    let again = Keyring::parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((again.keyset(), again.repeated()), (keys.keyset(), keys.repeated()));
}

/// The one text that an error holds is a label that stands in the input, and that no key could be mistaken for.
fn repeats_only_a_label(bytes: &[u8], error: &KeyError) {
    let KeyError::Block { number, label, reason } = error else { return };
    assert!((1..=MAX_BLOCKS).contains(number));
    assert!(label.len() <= 40);
    if label != "unreadable label" {
        assert!(label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '));
        let text = String::from_utf8_lossy(bytes);
        let packed: Vec<u8> =
            bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b).collect();
        let begin = format!("-----BEGIN {label}-----");
        assert!(text.contains(&begin) || !packed.is_empty() && !text.contains("-----BEGIN "));
    }
    assert_eq!(*reason == BlockError::PublicKeyFirst, error.to_string().ends_with("the first key signs"));
}
