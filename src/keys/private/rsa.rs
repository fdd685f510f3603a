//! RSA keys from PKCS#1 (RFC 8017, appendix A.1) and SPKI. The arithmetic here checks and verifies; none of it signs.

use std::ops::RangeInclusive;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul as _, NonZero, Odd};
use der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use p256::pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

use crate::keys::BlockError;

/// `rsaEncryption`.
pub(super) const ALGORITHM: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const BITS: RangeInclusive<u32> = 2048..=4096;
/// The DER of `DigestInfo` up to the SHA-256 digest (RFC 8017, section 9.2, note 1).
const SHA256_DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// An RSA private key of two primes, in the one form that the host's `sign` takes.
pub struct RsaKey {
    pkcs8: Zeroizing<Vec<u8>>,
    public: RsaPublicKey,
}

impl RsaKey {
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, BlockError> {
        let numbers = Pkcs1::read(der).map_err(|_| BlockError::Malformed("PKCS#1 RSA private key"))?;
        let public = RsaPublicKey::new(numbers.modulus.as_bytes(), numbers.public_exponent.as_bytes())?;
        if !numbers.is_consistent() {
            return Err(BlockError::Mismatch);
        }
        let pkcs8 = to_pkcs8(der).map_err(|_| BlockError::Malformed("PKCS#1 RSA private key"))?;
        Ok(Self { pkcs8, public })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    /// PKCS#8 DER.
    #[must_use]
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }
}

/// An RSA public key of 2048 to 4096 bits.
#[derive(Debug)]
pub struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaPublicKey {
    /// From big-endian numbers.
    ///
    /// # Errors
    /// [`BlockError::RsaSize`] or [`BlockError::RsaExponent`].
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, BlockError> {
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
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The public exponent, big-endian, without leading zeros.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// Whether this is an RS256 signature of the message (RFC 8017, section 8.2.2).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
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

/// The numbers of a PKCS#1 private key that must fit together.
struct Pkcs1<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    primes: [UintRef<'a>; 2],
}

impl<'a> Pkcs1<'a> {
    fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let numbers = reader.sequence(|body| {
            let two_primes = u8::decode(body)? == 0;
            let numbers = Self {
                modulus: body.decode()?,
                public_exponent: body.decode()?,
                private_exponent: body.decode()?,
                primes: [body.decode()?, body.decode()?],
            };
            for _exponent_or_coefficient in 0..3 {
                body.decode::<UintRef<'_>>()?;
            }
            if two_primes { Ok(numbers) } else { Err(der::Error::from(der::ErrorKind::Failed)) }
        })?;
        reader.finish()?;
        Ok(numbers)
    }

    /// `n = p·q`, and `e·d = 1` modulo `p − 1` and `q − 1`.
    fn is_consistent(&self) -> bool {
        let [p, q] = self.primes.map(|prime| number(&prime));
        let exponents = number(&self.public_exponent).concatenating_mul(number(&self.private_exponent));
        same(&p.concatenating_mul(&q), &number(&self.modulus))
            && is_one_below(&exponents, &p)
            && is_one_below(&exponents, &q)
    }
}

fn number(value: &UintRef<'_>) -> BoxedUint {
    BoxedUint::from_be_slice_vartime(value.as_bytes())
}

fn same(left: &BoxedUint, right: &BoxedUint) -> bool {
    left.cmp_vartime(right).is_eq()
}

/// Whether `value mod (prime − 1)` is 1.
fn is_one_below(value: &BoxedUint, prime: &BoxedUint) -> bool {
    let below = Option::<NonZero<BoxedUint>>::from(NonZero::new(prime.wrapping_sub(BoxedUint::one())));
    below.is_some_and(|below| same(&value.rem_vartime(&below), &BoxedUint::one()))
}

fn to_pkcs8(pkcs1: &[u8]) -> der::Result<Zeroizing<Vec<u8>>> {
    let algorithm = AlgorithmIdentifierRef { oid: ALGORITHM, parameters: Some(der::asn1::AnyRef::NULL) };
    PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(pkcs1)?).to_der().map(Zeroizing::new)
}

fn read_public(der: &[u8]) -> der::Result<(UintRef<'_>, UintRef<'_>)> {
    let mut reader = SliceReader::new(der)?;
    let numbers = reader.sequence(|body| Ok::<_, der::Error>((body.decode()?, body.decode()?)))?;
    reader.finish()?;
    Ok(numbers)
}
