use serde_json::{Value, json};

use harness::filters::metadata;
use harness::keys::A;
use harness::log::ours;
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Envoy, Request, eventually};

/// An Envoy whose every request is from this user.
fn envoy_for(user: &Value) -> Envoy {
    let user = metadata("test", &json!({"who": user}));
    Bootstrap::new(settings(json!({}))).filter(user).dynamic().log_level("debug").start()
}

/// The settings of all these tests, and some more.
fn settings(more: Value) -> Value {
    let mut settings = json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "test"}}],
        "claims": {"roles": {"from": "roles"}, "department": {"from": "department"}},
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    settings
}

/// A user with too much of everything.
fn ann() -> Value {
    let names = |what: &str, count: u32| -> Value { (0..count).map(|n| json!(format!("{what}-{n:03}"))).collect() };
    json!({"sub": "ann", "email": "ann@example.com", "groups": names("group", 60), "roles": names("role", 40)})
}

/// Puts new settings in force. Each label must be as long as any other: it is part of the token.
fn value_with(envoy: &Envoy, label: u32, more: Value) -> String {
    let label = format!("settings-{label:03}");
    let mut configuration = settings(more);
    configuration["audience"] = label.as_str().into();
    envoy.push_accepted(configuration);
    eventually(&label, || {
        let value = envoy.get("/").seen().one(ASSERTION_HEADER).expect("an assertion");
        let token = value.strip_prefix("Bearer ").unwrap_or(&value);
        (Assertion::read(token).claim("aud") == label.as_str()).then_some(value)
    })
}

fn count(assertion: &Assertion, name: &str) -> usize {
    assertion.claim(name).as_array().map_or(0, Vec::len)
}

/// The claims that say that another one is not whole.
fn truncated(assertion: &Assertion) -> Vec<String> {
    assertion.members().into_iter().filter(|name| name.ends_with("_truncated")).collect()
}

#[test]
fn claims_are_shed_in_order_and_only_as_far_as_it_takes() {
    let envoy = envoy_for(&ann());
    let whole = value_with(&envoy, 0, json!({})).len();
    let limit = |max: usize, shed: Value| json!({"max_assertion_bytes": max, "shed": shed});
    let order = || json!(["groups", "roles"]);

    let value = value_with(&envoy, 1, limit(whole, order()));
    let assertion = envoy.keys().verify(&value);
    assert_eq!((value.len(), count(&assertion, "groups"), count(&assertion, "roles")), (whole, 60, 40));
    assert_eq!(truncated(&assertion), [""; 0], "a token that fits to the byte is whole");

    let value = value_with(&envoy, 2, limit(whole - 1, order()));
    let assertion = envoy.keys().verify(&value);
    assert_eq!((assertion.claim("groups"), count(&assertion, "roles")), (&json!([]), 40), "one byte less: no groups");
    assert_eq!(assertion.claim("groups_truncated"), true);
    assert_eq!(truncated(&assertion), ["groups_truncated"]);
    let without_groups = value.len();
    assert!(without_groups < whole, "{without_groups} of {whole}");

    let value = value_with(&envoy, 3, limit(without_groups, order()));
    assert_eq!((value.len(), count(&Assertion::read(&value), "roles")), (without_groups, 40));

    let value = value_with(&envoy, 4, limit(without_groups - 1, order()));
    let assertion = envoy.keys().verify(&value);
    assert_eq!(*assertion.claim("groups"), json!([]));
    assert!(!assertion.members().contains(&"roles".to_owned()), "an extra claim is left out whole");
    assert_eq!(truncated(&assertion), ["groups_truncated", "roles_truncated"]);
    assert_eq!(assertion.claim("email"), "ann@example.com", "and nothing else is");
    let mut sorted = assertion.members();
    sorted.sort();
    assert_eq!(assertion.members(), sorted);
    let least = value.len();

    let assertion = Assertion::read(&value_with(&envoy, 5, limit(whole - 1, json!(["roles", "groups"]))));
    assert_eq!((count(&assertion, "groups"), truncated(&assertion)), (60, vec!["roles_truncated".to_owned()]));

    check_too_long(&envoy, least, &limit(least - 1, order()));
}

/// Even the least is too long: the request is refused, counted, and named in the log with both numbers.
fn check_too_long(envoy: &Envoy, least: usize, settings_: &Value) {
    let (mark, before) = (envoy.log().len(), envoy.stat("refused.too_long"));
    let mut configuration = settings(settings_.clone());
    configuration["audience"] = "settings-999".into();
    envoy.push_accepted(configuration);
    eventually("a refusal", || (envoy.get("/").status == 431).then_some(()));
    let upstream_requests = envoy.upstream_requests();
    assert_eq!(envoy.get("/").status, 431);
    assert_eq!(envoy.upstream_requests(), upstream_requests);
    assert_eq!(envoy.stat("refused.too_long"), before + 2);
    let log = envoy.log_since(mark);
    let numbers = [least.to_string(), (least - 1).to_string()];
    let ours = ours(&log);
    let named = ours.iter().filter(|line| numbers.iter().all(|number| line.contains(number)));
    let levels: Vec<bool> = named.map(|line| line.contains("[debug]")).collect();
    assert!(!levels.is_empty() && levels.iter().all(|is_debug| *is_debug), "{ours:#?}");
}

#[test]
fn the_prefix_counts() {
    let envoy = envoy_for(&ann());
    let whole = value_with(&envoy, 0, json!({"assertion_prefix": "Bearer "})).len();
    let value = |label: u32, max: usize| {
        let more = json!({"assertion_prefix": "Bearer ", "max_assertion_bytes": max, "shed": ["groups"]});
        value_with(&envoy, label, more)
    };
    assert_eq!(value(1, whole).len(), whole);
    let shed = value(2, whole - 1);
    assert!(shed.starts_with("Bearer ey") && shed.len() < whole, "{} of {whole}", shed.len());
}

/// Somebody without groups, and without a department.
fn groupless() -> Value {
    let mut user = ann();
    user["groups"] = json!([]);
    user
}

#[test]
fn what_is_not_there_is_not_said_to_be_truncated() {
    let envoy = envoy_for(&groupless());
    let whole = value_with(&envoy, 0, json!({})).len();
    let more = json!({"max_assertion_bytes": whole - 1, "shed": ["department", "groups", "roles"]});
    let assertion = envoy.keys().verify(&value_with(&envoy, 1, more));
    assert_eq!(truncated(&assertion), ["roles_truncated"], "no department, no groups: {}", assertion.claims);
}

#[test]
fn what_is_not_there_takes_no_room() {
    let envoy = envoy_for(&groupless());
    let whole = value_with(&envoy, 0, json!({})).len();
    let limit = |max: usize, shed: Value| json!({"max_assertion_bytes": max, "shed": shed});
    let least = value_with(&envoy, 1, limit(whole - 1, json!(["roles"]))).len();
    let mut configuration = settings(limit(least, json!(["department", "groups", "roles"])));
    configuration["audience"] = "settings-002".into();
    envoy.push_accepted(configuration);
    let status = eventually("the new limit", || {
        let reply = envoy.get("/");
        let is_new = reply.try_seen().is_none() || Assertion::read(&reply.token()).claim("aud") == "settings-002";
        is_new.then_some(reply.status)
    });
    assert_eq!(status, 200, "without the roles it has {least} bytes, which is the limit");
}

#[test]
fn a_kept_assertion_is_as_short_as_a_new_one() {
    let envoy = envoy_for(&ann());
    let whole = value_with(&envoy, 0, json!({})).len();
    let more = json!({"max_assertion_bytes": whole - 1, "shed": ["groups"], "reuse": "60s", "user_endpoints": true});
    let value = value_with(&envoy, 1, more);
    assert_eq!(envoy.get("/").token(), value, "kept");
    // The user's own endpoint has no header to keep short.
    let own = envoy.send(&Request::get("/.pomerium/user")).json();
    assert_eq!(own["groups"].as_array().map(Vec::len), Some(60), "{own}");
    assert_eq!(envoy.get("/").token(), value, "still the short one");
}
