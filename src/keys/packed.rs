//! The bytes that key texts are made of: PEM's first line, and base64 around all of it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// How a PEM block begins.
pub(super) const BEGIN: &[u8] = b"-----BEGIN ";
/// U+FEFF in UTF-8. Some editors put it first.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Standard alphabet, padding or none: `base64`, `openssl base64` and secrets managers differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a base64 text holds, whatever it is; none if it is no base64.
pub(super) fn unpack(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let packed: Zeroizing<Vec<u8>> = Zeroizing::new(without_white_space(text));
    BASE64.decode(&*packed).ok().map(Zeroizing::new)
}

pub(super) fn without_white_space(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(text.len());
    packed.extend(text.iter().copied().filter(|byte| !is_white_space(*byte)));
    packed
}

/// ASCII's white space, with the vertical tab that Rust's definition leaves out.
pub(super) fn is_white_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

pub(super) fn contains(text: &[u8], wanted: &[u8]) -> bool {
    find(text, wanted).is_some()
}

pub(super) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
