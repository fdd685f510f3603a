//! What Envoy makes of a scalar. Its YAML is that of yaml-cpp: older than YAML 1.2 and with conversions of its own,
//! which were read off a running Envoy. A fraction and a whole number beyond 32 bits become text, `no` becomes false,
//! and `0123` is octal.

use serde_json::Number;

use super::document::Language;
use super::node::Value;

/// The value of a scalar without quotes.
pub(crate) fn plain(language: Language, text: &str) -> Value {
    match language {
        Language::Json => json(text),
        Language::Yaml => yaml(text),
    }
}

fn json(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Bool(bool)) => Value::Bool(bool),
        Ok(serde_json::Value::Number(number)) => Value::Number(number),
        Ok(serde_json::Value::Null) => Value::Null,
        _ => Value::Text(text.into()),
    }
}

fn yaml(text: &str) -> Value {
    if ["", "~", "null", "Null", "NULL"].contains(&text) {
        return Value::Null;
    }
    if let Some(bool) = boolean(text) {
        return Value::Bool(bool);
    }
    match integer(text) {
        Some(number) => match i32::try_from(number) {
            Ok(number) => Value::Number(Number::from(number)),
            Err(_) => Value::Text(number.to_string().into()),
        },
        None => Value::Text(text.into()),
    }
}

/// In lower case, in upper case, or with a capital letter.
fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let mut rest = text.chars();
    let is_capitalised = rest.next().is_some_and(|first| first.is_ascii_uppercase())
        && rest.all(|character| character.is_ascii_lowercase());
    if text != lower && text != text.to_ascii_uppercase() && !is_capitalised {
        return None;
    }
    match lower.as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match yaml(text) {
            Value::Null => "null".into(),
            Value::Bool(bool) => bool.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => format!("{text:?}"),
            _ => unreachable!(),
        }
    }

    /// The right side is what the `/config_dump` of Envoy 1.40.0 has for the left side.
    #[test]
    fn scalars_are_what_envoy_makes_of_them() {
        for (written, read) in [
            ("no", "false"),
            ("y", "true"),
            ("Off", "false"),
            ("TRUE", "true"),
            ("tRue", "\"tRue\""),
            ("0123", "83"),
            ("08", "\"08\""),
            ("0x10", "16"),
            ("+5", "5"),
            ("-3", "-3"),
            ("1.10", "\"1.10\""),
            ("1e3", "\"1e3\""),
            ("12345678901", "\"12345678901\""),
            (".inf", "\".inf\""),
            ("~", "null"),
            ("", "null"),
            ("a b", "\"a b\""),
        ] {
            assert_eq!(shown(written), read, "{written}");
        }
    }

    #[test]
    fn json_numbers_stay_numbers() {
        assert!(matches!(json("1.5"), Value::Number(_)));
        assert!(matches!(json("no"), Value::Text(_)));
    }
}
