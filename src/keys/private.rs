//! Private keys, from the DER of their PEM blocks.

mod p256;
mod rsa;

use ::p256::pkcs8::PrivateKeyInfoRef;
use der::asn1::{AnyRef, IntRef};
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};

pub use self::p256::P256Key;
pub use self::rsa::RsaKey;
use super::public::PublicKey;
use super::{BlockError, algorithm};

/// A key that can sign. It has no `Clone` and no printing `Debug`, and is wiped when dropped.
pub enum SigningKey {
    /// ECDSA on P-256 with SHA-256: `ES256` (RFC 7518, section 3.4).
    P256(P256Key),
    /// RSASSA-PKCS1-v1_5 with SHA-256: `RS256` (RFC 7518, section 3.3).
    Rsa(RsaKey),
}

impl SigningKey {
    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        match self {
            Self::P256(key) => key.public_key(),
            Self::Rsa(key) => key.public_key(),
        }
    }

    /// Reads the content of a block labelled `EC PRIVATE KEY` (SEC1), or PKCS#8 under that label, as OpenSSL does.
    pub(super) fn from_ec_block(der: &[u8]) -> Result<Self, BlockError> {
        if is_pkcs8(der) { Self::from_pkcs8(der) } else { P256Key::from_sec1(der).map(Self::P256) }
    }

    /// Reads the content of a block labelled `RSA PRIVATE KEY` (PKCS#1), or PKCS#8 under that label, as OpenSSL does.
    pub(super) fn from_rsa_block(der: &[u8]) -> Result<Self, BlockError> {
        if is_pkcs8(der) { Self::from_pkcs8(der) } else { RsaKey::from_pkcs1(der).map(Self::Rsa) }
    }

    /// Reads the content of a block labelled `PRIVATE KEY` (PKCS#8, RFC 5958).
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, BlockError> {
        let info: PrivateKeyInfoRef<'_> = algorithm::read(der, "PKCS#8")?;
        match info.algorithm.oid {
            algorithm::EC => P256Key::from_pkcs8(&info).map(Self::P256),
            // RSA has its public half inside; a second one outside (RFC 5958) is not in use anywhere.
            algorithm::RSA if info.public_key.is_some() => Err(BlockError::Malformed("PKCS#8 RSA private key")),
            algorithm::RSA => RsaKey::from_pkcs1(info.private_key.as_bytes()).map(Self::Rsa),
            other => Err(BlockError::OtherAlgorithm(other)),
        }
    }
}

/// Whether a version number is followed by an algorithm. In SEC1 the private number follows it, in PKCS#1 the modulus.
fn is_pkcs8(der: &[u8]) -> bool {
    let second = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|body| {
            IntRef::decode(body)?;
            let second = AnyRef::decode(body)?.tag();
            while !body.is_finished() {
                AnyRef::decode(body)?;
            }
            Ok::<_, der::Error>(second)
        })
    });
    second == Ok(Tag::Sequence)
}
