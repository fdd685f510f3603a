use super::*;
use proptest::prelude::*;

#[test]
fn fields_are_read_with_any_bytes_in_them() {
    let map: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"b", b""), (b"a", b"\xff\0")];
    assert_eq!(fields(&header_map(&map)), Fields::new(map.to_vec()));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(buffer in proptest::collection::vec(any::<u8>(), 0..80), few in 0u32..5) {
        let mut small = few.to_le_bytes().to_vec();
        small.extend(&buffer);
        for buffer in [buffer, small] {
            let fields = fields(&buffer);
            let _ = (fields.names().count(), fields.first("a"), metadata_namespace(&buffer, "a"));
        }
    }
}

/// The order of the group (FIPS 186-5).
const ORDER: &str = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";

/// The answer of a host that signed with these two numbers, as DER has them.
fn answer(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| [&[0x02, u8::try_from(number.len()).unwrap()], number].concat();
    let integers = [integer(r), integer(s)].concat();
    answer_of(&[&[0x30, u8::try_from(integers.len()).unwrap()], integers.as_slice()].concat())
}

fn answer_of(signature: &[u8]) -> Vec<u8> {
    let mut answer = vec![0x08, 0x01];
    put_bytes(&mut answer, 2, signature);
    answer
}

#[test]
fn both_numbers_of_a_signature_are_in_the_range_of_the_group() {
    let order = [&[0][..], &hex_bytes(ORDER)].concat();
    let near = |last: u8| [&order[..32], &[last]].concat();
    let beyond: [(&str, Vec<u8>); 8] = [
        ("nothing", vec![]),
        ("zero", vec![0]),
        ("negative", vec![0x81]),
        ("negative, of full length", vec![0xff; 32]),
        ("with a needless zero", vec![0, 1]),
        ("the order", near(0x51)),
        ("more than the order", near(0x52)),
        ("33 bytes", vec![1; 33]),
    ];
    let most = near(0x50);
    for good in [[&[1][..], &[1]], [&most, &most], [&[0, 0x80], &[0x7f]]] {
        let number = |at: usize| [vec![0; 33 - good[at].len()], good[at].to_vec()].concat()[1..].to_vec();
        assert_eq!(signature_in(&answer(good[0], good[1]), Algorithm::Es256), Some([number(0), number(1)].concat()));
    }
    for (what, number) in beyond {
        assert_eq!(signature_in(&answer(&number, &[1]), Algorithm::Es256), None, "r: {what}");
        assert_eq!(signature_in(&answer(&[1], &number), Algorithm::Es256), None, "s: {what}");
    }
}

#[test]
fn a_signature_has_the_one_form_that_der_has_for_it() {
    let odd: [(&str, &[u8]); 11] = [
        ("an empty sequence", b"\x30\x00"),
        ("one number", b"\x30\x03\x02\x01\x01"),
        ("three numbers", b"\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01"),
        ("a byte after the sequence", b"\x30\x06\x02\x01\x01\x02\x01\x01\x00"),
        ("cut off", b"\x30\x06\x02\x01\x01\x02\x01"),
        ("longer than it is", b"\x30\x07\x02\x01\x01\x02\x01\x01"),
        ("a length in the long form", b"\x30\x81\x06\x02\x01\x01\x02\x01\x01"),
        ("a number's length in the long form", b"\x30\x07\x02\x81\x01\x01\x02\x01\x01"),
        ("an indefinite length", b"\x30\x80\x02\x01\x01\x02\x01\x01\x00\x00"),
        ("a set", b"\x31\x06\x02\x01\x01\x02\x01\x01"),
        ("bit strings", b"\x30\x06\x03\x01\x01\x03\x01\x01"),
    ];
    for (what, signature) in odd {
        assert_eq!(signature_in(&answer_of(signature), Algorithm::Es256), None, "{what}");
    }
}

#[test]
fn an_answer_without_success_has_no_signature() {
    let mut failed = answer(&[1], &[1]);
    assert!(signature_in(&failed, Algorithm::Es256).is_some());
    failed[1] = 0;
    assert_eq!(signature_in(&failed, Algorithm::Es256), None);
    assert_eq!(signature_in(failed.get(2..).unwrap(), Algorithm::Es256), None);
    assert_eq!(signature_in(&answer_of(&[7; 256]), Algorithm::Rs256), Some(vec![7; 256]));
}

fn hex_bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}
