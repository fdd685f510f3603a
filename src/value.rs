//! JSON values as they come from outside, read in place: of Envoy's metadata, serialised or member by member, or of JSON.
//!
//! Strings may be no UTF-8 and numbers may be no number. Nothing is copied, and what is malformed reads as absent.

pub mod protobuf;

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use protobuf::Struct;

/// What JSON can say. Every number is a double, as in a `google.protobuf.Value`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// JSON's `null`.
    Null,
    /// A double.
    Number(f64),
    /// A string, unchecked.
    String(&'a [u8]),
    /// A bool.
    Bool(bool),
    /// An object.
    Object(Object<'a>),
    /// An array.
    List(List<'a>),
}

impl Value<'_> {
    /// What a member is that cannot be read: something, but no claim.
    pub(crate) const UNREADABLE: Value<'static> = Value::Number(f64::NAN);

    /// Whether there is nothing in it: null, and the empty text, list and object.
    #[must_use]
    pub fn is_empty(self) -> bool {
        match self {
            Self::Null => true,
            Self::String(text) => text.is_empty(),
            Self::List(list) => list.items().next().is_none(),
            Self::Object(object) => object.members().next().is_none(),
            Self::Number(_) | Self::Bool(_) => false,
        }
    }
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(bool) => Self::Bool(*bool),
            Json::Number(number) => number.as_f64().map_or(Self::Null, Self::Number),
            Json::String(text) => Self::String(text.as_bytes()),
            Json::Array(items) => Self::List(List::Json(items)),
            Json::Object(members) => Self::Object(Object::Json(members)),
        }
    }
}

/// Members by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Object<'a> {
    /// Of a serialised `google.protobuf.Struct`, in no order, perhaps with a name twice; the later counts.
    Struct(Struct<'a>),
    /// Of JSON.
    Json(&'a Map<String, Json>),
    /// Members that were read one by one.
    Flat(&'a [(&'a [u8], Flat<'a>)]),
}

/// A member that is no object.
#[derive(Debug, Clone, PartialEq)]
pub enum Flat<'a> {
    /// A string, unchecked.
    Text(&'a [u8]),
    /// A double.
    Number(f64),
    /// A bool.
    Bool(bool),
    /// A list of strings, unchecked.
    Texts(Vec<&'a [u8]>),
    /// Something, but nothing that the host can read.
    Unreadable,
}

impl<'a> From<&'a Flat<'a>> for Value<'a> {
    fn from(member: &'a Flat<'a>) -> Self {
        match member {
            Flat::Text(text) => Self::String(text),
            Flat::Number(number) => Self::Number(*number),
            Flat::Bool(bool) => Self::Bool(*bool),
            Flat::Texts(texts) => Self::List(List::Bytes(texts)),
            Flat::Unreadable => Self::UNREADABLE,
        }
    }
}

impl<'a> Object<'a> {
    /// The member of this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Struct(members) => members.get(name),
            Self::Json(members) => members.get(name).map(Value::from),
            Self::Flat(members) => {
                members.iter().find(|(other, _)| *other == name.as_bytes()).map(|(_, value)| Value::from(value))
            }
        }
    }

    /// Every member.
    pub fn members(self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        match self {
            Self::Struct(members) => Either::Left(members.members()),
            Self::Json(members) => {
                let members = members.iter().map(|(name, value)| (name.as_bytes(), Value::from(value)));
                Either::Right(Either::Left(members))
            }
            Self::Flat(members) => {
                Either::Right(Either::Right(members.iter().map(|(name, value)| (*name, Value::from(value)))))
            }
        }
    }
}

/// Items in order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum List<'a> {
    /// Of a serialised `google.protobuf.ListValue`.
    Wire(protobuf::List<'a>),
    /// Of JSON.
    Json(&'a [Json]),
    /// Strings.
    Texts(&'a [Cow<'a, str>]),
    /// Strings, unchecked.
    Bytes(&'a [&'a [u8]]),
}

impl<'a> List<'a> {
    /// The items.
    pub fn items(self) -> impl Iterator<Item = Value<'a>> {
        match self {
            Self::Wire(list) => Either::Left(list.items()),
            Self::Json(items) => Either::Right(Either::Left(items.iter().map(Value::from))),
            Self::Texts(texts) => {
                Either::Right(Either::Right(Either::Left(texts.iter().map(|text| Value::String(text.as_bytes())))))
            }
            Self::Bytes(texts) => {
                Either::Right(Either::Right(Either::Right(texts.iter().map(|text| Value::String(text)))))
            }
        }
    }
}

/// One of two iterators over the same items.
enum Either<L, R> {
    Left(L),
    Right(R),
}

impl<T, L: Iterator<Item = T>, R: Iterator<Item = T>> Iterator for Either<L, R> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            Self::Left(iterator) => iterator.next(),
            Self::Right(iterator) => iterator.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn flat_members_and_protobuf_read_alike() {
        let json = json!({"b": true, "d": 1.5, "l": ["y", ""], "s": "x"});
        let bytes = protobuf::build::object(&json);
        let wire = Object::Struct(Struct::new(&bytes));
        let flat: [(&[u8], Flat<'_>); 4] = [
            (b"b", Flat::Bool(true)),
            (b"d", Flat::Number(1.5)),
            (b"l", Flat::Texts(vec![b"y", b""])),
            (b"s", Flat::Text(b"x")),
        ];
        let flat = Object::Flat(&flat);
        let plain = |value: Value<'_>| match value {
            Value::List(list) => format!("{:?}", list.items().collect::<Vec<_>>()),
            other => format!("{other:?}"),
        };
        for name in ["b", "d", "l", "s", "missing"] {
            assert_eq!(wire.get(name).map(plain), flat.get(name).map(plain), "{name}");
        }
        let members = |object: Object<'_>| -> Vec<_> {
            object.members().map(|(name, value)| (name.to_vec(), plain(value))).collect()
        };
        assert_eq!(members(wire), members(flat));
    }

    #[test]
    fn json_and_protobuf_read_alike() {
        let json = json!({"n": null, "d": 1.5, "s": "x", "b": true, "o": {"a": 1}, "l": ["y", 2]});
        let bytes = protobuf::build::object(&json);
        let (wire, map) = (Object::Struct(Struct::new(&bytes)), Object::Json(json.as_object().unwrap()));
        for name in ["n", "d", "s", "b", "missing"] {
            assert_eq!(wire.get(name), map.get(name), "{name}");
        }
        let items = |object: Object<'_>| match object.get("l") {
            Some(Value::List(list)) => list.items().map(|item| format!("{item:?}")).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(items(wire), items(map));
        let inner = |object: Object<'_>| match object.get("o") {
            Some(Value::Object(inner)) => inner.members().count(),
            _ => 0,
        };
        assert_eq!((inner(wire), inner(map), wire.members().count(), map.members().count()), (1, 1, 6, 6));
    }
}
