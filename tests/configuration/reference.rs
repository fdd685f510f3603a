//! The tables of `docs/configuration.md`, made from the schema. `UPDATE=1 cargo test --test configuration` writes them.

use serde_json::{Value as Json, json};

use crate::schema;

const DOCUMENT: &str = "docs/configuration.md";
/// A longer example has a place of its own.
const MAX_EXAMPLE: usize = 80;
const HEAD: &str = "| field | type | default | example | meaning |\n|---|---|---|---|---|\n";

#[test]
fn the_reference_is_made_from_the_schema() {
    let path = schema::repository(DOCUMENT);
    let written = std::fs::read_to_string(&path).unwrap();
    let mut made = written.clone();
    let sources = ["$defs/identity_source/properties", "$defs/metadata_source/properties"];
    let more = ["$defs/groups_header/properties", "$defs/claim/properties", "$defs/actor/properties"];
    for place in ["properties", "$defs/route/properties"].into_iter().chain(sources).chain(more) {
        made = with_table(&made, place);
    }
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(path, &made).unwrap();
    }
    assert!(written == made, "{DOCUMENT} is out of date: UPDATE=1 cargo test --test configuration");
}

/// The document with the table between `<!-- schema PLACE -->` and `<!-- end -->` made anew.
fn with_table(document: &str, place: &str) -> String {
    let mark = format!("<!-- schema {place} -->\n");
    let (before, rest) = document.split_once(&mark).unwrap_or_else(|| panic!("{DOCUMENT} has no {mark}"));
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let schema = schema::document();
    let fields = schema.pointer(&format!("/{place}")).unwrap().as_object().unwrap();
    let rows: String = fields.iter().map(|(name, field)| row(name, &resolved(&schema, field))).collect();
    format!("{before}{mark}{HEAD}{rows}<!-- end -->{after}")
}

fn row(name: &str, field: &Json) -> String {
    let default = match (&field["default"], without_it(field)) {
        (_, Some((_, words))) => words.to_owned(),
        (Json::Null, None) => String::new(),
        (default, None) => code(default),
    };
    let example = field["examples"].get(0).filter(|example| **example != json!([])).map(code);
    let example = example.filter(|example| example.len() <= MAX_EXAMPLE).unwrap_or_default();
    let meaning = field["description"].as_str().unwrap_or_else(|| panic!("{name} has a description"));
    let meaning = without_it(field).map_or(meaning, |(meaning, _)| meaning);
    let cells = [format!("`{name}`"), kind(field), default, example, meaning.to_owned()];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

/// The description of a field whose default is no value, and what happens without the field.
pub(crate) fn without_it(field: &Json) -> Option<(&str, &str)> {
    let (meaning, default) = field["description"].as_str()?.split_once(" Without it: ")?;
    Some((meaning, default.strip_suffix('.')?))
}

/// A value as it stands in YAML, in code.
fn code(value: &Json) -> String {
    match value {
        Json::String(text) if text.is_empty() || text.ends_with(' ') => format!("`\"{text}\"`"),
        Json::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn kind(field: &Json) -> String {
    if let Some(title) = field["title"].as_str() {
        return title.to_owned();
    }
    if let Some(choices) = field["enum"].as_array() {
        return choices.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    match field["type"].as_str() {
        Some("boolean") => "`true`, `false`".into(),
        Some("array") => "list".into(),
        Some("object") => "object".into(),
        Some(other) => other.into(),
        None => panic!("a field without a type: {field}"),
    }
}

/// A field with what it refers to; what it says itself comes first.
pub(crate) fn resolved(schema: &Json, field: &Json) -> Json {
    let mut whole = match field["$ref"].as_str() {
        Some(reference) => resolved(schema, schema.pointer(reference.trim_start_matches('#')).unwrap()),
        None => json!({}),
    };
    whole.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
    whole
}

#[test]
fn the_readmes_fields_have_these_defaults() {
    let readme = std::fs::read_to_string(schema::repository("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Configuration\n").unwrap();
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let schema = schema::document();
    let mut count = 0;
    for (names, rest) in rows {
        let default = rest.split(" | ").next().unwrap();
        for name in names.split("`, `") {
            count += 1;
            let field =
                schema["properties"].get(name).unwrap_or_else(|| panic!("the README has no field's row: {name}"));
            match &resolved(&schema, field)["default"] {
                Json::Null => assert!(!default.starts_with('`'), "{name} has no default: {default}"),
                Json::Array(items) if !items.is_empty() => {} // a default in words
                scalar => assert_eq!(default, code(scalar), "{name}"),
            }
        }
    }
    assert!(count > 5, "only {count} fields in the README");
}
