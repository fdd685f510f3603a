//! Which keys were ours, and when each of them was allowed to sign.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rcgen::KeyPair;
use serde_json::Value;

/// How long a replaced key may still sign: until Envoy has seen the file change and every worker has looked at it.
pub(super) const SLACK: Duration = Duration::from_secs(5);

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
    /// When it was replaced; none while it signs.
    replaced: Option<Instant>,
}

/// Every key that was ever ours.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Mutex<HashMap<String, Entry>>,
}

impl Ledger {
    /// From now on this key signs, and the others no longer than [`SLACK`].
    pub(super) fn take_up(&self, key: &Key) {
        let [x, y] = coordinates(&key.point);
        let decoding = DecodingKey::from_ec_components(&x, &y).expect("a public key");
        self.lay_down();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(key.kid.clone(), Entry { key: decoding, replaced: None });
    }

    /// From now on no key signs.
    pub(super) fn lay_down(&self) {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.values_mut() {
            entry.replaced.get_or_insert(now);
        }
    }

    pub(super) fn keys(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The claims of a token that one of our keys signed, if it was that key's time.
    pub(super) fn verify(&self, token: &str, at: Instant) -> Result<Value, String> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| format!("no token: {error}"))?;
        let kid = header.kid.ok_or("no kid")?;
        let key = {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = entries.get(&kid).ok_or("a key that was never ours")?;
            if entry.replaced.is_some_and(|replaced| at > replaced + SLACK) {
                return Err("a key whose time was over".into());
            }
            entry.key.clone()
        };
        let mut validation = Validation::new(Algorithm::ES256);
        (validation.validate_aud, validation.leeway) = (false, 0);
        let verified = jsonwebtoken::decode::<Value>(token, &key, &validation);
        verified.map(|token| token.claims).map_err(|error| format!("it does not verify: {error}"))
    }
}
