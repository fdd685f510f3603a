//! Where the signature is computed: by the host's BoringSSL, or in Wasm.
//!
//! Envoy's foreign function `sign` (1.37 and later) is several times as fast as any Wasm. It is only trusted after it
//! has signed once and the signature was verified in Wasm with the key that is published.

use std::cell::RefCell;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey as EcdsaKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::SignerChoice;
use crate::host::Host;
use crate::keys::jws::{ProtectedHeader, base64_bytes};
use crate::keys::{P256Key, RsaKey, SigningKey};
use crate::value::protobuf::{bool_and_bytes, put_bytes};

/// Room for the message of most requests, so that the buffer rarely grows.
const USUAL_MESSAGE_BYTES: usize = 4096;
/// Tag and length of a protobuf field.
const MAX_FIELD_HEAD_BYTES: usize = 11;
const SELF_CHECK: &[u8] = b"attestation-filter self-check";

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
#[derive(Debug, Error, PartialEq, Eq)]
#[error("neither the host nor Wasm could sign")]
pub struct NotSigned;

/// Who computed a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The host.
    Host,
    /// Wasm, as configured or as the host has no `sign`.
    Wasm,
    /// Wasm, because the host failed.
    Fallback,
}

/// One key, ready to sign.
pub struct Signer {
    kid: String,
    header: ProtectedHeader,
    signature_bytes: usize,
    host: Option<HostSigner>,
    wasm: Option<EcdsaKey>,
}

impl Signer {
    /// Prepares the key; with `auto` and `host` this asks the host for a signature.
    ///
    /// # Errors
    /// A [`SignerError`] if the key cannot sign as chosen.
    pub fn new(key: &SigningKey, choice: SignerChoice, host: &impl Host) -> Result<Self, SignerError> {
        let jwk = key.jwk();
        let signature_bytes = match key {
            SigningKey::P256(_) => 64,
            SigningKey::Rsa(key) => key.public_key().modulus().len(),
        };
        let (by_host, wasm) = match key {
            SigningKey::P256(key) => (HostSigner::p256(key), Some(key.signing_key())),
            SigningKey::Rsa(_) if choice == SignerChoice::Wasm => return Err(SignerError::RsaInWasm),
            SigningKey::Rsa(key) => (Some(HostSigner::rsa(key)), None),
        };
        let by_host = by_host
            .filter(|_| choice != SignerChoice::Wasm)
            .filter(|signer| signer.sign(host, SELF_CHECK).is_some_and(|signature| verifies(key, &signature)));
        match (choice, &by_host, &wasm) {
            (_, None, None) => Err(SignerError::RsaNeedsHost),
            (SignerChoice::Host, None, _) => Err(SignerError::NoHostFunction),
            _ => {
                let header = ProtectedHeader::new(jwk.alg(), jwk.kid());
                Ok(Self { kid: jwk.kid().to_owned(), header, signature_bytes, host: by_host, wasm })
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
    pub fn sign(&self, host: &impl Host, message: &[u8]) -> Result<(Vec<u8>, SignedBy), NotSigned> {
        let by_host = self.host.as_ref().map(|signer| signer.sign(host, message));
        if let Some(Some(signature)) = by_host {
            return Ok((signature, SignedBy::Host));
        }
        let key = self.wasm.as_ref().ok_or(NotSigned)?;
        let signature: Signature = key.try_sign(message).map_err(|_| NotSigned)?;
        let signed_by = if by_host.is_some() { SignedBy::Fallback } else { SignedBy::Wasm };
        Ok((signature.to_bytes().to_vec(), signed_by))
    }
}

/// The call of the host's `sign`, all but the message prepared.
struct HostSigner {
    /// Hash and key, and then the message of the last call. It is kept and used again: to make and to wipe one for each
    /// request costs a microsecond, and the key is in memory all the same.
    request: RefCell<Zeroizing<Vec<u8>>>,
    /// Where the message begins.
    prepared: usize,
    /// How long an RSA signature is; none for ECDSA, which comes as DER.
    rsa_bytes: Option<usize>,
}

impl HostSigner {
    fn p256(key: &P256Key) -> Option<Self> {
        Some(Self::new(&key.pkcs8_der().ok()?, None))
    }

    fn rsa(key: &RsaKey) -> Self {
        Self::new(key.pkcs8_der(), Some(key.public_key().modulus().len()))
    }

    fn new(pkcs8: &[u8], rsa_bytes: Option<usize>) -> Self {
        let mut request = Vec::with_capacity(pkcs8.len() + USUAL_MESSAGE_BYTES);
        put_bytes(&mut request, 1, b"sha256");
        put_bytes(&mut request, 2, pkcs8);
        Self { prepared: request.len(), request: RefCell::new(Zeroizing::new(request)), rsa_bytes }
    }

    fn sign(&self, host: &impl Host, message: &[u8]) -> Option<Vec<u8>> {
        let mut request = self.request.borrow_mut();
        request.truncate(self.prepared);
        if request.capacity() < self.prepared + message.len() + MAX_FIELD_HEAD_BYTES {
            // To grow in place would leave the key behind unwiped.
            let mut larger =
                Zeroizing::new(Vec::with_capacity(self.prepared + 2 * message.len() + MAX_FIELD_HEAD_BYTES));
            larger.extend_from_slice(&request);
            *request = larger;
        }
        put_bytes(&mut request, 3, message);
        signature_in(&host.sign(&request)?, self.rsa_bytes)
    }
}

/// The signature in an answer of the host's `sign`, as JWS has it; none if there is no valid one. `rsa_bytes` is how
/// long an RSA signature must be, none for one of ECDSA on P-256.
#[must_use]
pub fn signature_in(answer: &[u8], rsa_bytes: Option<usize>) -> Option<Vec<u8>> {
    let (true, signature) = bool_and_bytes(answer) else { return None };
    match rsa_bytes {
        Some(length) => (signature.len() == length).then(|| signature.to_vec()),
        // Strict DER, both numbers in the range of the group: what any verifier would refuse is refused here.
        None => Signature::from_der(signature).ok().map(|signature| signature.to_bytes().to_vec()),
    }
}

fn verifies(key: &SigningKey, signature: &[u8]) -> bool {
    match key {
        SigningKey::P256(key) => Signature::from_slice(signature)
            .is_ok_and(|signature| VerifyingKey::from(key.public_key()).verify(SELF_CHECK, &signature).is_ok()),
        SigningKey::Rsa(key) => key.public_key().verifies(SELF_CHECK, signature),
    }
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
