use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::keys::write_block;

const KEY_A: &str = include_str!("../../../tests/vectors/signing-key-a.b64");
const KEY_B: &str = include_str!("../../../tests/vectors/signing-key-b.b64");
const KEY_RSA: &str = include_str!("../../../tests/vectors/signing-key-rsa.b64");
const KID_A: &str = "e05015c36b1fccdee6ec1c45a4988acafcc1118c5d01e1120ee5be64ba176d22";
const KID_B: &str = "d591aa6e01e57ea8b80f349dc5de8517aa7b1f12f77700d89cbdba83938c0c61";
const KID_RSA: &str = "f0cc8033b422c2a199dcb456dde29589a9f5edd27d1c345bdf308957e957becf";

fn pem(base64: &str) -> String {
    String::from_utf8(STANDARD.decode(base64.trim()).unwrap()).unwrap()
}

fn kids(text: &str) -> Vec<String> {
    match Keyring::parse(text.as_bytes()) {
        Ok(keys) => keys.keyset().keys().iter().map(|key| key.kid().to_owned()).collect(),
        Err(error) => panic!("{error}"),
    }
}

fn error(text: &str) -> String {
    match Keyring::parse(text.as_bytes()) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

fn public_pem(key: &P256Key) -> String {
    key.public_key_pem()
}

#[test]
fn kids_and_jwks_are_those_of_the_vectors() {
    let keys = Keyring::parse(KEY_A.as_bytes()).ok().unwrap();
    assert_eq!(
        keys.keyset().json(),
        format!(
            r#"{{"keys":[{{"use":"sig","kty":"EC","kid":"{KID_A}","crv":"P-256","alg":"ES256","x":"3QXBfuxEuPHIOFCotZipN1Aj3u-9KEEgxDUTEoBr61Y","y":"s2WmqG0xaOKX-100aOWt3uoeyUKKaycQPt8BqTCUWos"}}]}}"#
        )
    );
    assert_eq!(kids(KEY_B), [KID_B]);
    assert_eq!(kids(KEY_RSA), [KID_RSA]);
}

#[test]
fn base64_may_be_wrapped_and_unpadded() {
    let wrapped: String = KEY_A
        .trim()
        .trim_end_matches('=')
        .as_bytes()
        .chunks(20)
        .map(|c| format!(" {}\r\n\t", String::from_utf8_lossy(c)))
        .collect();
    assert_eq!(kids(&wrapped), [KID_A]);
}

#[test]
fn all_keys_are_published_in_order_and_once() {
    let ring = format!(
        "spare text\r\n{}# more\n{}{}{}",
        pem(KEY_B).replace('\n', "\r\n"),
        pem(KEY_RSA),
        pem(KEY_A),
        pem(KEY_B)
    );
    let keys = Keyring::parse(ring.as_bytes()).ok().unwrap();
    assert_eq!(kids(&ring), [KID_B, KID_RSA, KID_A]);
    assert_eq!(keys.signing_key().public_key().kid(), KID_B);
    assert_eq!(keys.repeated(), [4]);
}

#[test]
fn a_public_key_is_published_but_never_first() {
    let public = match Keyring::parse(KEY_A.as_bytes()).ok().unwrap().signing_key() {
        SigningKey::P256(key) => public_pem(key),
        SigningKey::Rsa(_) => panic!("not P-256"),
    };
    assert_eq!(kids(&format!("{}{public}", pem(KEY_B))), [KID_B, KID_A]);
    assert_eq!(
        error(&format!("{public}{}", pem(KEY_B))),
        "block 1 (PUBLIC KEY): a public key cannot come first: the first key signs"
    );
}

#[test]
fn an_rsa_key_verifies_what_another_library_signed() {
    let keys = Keyring::parse(KEY_RSA.as_bytes()).ok().unwrap();
    let SigningKey::Rsa(key) = keys.signing_key() else { panic!("not RSA") };
    let signer = ring::signature::RsaKeyPair::from_pkcs8(key.pkcs8_der()).unwrap();
    let mut signature = vec![0; signer.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    signer.sign(&ring::signature::RSA_PKCS1_SHA256, &random, b"message", &mut signature).unwrap();
    assert!(key.public_key().verifies(b"message", &signature));
    assert!(!key.public_key().verifies(b"massage", &signature));
    signature[7] ^= 1;
    assert!(!key.public_key().verifies(b"message", &signature));
    assert!(!key.public_key().verifies(b"message", &[0xff; 256]));
    assert!(!key.public_key().verifies(b"message", b""));
}

#[test]
fn a_broken_block_is_named_and_never_quoted() {
    let truncated = pem(KEY_A).replace("-----END EC PRIVATE KEY-----", "");
    let mangled = pem(KEY_A).replace("KEY-----\nMHc", "KEY\nMHc");
    for (text, expected) in [
        (
            truncated,
            "block 1 (EC PRIVATE KEY): broken or truncated PEM: the body must be whole base64, and the END line must match",
        ),
        (
            mangled,
            "block 1 (unreadable label): broken or truncated PEM: the body must be whole base64, and the END line must match",
        ),
        (String::new(), "no PEM block; allowed are PEM text and standard base64 of it"),
        (
            KEY_A.trim()[..100].to_owned(),
            "block 1 (EC PRIVATE KEY): broken or truncated PEM: the body must be whole base64, and the END line must match",
        ),
        (
            "hello, world".to_owned(),
            "neither PEM nor base64 of PEM: truncated, or with characters outside standard base64",
        ),
        (pem(KEY_A).repeat(101), "101 PEM blocks; allowed are at most 100"),
    ] {
        assert_eq!(error(&text), expected);
    }
}

#[test]
fn files_that_are_joined_without_a_line_end_keep_all_their_keys() {
    let joined = format!("\u{feff}{}{}", pem(KEY_A).trim(), pem(KEY_B));
    assert_eq!(kids(&joined), [KID_A, KID_B]);
    assert_eq!(kids(&joined.replace("-----\n-----", "----- -----")), [KID_A, KID_B]);
    assert_eq!(kids(&format!("\x0b{}", KEY_A)), [KID_A]);
}

#[test]
fn pkcs8_is_read_under_the_labels_of_older_forms() {
    let relabelled = |pem: &str, label: &str| write_block(label, ::pem::parse(pem).unwrap().contents()).to_string();
    let pkcs8 = |base64: &str| match Keyring::parse(base64.as_bytes()).ok().unwrap().signing_key() {
        SigningKey::P256(key) => write_block("PRIVATE KEY", &key.pkcs8_der().unwrap()).to_string(),
        SigningKey::Rsa(key) => write_block("PRIVATE KEY", key.pkcs8_der()).to_string(),
    };
    for label in ["PRIVATE KEY", "EC PRIVATE KEY", "ECDSA PRIVATE KEY", "RSA PRIVATE KEY"] {
        assert_eq!(kids(&relabelled(&pkcs8(KEY_A), label)), [KID_A], "{label}");
        assert_eq!(kids(&relabelled(&pkcs8(KEY_RSA), label)), [KID_RSA], "{label}");
    }
    assert_eq!(kids(&relabelled(&pem(KEY_A), "ECDSA PRIVATE KEY")), [KID_A]);
    assert!(error(&relabelled(&pem(KEY_A), "PRIVATE KEY")).contains("PKCS#8"));
    assert!(error(&relabelled(&pem(KEY_A), "RSA PRIVATE KEY")).contains("PKCS#1"));
}

#[test]
fn a_quoted_first_key_never_lets_a_second_one_sign() {
    let both = format!("{}{}", pem(KEY_A), pem(KEY_B));
    assert_eq!(error(&format!("\"{both}\"")), "quotes around the text; leave them out");
}

#[test]
fn blocks_that_are_no_keys_say_what_to_do() {
    for (label, cure) in [
        ("CERTIFICATE", "leave it out"),
        ("ENCRYPTED PRIVATE KEY", "openssl pkey"),
        ("OPENSSH PRIVATE KEY", "ssh-keygen -p -m PKCS8"),
        ("RSA PUBLIC KEY", "openssl rsa -RSAPublicKey_in"),
        ("DSA PRIVATE KEY", "allowed are EC PRIVATE KEY"),
    ] {
        let text = format!("{}{}", pem(KEY_A), *write_block(label, b"x"));
        let error = error(&text);
        assert!(error.starts_with(&format!("block 2 ({label}): ")) && error.contains(cure), "{error}");
    }
}

#[test]
fn keys_can_be_shared_among_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Keyring>();
    shared::<KeyText>();
}

#[test]
fn ranges_of_blocks_are_those_of_the_text() {
    let text = [b"# Schl\xfcssel\n  ", pem(KEY_A).trim().as_bytes(), b"\r\n\xff", pem(KEY_B).as_bytes()].concat();
    assert!(KeyText::read(&text).is_ok_and(|text| text.blocks().len() == 1), "0xff is no end of a line");
    let text = [&text[..], b"\n", pem(KEY_B).as_bytes()].concat();
    let read = KeyText::read(&text).ok().unwrap();
    let blocks: Vec<&[u8]> = read.blocks().iter().map(|block| &read.pem()[block.range()]).collect();
    assert_eq!(blocks, [pem(KEY_A).trim().as_bytes(), pem(KEY_B).trim().as_bytes()]);
    assert_eq!((read.pem(), read.is_base64()), (&text[..], false));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Keyring::parse(&bytes);
    }

    #[test]
    fn no_change_of_a_byte_makes_the_parser_panic(at in 0usize..1700, to: u8) {
        let mut text = pem(KEY_RSA).into_bytes();
        let at = at % text.len();
        text[at] = to;
        let _ = Keyring::parse(&text);
    }
}
