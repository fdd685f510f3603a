//! Tokens that look like the filter's.

use jsonwebtoken::{Algorithm, EncodingKey, Header, get_current_timestamp};
use serde_json::json;

use super::ledger::Key;

/// Signs whatever it likes, with a key of its own.
pub(super) struct Forger {
    header: Header,
    key: EncodingKey,
}

impl Forger {
    pub(super) fn with(key: &Key) -> Self {
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::ES256) };
        let der = pem::parse(&key.pem).expect("PEM");
        Self { header, key: EncodingKey::from_ec_der(der.contents()) }
    }

    /// A token that was made so many seconds ago.
    pub(super) fn token(&self, user: &str, audience: &str, age: u64) -> String {
        let issued = get_current_timestamp() - age;
        let claims = json!({
            "iss": "app.example.com", "aud": audience, "sub": user, "user": user, "groups": ["admins"],
            "jti": "00000000-0000-4000-8000-000000000000", "iat": issued, "exp": issued + 300,
        });
        jsonwebtoken::encode(&self.header, &claims, &self.key).expect("a token")
    }
}
