//! P-256 keys (FIPS 186-5) from SEC1 (RFC 5915) and PKCS#8 (RFC 5958).

use der::asn1::AnyRef;
use der::{Decode as _, Reader as _, SliceReader, Tagged as _};
use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey as _, PrivateKeyInfoRef};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use crate::keys::public::PublicKey;
use crate::keys::text::write_block;
use crate::keys::{BlockError, algorithm};

const SEC1: &str = "SEC1 EC private key";
/// The tag of the parameters in a SEC1 structure: `[0]`, explicit.
const PARAMETERS: der::Tag = der::Tag::ContextSpecific { constructed: true, number: der::TagNumber(0) };

/// A P-256 private key whose public half is known and fits. Wiped when dropped.
pub struct P256Key {
    secret: SecretKey,
    public: PublicKey,
}

impl P256Key {
    /// The key with this big-endian private number; none if it is zero or not below the order of the group.
    #[must_use]
    pub fn from_scalar(scalar: &[u8; 32]) -> Option<Self> {
        SecretKey::from_slice(scalar).ok().map(Self::new)
    }

    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, BlockError> {
        algorithm::must_be_p256(Some(sec1_parameters(der)?.ok_or(BlockError::NoCurve)?))?;
        Self::checked(&algorithm::read(der, SEC1)?)
    }

    pub(super) fn from_pkcs8(info: &PrivateKeyInfoRef<'_>) -> Result<Self, BlockError> {
        algorithm::must_be_p256(info.algorithm.parameters)?;
        let inner = info.private_key.as_bytes();
        if let Some(parameters) = sec1_parameters(inner)? {
            algorithm::must_be_p256(Some(parameters))?;
        }
        let key = Self::checked(&algorithm::read(inner, SEC1)?)?;
        // Version 2 of the structure (RFC 5958) may have the public key a second time.
        match info.public_key {
            Some(outer) => key.with_half(outer.raw_bytes()),
            None => Ok(key),
        }
    }

    fn checked(key: &EcPrivateKey<'_>) -> Result<Self, BlockError> {
        let secret = secret(key.private_key).ok_or(BlockError::OutOfRange)?;
        match key.public_key {
            Some(public) => Self::new(secret).with_half(public),
            None => Ok(Self::new(secret)),
        }
    }

    fn new(secret: SecretKey) -> Self {
        Self { public: PublicKey::p256(&secret.public_key()), secret }
    }

    /// This key, if an encoded point (SEC 1, section 2.3.3) is its public half.
    fn with_half(self, point: &[u8]) -> Result<Self, BlockError> {
        let half = p256::PublicKey::from_sec1_bytes(point).map_err(|_| BlockError::Mismatch)?;
        if PublicKey::p256(&half) == self.public { Ok(self) } else { Err(BlockError::Mismatch) }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
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
        let der = p256::pkcs8::EncodePublicKey::to_public_key_der(&self.secret.public_key());
        let der = der.map(|document| document.as_bytes().to_vec()).unwrap_or_default();
        write_block("PUBLIC KEY", &der).to_string()
    }
}

/// A private number, big-endian. RFC 5915 asks for 32 bytes; GnuTLS puts a zero before many, OpenSSL once left out the
/// zeros that they begin with.
fn secret(number: &[u8]) -> Option<SecretKey> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = number.get(zeros..)?;
    let mut scalar = Zeroizing::new([0; 32]);
    let start = scalar.len().checked_sub(number.len())?;
    scalar.get_mut(start..)?.copy_from_slice(number);
    SecretKey::from_slice(&*scalar).ok()
}

/// The parameters of a SEC1 structure: the name of a curve, as a rule.
fn sec1_parameters(der: &[u8]) -> Result<Option<AnyRef<'_>>, BlockError> {
    let found = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|body| {
            let mut parameters = None;
            while !body.is_finished() {
                let member = AnyRef::decode(body)?;
                if member.tag() == PARAMETERS {
                    parameters = Some(AnyRef::from_der(member.value())?);
                }
            }
            Ok(parameters)
        })
    });
    found.map_err(|_: der::Error| BlockError::Malformed(SEC1))
}
