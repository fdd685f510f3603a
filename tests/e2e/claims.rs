//! Extra claims: fixed ones, and those taken from the identity with their JSON types.

use serde_json::{Value, json};

use harness::filters::metadata;
use harness::keys::A;
use harness::{Assertion, Bootstrap, Request};

/// The identity of these tests.
fn identity() -> Value {
    json!({"who": {
        "sub": "u-1",
        "email": "ada@example.com",
        "groups": ["admins"],
        "preferred_username": "ada",
        "dept": "research",
        "level": 42,
        "ratio": 1.5,
        "negative": -7,
        "zero": 0,
        "big": 9_007_199_254_740_991_i64,
        "is_staff": true,
        "tags": ["x", 1, true, ["y"]],
        "address": {"city": {"name": "London"}, "zip": 12},
        "https://example.com/roles": ["reader", "writer"],
        "role": "reader",
        "a.b": "dotted",
        "": "unnamed",
    }})
}

fn attest(claims: &Value) -> Assertion {
    Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "test"}}],
        "claims": claims,
    }))
    .filter(metadata("test", &identity()))
    .start()
    .attest(&Request::get("/"))
}

#[test]
fn claims_are_taken_from_the_identity_with_their_types() {
    let assertion = attest(&json!({
        "department": {"from": "dept"},
        "level": {"from": "level"},
        "ratio": {"from": "ratio"},
        "negative": {"from": "negative"},
        "zero": {"from": ["zero"]},
        "big": {"from": "big"},
        "staff": {"from": "is_staff"},
        "tags": {"from": "tags"},
        "address": {"from": "address"},
        "city": {"from": ["address", "city", "name"]},
        "roles": {"from": ["https://example.com/roles"]},
        "roles_by_name": {"from": "https://example.com/roles"},
        "dotted": {"from": "a.b"},
        "absent": {"from": "nothing"},
        "absent_below": {"from": ["address", "street"]},
        "absent_in_text": {"from": ["dept", "x"]},
    }));
    for (name, expected) in [
        ("department", json!("research")),
        ("level", json!(42)),
        ("ratio", json!(1.5)),
        ("negative", json!(-7)),
        ("zero", json!(0)),
        ("big", json!(9_007_199_254_740_991_i64)),
        ("staff", json!(true)),
        ("tags", json!(["x", 1, true, ["y"]])),
        ("address", json!({"city": {"name": "London"}, "zip": 12})),
        ("city", json!("London")),
        ("roles", json!(["reader", "writer"])),
        ("roles_by_name", json!(["reader", "writer"])),
        ("dotted", json!("dotted")),
    ] {
        assert_eq!(*assertion.claim(name), expected, "{name}");
    }
    assert!(assertion.payload_text.contains(r#""level":42,"#), "an integer is written as one");
    let members = assertion.members();
    assert!(!members.iter().any(|name| name.starts_with("absent")), "what is not there is left out: {members:?}");
    let mut sorted = members.clone();
    sorted.sort();
    assert_eq!(members, sorted, "members are sorted");
}

#[test]
fn claims_can_be_fixed_values_of_any_type() {
    let values = json!({
        "env": "prod",
        "shard": 7,
        "ratio": 0.25,
        "is_canary": false,
        "regions": ["eu", "us"],
        "owner": {"team": "platform", "on_call": true},
    });
    let claims: Value = values
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), json!({"value": value})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let envoy = Bootstrap::new(json!({"signing_key": A, "claims": claims})).start();
    let assertion = envoy.attest(&Request::get("/"));
    for (name, value) in values.as_object().unwrap() {
        assert_eq!(assertion.claim(name), value, "{name}, in an anonymous assertion too");
    }
    assert!(assertion.payload_text.contains(r#""shard":7"#), "{}", assertion.payload_text);
    assert!(!assertion.payload_text.contains(r#""shard":7.0"#), "{}", assertion.payload_text);
}

#[test]
fn the_claims_that_tell_who_the_user_is_can_be_mapped_from_others() {
    let assertion = attest(&json!({
        "sub": {"from": "preferred_username"},
        "user": {"from": "preferred_username"},
        "email": {"value": "fixed@example.com"},
        "groups": {"from": "https://example.com/roles"},
        "sid": {"from": ["address", "city", "name"]},
        "name": {"from": "dept"},
    }));
    for (name, expected) in [
        ("sub", json!("ada")),
        ("user", json!("ada")),
        ("email", json!("fixed@example.com")),
        ("groups", json!(["reader", "writer"])),
        ("sid", json!("London")),
        ("name", json!("research")),
    ] {
        assert_eq!(*assertion.claim(name), expected, "{name}");
    }
    assert_eq!(assertion.members().len(), 11, "and each is there once");
    assert_eq!(*attest(&json!({"groups": {"from": "role"}})).claim("groups"), json!(["reader"]), "groups is a list");
}
