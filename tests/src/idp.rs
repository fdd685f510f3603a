//! An identity provider whose tokens Envoy's `jwt_authn` verifies.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// A signer of tokens with a fresh P-256 key.
pub struct IdentityProvider {
    key: KeyPair,
}

impl IdentityProvider {
    /// Makes a key.
    pub fn new() -> Self {
        Self { key: KeyPair::generate().expect("a key") }
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &'static str {
        "https://idp.example"
    }

    /// Its public key.
    pub fn key_set(&self) -> Value {
        // The uncompressed point: 0x04, x, y.
        let point = self.key.public_key_raw();
        let [x, y] = [&point[1..33], &point[33..]].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "idp", "x": x, "y": y}]})
    }

    /// A token with these claims, as an `authorization` header value.
    pub fn bearer(&self, mut claims: Value) -> String {
        claims["iss"] = self.issuer().into();
        claims["aud"] = "an-application".into();
        claims["exp"] = (jsonwebtoken::get_current_timestamp() + 600).into();
        let header = Header { kid: Some("idp".into()), ..Header::new(Algorithm::ES256) };
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        format!("Bearer {}", jsonwebtoken::encode(&header, &claims, &key).expect("a token"))
    }
}
