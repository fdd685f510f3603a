//! A claim's value for one request, as JSON and as the text of a header.

use std::borrow::Cow;

use crate::value::{List, Object, Value};

/// Nesting beyond this is nobody's claim, and each level costs stack.
const MAX_DEPTH: usize = 100;
/// The largest whole number that no other number becomes when it passes through a double (RFC 8259, section 6).
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// A claim's value for one request.
#[derive(Debug, PartialEq)]
pub(super) enum Resolved<'a> {
    Text(Cow<'a, str>),
    Texts(Vec<Cow<'a, str>>),
    Integer(u64),
    Value(Value<'a>),
    /// The value as one text.
    ValueText(Value<'a>),
    Constant(&'a Constant),
    Json(&'a str),
}

/// A configured value, in both of the forms that are sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Constant {
    json: String,
    text: String,
}

impl Constant {
    pub(super) fn new(value: &serde_json::Value) -> Self {
        Self { json: value.to_string(), text: constant_text(value) }
    }

    /// A text, whatever the value is.
    pub(super) fn text_of(value: &serde_json::Value) -> Self {
        Self::new(&constant_text(value).into())
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

fn constant_text(value: &serde_json::Value) -> String {
    use serde_json::Value as Json;
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(constant_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A value that JSON or a header cannot hold; its claim is left out.
#[derive(Debug)]
pub(super) struct Unrepresentable;

impl Resolved<'_> {
    /// Appends the value as JSON.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
        match self {
            Self::Text(text) => write_text(text, out),
            Self::Texts(texts) => write_texts(texts.iter().map(AsRef::as_ref), out),
            Self::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Constant(constant) => out.extend_from_slice(constant.json.as_bytes()),
            Self::Json(json) => out.extend_from_slice(json.as_bytes()),
            Self::Value(value) => return write_value(*value, MAX_DEPTH, out),
            Self::ValueText(value) => write_text(&joined(*value)?, out),
        }
        Ok(())
    }

    /// The value as the text of a header: lists joined with commas, objects as JSON, null as nothing.
    pub(super) fn header_text(&self) -> Result<String, Unrepresentable> {
        Ok(match self {
            Self::Text(text) => text.to_string(),
            Self::Texts(texts) => texts.join(","),
            Self::Integer(number) => number.to_string(),
            Self::Constant(constant) => constant.text.clone(),
            Self::Json(json) => (*json).to_owned(),
            Self::Value(value) | Self::ValueText(value) => joined(*value)?,
        })
    }
}

/// A string, or a whole number as text, as identity providers disagree about the types of IDs and groups. No text is
/// what another user's value could read as, too.
pub(super) fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::String(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Value::Number(number) if number.fract() == 0.0 => claim_number(number).map(Cow::Owned),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::List(_) => None,
    }
}

/// The items of a list with commas between them, or the text of what is no list.
fn joined(value: Value<'_>) -> Result<String, Unrepresentable> {
    let mut text = Vec::new();
    match value {
        Value::List(list) => {
            for (index, item) in list.items().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                append_text(item, &mut text)?;
            }
        }
        other => append_text(other, &mut text)?,
    }
    String::from_utf8(text).map_err(|_| Unrepresentable)
}

fn append_text(value: Value<'_>, text: &mut Vec<u8>) -> Result<(), Unrepresentable> {
    match value {
        Value::Null => {}
        Value::String(bytes) => text.extend_from_slice(bytes),
        other => write_value(other, MAX_DEPTH, text)?,
    }
    Ok(())
}

/// A number as a claim has it; none for a whole one that may have been another before it became a double.
fn claim_number(number: f64) -> Option<String> {
    let mut text = Vec::new();
    write_number(number, &mut text).ok()?;
    String::from_utf8(text).ok()
}

#[expect(clippy::cast_possible_truncation, reason = "the number is whole and its size has been checked")]
fn write_number(number: f64, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
    if number.fract() != 0.0 {
        out.extend_from_slice(json_number(number).ok_or(Unrepresentable)?.as_bytes());
    } else if number.abs() > MAX_SAFE_INTEGER {
        return Err(Unrepresentable);
    } else {
        // A list can have tens of thousands of these, and many claims can be made of it.
        out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
    }
    Ok(())
}

/// Whether a double holds this number exactly, and no other becomes the same.
#[must_use]
pub fn is_safe(number: &serde_json::Number) -> bool {
    number.as_f64().is_some_and(|number| number.fract() != 0.0 || number.abs() <= MAX_SAFE_INTEGER)
}

/// A double as JSON has it: whole numbers without fraction and exponent; none for what is not finite.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the number is whole and its size has been checked")]
pub fn json_number(number: f64) -> Option<String> {
    /// From here on JavaScript, too, writes an exponent.
    const MAX_PLAIN: f64 = 1e21;
    if number.fract() == 0.0 && number.abs() < MAX_PLAIN {
        Some((number as i128).to_string())
    } else {
        serde_json::Number::from_f64(number).map(|number| number.to_string())
    }
}

/// Appends a JSON string (RFC 8259, section 7).
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Nearly all texts. With many groups, serde_json would take a tenth of all the time to find that out.
    let as_it_is = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(as_it_is) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    // Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn write_texts<'a>(texts: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, text) in texts.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(text, out);
    }
    out.push(b']');
}

fn write_value(value: Value<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(bool) => out.extend_from_slice(if bool { b"true" } else { b"false" }),
        Value::Number(number) => write_number(number, out)?,
        Value::String(bytes) => write_text(str::from_utf8(bytes).map_err(|_| Unrepresentable)?, out),
        Value::Object(object) => write_object(object, depth.checked_sub(1).ok_or(Unrepresentable)?, out)?,
        Value::List(list) => write_list(list, depth.checked_sub(1).ok_or(Unrepresentable)?, out)?,
    }
    Ok(())
}

/// An object with its members sorted: protobuf has no order of its own.
fn write_object(object: Object<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
    let mut members: Vec<(&[u8], usize, Value<'_>)> =
        object.members().enumerate().map(|(place, (name, value))| (name, place, value)).collect();
    members.sort_unstable_by_key(|(name, place, _)| (*name, usize::MAX - place));
    // A map on the wire may name a member twice; the last one counts.
    members.dedup_by_key(|(name, ..)| *name);
    out.push(b'{');
    for (index, (name, _, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(str::from_utf8(name).map_err(|_| Unrepresentable)?, out);
        out.push(b':');
        write_value(value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_list(list: List<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Unrepresentable> {
    out.push(b'[');
    for (index, item) in list.items().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_value(item, depth, out)?;
    }
    out.push(b']');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_written_as_json_has_it(text in "[ -~\"\\\\\\PC]*|[a-z\u{0}-\u{9f}]*|.*") {
            let mut json = Vec::new();
            write_text(&text, &mut json);
            prop_assert_eq!(json, serde_json::to_vec(&text).unwrap());
        }
    }
}
