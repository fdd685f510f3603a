//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6), each with the `kid` that assertions carry.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use sha2::{Digest as _, Sha256};

use crate::keys::RsaPublicKey;

/// A published key. Its members are only safe characters, so its JSON needs no escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    kid: String,
    alg: &'static str,
    json: String,
}

impl Jwk {
    /// A P-256 key, for ES256.
    #[must_use]
    pub fn p256(key: &p256::PublicKey) -> Self {
        let point = key.to_sec1_point(false);
        let [x, y] = [point.x(), point.y()].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate.map_or(&[][..], |c| c)));
        let kid = thumbprint(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        let json =
            format!(r#"{{"use":"sig","kty":"EC","kid":"{kid}","crv":"P-256","alg":"ES256","x":"{x}","y":"{y}"}}"#);
        Self { kid, alg: "ES256", json }
    }

    /// An RSA key, for RS256.
    #[must_use]
    pub fn rsa(key: &RsaPublicKey) -> Self {
        let [n, e] = [key.modulus(), key.exponent()].map(|number| URL_SAFE_NO_PAD.encode(number));
        let kid = thumbprint(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        let json = format!(r#"{{"use":"sig","kty":"RSA","kid":"{kid}","alg":"RS256","n":"{n}","e":"{e}"}}"#);
        Self { kid, alg: "RS256", json }
    }

    /// The key ID: 64 lowercase hexadecimal digits.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The JWS algorithm (RFC 7518, section 3.1) that the key is for.
    #[must_use]
    pub fn alg(&self) -> &'static str {
        self.alg
    }

    /// The key as a JSON object.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// Keys in the order in which they are published.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

impl JwkSet {
    /// A set in this order.
    #[must_use]
    pub fn new(keys: Vec<Jwk>) -> Self {
        Self { keys }
    }

    /// The keys, in order.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The set as a JSON object, `{"keys":[…]}` (RFC 7517, section 5).
    #[must_use]
    pub fn json(&self) -> String {
        let keys: Vec<&str> = self.keys.iter().map(Jwk::json).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }
}

/// The lowercase hexadecimal SHA-256 of a thumbprint input (RFC 7638, section 3).
fn thumbprint(input: &str) -> String {
    hex(&Sha256::digest(input))
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
