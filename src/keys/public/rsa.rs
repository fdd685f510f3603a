//! The arithmetic here verifies; none of it signs.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use der::asn1::UintRef;
use der::{Reader as _, SliceReader};
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoRef;

use crate::keys::BlockError;

const BITS: RangeInclusive<u32> = 2048..=4096;
/// The DER of `DigestInfo` up to the SHA-256 digest (RFC 8017, section 9.2, note 1).
const SHA256_DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// An RSA public key of 2048 to 4096 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::keys) struct RsaNumbers {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaNumbers {
    /// From big-endian numbers.
    ///
    /// # Errors
    /// [`BlockError::RsaSize`] or [`BlockError::RsaExponent`].
    pub(in crate::keys) fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, BlockError> {
        let [modulus, exponent] = [modulus, exponent].map(without_leading_zeros);
        let bits = BoxedUint::from_be_slice_vartime(modulus).bits_vartime();
        if !BITS.contains(&bits) {
            return Err(BlockError::RsaSize(bits));
        }
        let even_modulus = modulus.last().is_none_or(|last| last % 2 == 0);
        if even_modulus {
            return Err(BlockError::Malformed("RSA public key"));
        }
        let odd_exponent = exponent.last().is_some_and(|last| last % 2 == 1);
        if !odd_exponent || exponent == [1] || exponent.len() > 4 {
            return Err(BlockError::RsaExponent);
        }
        Ok(Self { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }

    pub(super) fn from_spki(info: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, BlockError> {
        let numbers =
            read_public(info.subject_public_key.raw_bytes()).map_err(|_| BlockError::Malformed("RSA public key"))?;
        Self::new(numbers.0.as_bytes(), numbers.1.as_bytes())
    }

    /// The modulus, big-endian, without leading zeros.
    pub(super) fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// `n` and `e` as a JWK has them (RFC 7518, section 6.3.1).
    pub(super) fn members(&self) -> [String; 2] {
        [&self.modulus, &self.exponent].map(|number| URL_SAFE_NO_PAD.encode(number))
    }

    /// Whether this is an RS256 signature of the message (RFC 8017, section 8.2.2).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.modulus.len()
            && self.raise(signature).is_some_and(|encoded| *encoded == *self.encode(message))
    }

    /// `signature ^ exponent mod modulus`, as long as the modulus.
    fn raise(&self, signature: &[u8]) -> Option<Box<[u8]>> {
        let modulus = BoxedUint::from_be_slice_vartime(&self.modulus);
        let precision = modulus.bits_precision();
        let signature = BoxedUint::from_be_slice(signature, precision).ok()?;
        if signature.cmp_vartime(&modulus).is_ge() {
            return None;
        }
        let params = BoxedMontyParams::new_vartime(Option::from(Odd::new(modulus))?);
        let exponent = BoxedUint::from_be_slice_vartime(&self.exponent);
        let bytes = BoxedMontyForm::new(signature, &params).pow(&exponent).retrieve().to_be_bytes();
        bytes.get(bytes.len().checked_sub(self.modulus.len())?..).map(Box::from)
    }

    /// EMSA-PKCS1-v1_5 (RFC 8017, section 9.2).
    fn encode(&self, message: &[u8]) -> Vec<u8> {
        let digest = Sha256::digest(message);
        let padding = self.modulus.len().saturating_sub(3 + SHA256_DIGEST_INFO.len() + digest.len());
        let mut encoded = vec![0, 1];
        encoded.resize(2 + padding, 0xff);
        encoded.push(0);
        encoded.extend_from_slice(&SHA256_DIGEST_INFO);
        encoded.extend_from_slice(&digest);
        encoded
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn read_public(der: &[u8]) -> der::Result<(UintRef<'_>, UintRef<'_>)> {
    let mut reader = SliceReader::new(der)?;
    let numbers = reader.sequence(|body| Ok::<_, der::Error>((body.decode()?, body.decode()?)))?;
    reader.finish()?;
    Ok(numbers)
}
