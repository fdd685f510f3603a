//! As much of HTTP/1.1 as both ends of the bench speak.

use memchr::memmem;

/// The length of the head, with the empty line, if it is all there.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The length of the whole response, if its head is there. None of ours is chunked.
pub(crate) fn response_length(bytes: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length: ";
    let head = bytes.get(..head_length(bytes)?)?;
    let value = head.get(memmem::find(head, NAME)? + NAME.len()..)?;
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    Some(head.len() + digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0')))
}

pub(crate) fn is_ok(response: &[u8]) -> bool {
    response.starts_with(b"HTTP/1.1 200 ")
}
