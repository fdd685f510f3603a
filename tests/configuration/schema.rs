//! The schema, and the filter's own verdict beside it.

use std::path::{Path, PathBuf};

use attestation_filter::config::{Config, Platform};
use jsonschema::Validator;
use prost_types::value::Kind;
use serde_json::{Value as Json, json};

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The schema as a document.
pub(crate) fn document() -> Json {
    serde_json::from_str(&std::fs::read_to_string(repository("envoy/attestation.schema.json")).unwrap()).unwrap()
}

/// What judges a plugin configuration.
pub(crate) fn plugin() -> Validator {
    let schema = document();
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is one of draft 2020-12");
    jsonschema::draft202012::new(&schema).unwrap()
}

/// What judges a route's metadata.
pub(crate) fn route() -> Validator {
    definition("route")
}

/// What judges by one of the schema's definitions.
pub(crate) fn definition(name: &str) -> Validator {
    let mut schema = document();
    schema["$ref"] = json!(format!("#/$defs/{name}"));
    for keyword in ["type", "additionalProperties", "properties", "allOf"] {
        schema.as_object_mut().unwrap().remove(keyword);
    }
    jsonschema::draft202012::new(&schema).unwrap()
}

/// The filter's verdict; it reads the configuration as JSON and as a `google.protobuf.Struct`, and must say the same.
pub(crate) fn read(configuration: &Json) -> Result<Config, String> {
    let by_json =
        Config::read(Platform::Wasm, configuration.to_string().as_bytes(), |_| None).map_err(|error| error.to_string());
    let bytes = prost::Message::encode_to_vec(&to_struct(configuration));
    let by_struct = Config::read(Platform::Wasm, &bytes, |_| None).map_err(|error| error.to_string());
    assert_eq!(by_json.as_ref().err(), by_struct.as_ref().err(), "{configuration}");
    by_json
}

/// The verdict of the native module.
pub(crate) fn read_natively(configuration: &Json) -> Result<Config, String> {
    Config::read(Platform::Native, configuration.to_string().as_bytes(), |_| None).map_err(|error| error.to_string())
}

/// The `google.protobuf.Struct` that Envoy makes of this object.
pub(crate) fn to_struct(object: &Json) -> prost_types::Struct {
    let members = object.as_object().expect("an object");
    prost_types::Struct { fields: members.iter().map(|(name, value)| (name.clone(), to_value(value))).collect() }
}

fn to_value(value: &Json) -> prost_types::Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(bool) => Kind::BoolValue(*bool),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(prost_types::ListValue { values: items.iter().map(to_value).collect() }),
        Json::Object(_) => Kind::StructValue(to_struct(value)),
    };
    prost_types::Value { kind: Some(kind) }
}
