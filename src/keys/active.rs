//! The keyring in use: the signer of its first key, and the keyset that is served.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::host::metrics::Gauge;
use crate::host::{Expected, Level, ProcessHost, SharedData};
use crate::http::endpoint::Document;
use crate::keys::signer::{Signer, SignerChoice, SignerError};
use crate::keys::{KeyError, Keyring, P256Key, PublicKey};

/// Shared data that holds the ephemeral key of this Envoy.
const EPHEMERAL: &str = "attestation.ephemeral_key";

/// Why keys cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyringError {
    /// The text is no usable set of keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The first key cannot sign here.
    #[error("signer: {0}")]
    Signer(#[from] SignerError),
    /// The host has no randomness, or shares none.
    #[error("the host gives no randomness for an ephemeral key; set signing_key or signing_key_file")]
    NoEphemeralKey,
}

/// A keyring that is ready for requests.
pub struct ActiveKeyring {
    signer: Signer,
    jwks: Document,
    published: usize,
    algorithms: Vec<&'static str>,
    repeated: Vec<usize>,
}

impl ActiveKeyring {
    /// Reads a PEM text, or base64 of it.
    ///
    /// # Errors
    /// A [`KeyringError`]; none ever holds a byte of a key.
    pub fn from_text(text: &[u8], choice: SignerChoice, host: &impl ProcessHost) -> Result<Self, KeyringError> {
        Self::new(&Keyring::parse(text)?, choice, host)
    }

    /// The ephemeral key that all workers of this Envoy share, made by the first of them.
    ///
    /// # Errors
    /// A [`KeyringError`].
    pub fn ephemeral(choice: SignerChoice, host: &impl ProcessHost) -> Result<Self, KeyringError> {
        let key = shared_ephemeral_key(host).ok_or(KeyringError::NoEphemeralKey)?;
        Self::new(&Keyring::ephemeral(key), choice, host)
    }

    fn new(keyring: &Keyring, choice: SignerChoice, host: &impl ProcessHost) -> Result<Self, KeyringError> {
        let active = Self {
            signer: Signer::new(keyring.signing_key(), choice, host)?,
            jwks: Document::new(keyring.keyset().json()),
            published: keyring.keyset().keys().len(),
            algorithms: algorithms(keyring),
            repeated: keyring.repeated().to_vec(),
        };
        host.set(Gauge::KeysPublished, u64::try_from(active.published).unwrap_or_default());
        host.set(Gauge::LastKeyLoad, host.now().as_secs());
        Ok(active)
    }

    /// The key that signs.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The keyset.
    #[must_use]
    pub fn jwks(&self) -> &Document {
        &self.jwks
    }

    /// The algorithms of the published keys, each once.
    #[must_use]
    pub fn algorithms(&self) -> &[&'static str] {
        &self.algorithms
    }

    /// Tells of the keys, which come from this place, and of blocks that were left out because they repeat an earlier one.
    pub fn announce<H: ProcessHost>(&self, place: &str, host: &H) {
        let signer = if self.signer.signs_on_host() { H::SIGNER } else { "Wasm" };
        let keys = if self.published == 1 { "key" } else { "keys" };
        let kid = self.signer.kid();
        host.log(
            Level::Info,
            &format!("{place}: {} {keys} published, signing in {signer} with kid {kid}", self.published),
        );
        if !self.repeated.is_empty() {
            host.log(Level::Warn, &format!("left out PEM blocks that repeat an earlier key: {:?}", self.repeated));
        }
    }
}

fn algorithms(keyring: &Keyring) -> Vec<&'static str> {
    let mut algorithms: Vec<_> = keyring.keyset().keys().iter().map(PublicKey::alg).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    algorithms
}

fn shared_ephemeral_key(host: &impl ProcessHost) -> Option<P256Key> {
    shared_scalar(host).or_else(|| {
        let scalar = random_scalar(host)?;
        if host.set_shared_data(EPHEMERAL, &*scalar, Expected::Absent) {
            let key = P256Key::from_scalar(&scalar)?;
            announce_ephemeral(&key, host);
            return Some(key);
        }
        shared_scalar(host)
    })
}

fn shared_scalar(host: &impl SharedData) -> Option<P256Key> {
    let (scalar, _) = host.shared_data(EPHEMERAL)?;
    P256Key::from_scalar(Zeroizing::new(scalar).first_chunk()?)
}

/// A random number that is a private key. All but one in 2^32 are.
fn random_scalar(host: &impl ProcessHost) -> Option<Zeroizing<[u8; 32]>> {
    (0..8).find_map(|_| {
        let mut scalar = Zeroizing::new([0; 32]);
        (host.fill_random(&mut *scalar) && P256Key::from_scalar(&scalar).is_some()).then_some(scalar)
    })
}

fn announce_ephemeral(key: &P256Key, host: &impl ProcessHost) {
    use base64::Engine as _;
    let public = base64::engine::general_purpose::STANDARD.encode(key.public_key_pem());
    host.log(
        Level::Warn,
        &format!(
            "no signing key is configured: signing with an ephemeral key that is not published, so no app can verify; set \
             signing_key_file, or SIGNING_KEY in the environment; public key: {public}"
        ),
    );
}
