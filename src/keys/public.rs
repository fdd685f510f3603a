//! Public keys: as they are published, as signatures are verified with them, and as peers give them.

mod p256;
mod rsa;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoRef;

use self::p256::P256Point;
pub(super) use self::rsa::RsaNumbers;
use super::{BlockError, algorithm};

/// A P-256 key or an RSA key of 2048 to 4096 bits, with the `kid` that assertions carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kid: String,
    numbers: Numbers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Numbers {
    P256(P256Point),
    Rsa(RsaNumbers),
}

impl PublicKey {
    /// Reads DER of a `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7), the content of a `PUBLIC KEY` block.
    ///
    /// # Errors
    /// A [`BlockError`].
    pub fn from_spki(der: &[u8]) -> Result<Self, BlockError> {
        let info: SubjectPublicKeyInfoRef<'_> = algorithm::read(der, "SubjectPublicKeyInfo")?;
        match info.algorithm.oid {
            algorithm::EC => P256Point::from_spki(&info).map(|point| Self::new(Numbers::P256(point))),
            algorithm::RSA => RsaNumbers::from_spki(&info).map(Self::rsa),
            other => Err(BlockError::OtherAlgorithm(other)),
        }
    }

    /// Reads a JWK (RFC 7517), with the `kid` that it has; none if it has none, or is no key of these kinds.
    #[must_use]
    pub fn from_jwk(jwk: &Json) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Json::as_str);
        let number = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let numbers = match (text("kty")?, text("crv")) {
            ("EC", Some("P-256")) => Numbers::P256(P256Point::new(&number("x")?, &number("y")?)?),
            ("RSA", _) => Numbers::Rsa(RsaNumbers::new(&number("n")?, &number("e")?).ok()?),
            _ => return None,
        };
        Some(Self { kid: text("kid")?.to_owned(), numbers })
    }

    pub(super) fn p256(key: &::p256::PublicKey) -> Self {
        Self::new(Numbers::P256(P256Point::of(key)))
    }

    pub(super) fn rsa(numbers: RsaNumbers) -> Self {
        Self::new(Numbers::Rsa(numbers))
    }

    /// With its thumbprint (RFC 7638, section 3) as the `kid`: 64 lowercase hexadecimal digits.
    fn new(numbers: Numbers) -> Self {
        Self { kid: hex(&Sha256::digest(numbers.thumbprint_input())), numbers }
    }

    /// The key ID.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The JWS algorithm (RFC 7518, section 3.1) that the key is for.
    #[must_use]
    pub fn alg(&self) -> &'static str {
        match self.numbers {
            Numbers::P256(_) => "ES256",
            Numbers::Rsa(_) => "RS256",
        }
    }

    /// How many bytes a signature of this key has, as JWS has it.
    #[must_use]
    pub fn signature_bytes(&self) -> usize {
        match &self.numbers {
            Numbers::P256(_) => p256::SIGNATURE_BYTES,
            Numbers::Rsa(numbers) => numbers.modulus().len(),
        }
    }

    /// Whether this is a signature of the message by this key, as JWS has it: `r‖s` for ES256 (RFC 7518, section 3.4),
    /// as long as the modulus for RS256 (section 3.3).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.numbers {
            Numbers::P256(point) => point.verifies(message, signature),
            Numbers::Rsa(numbers) => numbers.verifies(message, signature),
        }
    }

    /// The key as a JWK (RFC 7517), one JSON object.
    #[must_use]
    pub fn jwk(&self) -> String {
        let kid = Json::from(self.kid.as_str());
        match &self.numbers {
            Numbers::P256(point) => {
                let [x, y] = point.coordinates();
                format!(r#"{{"use":"sig","kty":"EC","kid":{kid},"crv":"P-256","alg":"ES256","x":"{x}","y":"{y}"}}"#)
            }
            Numbers::Rsa(numbers) => {
                let [n, e] = numbers.members();
                format!(r#"{{"use":"sig","kty":"RSA","kid":{kid},"alg":"RS256","n":"{n}","e":"{e}"}}"#)
            }
        }
    }
}

impl Numbers {
    fn thumbprint_input(&self) -> String {
        match self {
            Self::P256(point) => {
                let [x, y] = point.coordinates();
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Rsa(numbers) => {
                let [n, e] = numbers.members();
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
        }
    }
}

/// The public keys of a keyring, in the order in which they are published: a JWK Set (RFC 7517, section 5).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Keyset {
    keys: Vec<PublicKey>,
}

impl Keyset {
    /// A set in this order.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys }
    }

    /// The keys, in order.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The set as a JSON object, `{"keys":[…]}`.
    #[must_use]
    pub fn json(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(PublicKey::jwk).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwk_is_read_and_written_with_its_own_kid() {
        let json = r#"{"use":"sig","kty":"EC","kid":"a \"quoted\" one","crv":"P-256","alg":"ES256","x":"3QXBfuxEuPHIOFCotZipN1Aj3u-9KEEgxDUTEoBr61Y","y":"s2WmqG0xaOKX-100aOWt3uoeyUKKaycQPt8BqTCUWos"}"#;
        let key = PublicKey::from_jwk(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!((key.kid(), key.alg(), key.signature_bytes()), (r#"a "quoted" one"#, "ES256", 64));
        assert_eq!(key.jwk(), json);
    }

    #[test]
    fn a_jwk_of_another_kind_is_none() {
        let point = serde_json::json!({
            "kty": "EC", "kid": "k", "crv": "P-256",
            "x": "3QXBfuxEuPHIOFCotZipN1Aj3u-9KEEgxDUTEoBr61Y", "y": "s2WmqG0xaOKX-100aOWt3uoeyUKKaycQPt8BqTCUWos"
        });
        assert!(PublicKey::from_jwk(&point).is_some());
        for (member, value) in [
            ("kty", "OKP"),
            ("crv", "P-384"),
            ("kid", ""),
            ("x", "AAAA"),
            ("y", "3QXBfuxEuPHIOFCotZipN1Aj3u-9KEEgxDUTEoBr61Y"),
        ] {
            let mut other = point.clone();
            if value.is_empty() {
                other.as_object_mut().unwrap().remove(member);
            } else {
                other[member] = value.into();
            }
            assert_eq!(PublicKey::from_jwk(&other), None, "{member}");
        }
    }
}
