//! Validators that are strict about schemas, such as ajv's, take this one: what they refuse is mostly a mistake.

use serde_json::Value as Json;

use crate::schema;

/// Of draft 2020-12. A strict validator refuses what it does not know.
const KEYWORDS: [&str; 32] = [
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "default",
    "description",
    "else",
    "enum",
    "examples",
    "if",
    "items",
    "maxItems",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "not",
    "pattern",
    "properties",
    "propertyNames",
    "required",
    "then",
    "title",
    "type",
    "uniqueItems",
];

#[test]
fn every_keyword_is_known_to_strict_validators() {
    let mut count = 0;
    each_schema("", &schema::document(), &mut |place, schema| {
        count += 1;
        for keyword in schema.as_object().unwrap().keys() {
            assert!(KEYWORDS.contains(&keyword.as_str()), "{place}: {keyword}");
        }
    });
    assert!(count > 100, "only {count} schemas in the schema");
}

#[test]
fn every_required_member_is_described_beside() {
    let mut count = 0;
    each_schema("", &schema::document(), &mut |place, schema| {
        for name in schema["required"].as_array().into_iter().flatten() {
            count += 1;
            assert!(schema["properties"].get(name.as_str().unwrap()).is_some(), "{place}: {name}");
        }
    });
    assert!(count > 10, "only {count} required members");
}

#[test]
fn every_schema_has_one_type() {
    let of_type = [
        ("string", ["pattern", "minLength"].as_slice()),
        ("array", &["items", "minItems", "maxItems"]),
        ("integer", &["minimum", "maximum"]),
        ("object", &["additionalProperties", "propertyNames", "minProperties", "maxProperties"]),
    ];
    each_schema("", &schema::document(), &mut |place, schema| {
        assert!(schema.get("type").is_none_or(Json::is_string), "{place}: {}", schema["type"]);
        for (name, keywords) in of_type {
            let is_used = keywords.iter().any(|keyword| schema.get(keyword).is_some());
            let is_number = name == "integer" && schema["type"] == "number";
            let is_in_context = place.ends_with("/propertyNames") || place.ends_with("/not");
            assert!(!is_used || is_in_context || is_number || schema["type"] == name, "{place}: {schema}");
        }
    });
}

#[test]
fn the_schema_has_a_name_and_describes_every_field() {
    let schema = schema::document();
    assert_eq!(schema["$id"], "urn:attestation-filter:configuration");
    for place in ["/properties", "/$defs/route/properties"] {
        for (name, field) in schema.pointer(place).unwrap().as_object().unwrap() {
            let field = crate::reference::resolved(&schema, field);
            let description = field["description"].as_str().unwrap_or_default();
            assert!(description.len() > 10, "{name}: {description:?}");
        }
    }
}

#[test]
fn a_duration_is_explained_in_words() {
    let mut count = 0;
    each_schema("", &schema::document(), &mut |place, schema| {
        if schema["pattern"].as_str().is_some_and(|pattern| pattern.ends_with(")s$")) {
            count += 1;
            let title = schema["title"].as_str().unwrap_or_default();
            assert!(title.starts_with("duration in decimal seconds, \""), "{place}: {title}");
        }
    });
    assert!(count >= 5, "only {count} durations");
}

/// Calls `look` with every schema in a schema, and where it is.
fn each_schema(place: &str, schema: &Json, look: &mut impl FnMut(&str, &Json)) {
    let Some(members) = schema.as_object() else { return };
    look(place, schema);
    for (keyword, value) in members {
        let place = format!("{place}/{keyword}");
        match (keyword.as_str(), value) {
            ("$defs" | "properties", Json::Object(schemas)) => {
                schemas.iter().for_each(|(name, schema)| each_schema(&format!("{place}/{name}"), schema, look));
            }
            ("allOf" | "anyOf", Json::Array(schemas)) => {
                schemas.iter().for_each(|schema| each_schema(&place, schema, look));
            }
            ("additionalProperties" | "items" | "propertyNames" | "not" | "if" | "then" | "else", schema) => {
                each_schema(&place, schema, look);
            }
            _ => {}
        }
    }
}
