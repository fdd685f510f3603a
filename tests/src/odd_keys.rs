//! Keys that no tool makes: well-formed outside, wrong inside.

use pem::{EncodeConfig, LineEnding, Pem};

use super::keys;

/// A's private key with B's public half, in SEC1.
pub fn mismatched_sec1() -> String {
    with_tail_of(&keys::pem(keys::A), &keys::pem(keys::B), 64)
}

/// A's private key with B's public half, in PKCS#8.
pub fn mismatched_pkcs8() -> String {
    with_tail_of(&keys::pkcs8(keys::A), &keys::pkcs8(keys::B), 64)
}

/// The RSA vector with one bit of its modulus turned.
pub fn mismatched_rsa() -> String {
    edited(&keys::pem(keys::RSA), |der| der[100] ^= 1)
}

/// A's SEC1 key with the private scalar 0.
pub fn zero_scalar() -> String {
    edited(&keys::pem(keys::A), |der| der[7..39].fill(0))
}

/// A's SEC1 key with a scalar beyond the order of the curve.
pub fn huge_scalar() -> String {
    edited(&keys::pem(keys::A), |der| der[7..39].fill(0xff))
}

/// A's SEC1 key with a byte after its end.
pub fn trailing_byte() -> String {
    edited(&keys::pem(keys::A), |der| der.push(0))
}

/// A's SEC1 key without its last ten bytes.
pub fn cut_short() -> String {
    edited(&keys::pem(keys::A), |der| der.truncate(der.len() - 10))
}

/// B's public key with a coordinate that is not on the curve.
pub fn off_the_curve() -> String {
    edited(&keys::public(keys::B), |der| *der.last_mut().expect("a byte") ^= 1)
}

/// Any bytes under any label.
pub fn block(label: &str, content: &[u8]) -> String {
    encode(&Pem::new(label, content))
}

fn with_tail_of(pem: &str, donor: &str, length: usize) -> String {
    let donor = pem::parse(donor).expect("a donor");
    let donor = donor.contents();
    edited(pem, |der| {
        let start = der.len() - length;
        der[start..].copy_from_slice(&donor[donor.len() - length..]);
    })
}

fn edited(pem: &str, edit: impl FnOnce(&mut Vec<u8>)) -> String {
    let pem = pem::parse(pem).expect("a key to edit");
    let mut der = pem.contents().to_vec();
    edit(&mut der);
    encode(&Pem::new(pem.tag(), der))
}

fn encode(pem: &Pem) -> String {
    pem::encode_config(pem, EncodeConfig::new().set_line_ending(LineEnding::LF))
}
