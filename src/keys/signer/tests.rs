use p256::ecdsa::signature::Verifier as _;

use super::*;
use crate::host::fake::{FakeHost, Sign};
use crate::keys::{Keyring, P256Key};
use crate::value::protobuf::put_bytes;

const KEY_A: &[u8] = include_bytes!("../../../tests/vectors/signing-key-a.b64");
const KEY_RSA: &[u8] = include_bytes!("../../../tests/vectors/signing-key-rsa.b64");

fn keys(text: &[u8]) -> Keyring {
    Keyring::parse(text).ok().unwrap()
}

fn host(sign: Sign) -> FakeHost {
    let host = FakeHost::default();
    host.set_sign(sign);
    host
}

/// A host whose `sign` answers this signature.
fn answers(signature: &[u8]) -> Sign {
    let mut answer = vec![0x08, 0x01];
    put_bytes(&mut answer, 2, signature);
    Sign::Answers(answer)
}

fn signed_by(key: &Keyring, choice: SignerChoice, host: &FakeHost) -> Result<SignedBy, SignerError> {
    let signer = Signer::new(key.signing_key(), choice, host)?;
    let (signature, signed_by) = signer.sign(SELF_CHECK).unwrap();
    assert!(key.signing_key().public_key().verifies(SELF_CHECK, &signature));
    Ok(signed_by)
}

#[test]
fn the_host_signs_where_it_can_and_wasm_where_not() {
    use SignerChoice::{Auto, Host, Wasm};
    let p256 = keys(KEY_A);
    assert_eq!(signed_by(&p256, Auto, &host(Sign::Works)), Ok(SignedBy::Host));
    assert_eq!(signed_by(&p256, Auto, &host(Sign::Missing)), Ok(SignedBy::Core));
    assert_eq!(signed_by(&p256, Host, &host(Sign::Works)), Ok(SignedBy::Host));
    assert_eq!(signed_by(&p256, Host, &host(Sign::Missing)), Err(SignerError::NoHostFunction));
    assert_eq!(signed_by(&p256, Wasm, &host(Sign::Works)), Ok(SignedBy::Core));
}

#[test]
fn the_host_is_asked_to_sign_the_very_message_whatever_was_signed_before() {
    let p256 = keys(KEY_A);
    let SigningKey::P256(key) = p256.signing_key() else { panic!("not P-256") };
    let host = host(Sign::Works);
    let signer = Signer::new(p256.signing_key(), SignerChoice::Host, &host).ok().unwrap();
    for length in [0, 10_000, 1, 5_000, 100_000, 3] {
        let message = vec![b'm'; length];
        let (signature, _) = signer.sign(&message).unwrap();
        let signature = Signature::from_slice(&signature).unwrap();
        key.signing_key().verifying_key().verify(&message, &signature).unwrap();
    }
}

#[test]
fn rsa_is_signed_by_the_host_or_not_at_all() {
    use SignerChoice::{Auto, Host, Wasm};
    let rsa = keys(KEY_RSA);
    assert_eq!(signed_by(&rsa, Auto, &host(Sign::Works)), Ok(SignedBy::Host));
    assert_eq!(signed_by(&rsa, Host, &host(Sign::Works)), Ok(SignedBy::Host));
    for choice in [Auto, Host] {
        assert_eq!(signed_by(&rsa, choice, &host(Sign::Missing)), Err(SignerError::RsaNeedsHost));
    }
    assert_eq!(signed_by(&rsa, Wasm, &host(Sign::Works)), Err(SignerError::RsaInWasm));
}

#[test]
fn a_host_that_signs_with_something_else_is_not_trusted() {
    // A well-formed signature of nothing in particular: r = s = 1.
    let wrong = host(answers(&[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01]));
    assert_eq!(signed_by(&keys(KEY_A), SignerChoice::Auto, &wrong), Ok(SignedBy::Core));
}

#[test]
fn a_signature_that_no_verifier_takes_falls_back_to_wasm() {
    let p256 = keys(KEY_A);
    let host = host(Sign::Works);
    let signer = Signer::new(p256.signing_key(), SignerChoice::Auto, &host).ok().unwrap();
    let odd: [&[u8]; 3] = [
        b"",
        // r = 0
        b"\x30\x06\x02\x01\x00\x02\x01\x01",
        // a raw r‖s
        &[1; 64],
    ];
    for answer in odd.map(answers).into_iter().chain([Sign::Missing]) {
        host.set_sign(answer);
        let (signature, signed_by) = signer.sign(SELF_CHECK).unwrap();
        assert_eq!(signed_by, SignedBy::Fallback);
        assert!(p256.signing_key().public_key().verifies(SELF_CHECK, &signature));
    }
}

#[test]
fn an_rsa_signature_that_fails_has_nothing_to_fall_back_to() {
    let rsa = keys(KEY_RSA);
    let host = host(Sign::Works);
    let signer = Signer::new(rsa.signing_key(), SignerChoice::Auto, &host).ok().unwrap();
    host.set_sign(answers(b"short"));
    assert_eq!(signer.sign(SELF_CHECK), Err(NotSigned));
}

/// RFC 6979, appendix A.2.5: P-256 with SHA-256.
#[test]
fn wasm_signatures_are_those_of_rfc_6979() {
    let scalar = hex_bytes("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let key = SigningKey::P256(P256Key::from_scalar(scalar.first_chunk().unwrap()).unwrap());
    let signer = Signer::new(&key, SignerChoice::Wasm, &FakeHost::default()).ok().unwrap();
    for (message, r, s) in [
        (
            "sample",
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ),
        (
            "test",
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
            "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
        ),
    ] {
        let (signature, _) = signer.sign(message.as_bytes()).unwrap();
        assert_eq!(signature, [hex_bytes(r), hex_bytes(s)].concat());
    }
}

fn hex_bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}
