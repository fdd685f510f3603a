//! A document as a tree in which every value knows where it stands.
//!
//! Envoy's own types would be the obvious tree. `envoy-types` has them, but for protobuf's binary form only: it can read
//! neither JSON nor YAML and knows no line. So the tree is made of what the parser reports, and names of fields are looked
//! up in it. What Envoy itself refuses, an unknown field among it, is left to `envoy --mode validate`.

use std::rc::Rc;

use serde_json::{Map, Number, Value as Json};

use super::place::Place;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// A scalar without quotes, as it is written.
    pub(crate) plain: Option<Rc<str>>,
}

/// What Envoy makes of a value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(Rc<str>),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A member of a map. A name that is there twice is there twice.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: Rc<str>,
    /// Where the name stands.
    pub(crate) line: usize,
    pub(crate) value: Node,
}

impl Node {
    /// The member of this name, also in the spelling of JSON (`typedConfig`). The last one counts, as for Envoy.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let is_it = |member: &&Member| &*member.name == name || is_same_field(&member.name, name);
        self.members().iter().rev().find(is_it).map(|member| &member.value).filter(|value| !value.is_null())
    }

    /// The member at the end of a path of names.
    pub(crate) fn at(&self, names: &[&str]) -> Option<&Self> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    pub(crate) fn members(&self) -> &[Member] {
        if let Value::Map(members) = &self.value { members } else { &[] }
    }

    pub(crate) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The items of a member that is a list.
    pub(crate) fn list(&self, name: &str) -> &[Self] {
        self.get(name).map(Self::items).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The text of a member.
    pub(crate) fn text_at(&self, names: &[&str]) -> Option<&str> {
        self.at(names).and_then(Self::text)
    }

    /// Whether the member is there and true.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|node| matches!(node.value, Value::Bool(true)) || node.text() == Some("true"))
    }

    /// A number, also one that is written as text.
    pub(crate) fn number(&self) -> Option<u64> {
        match &self.value {
            Value::Number(number) => number.as_u64(),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The last part of the type that `@type` names.
    pub(crate) fn kind(&self) -> &str {
        self.text_at(&["@type"]).map(last_part).unwrap_or_default()
    }

    /// What an `Any` holds: its type, and its fields. A `TypedStruct` is looked into.
    pub(crate) fn unwrapped(&self) -> (&str, &Self) {
        match (self.kind(), self.text_at(&["type_url"]), self.get("value")) {
            ("TypedStruct", Some(kind), Some(value)) => (kind, value),
            _ => (self.text_at(&["@type"]).unwrap_or_default(), self),
        }
    }

    /// Calls `look` with this value and each one below it.
    pub(crate) fn each<'a>(&'a self, look: &mut impl FnMut(&'a Self)) {
        look(self);
        self.items().iter().for_each(|item| item.each(look));
        self.members().iter().for_each(|member| member.value.each(look));
    }

    /// The value as Envoy hands it to the filter.
    pub(crate) fn json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.to_string()),
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(members) => {
                let members = members.iter().map(|member| (member.name.to_string(), member.value.json()));
                Json::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

/// What follows the last `/` of a type's URL and the last `.` of its name.
pub(crate) fn last_part(kind: &str) -> &str {
    kind.rsplit(['/', '.']).next().unwrap_or_default()
}

/// Whether `lowerCamelCase` and `snake_case` mean the same field.
fn is_same_field(written: &str, name: &str) -> bool {
    let without = |text: &str| text.bytes().filter(|byte| *byte != b'_').count();
    !written.contains('_')
        && without(written) == without(name)
        && written.bytes().eq(name.split('_').enumerate().flat_map(|(place, word)| {
            word.bytes().enumerate().map(
                move |(at, byte)| {
                    if place > 0 && at == 0 { byte.to_ascii_uppercase() } else { byte }
                },
            )
        }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::document;

    fn node(text: &str) -> Node {
        document::read(text, "a.yaml").unwrap().remove(0)
    }

    #[test]
    fn both_spellings_of_a_field_are_found() {
        let node = node("typedConfig: {maxDirectResponseBodySizeBytes: 7}");
        assert_eq!(node.at(&["typed_config", "max_direct_response_body_size_bytes"]).unwrap().number(), Some(7));
        assert!(node.get("typed_confi").is_none());
    }

    #[test]
    fn the_last_of_two_members_counts() {
        assert_eq!(node("{a: one, a: two}").text_at(&["a"]), Some("two"));
    }

    #[test]
    fn a_typed_struct_is_looked_into() {
        let node = node("{'@type': x/xds.type.v3.TypedStruct, type_url: x/a.b.Wasm, value: {config: {}}}");
        let (kind, fields) = node.unwrapped();
        assert_eq!((last_part(kind), fields.get("config").is_some()), ("Wasm", true));
    }
}
