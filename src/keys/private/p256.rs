//! P-256 keys (FIPS 186-5) from SEC1 (RFC 5915), PKCS#8 (RFC 5958) and SPKI (RFC 5480).

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use p256::pkcs8::{AlgorithmIdentifierRef, EncodePrivateKey as _, PrivateKeyInfoRef};
use p256::{PublicKey, SecretKey};
use sec1::EcPrivateKey;
use spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

use crate::keys::BlockError;

/// `id-ecPublicKey`.
pub(super) const ALGORITHM: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `prime256v1`, alias `secp256r1`, alias P-256.
const CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// A P-256 private key whose public half is known and fits.
pub struct P256Key {
    secret: SecretKey,
    public: PublicKey,
}

impl P256Key {
    /// The key with this big-endian private number; none if it is zero or not below the order of the group.
    #[must_use]
    pub fn from_scalar(scalar: &[u8; 32]) -> Option<Self> {
        let secret = SecretKey::from_slice(scalar).ok()?;
        Some(Self { public: secret.public_key(), secret })
    }

    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, BlockError> {
        let key = EcPrivateKey::from_der(der).map_err(|_| BlockError::Malformed("SEC1 EC private key"))?;
        let curve = key.parameters.and_then(|parameters| parameters.named_curve()).ok_or(BlockError::NoCurve)?;
        Self::on_curve(curve, &key)
    }

    pub(super) fn from_pkcs8(info: &PrivateKeyInfoRef<'_>) -> Result<Self, BlockError> {
        let key = EcPrivateKey::from_der(info.private_key.as_bytes())
            .map_err(|_| BlockError::Malformed("PKCS#8 EC private key"))?;
        let key = Self::on_curve(named_curve(&info.algorithm)?, &key)?;
        // Version 2 of the structure (RFC 5958) may have the public key a second time.
        match info.public_key {
            Some(outer) if PublicKey::from_sec1_bytes(outer.raw_bytes()).ok() != Some(key.public) => {
                Err(BlockError::Mismatch)
            }
            _ => Ok(key),
        }
    }

    fn on_curve(curve: ObjectIdentifier, key: &EcPrivateKey<'_>) -> Result<Self, BlockError> {
        if curve != CURVE {
            return Err(BlockError::OtherCurve(curve));
        }
        if let Some(inner) = key.parameters.and_then(|parameters| parameters.named_curve())
            && inner != CURVE
        {
            return Err(BlockError::OtherCurve(inner));
        }
        let secret = SecretKey::from_slice(key.private_key).map_err(|_| BlockError::OutOfRange)?;
        let public = secret.public_key();
        match key.public_key {
            Some(bytes) if PublicKey::from_sec1_bytes(bytes).ok() != Some(public) => Err(BlockError::Mismatch),
            _ => Ok(Self { secret, public }),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The key for ECDSA.
    #[must_use]
    pub fn signing_key(&self) -> p256::ecdsa::SigningKey {
        (&self.secret).into()
    }

    /// PKCS#8 DER with the uncompressed public key, the form that BoringSSL reads fastest.
    ///
    /// # Errors
    /// None in practice: the structure has a fixed size.
    pub fn pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, der::Error> {
        let document = self.secret.to_pkcs8_der().map_err(|_| der::ErrorKind::Failed)?;
        Ok(Zeroizing::new(document.as_bytes().to_vec()))
    }

    /// The private number, big-endian.
    #[must_use]
    pub fn scalar(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes().into())
    }

    /// The public half as PEM (`PUBLIC KEY`, RFC 7468 section 13), for logs and for people.
    #[must_use]
    pub fn public_key_pem(&self) -> String {
        let der = p256::pkcs8::EncodePublicKey::to_public_key_der(&self.public)
            .map(|document| document.as_bytes().to_vec())
            .unwrap_or_default();
        let lines = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
        ::pem::encode_config(&::pem::Pem::new("PUBLIC KEY", der), lines)
    }
}

pub(super) fn public_key_from_spki(info: &SubjectPublicKeyInfoRef<'_>) -> Result<PublicKey, BlockError> {
    let algorithm = info.algorithm.to_der().map_err(|_| BlockError::Malformed("SubjectPublicKeyInfo"))?;
    let algorithm =
        AlgorithmIdentifierRef::from_der(&algorithm).map_err(|_| BlockError::Malformed("SubjectPublicKeyInfo"))?;
    match named_curve(&algorithm)? {
        CURVE => PublicKey::from_sec1_bytes(info.subject_public_key.raw_bytes()).map_err(|_| BlockError::NotOnCurve),
        other => Err(BlockError::OtherCurve(other)),
    }
}

/// The curve that an algorithm identifier names; explicit parameters (RFC 3279) are none.
fn named_curve(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<ObjectIdentifier, BlockError> {
    let parameters = algorithm.parameters.ok_or(BlockError::NoCurve)?;
    parameters.decode_as::<ObjectIdentifier>().map_err(|_| BlockError::NoCurve)
}
