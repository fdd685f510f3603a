//! Keysets (RFC 7517) as a verifier meets them: whatever some URL or file says, taken with care.

mod error;
mod source;
mod trouble;

pub(crate) use error::SourceError;
pub(crate) use source::{Fetched, Fetcher, Source, TrustArgs};

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::terminal;

/// The keys of a set, in its order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Keyset {
    keys: Vec<PublicKey>,
}

/// One member of a keyset; it may be of a kind that nothing here can use.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PublicKey {
    kid: Option<String>,
    json: Value,
}

impl Keyset {
    /// Reads `{"keys":[…]}`. Keys of unknown kinds stay in the set (RFC 7517, section 5).
    ///
    /// # Errors
    /// A sentence that says why this is no keyset.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Err("it is PEM; a keyset is made of it with: attest jwks FILE".to_owned());
        }
        let json: Value = serde_json::from_slice(text).map_err(|_| "it is not JSON")?;
        let keys = json.get("keys").and_then(Value::as_array).ok_or("it has no list named keys")?;
        Ok(Self { keys: keys.iter().cloned().map(PublicKey::new).collect() })
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The key IDs, in order.
    pub(crate) fn kids(&self) -> Vec<String> {
        self.keys.iter().filter_map(|key| key.kid.clone()).collect()
    }

    /// The key with an ID.
    pub(crate) fn key(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.iter().find(|key| key.kid() == Some(kid))
    }
}

impl PublicKey {
    fn new(json: Value) -> Self {
        let kid = json.get("kid").and_then(Value::as_str).map(str::to_owned);
        Self { kid, json }
    }

    /// Its ID, if it has one.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// A member that is a string, or nothing.
    pub(crate) fn member(&self, name: &str) -> &str {
        self.json.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The key as it was published.
    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    /// What kind of key it is: `EC P-256 for ES256`, `RSA for RS256`.
    pub(crate) fn description(&self) -> String {
        let words = [self.member("kty"), self.member("crv")].join(" ");
        let kind = if words.trim().is_empty() { "a key without kty" } else { words.trim() };
        match self.member("alg") {
            "" => kind.to_owned(),
            alg => format!("{kind} for {alg}"),
        }
    }

    /// Whether an assertion signed with this algorithm can be of this key.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        let (kty, crv, alg) = match algorithm {
            Algorithm::ES256 => ("EC", "P-256", "ES256"),
            Algorithm::RS256 => ("RSA", "", "RS256"),
            _ => return false,
        };
        let right_curve = self.member("kty") == "RSA" || self.member("crv") == crv;
        self.member("kty") == kty && right_curve && ["", alg].contains(&self.member("alg"))
    }

    /// Whether the base64url signature of a message is of this key.
    ///
    /// # Errors
    /// A sentence that says why the key cannot be used.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> Result<bool, String> {
        self.ensure_for_signatures()?;
        let unusable = || "it is no valid public key".to_owned();
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(self.json.clone()).map_err(|_| unusable())?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| unusable())?;
        jsonwebtoken::crypto::verify(signature, message, &key, algorithm).map_err(|_| unusable())
    }

    /// Whoever published the key says what it is for (RFC 7517, sections 4.2 and 4.3), and may say nothing about it.
    fn ensure_for_signatures(&self) -> Result<(), String> {
        let shown = |value: &Value| terminal::plain(&terminal::compact(value));
        match (self.json.get("use"), self.json.get("key_ops")) {
            (Some(purpose), _) if purpose != "sig" => Err(format!("its use is {}, not \"sig\"", shown(purpose))),
            (_, Some(operations)) if !lists_verify(operations) => {
                Err(format!("its key_ops are {}, without \"verify\"", shown(operations)))
            }
            _ => Ok(()),
        }
    }
}

fn lists_verify(operations: &Value) -> bool {
    operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyset_keeps_its_order_and_unknown_keys() {
        let text = br#"{"keys":[{"kid":"b","kty":"EC","crv":"P-256"},{"kty":"LATTICE"},7,{"kid":"a","kty":"RSA"}]}"#;
        let keyset = Keyset::parse(text).unwrap();
        assert_eq!(keyset.kids(), ["b", "a"]);
        assert_eq!(keyset.keys().len(), 4);
        assert!(keyset.key("b").unwrap().fits(Algorithm::ES256));
        assert!(keyset.key("a").unwrap().fits(Algorithm::RS256));
        assert!(!keyset.key("a").unwrap().fits(Algorithm::ES256));
        assert!(!keyset.keys()[1].fits(Algorithm::ES256));
    }

    #[test]
    fn what_is_no_keyset_is_said_in_words() {
        assert!(Keyset::parse(b"<html>").unwrap_err().contains("not JSON"));
        assert!(Keyset::parse(b"{}").unwrap_err().contains("keys"));
        assert!(Keyset::parse(b"\n-----BEGIN PRIVATE KEY-----").unwrap_err().contains("attest jwks"));
    }
}
