//! Names of algorithms and curves.

use der::Tagged as _;
use der::asn1::{AnyRef, ObjectIdentifier};

use super::BlockError;

/// `id-ecPublicKey` (RFC 5480).
pub(super) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `prime256v1`, alias `secp256r1`, alias P-256.
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `rsaEncryption` (RFC 8017).
pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Refuses every curve but P-256, named (RFC 5480, section 2.1.1).
pub(super) fn must_be_p256(parameters: Option<AnyRef<'_>>) -> Result<(), BlockError> {
    let parameters = parameters.ok_or(BlockError::NoCurve)?;
    match (parameters.tag(), parameters.decode_as::<ObjectIdentifier>()) {
        (_, Ok(P256)) => Ok(()),
        (_, Ok(other)) => Err(BlockError::OtherCurve(other)),
        (der::Tag::Sequence, Err(_)) => Err(BlockError::ExplicitCurve),
        _ => Err(BlockError::NoCurve),
    }
}

/// A DER structure.
pub(super) fn read<'a, T: der::Decode<'a>>(der: &'a [u8], name: &'static str) -> Result<T, BlockError> {
    T::from_der(der).map_err(|_| BlockError::Malformed(name))
}
