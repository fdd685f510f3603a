//! RSA keys from PKCS#1 (RFC 8017, appendix A.1). The arithmetic here checks; none of it signs.

use crypto_bigint::{BoxedUint, ConcatenatingMul as _, NonZero};
use der::asn1::{OctetStringRef, UintRef};
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use p256::pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use crate::keys::public::{PublicKey, RsaNumbers};
use crate::keys::{BlockError, algorithm};

/// An RSA private key of two primes, in the one form that the host's `sign` takes.
pub struct RsaKey {
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKey,
}

impl RsaKey {
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, BlockError> {
        let numbers = Pkcs1::read(der).map_err(|_| BlockError::Malformed("PKCS#1 RSA private key"))?;
        let public = RsaNumbers::new(numbers.modulus.as_bytes(), numbers.public_exponent.as_bytes())?;
        if !numbers.is_consistent() {
            return Err(BlockError::Mismatch);
        }
        let pkcs8 = to_pkcs8(der).map_err(|_| BlockError::Malformed("PKCS#1 RSA private key"))?;
        Ok(Self { pkcs8, public: PublicKey::rsa(public) })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8 DER.
    #[must_use]
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
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
    let algorithm = AlgorithmIdentifierRef { oid: algorithm::RSA, parameters: Some(der::asn1::AnyRef::NULL) };
    PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(pkcs1)?).to_der().map(Zeroizing::new)
}
