//! One place of a configuration: its path, for errors, and its value.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::error::{ConfigError, show};
use crate::claims::json_number;
use crate::value::{List, Object, Value};

/// Deeper than any configuration that a person writes.
const MAX_DEPTH: usize = 100;
/// The largest whole number that a double, and so a `Struct`, holds exactly.
const MAX_SIZE: u64 = 9_007_199_254_740_991;

/// The object as JSON; none if it is malformed or too deep, a string is not UTF-8, or a number is not finite.
pub(super) fn to_json(object: Object<'_>) -> Option<Map<String, Json>> {
    let is_well_formed = match object {
        Object::Struct(members) => members.is_well_formed(),
        Object::Json(_) | Object::Flat(_) => true,
    };
    members_to_json(object, MAX_DEPTH).filter(|_| is_well_formed)
}

fn members_to_json(object: Object<'_>, depth: usize) -> Option<Map<String, Json>> {
    let depth = depth.checked_sub(1)?;
    object.members().map(|(name, value)| Some((text(name)?, value_to_json(value, depth)?))).collect()
}

fn list_to_json(list: List<'_>, depth: usize) -> Option<Vec<Json>> {
    let depth = depth.checked_sub(1)?;
    list.items().map(|item| value_to_json(item, depth)).collect()
}

fn value_to_json(value: Value<'_>, depth: usize) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(bool) => Json::Bool(bool),
        Value::Number(number) => json(number)?,
        Value::String(bytes) => Json::String(text(bytes)?),
        Value::Object(object) => Json::Object(members_to_json(object, depth)?),
        Value::List(list) => Json::Array(list_to_json(list, depth)?),
    })
}

fn json(number: f64) -> Option<Json> {
    serde_json::from_str(&json_number(number)?).ok()
}

/// The same value with whole numbers as integers, as a `Struct` would bring them: `1.0` is `1`.
pub(super) fn normalised(value: Json) -> Json {
    match value {
        Json::Number(number) if number.is_f64() => number.as_f64().and_then(json).unwrap_or(Json::Number(number)),
        Json::Array(items) => items.into_iter().map(normalised).collect(),
        Json::Object(members) => members.into_iter().map(|(name, value)| (name, normalised(value))).collect(),
        other => other,
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// A type of JSON, in words.
pub(super) fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a bool",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

fn got(value: &Json) -> String {
    match value {
        Json::String(text) => show(text),
        Json::Bool(bool) => bool.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Array(items) if items.is_empty() => "an empty list".into(),
        other => kind(other).into(),
    }
}

/// The types that a field with several forms tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
    Other,
}

/// A value and where it stands.
pub(super) struct Field {
    path: String,
    value: Json,
}

impl Field {
    pub(super) fn new(path: String, value: Json) -> Self {
        Self { path, value }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.value {
            Json::Object(_) => Kind::Object,
            Json::Array(_) => Kind::List,
            _ => Kind::Other,
        }
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        self.value.as_str() == Some(text)
    }

    pub(super) fn as_json(&self) -> &Json {
        &self.value
    }

    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    pub(super) fn into_json(self) -> Json {
        self.value
    }

    pub(super) fn error(&self, allowed: &str) -> ConfigError {
        ConfigError::invalid(self.path.clone(), got(&self.value), allowed)
    }

    /// An error about the name of this member instead of its value.
    pub(super) fn named_error(&self, name: &str, allowed: &str) -> ConfigError {
        ConfigError::invalid(self.path.clone(), show(name), allowed)
    }

    /// A string, and the error to return if it turns out to be a bad one.
    pub(super) fn text_or(self, allowed: &str) -> Result<(ConfigError, String), ConfigError> {
        let error = self.error(allowed);
        match self.value {
            Json::String(text) => Ok((error, text)),
            _ => Err(error),
        }
    }

    pub(super) fn non_empty_text(self) -> Result<String, ConfigError> {
        match self.text_or("a string that is not empty")? {
            (error, text) if text.is_empty() => Err(error),
            (_, text) => Ok(text),
        }
    }

    /// A string that no error may repeat.
    pub(super) fn secret(self) -> Result<String, ConfigError> {
        match self.value {
            Json::String(text) => Ok(text),
            other => Err(ConfigError::invalid(self.path, kind(&other), "a string: PEM, or base64 of PEM")),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, ConfigError> {
        self.value.as_bool().ok_or_else(|| self.error("true or false"))
    }

    pub(super) fn one_of<T: Copy>(self, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let (error, text) = self.text_or(&format!("one of {}", names.join(", ")))?;
        choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or(error)
    }

    /// A whole number of bytes, at least 1.
    pub(super) fn size(self) -> Result<usize, ConfigError> {
        let size = self.value.as_u64().filter(|size| (1..=MAX_SIZE).contains(size));
        // More than memory has is no limit, in either host.
        let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        size.ok_or_else(|| self.error("a whole number from 1 to 2^53-1"))
    }

    /// Envoy's form of a duration: decimal seconds with the unit, `"300s"` or `"0.5s"`.
    pub(super) fn duration(self, range: RangeInclusive<Duration>) -> Result<Duration, ConfigError> {
        let [min, max] = [range.start(), range.end()].map(|bound| show_duration(*bound));
        let (error, text) = self.text_or(&format!("a duration such as \"5s\" or \"0.5s\", from {min} to {max}"))?;
        parse_duration(&text).filter(|duration| range.contains(duration)).ok_or(error)
    }

    /// A duration that is used in whole seconds; a fraction is cut off.
    pub(super) fn seconds(self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        let [min, max] = [*range.start(), *range.end()].map(Duration::from_secs);
        self.duration(min..=max).map(|duration| duration.as_secs())
    }

    /// An absolute path without query, as it stands in a request.
    pub(super) fn path(self) -> Result<String, ConfigError> {
        let (error, path) = self.text_or("an absolute path of visible ASCII characters, without ? and #")?;
        let visible = path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
        if path.starts_with('/') && visible { Ok(path) } else { Err(error) }
    }

    pub(super) fn items(self) -> Result<Vec<Self>, ConfigError> {
        let error = self.error("a list");
        match self.value {
            Json::Array(items) => {
                let path = self.path;
                Ok(items.into_iter().enumerate().map(|(i, item)| Self::new(format!("{path}[{i}]"), item)).collect())
            }
            _ => Err(error),
        }
    }

    /// A list of at least one of these.
    pub(super) fn items_not_empty(self, what: &str) -> Result<Vec<Self>, ConfigError> {
        let error = self.error(&format!("a list of at least one of the {what}"));
        match self.items()? {
            items if items.is_empty() => Err(error),
            items => Ok(items),
        }
    }

    /// A list of strings that are not empty.
    pub(super) fn texts(self) -> Result<Vec<String>, ConfigError> {
        self.items()?.into_iter().map(Self::non_empty_text).collect()
    }

    /// A string or a list of strings; neither they nor the list may be empty.
    pub(super) fn one_or_more(self) -> Result<Vec<String>, ConfigError> {
        let allowed = "a string that is not empty, or a list of such strings that is not empty";
        match &self.value {
            Json::Array(items) if !items.is_empty() => self.texts(),
            Json::String(text) if !text.is_empty() => Ok(vec![text.clone()]),
            _ => Err(self.error(allowed)),
        }
    }

    /// A string's parts between commas and white space.
    pub(super) fn parts(self, allowed: &str) -> Result<Vec<Self>, ConfigError> {
        let path = self.path.clone();
        let (_, text) = self.text_or(allowed)?;
        let parts = text.split([',', ' ', '\t', '\r', '\n']).filter(|part| !part.is_empty());
        Ok(parts.map(|part| Self::new(path.clone(), Json::String(part.into()))).collect())
    }

    pub(super) fn members(self) -> Result<Members, ConfigError> {
        let error = self.error("an object");
        match self.value {
            Json::Object(members) => Ok(Members::new(self.path, members)),
            _ => Err(error),
        }
    }

    /// Every member of an object, sorted by name.
    pub(super) fn entries(self) -> Result<Vec<(String, Self)>, ConfigError> {
        let members = self.members()?;
        let path = |name: &str| join(&members.path, name);
        Ok(members.rest.into_iter().map(|(name, value)| (name.clone(), Self::new(path(&name), value))).collect())
    }

    /// An object that names things: none of the names empty, at least one.
    pub(super) fn named_fields(self) -> Result<Vec<(String, Self)>, ConfigError> {
        let allowed = "an object of at least one member, with names that are not empty";
        let error = self.error(allowed);
        let entries = self.entries()?;
        if entries.is_empty() || entries.iter().any(|(name, _)| name.is_empty()) {
            return Err(error);
        }
        Ok(entries)
    }

    /// The same, each member read by `read`.
    pub(super) fn named<T>(
        self,
        read: impl Fn(Self) -> Result<T, ConfigError>,
    ) -> Result<Vec<(String, T)>, ConfigError> {
        self.named_fields()?.into_iter().map(|(name, field)| Ok((name, read(field)?))).collect()
    }

    /// The one member of an object that must have exactly one of these.
    pub(super) fn only_member(self, names: &[&str]) -> Result<(String, Self), ConfigError> {
        let allowed = format!("an object with exactly one of {}", names.join(", "));
        let error = self.error(&allowed);
        let mut members = self.members()?;
        let found: Vec<(String, Self)> =
            names.iter().filter_map(|name| Some(((*name).to_owned(), members.take(name)?))).collect();
        members.finish()?;
        match <[_; 1]>::try_from(found) {
            Ok([member]) => Ok(member),
            Err(_) => Err(error),
        }
    }
}

/// An object's members, taken one by one; what is left over at the end is unknown.
pub(super) struct Members {
    path: String,
    rest: Map<String, Json>,
    known: Vec<String>,
}

impl Members {
    pub(super) fn new(path: String, members: Map<String, Json>) -> Self {
        Self { path, rest: members, known: Vec::new() }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Field> {
        self.known.push(name.to_owned());
        let value = self.rest.remove(name)?;
        Some(Field::new(join(&self.path, name), value))
    }

    pub(super) fn required(&mut self, name: &str, allowed: &str) -> Result<Field, ConfigError> {
        let path = join(&self.path, name);
        self.take(name).ok_or_else(|| ConfigError::invalid(path, "nothing", allowed))
    }

    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        match self.rest.keys().next() {
            None => Ok(()),
            Some(name) => {
                self.known.sort();
                Err(ConfigError::Unknown { field: join(&self.path, name), allowed: self.known.join(", ") })
            }
        }
    }
}

/// The path of a member.
pub(super) fn join(path: &str, name: &str) -> String {
    let plain = name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_graphic());
    let name = if plain { name.to_owned() } else { show(name) };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// `[0-9]+(\.[0-9]{1,9})?s`, as protobuf's JSON form has it; a negative one is of no use here.
fn parse_duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    Some(Duration::new(seconds.parse().ok()?, format!("{fraction:0<9}").parse().ok()?))
}

/// Envoy's form again.
pub(super) fn show_duration(duration: Duration) -> String {
    let fraction = format!("{:09}", duration.subsec_nanos());
    match fraction.trim_end_matches('0') {
        "" => format!("{}s", duration.as_secs()),
        fraction => format!("{}.{fraction}s", duration.as_secs()),
    }
}
