//! Who computes the signature: the host, or the core.
//!
//! Envoy's foreign function `sign` (1.37 and later) is several times as fast as any Wasm. The host is only trusted after
//! it has signed once and the signature was verified with the key that is published.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey as EcdsaKey};
use thiserror::Error;

use super::SigningKey;
use super::jws::{ProtectedHeader, base64_bytes};
use crate::host::{Algorithm, HostKey, ProcessHost};

const SELF_CHECK: &[u8] = b"attestation-filter self-check";

/// Where the signature is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignerChoice {
    /// By the host if it can, else in Wasm.
    #[default]
    Auto,
    /// By the host, or not at all.
    Host,
    /// In Wasm.
    Wasm,
}

/// Why a key cannot be used for signing on this host.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SignerError {
    /// `signer: host` where it cannot be.
    #[error(
        "got host, but this Envoy has no working foreign function sign (1.37 and later have); allowed are auto and wasm"
    )]
    NoHostFunction,
    /// RSA where the host cannot sign.
    #[error(
        "an RSA key needs signer: host, and this Envoy has no working foreign function sign (1.37 and later have); \
         allowed is a P-256 key"
    )]
    RsaNeedsHost,
    /// `signer: wasm` with RSA.
    #[error("got wasm with an RSA key; allowed with RSA are host and auto")]
    RsaInWasm,
}

/// Nothing could sign.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error("neither the host nor the filter itself could sign")]
pub struct NotSigned;

/// Who computed a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The host.
    Host,
    /// The core, as configured or as the host cannot.
    Core,
    /// The core, because the host failed.
    Fallback,
}

/// One key, ready to sign.
pub struct Signer {
    kid: String,
    header: ProtectedHeader,
    signature_bytes: usize,
    host: Option<Box<dyn HostKey>>,
    core: Option<EcdsaKey>,
}

impl Signer {
    /// Prepares the key; with `auto` and `host` this asks the host for a signature.
    ///
    /// # Errors
    /// A [`SignerError`] if the key cannot sign as chosen.
    pub fn new(key: &SigningKey, choice: SignerChoice, host: &impl ProcessHost) -> Result<Self, SignerError> {
        let core = match key {
            SigningKey::P256(key) => Some(key.signing_key()),
            SigningKey::Rsa(_) if choice == SignerChoice::Wasm => return Err(SignerError::RsaInWasm),
            SigningKey::Rsa(_) => None,
        };
        let by_host = if choice == SignerChoice::Wasm { None } else { checked_host_key(key, host) };
        match (choice, &by_host, &core) {
            (_, None, None) => Err(SignerError::RsaNeedsHost),
            (SignerChoice::Host, None, _) => Err(SignerError::NoHostFunction),
            _ => {
                let public = key.public_key();
                let (header, kid) = (ProtectedHeader::new(public.alg(), public.kid()), public.kid().to_owned());
                Ok(Self { kid, header, signature_bytes: public.signature_bytes(), host: by_host, core })
            }
        }
    }

    /// The key's ID.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The protected header of this key's assertions.
    #[must_use]
    pub fn header(&self) -> &ProtectedHeader {
        &self.header
    }

    /// How long a token over a payload of so many bytes is.
    #[must_use]
    pub fn token_bytes(&self, payload: usize) -> usize {
        self.header.input_bytes(payload) + 1 + base64_bytes(self.signature_bytes)
    }

    /// Whether the host signs.
    #[must_use]
    pub fn signs_on_host(&self) -> bool {
        self.host.is_some()
    }

    /// The signature as JWS has it: 64 bytes `r‖s` for ES256 (RFC 7518, section 3.4), as long as the modulus for RS256.
    ///
    /// # Errors
    /// [`NotSigned`] if the host fails and there is nothing to fall back to.
    pub fn sign(&self, message: &[u8]) -> Result<(Vec<u8>, SignedBy), NotSigned> {
        let by_host = self.host.as_ref().and_then(|key| key.sign(message));
        if let Some(signature) = by_host.filter(|signature| signature.len() == self.signature_bytes) {
            return Ok((signature, SignedBy::Host));
        }
        let key = self.core.as_ref().ok_or(NotSigned)?;
        let signature: Signature = key.try_sign(message).map_err(|_| NotSigned)?;
        let signed_by = if self.host.is_some() { SignedBy::Fallback } else { SignedBy::Core };
        Ok((signature.to_bytes().to_vec(), signed_by))
    }
}

/// The host's way to sign with this key, if it makes signatures that the published key verifies.
fn checked_host_key(key: &SigningKey, host: &impl ProcessHost) -> Option<Box<dyn HostKey>> {
    let host_key = match key {
        SigningKey::P256(key) => host.host_key(Algorithm::Es256, &key.pkcs8_der().ok()?)?,
        SigningKey::Rsa(key) => host.host_key(Algorithm::Rs256, key.pkcs8_der())?,
    };
    let signature = host_key.sign(SELF_CHECK)?;
    key.public_key().verifies(SELF_CHECK, &signature).then_some(host_key)
}

#[cfg(test)]
mod tests;
