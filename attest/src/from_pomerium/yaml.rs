//! A tree as YAML that Envoy and people read. The member `//` of an object is a comment above it.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};

use crate::check::document::Language;
use crate::check::node::Value;
use crate::check::scalar;

/// The name of a comment. No header and no field can have it.
pub(super) const COMMENT: &str = "//";

/// Members that come first, in this order; the others follow by name.
const FIRST: [&str; 20] = [
    COMMENT,
    "name",
    "@type",
    "domains",
    "match",
    "address",
    "admin",
    "bootstrap_extensions",
    "overload_manager",
    "listeners",
    "secrets",
    "stat_prefix",
    "typed_config",
    "issuer",
    "key",
    "key_matcher",
    "header",
    "metadata_matcher",
    "filter",
    "path",
];

/// The tree without its comments.
pub(super) fn without_comments(value: Json) -> Json {
    match value {
        Json::Array(items) => items.into_iter().map(without_comments).collect(),
        Json::Object(members) => {
            let members = members.into_iter().filter(|(name, _)| name != COMMENT);
            Json::Object(members.map(|(name, value)| (name, without_comments(value))).collect())
        }
        other => other,
    }
}

pub(super) fn text(value: &Json) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text
}

/// Writes a list or an object, each line with this indentation.
fn write(text: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(members) => {
            for (name, value) in sorted(members) {
                member(text, name, value, indent);
            }
        }
        Json::Array(items) => items.iter().for_each(|it| item(text, it, indent)),
        _ => {}
    }
}

fn member(text: &mut String, name: &str, value: &Json, indent: usize) {
    let pad = " ".repeat(indent);
    if name == COMMENT {
        for line in value.as_str().unwrap_or_default().lines() {
            text.push_str(&format!("{pad}# {line}\n"));
        }
        return;
    }
    let name = scalar_text(name);
    match value {
        Json::Object(members) if !members.is_empty() => {
            text.push_str(&format!("{pad}{name}:\n"));
            write(text, value, indent + 2);
        }
        Json::Array(items) if items.iter().any(|it| it.is_object() || it.is_array()) => {
            text.push_str(&format!("{pad}{name}:\n"));
            write(text, value, indent);
        }
        Json::String(lines) if is_block(lines) => {
            text.push_str(&format!("{pad}{name}: |\n"));
            for line in lines.lines() {
                let pad = if line.is_empty() { "" } else { &*format!("{pad}  ") };
                text.push_str(&format!("{pad}{line}\n"));
            }
        }
        _ => text.push_str(&format!("{pad}{name}: {}\n", inline(value))),
    }
}

fn item(text: &mut String, value: &Json, indent: usize) {
    let mut body = String::new();
    let pad = " ".repeat(indent);
    if value.as_object().is_none_or(Map::is_empty) {
        return text.push_str(&format!("{pad}- {}\n", inline(value)));
    }
    write(&mut body, value, indent + 2);
    // Comments stand above the dash.
    for line in body.lines().take_while(|line| line.trim_start().starts_with('#')) {
        text.push_str(&format!("{pad}{}\n", line.trim_start()));
    }
    let mut dash = "- ";
    for line in body.lines().skip_while(|line| line.trim_start().starts_with('#')) {
        let rest = line.get(indent + 2..).unwrap_or_default();
        text.push_str(&format!("{pad}{dash}{rest}\n"));
        dash = "  ";
    }
}

/// Without line breaks between its parts.
fn inline(value: &Json) -> String {
    match value {
        Json::String(text) => scalar_text(text),
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => {
            let members =
                sorted(members).into_iter().map(|(name, it)| format!("{}: {}", scalar_text(name), inline(it)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// With quotes where Envoy or YAML would read something else.
fn scalar_text(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'/');
    let same = matches!(scalar::plain(Language::Yaml, text), Value::Text(read) if &*read == text);
    // A URL has a colon, and no blank after it.
    let is_url = text.starts_with("http") && text.bytes().all(|byte| is_plain(byte) || byte == b':');
    if (starts && same && text.bytes().all(is_plain)) || is_url {
        text.to_owned()
    } else {
        Json::from(text).to_string().chars().map(escaped).collect()
    }
}

/// JSON leaves characters as they are that YAML does not take.
fn escaped(char: char) -> String {
    match char {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
            format!("\\u{:04x}", u32::from(char))
        }
        _ => char.to_string(),
    }
}

fn is_block(text: &str) -> bool {
    let is_printable = text.chars().all(|it| it == '\n' || (' '..='~').contains(&it));
    text.ends_with('\n') && !text.starts_with([' ', '\n']) && !text.ends_with("\n\n") && is_printable
}

fn sorted(members: &Map<String, Json>) -> Vec<(&str, &Json)> {
    let mut members: Vec<_> = members.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let place = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    members.sort_by(|(one, _), (other, _)| match place(one).cmp(&place(other)) {
        Ordering::Equal => one.cmp(other),
        order => order,
    });
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::document;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn comments_stand_above_what_they_are_of() {
        let value = json!({"a": [{"//": "one\ntwo", "name": "x", "b": {"c": "l1\nl2\n"}}], "no": ["y", "1", 2]});
        let expected = "a:\n# one\n# two\n- name: x\n  b:\n    c: |\n      l1\n      l2\n\"no\": [\"y\", \"1\", 2]\n";
        assert_eq!(text(&value), expected);
    }

    fn tree() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Json::from),
            any::<i32>().prop_map(Json::from),
            ".*".prop_map(Json::from),
            "[a-z: #\n-]{0,9}".prop_map(Json::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[a-z@: 0-9.-]{1,6}", inner, 0..4)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(value in tree()) {
            let value = json!({"value": value, "x": 1});
            let written = text(&value);
            let read = document::read(&written, "a.yaml").map_err(|error| format!("{error}: {written}"));
            prop_assert_eq!(read.map(|mut read| read.remove(0).json()), Ok(value), "{}", written);
        }
    }
}
