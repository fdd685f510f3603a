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
        if !numbers.halves_match() {
            return Err(BlockError::Mismatch);
        }
        if !numbers.shortcuts_hold() {
            return Err(BlockError::RsaNumbers);
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

/// The numbers of a PKCS#1 private key, which must fit together.
struct Pkcs1<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    primes: [UintRef<'a>; 2],
    /// The private exponent for each of the primes.
    exponents: [UintRef<'a>; 2],
    coefficient: UintRef<'a>,
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
                exponents: [body.decode()?, body.decode()?],
                coefficient: body.decode()?,
            };
            if two_primes { Ok(numbers) } else { Err(der::Error::from(der::ErrorKind::Failed)) }
        })?;
        reader.finish()?;
        Ok(numbers)
    }

    /// `n = p·q`, and `e·d = 1` modulo `p − 1` and `q − 1`.
    fn halves_match(&self) -> bool {
        let [p, q] = self.primes.map(|prime| number(&prime));
        same(&p.concatenating_mul(&q), &number(&self.modulus))
            && [&p, &q].iter().all(|prime| self.undoes_public_exponent(&self.private_exponent, prime))
    }

    /// What signing takes instead of `d`: `e·dP = 1` modulo `p − 1`, `e·dQ = 1` modulo `q − 1`, and `qInv·q = 1` modulo `p`.
    fn shortcuts_hold(&self) -> bool {
        let primes = self.primes.map(|prime| number(&prime));
        let [p, q] = &primes;
        let product = number(&self.coefficient).concatenating_mul(q);
        let are_reduced = self.exponents.iter().zip(&primes).all(|(exponent, prime)| number(exponent) < *prime);
        let are_exponents =
            self.exponents.iter().zip(&primes).all(|(exponent, prime)| self.undoes_public_exponent(exponent, prime));
        are_reduced && are_exponents && number(&self.coefficient) < *p && is_one_modulo(&product, p.clone())
    }

    fn undoes_public_exponent(&self, exponent: &UintRef<'_>, prime: &BoxedUint) -> bool {
        let product = number(&self.public_exponent).concatenating_mul(number(exponent));
        is_one_modulo(&product, prime.wrapping_sub(BoxedUint::one()))
    }
}

fn number(value: &UintRef<'_>) -> BoxedUint {
    BoxedUint::from_be_slice_vartime(value.as_bytes())
}

fn same(left: &BoxedUint, right: &BoxedUint) -> bool {
    left.cmp_vartime(right).is_eq()
}

fn is_one_modulo(value: &BoxedUint, modulus: BoxedUint) -> bool {
    let modulus = Option::<NonZero<BoxedUint>>::from(NonZero::new(modulus));
    modulus.is_some_and(|modulus| same(&value.rem_vartime(&modulus), &BoxedUint::one()))
}

fn to_pkcs8(pkcs1: &[u8]) -> der::Result<Zeroizing<Vec<u8>>> {
    let algorithm = AlgorithmIdentifierRef { oid: algorithm::RSA, parameters: Some(der::asn1::AnyRef::NULL) };
    PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(pkcs1)?).to_der().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn der() -> Vec<u8> {
        let text = include_str!("../../../tests/vectors/signing-key-rsa.b64");
        let text = STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).unwrap();
        pem::parse(text).unwrap().into_contents()
    }

    #[test]
    fn wrong_number_of_a_key_is_noticed() {
        let der = der();
        let key = Pkcs1::read(&der).unwrap();
        assert!(RsaKey::from_pkcs1(&der).is_ok());
        let ([p, q], [d_p, d_q]) = (key.primes, key.exponents);
        for (name, wrong, is_shortcut) in [
            ("n", key.modulus, false),
            ("d", key.private_exponent, false),
            ("p", p, false),
            ("q", q, false),
            ("dP", d_p, true),
            ("dQ", d_q, true),
            ("qInv", key.coefficient, true),
        ] {
            let place = der.windows(wrong.as_bytes().len()).position(|part| part == wrong.as_bytes()).unwrap();
            let mut der = der.clone();
            der[place + wrong.as_bytes().len() - 1] ^= 2;
            let expected = if is_shortcut { BlockError::RsaNumbers } else { BlockError::Mismatch };
            assert_eq!(RsaKey::from_pkcs1(&der).err(), Some(expected), "{name}");
        }
    }
}
