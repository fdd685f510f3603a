//! The plugin's configuration, as JSON and as a `google.protobuf.Struct`.

use attestation_filter::attester::Attester;
use attestation_filter::config::{Config, ConfigError, Platform};
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::{Map, Value as Json};

use super::attester::is_decision;
use super::host::{FakeHost, Sign};

/// In place of any string; no other text has eight of its characters in a row.
const SECRET: &str = "zQ7vJx0kWf3mYt9uHb2nRc6pLd8sGa4eXi1oTj5yKw7qVh3zNuBm0fEgPrS2";

/// What is refused is refused without repeating a secret; what is accepted can serve a request; and both forms of a
/// configuration are the same configuration.
pub fn configuration(bytes: &[u8]) {
    let read = read(bytes);
    let object = serde_json::from_slice::<Map<String, Json>>(bytes).ok();
    if let Some(object) = object.filter(|object| object.values().all(fits_struct)) {
        let other = self::read(&to_struct(&object).encode_to_vec());
        assert_eq!(read.as_ref().map(shown), other.as_ref().map(shown));
        no_error_repeats_a_secret(&Json::Object(object));
    }
    match read {
        Ok(config) => serves(config),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn read(bytes: &[u8]) -> Result<Config, ConfigError> {
    Config::read(Platform::Wasm, bytes, |_| None)
}

fn shown(config: &Config) -> String {
    format!("{config:?}")
}

fn serves(config: Config) {
    let host = FakeHost::request(&[
        (":method", "GET"),
        (":path", "/"),
        (":scheme", "https"),
        (":authority", "app.example.com"),
    ])
    .with_sign(Sign::Repeats);
    match Attester::new(config, &host) {
        Ok(attester) => drop(is_decision(&attester.on_request(&attester.worker(), &host), &host)),
        // The text may be no keys: those are tried elsewhere.
        Err(ConfigError::Key { .. } | ConfigError::Signer { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Puts a secret in the place of each string in turn. The fuzzer learns it from this comparison.
fn no_error_repeats_a_secret(object: &Json) {
    let text = object.to_string();
    let secret = SECRET.as_bytes().windows(8).filter_map(|part| str::from_utf8(part).ok());
    let secret: Vec<&str> = secret.filter(|part| !text.contains(part)).collect();
    for place in 0..count(object) {
        let mut changed = object.clone();
        put_secret(&mut changed, &mut place.clone());
        if let Err(error) = read(changed.to_string().as_bytes()) {
            let error = error.to_string();
            assert!(!secret.iter().any(|part| error.contains(part)), "{error}");
        }
    }
}

fn count(json: &Json) -> usize {
    match json {
        Json::String(_) => 1,
        Json::Array(items) => items.iter().map(count).sum(),
        Json::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Counts down to the place; afterwards the number is meaningless.
fn put_secret(json: &mut Json, left: &mut usize) -> bool {
    match json {
        Json::String(text) if *left == 0 => {
            *text = SECRET.into();
            true
        }
        Json::String(_) => {
            *left -= 1;
            false
        }
        Json::Array(items) => items.iter_mut().any(|item| put_secret(item, left)),
        Json::Object(members) => members.values_mut().any(|member| put_secret(member, left)),
        _ => false,
    }
}

/// A `Struct` has doubles only, and this many levels.
fn fits_struct(json: &Json) -> bool {
    fn fits(json: &Json, depth: usize) -> bool {
        match json {
            Json::Number(number) => number.is_f64() || number.as_i64().is_some_and(|number| number.abs() < 1 << 53),
            Json::Array(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1)),
            Json::Object(members) => depth > 0 && members.values().all(|member| fits(member, depth - 1)),
            _ => true,
        }
    }
    fits(json, 30)
}

fn to_struct(object: &Map<String, Json>) -> Struct {
    Struct { fields: object.iter().map(|(name, value)| (name.clone(), to_value(value))).collect() }
}

fn to_value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(bool) => Kind::BoolValue(*bool),
        Json::Number(number) => Kind::NumberValue(number.as_f64().expect("a double")),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(to_value).collect() }),
        Json::Object(object) => Kind::StructValue(to_struct(object)),
    };
    Value { kind: Some(kind) }
}
