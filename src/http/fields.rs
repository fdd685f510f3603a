//! The header fields of a request or its trailers.

use std::ops::Range;

/// The header fields of a request, in order, as bytes: nothing a client sends is known to be text. They stay in the
/// buffer in which the host hands them over.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Headers {
    buffer: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a name and a value stand in the buffer.
type Field = (Range<usize>, Range<usize>);

impl Headers {
    /// Reads a map as proxy-wasm serialises it, in little-endian 32-bit numbers: how many fields; the lengths of each
    /// name and value; then all names and values, each followed by a zero byte. Ends at what is cut off.
    #[must_use]
    pub fn from_pairs(buffer: Vec<u8>) -> Self {
        let count = number(&buffer, 0).unwrap_or_default().min(buffer.len() / 8);
        let mut fields = Vec::with_capacity(count);
        let mut at = 4 + count * 8;
        for index in 0..count {
            let Some(field) = field(&buffer, 4 + index * 8, at) else { break };
            at = field.1.end + 1;
            fields.push(field);
        }
        Self { buffer, fields }
    }

    /// The names of all fields, repeated as often as they are there.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().map(|(name, _)| self.bytes(name))
    }

    /// Every value of a field.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| self.bytes(&field.0) == name.as_bytes())
            .map(|(_, value)| self.bytes(value))
    }

    /// The first value of a field, or nothing.
    #[must_use]
    pub fn first(&self, name: &str) -> &[u8] {
        self.values(name).next().unwrap_or_default()
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.buffer.get(range.clone()).unwrap_or_default()
    }
}

/// A field whose lengths are at one place and whose bytes begin at another.
fn field(buffer: &[u8], lengths: usize, start: usize) -> Option<Field> {
    let name = start..start.checked_add(number(buffer, lengths)?)?;
    let value_start = name.end.checked_add(1)?;
    let value = value_start..value_start.checked_add(number(buffer, lengths + 4)?)?;
    (value.end <= buffer.len()).then_some((name, value))
}

fn number(buffer: &[u8], at: usize) -> Option<usize> {
    let bytes = buffer.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

#[cfg(test)]
impl Headers {
    /// These fields, by way of the form in which a host hands them over.
    pub(crate) fn new(fields: &[(Vec<u8>, Vec<u8>)]) -> Self {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let mut buffer = u32::try_from(fields.len()).unwrap().to_le_bytes().to_vec();
        for (name, value) in fields {
            buffer.extend([length(name), length(value)].concat());
        }
        for (name, value) in fields {
            buffer.extend([name.as_slice(), b"\0", value.as_slice(), b"\0"].concat());
        }
        Self::from_pairs(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_read_with_any_bytes_in_them() {
        let fields =
            [("a", &b"1"[..]), ("b", b""), ("a", b"\xff\0")].map(|(name, value)| (name.into(), value.to_vec()));
        let headers = Headers::new(&fields);
        assert!(headers.names().eq([&b"a"[..], b"b", b"a"]));
        assert!(headers.values("a").eq([&b"1"[..], b"\xff\0"]));
        assert_eq!((headers.first("a"), headers.first("b"), headers.first("c")), (&b"1"[..], &b""[..], &b""[..]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(buffer in proptest::collection::vec(any::<u8>(), 0..80), few in 0u32..5) {
            let mut small = few.to_le_bytes().to_vec();
            small.extend(&buffer);
            for buffer in [buffer, small] {
                let headers = Headers::from_pairs(buffer);
                let _ = (headers.names().count(), headers.first("a"), headers.values("").count());
            }
        }
    }
}
