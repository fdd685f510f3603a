//! A JSON object whose members are read one by one: what is wrong with one does not lose the others.

use serde_json::{Map, Value as Json};

use crate::value::Value;

/// A JSON object.
#[derive(Debug, PartialEq)]
pub struct JsonObject {
    members: Map<String, Json>,
    /// The names of members that are no JSON, too deep, or out of a double's range.
    unreadable: Vec<String>,
}

impl JsonObject {
    /// Reads an object; none if the text is anything else.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        match serde_json::from_slice(text) {
            Ok(Json::Object(members)) => Some(Self { members, unreadable: Vec::new() }),
            Ok(_) => None,
            Err(_) => Self::read_each(text),
        }
    }

    fn read_each(text: &[u8]) -> Option<Self> {
        let inner = text.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
        let mut object = Self { members: Map::new(), unreadable: Vec::new() };
        for member in split(inner, b',')? {
            let name = *split(member, b':')?.first()?;
            let value = member.get(name.len() + 1..).unwrap_or_default();
            let Ok(Json::String(name)) = serde_json::from_slice(name) else { continue };
            match serde_json::from_slice(value) {
                Ok(value) => drop(object.members.insert(name, value)),
                Err(_) => object.unreadable.push(name),
            }
        }
        Some(object)
    }

    /// The member of this name.
    pub(super) fn get(&self, name: &str) -> Option<Value<'_>> {
        let unreadable = || self.unreadable.iter().any(|member| member == name).then_some(Value::UNREADABLE);
        unreadable().or_else(|| self.members.get(name).map(Value::from))
    }

    /// Whether any member has something in it.
    pub(super) fn says_something(&self) -> bool {
        !self.unreadable.is_empty() || self.members.values().any(|value| !Value::from(value).is_empty())
    }
}

/// The parts between separators that are in no string, list or object; none if those do not end.
fn split(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for (place, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            byte if *byte == separator && depth == 0 => {
                parts.push(text.get(start..place)?);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (depth == 0 && !in_string).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub_beside(odd: &[u8]) -> Option<JsonObject> {
        JsonObject::read(&[br#"{"a":[1,{"b":"},\""}], "odd":"#, odd, br#","sub":"ann"}"#].concat())
    }

    #[test]
    fn odd_member_does_not_lose_the_others() {
        let deep = [b"[".repeat(150), b"]".repeat(150)].concat();
        for odd in [b"1e400".as_slice(), br#""\ud800""#, b"\"\xe4\"", &deep, b"nul", b""] {
            let object = sub_beside(odd).unwrap();
            assert_eq!(object.get("sub"), Some(Value::String(b"ann")), "{odd:?}");
            assert!(matches!(object.get("odd"), Some(Value::Number(number)) if number.is_nan()), "{odd:?}");
            assert!(matches!(object.get("a"), Some(Value::List(_))), "{odd:?}");
        }
    }

    #[test]
    fn odd_name_does_not_lose_the_others() {
        let object = JsonObject::read(b"{\"\xe4\":1, \"sub\" : \"ann\"}").unwrap();
        assert_eq!(object.get("sub"), Some(Value::String(b"ann")));
    }

    #[test]
    fn text_that_is_no_object_is_none() {
        for text in ["", "null", "[1]", "\"a\"", "{", "{\"sub\":\"ann\"", "{\"sub\":\"ann}", "{\"a\":1]}", "{]}", "x{}"]
        {
            assert_eq!(JsonObject::read(text.as_bytes()), None, "{text}");
        }
    }
}
