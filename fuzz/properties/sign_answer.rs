//! What the host's `sign` answers.

use attestation_filter::host::Algorithm;
use attestation_filter::proxy::wire::signature_in;
use attestation_filter::value::protobuf::put_bytes;
use prost::Message as _;

use super::host::contains;

/// As Envoy declares it.
#[derive(prost::Message)]
struct Answer {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
}

/// The order of the group (FIPS 186-5), big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// What is taken for a signature is one, in the only form that DER has for it; and every signature is taken.
pub fn sign_answer(bytes: &[u8]) {
    // Another reader of the message must agree where it is written as Envoy writes it.
    let answer = Answer::decode(bytes).ok().filter(|answer| answer.encode_to_vec() == bytes);
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let Some(signature) = signature_in(bytes, algorithm) else { continue };
        let is_rsa = algorithm == Algorithm::Rs256;
        let on_the_wire = if is_rsa { signature.clone() } else { der(&signature[..32], &signature[32..]) };
        assert!(contains(bytes, &on_the_wire));
        assert!(answer.as_ref().is_none_or(|answer| answer.result && answer.signature == on_the_wire));
        assert!(is_rsa || signature.len() == 64 && signature.chunks(32).all(is_in_range));
    }
    // And whatever numbers: also those that differ from the order of the group in a few bytes only.
    for (r, s) in numbers(bytes) {
        let mut answer = vec![0x08, 0x01];
        put_bytes(&mut answer, 2, &der(&r, &s));
        let expected = (is_in_range(&r) && is_in_range(&s)).then(|| [r, s].concat());
        assert_eq!(signature_in(&answer, Algorithm::Es256), expected);
        answer[1] = 0;
        assert_eq!(signature_in(&answer, Algorithm::Es256), None);
    }
}

fn numbers(bytes: &[u8]) -> [([u8; 32], [u8; 32]); 2] {
    let at = |index: usize| bytes.get(index).copied().unwrap_or_default();
    let plain = |offset: usize| std::array::from_fn(|index| at(offset + index));
    let near = |offset: usize| std::array::from_fn(|index| ORDER[index] ^ at(offset + index));
    [(plain(0), plain(32)), (near(0), near(32))]
}

fn is_in_range(number: &[u8]) -> bool {
    number != [0; 32] && number < ORDER.as_slice()
}

/// A sequence of two integers, each as short as it can be and not negative (X.690, sections 8.3 and 10.1).
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integers = [integer(r), integer(s)].concat();
    [vec![0x30, integers.len() as u8], integers].concat()
}

fn integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len() - 1);
    let sign: &[u8] = if number[start] >= 0x80 { &[0] } else { &[] };
    let content = [sign, &number[start..]].concat();
    [vec![0x02, content.len() as u8], content].concat()
}
