//! `google.protobuf.Struct` as Envoy serialises it, read in place.
//!
//! Envoy's metadata holds what strangers' tokens said: any depth, any size, strings that are not UTF-8. So a
//! message is only looked into where somebody asks, nothing is copied, and what is malformed reads as absent.
//! `prost` does the wire format; its generated types would refuse a whole message for one bad string in it.

use prost::encoding::{WireType, decode_varint, encode_key, encode_varint};

use super::{Object, Value};

/// One message's fields, in wire order; ends at the first malformed one.
struct Fields<'a> {
    rest: &'a [u8],
    malformed: bool,
}

/// What a field holds, as far as the messages here need it.
enum Wire<'a> {
    Varint(u64),
    Double(f64),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.malformed {
            return None;
        }
        let field = self.read();
        self.malformed = field.is_none();
        field
    }
}

impl<'a> Fields<'a> {
    fn new(message: &'a [u8]) -> Self {
        Self { rest: message, malformed: false }
    }

    fn read(&mut self) -> Option<(u32, Wire<'a>)> {
        let key = u32::try_from(self.varint()?).ok()?;
        let tag = Some(key >> 3).filter(|tag| *tag != 0)?;
        let wire = match WireType::try_from(u64::from(key & 7)).ok()? {
            WireType::Varint => Wire::Varint(self.varint()?),
            WireType::SixtyFourBit => Wire::Double(f64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            WireType::LengthDelimited => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            WireType::ThirtyTwoBit => self.take(4).map(|_| Wire::Other)?,
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        Some((tag, wire))
    }

    /// Nearly all keys and lengths are one byte. In place, that makes reading many groups a tenth cheaper in all.
    #[inline(always)]
    fn varint(&mut self) -> Option<u64> {
        match self.rest.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.rest = rest;
                Some(u64::from(*byte))
            }
            _ => decode_varint(&mut self.rest).ok(),
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

/// The entries of a `map<string, …>` field. On the wire it is a repeated message of key 1 and value 2.
pub fn map_entries(message: &[u8], tag: u32) -> impl Iterator<Item = (&[u8], &[u8])> {
    Fields::new(message).filter_map(move |field| match field {
        (number, Wire::Bytes(entry)) if number == tag => Some(key_and_value(entry)),
        _ => None,
    })
}

/// Of a field that is there twice, the last counts.
fn key_and_value(entry: &[u8]) -> (&[u8], &[u8]) {
    Fields::new(entry).fold((&[][..], &[][..]), |(key, value), field| match field {
        (1, Wire::Bytes(key)) => (key, value),
        (2, Wire::Bytes(value)) => (key, value),
        _ => (key, value),
    })
}

/// A `google.protobuf.Struct`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struct<'a>(&'a [u8]);

impl<'a> Struct<'a> {
    /// Reads the bytes as a `Struct`. Every byte string is one; see [`Struct::is_well_formed`].
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The serialised message.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether the bytes are wholly members, as a configuration must be and metadata need not.
    #[must_use]
    pub fn is_well_formed(self) -> bool {
        let mut fields = Fields::new(self.0);
        fields.by_ref().all(|(tag, wire)| tag == 1 && matches!(wire, Wire::Bytes(_))) && !fields.malformed
    }

    /// The members, in wire order, which is none.
    pub fn members(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        map_entries(self.0, 1).map(|(name, bytes)| (name, value(bytes)))
    }

    /// The member of this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        let entry = map_entries(self.0, 1).filter(|(key, _)| *key == name.as_bytes()).last();
        entry.map(|(_, bytes)| value(bytes))
    }
}

/// A `google.protobuf.Value`; one that says nothing is null.
fn value(bytes: &[u8]) -> Value<'_> {
    Fields::new(bytes).fold(Value::Null, |last, field| match field {
        (1, Wire::Varint(_)) => Value::Null,
        (2, Wire::Double(number)) => Value::Number(number),
        (3, Wire::Bytes(text)) => Value::String(text),
        (4, Wire::Varint(bool)) => Value::Bool(bool != 0),
        (5, Wire::Bytes(members)) => Value::Object(Object::Struct(Struct(members))),
        (6, Wire::Bytes(items)) => Value::List(super::List::Wire(List(items))),
        _ => last,
    })
}

/// A `google.protobuf.ListValue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List<'a>(&'a [u8]);

impl<'a> List<'a> {
    /// The items in order.
    pub fn items(self) -> impl Iterator<Item = Value<'a>> {
        Fields::new(self.0).filter_map(|field| match field {
            (1, Wire::Bytes(bytes)) => Some(value(bytes)),
            _ => None,
        })
    }
}

/// Appends a length-delimited field to a message.
pub fn put_bytes(message: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    encode_key(tag, WireType::LengthDelimited, message);
    encode_varint(u64::try_from(bytes.len()).unwrap_or_default(), message);
    message.extend_from_slice(bytes);
}

/// The bool and the bytes of a message of `1` bool, `2` bytes, as the host's `sign` answers.
#[must_use]
pub fn bool_and_bytes(message: &[u8]) -> (bool, &[u8]) {
    Fields::new(message).fold((false, &[][..]), |(bool, bytes), field| match field {
        (1, Wire::Varint(value)) => (value != 0, bytes),
        (2, Wire::Bytes(value)) => (bool, value),
        _ => (bool, bytes),
    })
}

#[cfg(any(test, feature = "fake-host"))]
pub mod build {
    //! Messages for tests.

    use super::{Fields, Wire, put_bytes};
    use serde_json::Value as Json;

    /// A JSON value as a serialised `google.protobuf.Value`.
    #[must_use]
    pub fn value(json: &Json) -> Vec<u8> {
        let mut message = Vec::new();
        match json {
            Json::Null => message.extend([0x08, 0x00]),
            Json::Number(number) => {
                message.push(0x11);
                message.extend(number.as_f64().unwrap_or_default().to_le_bytes());
            }
            Json::String(text) => put_bytes(&mut message, 3, text.as_bytes()),
            Json::Bool(bool) => message.extend([0x20, u8::from(*bool)]),
            Json::Object(_) => put_bytes(&mut message, 5, &object(json)),
            Json::Array(items) => {
                let mut list = Vec::new();
                items.iter().for_each(|item| put_bytes(&mut list, 1, &value(item)));
                put_bytes(&mut message, 6, &list);
            }
        }
        message
    }

    /// A JSON object as a serialised `google.protobuf.Struct`.
    #[must_use]
    pub fn object(json: &Json) -> Vec<u8> {
        let members = json.as_object().into_iter().flatten();
        map(members.map(|(name, member)| (name.as_bytes().to_vec(), value(member))))
    }

    /// The length-delimited fields of a message.
    #[must_use]
    pub fn bytes_fields(message: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let fields = Fields::new(message).filter_map(|(tag, wire)| match wire {
            Wire::Bytes(bytes) => Some((tag, bytes.to_vec())),
            _ => None,
        });
        fields.collect()
    }

    /// A `map<string, message>` in field 1.
    #[must_use]
    pub fn map(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Vec<u8> {
        let mut message = Vec::new();
        for (name, value) in entries {
            let mut entry = Vec::new();
            put_bytes(&mut entry, 1, &name);
            put_bytes(&mut entry, 2, &value);
            put_bytes(&mut message, 1, &entry);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_json_type_is_read() {
        let bytes = build::object(&json!({"n": null, "d": 1.5, "s": "x", "b": true, "o": {"a": 1}, "l": ["y", 2]}));
        let object = Struct::new(&bytes);
        assert!(object.is_well_formed());
        assert_eq!(object.get("n"), Some(Value::Null));
        assert_eq!(object.get("d"), Some(Value::Number(1.5)));
        assert_eq!(object.get("s"), Some(Value::String(b"x")));
        assert_eq!(object.get("b"), Some(Value::Bool(true)));
        assert_eq!(object.get("missing"), None);
        let Some(Value::Object(inner)) = object.get("o") else { unreachable!() };
        assert_eq!(inner.get("a"), Some(Value::Number(1.0)));
        let Some(Value::List(list)) = object.get("l") else { unreachable!() };
        assert!(list.items().eq([Value::String(b"y"), Value::Number(2.0)]));
    }

    #[test]
    fn a_message_that_is_cut_off_ends_early() {
        let bytes = build::object(&json!({"a": "x", "b": "y"}));
        let cut = Struct::new(&bytes[..bytes.len() - 1]);
        assert!(!cut.is_well_formed());
        assert!([&b"{"[..], b"\0", b"\n\x01", b"\x08\x01"].iter().all(|bytes| !Struct::new(bytes).is_well_formed()));
        assert_eq!(cut.members().count(), 1);
    }

    fn walk(value: Value<'_>, depth: usize) {
        match value {
            Value::Object(members) if depth < 50 => members.members().for_each(|(_, value)| walk(value, depth + 1)),
            Value::List(items) if depth < 50 => items.items().for_each(|value| walk(value, depth + 1)),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            walk(Value::Object(Object::Struct(Struct::new(&bytes))), 0);
            let _ = (Struct::new(&bytes).is_well_formed(), bool_and_bytes(&bytes), map_entries(&bytes, 1).count());
        }
    }
}
