//! A keyring: the keys of one key text, in order.
//!
//! The first private key signs; every key is published, in order, once. A text that holds a single unusable block is
//! refused whole, so that an operator never runs with half of what they meant.

use super::private::{P256Key, SigningKey};
use super::public::{Keyset, PublicKey};
use super::text::{Block, KeyText};
use super::{BlockError, KeyError};

/// The key that signs, and all that are published. It has no `Clone` and no printing `Debug`, and its private key is
/// wiped when it is dropped.
pub struct Keyring {
    signing_key: SigningKey,
    keyset: Keyset,
    repeated: Vec<usize>,
}

impl Keyring {
    /// Reads raw PEM text, or standard base64 of it (padding and ASCII white space as one likes).
    ///
    /// # Errors
    /// A [`KeyError`] that names the first unusable block by number and label; never its content.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        Self::from_blocks(KeyText::read(text)?.blocks())
    }

    /// Takes the keys of blocks, in their order.
    ///
    /// # Errors
    /// As [`Keyring::parse`].
    pub fn from_blocks(blocks: &[Block]) -> Result<Self, KeyError> {
        let mut builder = Builder::default();
        for block in blocks {
            builder.add(block).map_err(|reason| block.error(reason))?;
        }
        builder.build()
    }

    /// A keyring of one P-256 key that was made on the spot, and that is not published (it would be of no use
    /// to verifiers: it is gone with the process).
    #[must_use]
    pub fn ephemeral(key: P256Key) -> Self {
        Self { signing_key: SigningKey::P256(key), keyset: Keyset::default(), repeated: Vec::new() }
    }

    /// The key that signs.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// Every published key, in the order of the text.
    #[must_use]
    pub fn keyset(&self) -> &Keyset {
        &self.keyset
    }

    /// The numbers, from 1, of blocks that repeat an earlier key and were left out.
    #[must_use]
    pub fn repeated(&self) -> &[usize] {
        &self.repeated
    }
}

/// The key of one PEM block.
pub enum Key {
    /// It can sign.
    Private(SigningKey),
    /// It can only be published.
    Public(PublicKey),
}

impl Key {
    /// The key of a block; none in the parameters that `openssl ecparam -genkey` prints before its key.
    ///
    /// # Errors
    /// A [`BlockError`] where the block holds anything else.
    pub fn of(block: &Block) -> Result<Option<Self>, BlockError> {
        let der = block.der();
        let key = match block.label() {
            "EC PARAMETERS" => return Ok(None),
            _ if block.is_encrypted() => return Err(BlockError::Encrypted),
            "EC PRIVATE KEY" | "ECDSA PRIVATE KEY" => Self::Private(SigningKey::from_ec_block(der)?),
            "RSA PRIVATE KEY" => Self::Private(SigningKey::from_rsa_block(der)?),
            "PRIVATE KEY" => Self::Private(SigningKey::from_pkcs8(der)?),
            "PUBLIC KEY" => Self::Public(PublicKey::from_spki(der)?),
            other => return Err(refusal(other)),
        };
        Ok(Some(key))
    }

    /// The key, or its public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        match self {
            Self::Private(key) => key.public_key(),
            Self::Public(key) => key,
        }
    }

    /// Whether the private half is there, so that the key can sign.
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Private(_))
    }
}

fn refusal(label: &str) -> BlockError {
    match label {
        "ENCRYPTED PRIVATE KEY" => BlockError::Encrypted,
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => BlockError::Certificate,
        "OPENSSH PRIVATE KEY" => BlockError::OpenSsh,
        "RSA PUBLIC KEY" => BlockError::Pkcs1PublicKey,
        _ => BlockError::UnknownLabel,
    }
}

#[derive(Default)]
struct Builder {
    signing_key: Option<SigningKey>,
    published: Vec<PublicKey>,
    repeated: Vec<usize>,
}

impl Builder {
    fn add(&mut self, block: &Block) -> Result<(), BlockError> {
        let Some(key) = Key::of(block)? else { return Ok(()) };
        if self.signing_key.is_none() && !key.is_private() {
            return Err(BlockError::PublicKeyFirst);
        }
        self.publish(key.public_key(), block.number());
        if let Key::Private(key) = key {
            self.signing_key.get_or_insert(key);
        }
        Ok(())
    }

    fn publish(&mut self, key: &PublicKey, number: usize) {
        if self.published.iter().any(|known| known.kid() == key.kid()) {
            self.repeated.push(number);
        } else {
            self.published.push(key.clone());
        }
    }

    fn build(self) -> Result<Keyring, KeyError> {
        Ok(Keyring {
            signing_key: self.signing_key.ok_or(KeyError::NoKey)?,
            keyset: Keyset::new(self.published),
            repeated: self.repeated,
        })
    }
}

#[cfg(test)]
mod tests;
