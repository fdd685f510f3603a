//! An independent reading of what the filter signed: another JOSE implementation verifies it, and the segments are
//! there as text for what no JOSE implementation looks at.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::members::Members;

/// A published keyset.
#[derive(Debug)]
pub struct KeySet {
    json: Value,
}

impl KeySet {
    /// Takes a keyset as it was answered.
    pub fn from_json(json: Value) -> Self {
        assert!(json["keys"].is_array(), "not a keyset: {json}");
        Self { json }
    }

    /// The published keys, in order.
    pub fn keys(&self) -> &[Value] {
        self.json["keys"].as_array().expect("a list of keys")
    }

    /// The published kids, in order.
    pub fn kids(&self) -> Vec<&str> {
        self.keys().iter().map(|key| key["kid"].as_str().expect("a kid")).collect()
    }

    /// Verifies a token with the key that it names.
    ///
    /// # Panics
    /// If it does not verify, saying why.
    pub fn verify(&self, token: &str) -> Assertion {
        self.try_verify(token).unwrap_or_else(|why| panic!("{why}: {token}"))
    }

    /// Verifies a token with the key that it names; else says why not.
    pub fn try_verify(&self, token: &str) -> Result<Assertion, String> {
        let assertion = Assertion::read(token);
        let kid = assertion.kid();
        let keys: JwkSet = serde_json::from_value(self.json.clone()).map_err(|e| format!("keyset: {e}"))?;
        let jwk = keys.find(kid).ok_or_else(|| format!("kid {kid} is not among {:?}", self.kids()))?;
        let key = DecodingKey::from_jwk(jwk).map_err(|e| format!("key {kid}: {e}"))?;
        jsonwebtoken::decode::<Value>(token, &key, &validation(assertion.algorithm()))
            .map(|_| assertion)
            .map_err(|e| format!("the token does not verify: {e}"))
    }
}

fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_aud = false;
    validation.leeway = 0;
    validation
}

/// A token, taken apart.
#[derive(Debug)]
pub struct Assertion {
    /// The three segments, decoded: the text of the header, that of the payload, the signature.
    pub header_text: String,
    /// The payload as it was signed.
    pub payload_text: String,
    /// The bytes of the signature.
    pub signature: Vec<u8>,
    /// The header's members.
    pub header: Value,
    /// The payload's members.
    pub claims: Value,
}

impl Assertion {
    /// Takes a token apart without verifying it.
    ///
    /// # Panics
    /// If it is not a compact JWS of three segments in base64url without padding (RFC 7515, section 7.1).
    pub fn read(token: &str) -> Self {
        let segments: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = segments[..] else { panic!("not three segments: {token}") };
        let header_text = text(header);
        let payload_text = text(payload);
        Self {
            header: serde_json::from_str(&header_text).expect("a header of JSON"),
            claims: serde_json::from_str(&payload_text).expect("a payload of JSON"),
            header_text,
            payload_text,
            signature: decode_segment(signature),
        }
    }

    /// The key that is said to have signed.
    pub fn kid(&self) -> &str {
        self.header["kid"].as_str().expect("a kid")
    }

    /// A claim; null when it is not there.
    pub fn claim(&self, name: &str) -> &Value {
        &self.claims[name]
    }

    /// The payload's member names in the order in which they were signed.
    pub fn members(&self) -> Vec<String> {
        serde_json::from_str::<Members>(&self.payload_text).expect("an object").0
    }

    fn algorithm(&self) -> Algorithm {
        match self.header["alg"].as_str() {
            Some("ES256") => Algorithm::ES256,
            Some("RS256") => Algorithm::RS256,
            other => panic!("alg {other:?}"),
        }
    }
}

/// Decodes one segment, strictly.
pub fn decode_segment(segment: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(segment).unwrap_or_else(|e| panic!("not base64url without padding ({e}): {segment}"))
}

fn text(segment: &str) -> String {
    String::from_utf8(decode_segment(segment)).expect("a segment of UTF-8")
}
