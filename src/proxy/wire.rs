//! What proxy-wasm puts on the wire: header maps, metadata, and the messages of the foreign function `sign`.

use std::sync::Mutex;

use p256::ecdsa::Signature;
use zeroize::Zeroizing;

use crate::host::Algorithm;
use crate::http::fields::Fields;
use crate::value::protobuf::{Struct, bool_and_bytes, map_entries, put_bytes};

/// Room for the message of most requests, so that the buffer rarely grows.
const USUAL_MESSAGE_BYTES: usize = 4096;
/// Tag and length of a protobuf field.
const MAX_FIELD_HEAD_BYTES: usize = 11;

/// Reads a header map, in little-endian 32-bit numbers: how many fields; the lengths of each name and value; then all
/// names and values, each followed by a zero byte. Ends at what is cut off.
#[must_use]
pub fn fields(buffer: &[u8]) -> Fields<'_> {
    let count = number(buffer, 0).unwrap_or_default().min(buffer.len() / 8);
    let mut fields = Vec::with_capacity(count);
    let mut rest = buffer.get(4 + count * 8..).unwrap_or_default();
    for index in 0..count {
        let Some((name, value, after)) = field(buffer, 4 + index * 8, rest) else { break };
        fields.push((name, value));
        rest = after;
    }
    Fields::new(fields)
}

/// Writes a header map.
#[must_use]
pub fn header_map(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes();
    let mut map = u32::try_from(fields.len()).unwrap_or_default().to_le_bytes().to_vec();
    for (name, value) in fields {
        map.extend([length(name), length(value)].concat());
    }
    for (name, value) in fields {
        map.extend([name, &b"\0"[..], value, b"\0"].concat());
    }
    map
}

/// A field whose lengths are at one place and whose bytes begin `rest`, and what follows it.
fn field<'a>(buffer: &[u8], lengths: usize, rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
    let (name, rest) = rest.split_at_checked(number(buffer, lengths)?)?;
    let (value, rest) = rest.get(1..)?.split_at_checked(number(buffer, lengths + 4)?)?;
    Some((name, value, rest.get(1..).unwrap_or_default()))
}

fn number(buffer: &[u8], at: usize) -> Option<usize> {
    let bytes = buffer.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// A namespace of a serialised `envoy.config.core.v3.Metadata`, from its `filter_metadata`.
#[must_use]
pub fn metadata_namespace<'a>(metadata: &'a [u8], namespace: &str) -> Option<Struct<'a>> {
    let entry = map_entries(metadata, 1).filter(|(name, _)| *name == namespace.as_bytes()).last();
    entry.map(|(_, bytes)| Struct::new(bytes))
}

/// The argument of the foreign function `declare_property` for a text that lives as long as the client's request: the
/// message `envoy.source.extensions.common.wasm.DeclarePropertyArguments`.
#[must_use]
pub fn property_of_request(name: &str) -> Vec<u8> {
    const TYPE_STRING: [u8; 2] = [3 << 3, 1];
    const SPAN_DOWNSTREAM_REQUEST: [u8; 2] = [5 << 3, 1];
    let mut message = Vec::new();
    put_bytes(&mut message, 1, name.as_bytes());
    message.extend([TYPE_STRING, SPAN_DOWNSTREAM_REQUEST].concat());
    message
}

/// Calls of the host's `sign` with one key, all but the message prepared.
pub struct SignCall {
    /// Hash and key, and then the message of the last call. It is kept and used again: to make and to wipe one for each
    /// request costs a microsecond, and the key is in memory all the same.
    request: Mutex<Zeroizing<Vec<u8>>>,
    /// Where the message begins.
    prepared: usize,
    algorithm: Algorithm,
}

impl SignCall {
    /// Calls with a key in PKCS#8 DER.
    #[must_use]
    pub fn new(algorithm: Algorithm, pkcs8: &[u8]) -> Self {
        let mut request = Vec::with_capacity(pkcs8.len() + USUAL_MESSAGE_BYTES);
        put_bytes(&mut request, 1, b"sha256");
        put_bytes(&mut request, 2, pkcs8);
        Self { prepared: request.len(), request: Mutex::new(Zeroizing::new(request)), algorithm }
    }

    /// The signature of a message, as JWS has it; none if the host fails. `call` hands the request over.
    pub fn sign(&self, message: &[u8], call: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut request = self.request.lock().ok()?;
        request.truncate(self.prepared);
        if request.capacity() < self.prepared + message.len() + MAX_FIELD_HEAD_BYTES {
            // To grow in place would leave the key behind unwiped.
            let mut larger =
                Zeroizing::new(Vec::with_capacity(self.prepared + 2 * message.len() + MAX_FIELD_HEAD_BYTES));
            larger.extend_from_slice(&request);
            *request = larger;
        }
        put_bytes(&mut request, 3, message);
        signature_in(&call(&request)?, self.algorithm)
    }
}

/// The signature in an answer of the host's `sign`, as JWS has it; none if there is no valid one.
#[must_use]
pub fn signature_in(answer: &[u8], algorithm: Algorithm) -> Option<Vec<u8>> {
    let (true, signature) = bool_and_bytes(answer) else { return None };
    match algorithm {
        Algorithm::Rs256 => (!signature.is_empty()).then(|| signature.to_vec()),
        // Strict DER, both numbers in the range of the group: what any verifier would refuse is refused here.
        Algorithm::Es256 => Signature::from_der(signature).ok().map(|signature| signature.to_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests;
