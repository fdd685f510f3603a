//! Which keys were ours, and when each of them was allowed to sign.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rcgen::KeyPair;
use serde_json::Value;

/// How long a key may still sign once its successor does: until every worker has looked at the file.
pub(super) const SLACK: Duration = Duration::from_secs(3);

/// A P-256 key.
pub(super) struct Key {
    /// PKCS#8.
    pub(super) pem: String,
    pub(super) kid: String,
    point: Vec<u8>,
}

impl Key {
    pub(super) fn generate() -> Self {
        let key = KeyPair::generate().expect("a key");
        // The uncompressed point: 0x04, x, y.
        let point = key.public_key_raw().to_vec();
        let [x, y] = coordinates(&point);
        // RFC 7638, section 3.
        let thumbprint = digest(&SHA256, format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
        let kid = thumbprint.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { pem: key.serialize_pem(), kid, point }
    }
}

fn coordinates(point: &[u8]) -> [String; 2] {
    [&point[1..33], &point[33..]].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate))
}

struct Entry {
    key: DecodingKey,
    /// Its place in the row of keys.
    number: usize,
    has_signed: bool,
    /// When its successor was first seen to sign.
    replaced: Option<Instant>,
}

/// Every key that was ever ours.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Mutex<HashMap<String, Entry>>,
}

impl Ledger {
    /// This key may sign from now on. As soon as it does, those before it may do so no longer than [`SLACK`].
    pub(super) fn offer(&self, key: &Key) {
        let [x, y] = coordinates(&key.point);
        let decoding = DecodingKey::from_ec_components(&x, &y).expect("a public key");
        let mut entries = self.entries();
        let number = entries.len();
        entries.insert(key.kid.clone(), Entry { key: decoding, number, has_signed: false, replaced: None });
    }

    /// The process that had them is dead: from now on no key signs, except this one.
    pub(super) fn lay_down_all_but(&self, kid: Option<&str>) {
        let now = Instant::now();
        let others = |(other, _): &(&String, &mut Entry)| Some(other.as_str()) != kid;
        for (_, entry) in self.entries().iter_mut().filter(others) {
            entry.replaced.get_or_insert(now);
        }
    }

    /// Whether an assertion of this key has arrived.
    pub(super) fn has_signed(&self, kid: &str) -> bool {
        self.entries().get(kid).is_some_and(|entry| entry.has_signed)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keys(&self) -> usize {
        self.entries().len()
    }

    /// The claims of a token that one of our keys signed, if it was that key's time.
    pub(super) fn verify(&self, token: &str, at: Instant) -> Result<Value, String> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| format!("no token: {error}"))?;
        let kid = header.kid.ok_or("no kid")?;
        let key = self.key(&kid, at)?;
        let mut validation = Validation::new(Algorithm::ES256);
        (validation.validate_aud, validation.leeway) = (false, 0);
        let verified = jsonwebtoken::decode::<Value>(token, &key, &validation);
        let claims = verified.map_err(|error| format!("it does not verify: {error}"))?.claims;
        self.note_signature(&kid, at);
        Ok(claims)
    }

    fn key(&self, kid: &str, at: Instant) -> Result<DecodingKey, String> {
        let entries = self.entries();
        let entry = entries.get(kid).ok_or("a key that was never ours")?;
        match entry.replaced.map(|replaced| at.saturating_duration_since(replaced)).filter(|over| *over > SLACK) {
            Some(over) => Err(format!("key {kid} was replaced {over:?} before")),
            None => Ok(entry.key.clone()),
        }
    }

    fn note_signature(&self, kid: &str, at: Instant) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(kid).filter(|entry| !entry.has_signed) else { return };
        entry.has_signed = true;
        let number = entry.number;
        for older in entries.values_mut().filter(|entry| entry.number < number) {
            older.replaced.get_or_insert(at);
        }
    }
}
