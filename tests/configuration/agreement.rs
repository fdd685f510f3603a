//! The schema accepts what the filter accepts, and nothing else.

use std::collections::BTreeSet;

use attestation_filter::claims::Settings;
use attestation_filter::config::for_route;
use attestation_filter::value::Object;
use attestation_filter::value::protobuf::Struct;
use prost::Message as _;
use serde_json::{Value as Json, json};

use crate::reference;
use crate::schema;
use crate::table;

#[test]
fn schema_and_filter_agree_on_every_value_of_every_field() {
    let validator = schema::plugin();
    for (field, good, bad) in table::fields() {
        let bad = [bad, vec![Json::Null, json!(5.5)]].concat();
        for (value, allowed) in good.into_iter().map(|value| (value, true)).chain(bad.into_iter().map(|v| (v, false))) {
            check(&validator, &json!({field: value}), allowed);
        }
    }
    let (good, bad) = table::wholes();
    good.iter().for_each(|whole| check(&validator, whole, true));
    bad.iter().for_each(|whole| check(&validator, whole, false));
}

fn check(validator: &jsonschema::Validator, configuration: &Json, allowed: bool) {
    let verdict = schema::read(configuration).map(|_| ());
    assert_eq!(verdict.is_ok(), allowed, "the filter: {configuration}: {verdict:?}");
    let by_schema = validator.validate(configuration);
    assert_eq!(by_schema.is_ok(), allowed, "the schema: {configuration}: {by_schema:?}");
}

/// Refused by the Wasm module, which the table is about.
const NATIVE_ONLY: &str = "signing_key_secret";

#[test]
fn the_table_is_about_every_field() {
    let tested: BTreeSet<String> = table::fields().iter().map(|(field, ..)| (*field).to_owned()).collect();
    let mut fields = names("/properties");
    assert!(fields.remove(NATIVE_ONLY));
    assert_eq!(tested, fields);
}

#[test]
fn what_only_the_filter_refuses_is_known() {
    let validator = schema::plugin();
    for (rule, configuration) in table::beyond_a_schema() {
        assert!(validator.is_valid(&configuration), "a schema can express it after all: {rule}: {configuration}");
        assert!(schema::read(&configuration).is_err(), "{rule}: {configuration}");
    }
}

#[test]
fn schema_and_filter_agree_on_routes() {
    let validator = schema::route();
    let (good, bad) = table::routes();
    for (metadata, allowed) in good.iter().map(|good| (good, true)).chain(bad.iter().map(|bad| (bad, false))) {
        let bytes = schema::to_struct(metadata).encode_to_vec();
        let verdict = for_route(&Settings::default(), Object::Struct(Struct::new(&bytes)));
        assert_eq!(verdict.is_ok(), allowed, "the filter: {metadata}: {verdict:?}");
        assert_eq!(validator.is_valid(metadata), allowed, "the schema: {metadata}");
    }
    let tested = good.iter().filter_map(Json::as_object).flat_map(|object| object.keys().cloned()).collect();
    assert_eq!(names("/$defs/route/properties"), tested, "every field of a route is tried");
}

/// The filter names what it knows when it meets something unknown.
#[test]
fn schema_and_filter_know_the_same_fields() {
    let unknown = |place: &str, configuration: Json| {
        let error = schema::read(&configuration).expect_err("an unknown field is refused");
        let known = error.split("allowed are ").nth(1).unwrap_or_else(|| panic!("{error}"));
        let known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
        assert_eq!(names(place), known, "{place}");
    };
    unknown("/properties", json!({"?": 1}));
    let source = |source: Json| json!({"identity_sources": [source]});
    unknown("/$defs/identity_source/properties", source(json!({"?": 1})));
    unknown("/$defs/metadata_source/properties", source(json!({"metadata": {"namespace": "n", "?": 1}})));
    let groups = json!({"header": "x-groups", "?": 1});
    unknown("/$defs/groups_header/properties", source(json!({"headers": {"groups": groups}})));
    unknown("/$defs/claim/properties", json!({"claims": {"a": {"?": 1}}}));
    unknown("/$defs/actor/properties", json!({"actor": {"trusted": [], "?": 1}}));
    let peer = json!({"issuer": "i", "jwks": {"keys": []}, "?": 1});
    unknown("/$defs/peer/properties", json!({"actor": {"trusted": [peer]}}));
}

#[test]
fn a_default_is_what_the_filter_does_without_the_field() {
    let without = format!("{:?}", schema::read(&json!({})).unwrap());
    let key_file = format!("{:?}", schema::read(&json!({"signing_key_file": "/k"})).unwrap());
    let mut count = 0;
    for (name, field) in schema::document()["properties"].as_object().unwrap() {
        let field = reference::resolved(&schema::document(), field);
        if let Some(default) = field.get("default") {
            count += 1;
            let with = format!("{:?}", schema::read(&json!({name: default})).unwrap());
            assert_eq!(with, without, "{name}");
            let with = format!("{:?}", schema::read(&json!({"signing_key_file": "/k", name: default})).unwrap());
            assert_eq!(with, key_file, "{name}");
        } else {
            assert!(reference::without_it(&field).is_some(), "{name} says what happens without it");
        }
    }
    assert!(count > 10);
    let actor = |actor: Json| format!("{:?}", schema::read(&json!({"actor": actor})).unwrap());
    let defaults = schema::document()["$defs"]["actor"]["properties"].clone();
    let (on_unverifiable, max_depth) = (&defaults["on_unverifiable"]["default"], &defaults["max_depth"]["default"]);
    let stated = json!({"trusted": [], "on_unverifiable": on_unverifiable, "max_depth": max_depth});
    assert_eq!(actor(json!({"trusted": []})), actor(stated));
}

#[test]
fn an_example_is_valid_and_no_default() {
    let plugin = schema::plugin();
    for (name, field) in schema::document()["properties"].as_object().unwrap() {
        let field = reference::resolved(&schema::document(), field);
        for example in field["examples"].as_array().unwrap_or_else(|| panic!("{name} has examples")) {
            let mut configuration = json!({name: example});
            match name.as_str() {
                "shed" => configuration["max_assertion_bytes"] = json!(4096),
                "openid_configuration" => configuration["jwt_issuer_format"] = json!("uri"),
                _ => {}
            }
            if name == NATIVE_ONLY {
                assert!(plugin.is_valid(&configuration) && schema::read_natively(&configuration).is_ok());
            } else {
                check(&plugin, &configuration, true);
            }
            assert_ne!(Some(example), field.get("default"), "{name}");
        }
    }
}

fn names(place: &str) -> BTreeSet<String> {
    schema::document().pointer(place).unwrap().as_object().unwrap().keys().cloned().collect()
}
