//! JSON Web Signature, compact serialisation (RFC 7515, section 7.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Room for a dot and an RSA signature of 4096 bits, so that a token is put together in place.
const MAX_SIGNATURE_CHARS: usize = 1 + 683;

/// How many characters of base64url without padding so many bytes make.
#[must_use]
pub fn base64_bytes(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// A protected header, encoded once for each key.
#[derive(Debug)]
pub struct ProtectedHeader(String);

impl ProtectedHeader {
    /// The header of assertions by this key.
    #[must_use]
    pub fn new(alg: &str, kid: &str) -> Self {
        Self(URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"JWT"}}"#)))
    }

    /// How long the signing input for a payload of so many bytes is.
    #[must_use]
    pub fn input_bytes(&self, payload: usize) -> usize {
        self.0.len() + 1 + base64_bytes(payload)
    }

    /// What is signed: the encoded header, a dot, the encoded payload.
    #[must_use]
    pub fn signing_input(&self, payload: &[u8]) -> String {
        let mut input = String::with_capacity(self.input_bytes(payload.len()) + MAX_SIGNATURE_CHARS);
        input.push_str(&self.0);
        input.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut input);
        input
    }
}

/// The whole token: the signing input, a dot, the encoded signature.
#[must_use]
pub fn compact(mut signing_input: String, signature: &[u8]) -> String {
    signing_input.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut signing_input);
    signing_input
}

/// The `jti` in a token that has not been verified.
#[must_use]
pub fn token_id(token: &[u8]) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.split(|byte| *byte == b'.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    claims.get("jti")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_id_is_found_in_a_token_only() {
        let token = compact(ProtectedHeader::new("ES256", "k").signing_input(br#"{"jti":"a"}"#), b"s");
        assert_eq!(token_id(token.as_bytes()).as_deref(), Some("a"));
        for other in [&b""[..], b".", b"a.b.c", b"\xff.\xff.", b"e30.e30."] {
            assert_eq!(token_id(other), None, "{}", other.escape_ascii());
        }
    }
}
