use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::{Decode as _, Encode as _};
use p256::PublicKey;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::AlgorithmIdentifierRef;
use spki::SubjectPublicKeyInfoRef;

use crate::keys::{BlockError, algorithm};

/// Of `r‖s` (RFC 7518, section 3.4).
pub(super) const SIGNATURE_BYTES: usize = 64;
/// The first byte of an uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A point on P-256 that is not the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct P256Point(VerifyingKey);

impl P256Point {
    pub(super) fn of(key: &PublicKey) -> Self {
        Self(VerifyingKey::from(*key))
    }

    /// From big-endian coordinates; none if they are not on the curve.
    pub(super) fn new(x: &[u8], y: &[u8]) -> Option<Self> {
        if x.len() != y.len() {
            return None;
        }
        VerifyingKey::from_sec1_bytes(&[&[UNCOMPRESSED], x, y].concat()).ok().map(Self)
    }

    pub(super) fn from_spki(info: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, BlockError> {
        const MALFORMED: BlockError = BlockError::Malformed("SubjectPublicKeyInfo");
        let encoded = info.algorithm.to_der().map_err(|_| MALFORMED)?;
        let named = AlgorithmIdentifierRef::from_der(&encoded).map_err(|_| MALFORMED)?;
        algorithm::must_be_p256(named.parameters)?;
        let point = VerifyingKey::from_sec1_bytes(info.subject_public_key.raw_bytes());
        point.map(Self).map_err(|_| BlockError::NotOnCurve)
    }

    /// `x` and `y` as a JWK has them (RFC 7518, section 6.2.1).
    pub(super) fn coordinates(&self) -> [String; 2] {
        let point = self.0.to_sec1_point(false);
        [point.x(), point.y()].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate.map_or(&[][..], |number| number)))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}
