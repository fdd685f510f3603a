//! What people give for a key text by mistake. Each is named for what it is, so that the error can say the cure.

use super::packed::{BEGIN, BYTE_ORDER_MARK, contains, find, is_white_space, unpack};
use super::{KeyError, SigningKey};

/// The longest path of Linux.
const MAX_PATH: usize = 4096;

/// What a text is that neither is PEM nor base64 of it. It was decoded as base64, if it is that.
pub(super) fn without_pem(text: &[u8], decoded: Option<&[u8]>) -> KeyError {
    let given = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let given = given.trim_ascii();
    if given.iter().all(|byte| is_white_space(*byte)) {
        return KeyError::NoBlock;
    }
    if is_utf16(text) || decoded.is_some_and(is_utf16) {
        return KeyError::Utf16;
    }
    if is_quoted(given) {
        return KeyError::Quoted;
    }
    if looks_like_path(given) {
        return KeyError::Path;
    }
    if is_der(text) || decoded.is_some_and(is_der) {
        return KeyError::Binary;
    }
    if given.first() == Some(&b'{') {
        return KeyError::Json;
    }
    match decoded {
        None => KeyError::NotBase64,
        Some(inner) if unpack(inner).is_some_and(|pem| contains(&pem, BEGIN)) => KeyError::DoubleBase64,
        Some(_) => KeyError::NoBlock,
    }
}

/// What stands right before the first block and keeps it from being one. Blocks after it could be read without it, and
/// another key would sign than the one that was meant.
pub(super) fn around(pem: &[u8]) -> Option<KeyError> {
    let text = pem.strip_prefix(BYTE_ORDER_MARK).unwrap_or(pem);
    let (before, block) = text.split_at_checked(find(text, BEGIN)?)?;
    let quoted = is_open_quote(before.trim_ascii_end());
    let escaped = has_escaped_lines(block) && (quoted || before.trim_ascii().is_empty());
    match (quoted && before.trim_ascii_start().starts_with(b"{"), escaped, quoted) {
        (true, ..) => Some(KeyError::Json),
        (_, true, _) => Some(KeyError::EscapedLines),
        (.., true) => Some(KeyError::Quoted),
        _ => None,
    }
}

/// Whether a text ends with a quote that begins its line, or the value of an assignment, or of a member.
fn is_open_quote(text: &[u8]) -> bool {
    let Some((b'"' | b'\'', before)) = text.split_last() else { return false };
    let line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    matches!(line.last(), None | Some(b'=' | b':'))
}

/// A line end written as backslash and `n` right after a `BEGIN` line; base64 has no backslash.
fn has_escaped_lines(text: &[u8]) -> bool {
    [&b"-----\\n"[..], b"-----\\r\\n"].iter().any(|escaped| contains(text, escaped))
}

/// With its mark, or as what ASCII becomes in it.
fn is_utf16(text: &[u8]) -> bool {
    let zero_at = |index| text.get(index) == Some(&0);
    let marked = text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff");
    marked || (text.len() >= 4 && ((zero_at(0) && zero_at(2)) != (zero_at(1) && zero_at(3))))
}

fn is_quoted(text: &[u8]) -> bool {
    matches!((text.first(), text.last()), (Some(b'"'), Some(b'"')) | (Some(b'\''), Some(b'\'')))
}

/// One short line that begins as paths do, or ends as the names of key files do.
fn looks_like_path(text: &[u8]) -> bool {
    let begins = [&b"/"[..], b"./", b"../", b"~/", b"file:", b"C:\\"].iter().any(|start| text.starts_with(start));
    let ends = [&b".pem"[..], b".key", b".der", b".crt", b".b64"].iter().any(|end| text.ends_with(end));
    text.len() <= MAX_PATH && !text.iter().any(u8::is_ascii_control) && (begins || ends)
}

/// Whether a text is, or has in it, a private key: PEM, base64 of it or what seems to be, or the base64 of a key's DER.
#[must_use]
pub fn holds_private_key(text: &[u8]) -> bool {
    const END_OF_LABEL: &[u8] = b"PRIVATE KEY-----";
    const BEGIN_IN_BASE64: &[u8] = b"LS0tLS1CRUdJT";
    let is_key = |der: &[u8]| {
        let readers = [SigningKey::from_pkcs8, SigningKey::from_ec_block, SigningKey::from_rsa_block];
        readers.iter().any(|read| read(der).is_ok())
    };
    contains(text, END_OF_LABEL)
        || match unpack(text) {
            Some(inner) => contains(&inner, END_OF_LABEL) || contains(&inner, BEGIN_IN_BASE64) || is_key(&inner),
            None => contains(text, BEGIN_IN_BASE64),
        }
}

/// A sequence with a length that fits: every key is one.
fn is_der(text: &[u8]) -> bool {
    use der::{Decode as _, Reader as _, SliceReader};
    let whole = || {
        let mut reader = SliceReader::new(text).ok()?;
        let header = der::Header::decode(&mut reader).ok()?;
        (header.tag() == der::Tag::Sequence && header.length() == reader.remaining_len()).then_some(())
    };
    whole().is_some()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::keys::Keyring;

    const KEY_A: &str = include_str!("../../tests/vectors/signing-key-a.b64");

    fn pem() -> String {
        String::from_utf8(STANDARD.decode(KEY_A.trim()).unwrap()).unwrap()
    }

    fn error(text: impl AsRef<[u8]>) -> String {
        match Keyring::parse(text.as_ref()) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    }

    fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn escaped_line_ends_are_named() {
        let escaped = pem().trim().replace('\n', "\\n");
        let windows = pem().trim().replace('\n', "\\r\\n");
        for text in
            [&escaped, &windows, &format!("\"{escaped}\""), &format!("'{escaped}\\n'"), &STANDARD.encode(&escaped)]
        {
            let error = error(text);
            assert!(error.starts_with(r"\n is written out") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn quotes_are_named() {
        for quote in ['"', '\''] {
            for text in [pem(), KEY_A.trim().to_owned()] {
                assert!(error(format!("{quote}{text}{quote}\n")).contains("quotes"), "{text}");
            }
            assert!(error(format!("# env\nSIGNING_KEY = {quote}{}{quote}\n", pem())).contains("quotes"));
            let remark = format!("# what follows {quote}-----BEGIN \n{}", pem());
            assert!(Keyring::parse(remark.as_bytes()).is_ok(), "text outside blocks may say anything");
        }
    }

    #[test]
    fn base64_of_base64_is_named() {
        let twice = STANDARD.encode(KEY_A);
        assert!(error(&twice).contains("base64 of base64"), "{}", error(&twice));
    }

    #[test]
    fn utf16_is_named() {
        for big_endian in [false, true] {
            for text in [pem(), format!("\u{feff}{}", pem()), KEY_A.to_owned()] {
                let text = utf16(&text, big_endian);
                assert!(error(&text).contains("UTF-16"));
                assert!(error(STANDARD.encode(&text)).contains("UTF-16"));
            }
        }
    }

    #[test]
    fn a_path_is_named_and_never_repeated() {
        for path in
            ["/etc/envoy/signing-key.pem", "/run/secrets/key", "./key", "keys/signing.key\n", "file:///k", "~/k"]
        {
            let error = error(path);
            assert!(error.contains("signing_key_file"), "{path}: {error}");
            assert!(!error.contains(path.trim()), "{error}");
        }
    }

    #[test]
    fn binary_and_json_keys_are_named() {
        let der = ::pem::parse(pem()).unwrap().into_contents();
        assert!(error(&der).contains("binary"));
        assert!(error(STANDARD.encode(&der)).contains("binary"));
        assert!(error(r#"{"kty":"EC","crv":"P-256"}"#).contains("JSON"));
    }
}
