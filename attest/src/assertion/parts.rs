//! A compact JWS (RFC 7515, section 7.1), taken apart.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Fault;

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Header,
    Payload,
    Signature,
}

impl std::fmt::Display for Part {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// A decoded token. That says nothing yet about whether it is signed, or by whom.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    /// The protected header.
    pub(crate) header: Map<String, Value>,
    /// The payload.
    pub(crate) claims: Map<String, Value>,
    compact: String,
}

impl Token {
    /// Decodes a compact JWS; white space around it and a leading `Bearer ` do not count.
    ///
    /// # Errors
    /// The first part that is not what it should be.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let compact = without_scheme(text);
        if compact.is_empty() {
            return Err(Fault::Empty);
        }
        let parts: Vec<&str> = compact.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { return Err(Fault::Parts(parts.len())) };
        let token = Self {
            header: object(Part::Header, header)?,
            claims: object(Part::Payload, payload)?,
            compact: compact.to_owned(),
        };
        decode(Part::Signature, signature)?;
        Ok(token)
    }

    /// The key ID that the header names.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// A claim that is a string, or nothing.
    pub(crate) fn text(&self, claim: &str) -> &str {
        self.claims.get(claim).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it says that nobody in particular asked.
    pub(crate) fn is_anonymous(&self) -> bool {
        ["sub", "user", "email"].iter().all(|claim| self.text(claim).is_empty())
    }

    /// What is signed: the encoded header and payload with their dot (RFC 7515, section 5.1).
    pub(crate) fn signing_input(&self) -> &str {
        self.compact.rsplit_once('.').map_or("", |(input, _)| input)
    }

    /// The signature, still base64url.
    pub(crate) fn signature(&self) -> &str {
        self.compact.rsplit_once('.').map_or("", |(_, signature)| signature)
    }

    /// The token as it was sent, without `Bearer`.
    pub(crate) fn compact(&self) -> &str {
        &self.compact
    }
}

fn without_scheme(text: &str) -> &str {
    let text = text.trim();
    match text.split_at_checked("bearer".len()) {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("bearer") && !rest.starts_with(|c: char| !c.is_whitespace()) =>
        {
            rest.trim()
        }
        _ => text,
    }
}

fn object(part: Part, text: &str) -> Result<Map<String, Value>, Fault> {
    let bytes = decode(part, text)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Fault::NotAnObject(part)),
        Err(_) => Err(Fault::Json(part)),
    }
}

fn decode(part: Part, text: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Base64(part))
}
