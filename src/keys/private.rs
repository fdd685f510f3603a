//! Signing keys: PEM in, an ordered ring of keys out.
//!
//! The first key of a ring signs; every key of it is published, in order, once. A ring that holds a
//! single unusable block is refused whole, so that an operator never runs with half of what they meant.

mod p256;
mod rsa;

pub use p256::P256Key;
pub use rsa::{RsaKey, RsaPublicKey};

use super::text::{self, Block};
use super::{BlockError, KeyError};
use crate::keys::public::{Jwk, JwkSet};

/// The most PEM blocks that one ring may have, parameters included.
pub const MAX_BLOCKS: usize = 100;

/// A key that can sign. It has no `Clone` and no printing `Debug`, and is wiped when dropped.
pub enum SigningKey {
    /// ECDSA on P-256 with SHA-256: `ES256` (RFC 7518, section 3.4).
    P256(P256Key),
    /// RSASSA-PKCS1-v1_5 with SHA-256: `RS256` (RFC 7518, section 3.3).
    Rsa(RsaKey),
}

impl SigningKey {
    /// The public half as a JWK (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        match self {
            Self::P256(key) => Jwk::p256(&key.public_key()),
            Self::Rsa(key) => Jwk::rsa(key.public_key()),
        }
    }
}

/// What a PEM text holds: the key that signs, and all that are published.
pub struct SigningKeys {
    signing_key: SigningKey,
    published: JwkSet,
    repeated: Vec<usize>,
}

impl SigningKeys {
    /// Reads raw PEM text, or standard base64 of it (padding and ASCII white space as one likes).
    ///
    /// # Errors
    /// A [`KeyError`] that names the first unusable block by number and label; never its content.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let blocks = text::read(text)?;
        let mut ring = RingBuilder::default();
        for block in &blocks {
            ring.add(block).map_err(|reason| block.error(reason))?;
        }
        ring.build()
    }

    /// A ring of one P-256 key that was made on the spot, and that is not published (it would be of no use
    /// to verifiers: it is gone with the process).
    #[must_use]
    pub fn ephemeral(key: P256Key) -> Self {
        Self { signing_key: SigningKey::P256(key), published: JwkSet::default(), repeated: Vec::new() }
    }

    /// The key that signs.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// Every published key, in the order of the text.
    #[must_use]
    pub fn published(&self) -> &JwkSet {
        &self.published
    }

    /// The numbers, from 1, of blocks that repeat an earlier key and were left out.
    #[must_use]
    pub fn repeated(&self) -> &[usize] {
        &self.repeated
    }
}

/// The keys of one PEM block.
enum BlockKey {
    Private(SigningKey),
    Public(Jwk),
}

#[derive(Default)]
struct RingBuilder {
    signing_key: Option<SigningKey>,
    published: Vec<Jwk>,
    repeated: Vec<usize>,
}

impl RingBuilder {
    fn add(&mut self, block: &Block) -> Result<(), BlockError> {
        match read_key(block)? {
            None => Ok(()),
            Some(BlockKey::Private(key)) => {
                self.publish(key.jwk(), block.number());
                self.signing_key.get_or_insert(key);
                Ok(())
            }
            Some(BlockKey::Public(_)) if self.signing_key.is_none() => Err(BlockError::PublicKeyFirst),
            Some(BlockKey::Public(jwk)) => {
                self.publish(jwk, block.number());
                Ok(())
            }
        }
    }

    fn publish(&mut self, jwk: Jwk, number: usize) {
        if self.published.iter().any(|known| known.kid() == jwk.kid()) {
            self.repeated.push(number);
        } else {
            self.published.push(jwk);
        }
    }

    fn build(self) -> Result<SigningKeys, KeyError> {
        Ok(SigningKeys {
            signing_key: self.signing_key.ok_or(KeyError::NoKey)?,
            published: JwkSet::new(self.published),
            repeated: self.repeated,
        })
    }
}

/// The key in a block; none in the parameters that `openssl ecparam -genkey` prints before its key.
fn read_key(block: &Block) -> Result<Option<BlockKey>, BlockError> {
    let der = block.der();
    let key = match block.label() {
        "EC PARAMETERS" => return Ok(None),
        _ if block.is_encrypted() => return Err(BlockError::Encrypted),
        "EC PRIVATE KEY" => BlockKey::Private(SigningKey::P256(P256Key::from_sec1(der)?)),
        "RSA PRIVATE KEY" => BlockKey::Private(SigningKey::Rsa(RsaKey::from_pkcs1(der)?)),
        "PRIVATE KEY" => BlockKey::Private(from_pkcs8(der)?),
        "PUBLIC KEY" => BlockKey::Public(from_spki(der)?),
        "ENCRYPTED PRIVATE KEY" => return Err(BlockError::Encrypted),
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => return Err(BlockError::Certificate),
        _ => return Err(BlockError::UnknownLabel),
    };
    Ok(Some(key))
}

fn from_pkcs8(der: &[u8]) -> Result<SigningKey, BlockError> {
    use der::Decode as _;
    let info = ::p256::pkcs8::PrivateKeyInfoRef::from_der(der).map_err(|_| BlockError::Malformed("PKCS#8"))?;
    match info.algorithm.oid {
        p256::ALGORITHM => P256Key::from_pkcs8(&info).map(SigningKey::P256),
        // RSA has its public half inside; a second one outside (RFC 5958) is not in use anywhere.
        rsa::ALGORITHM if info.public_key.is_some() => Err(BlockError::Malformed("PKCS#8 RSA private key")),
        rsa::ALGORITHM => RsaKey::from_pkcs1(info.private_key.as_bytes()).map(SigningKey::Rsa),
        other => Err(BlockError::OtherAlgorithm(other)),
    }
}

fn from_spki(der: &[u8]) -> Result<Jwk, BlockError> {
    use der::Decode as _;
    let info =
        spki::SubjectPublicKeyInfoRef::from_der(der).map_err(|_| BlockError::Malformed("SubjectPublicKeyInfo"))?;
    match info.algorithm.oid {
        p256::ALGORITHM => p256::public_key_from_spki(&info).map(|key| Jwk::p256(&key)),
        rsa::ALGORITHM => RsaPublicKey::from_spki(&info).map(|key| Jwk::rsa(&key)),
        other => Err(BlockError::OtherAlgorithm(other)),
    }
}

#[cfg(test)]
mod tests;
