//! One Envoy with one configuration after another, and what a request then says of its user.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use harness::keys::A;
use harness::log::{ours, the_refusal};
use harness::{ASSERTION_HEADER, Assertion, Configuration, Envoy, Host, Reply, Secrets, eventually};

/// Hands a one-worker Envoy a configuration, with `label` as its issuer, and waits until it is in force. The key is
/// [`A`] unless the configuration names another.
pub fn apply(envoy: &Envoy, label: &str, configuration: &Value) {
    let mut configuration = with_key(configuration);
    configuration["issuer"] = label.into();
    envoy.push_accepted(configuration);
    eventually(label, || {
        let reply = envoy.get("/.well-known/pomerium");
        (reply.status == 200 && reply.json()["issuer"] == label).then_some(())
    });
}

/// Hands Envoy a configuration that the filter must refuse in one line that has each of these words, both as plain YAML
/// and as JSON text.
///
/// # Panics
/// If it is accepted, saying so, or if a word is missing.
pub fn check_refused(envoy: &Envoy, configuration: &Value, words: &[&str]) {
    let configuration = with_key(configuration);
    for form in [Configuration::Struct(configuration.clone()), Configuration::Text(configuration.to_string())] {
        let verdict = envoy.push(&form);
        assert!(!verdict.is_accepted, "accepted: {configuration}");
        let line = the_refusal(&verdict.log);
        for word in words {
            assert!(line.contains(word), "{configuration}: the line says {word:?}: {line}");
        }
        Secrets::of([A]).assert_not_in("the refusal", &line);
    }
}

fn with_key(configuration: &Value) -> Value {
    let mut configuration = configuration.clone();
    if configuration.get("signing_key").is_none() {
        configuration["signing_key"] = A.into();
    }
    configuration
}

/// The claims of the assertion that reached the upstream.
///
/// # Panics
/// If none did.
pub fn claims(reply: &Reply) -> Value {
    Assertion::read(&reply.token()).claims
}

/// Some of them, in this order; null for one that is not there.
pub fn some_claims(reply: &Reply, names: &[&str]) -> Value {
    let claims = claims(reply);
    names.iter().map(|name| claims[*name].clone()).collect()
}

/// Whose request it is, where nobody's is refused or goes on unsigned.
///
/// # Panics
/// If it was answered in another way.
pub fn subject(reply: &Reply) -> Option<String> {
    match reply.status {
        401 => None,
        200 if reply.seen().one(ASSERTION_HEADER).is_none() => None,
        _ => Some(claims(reply)["sub"].as_str().expect("a subject that is text").to_owned()),
    }
}

/// The lines above debug that the filter wrote since the log was so many bytes long.
pub fn lines_since(envoy: &Envoy, mark: usize) -> Vec<String> {
    let log = envoy.log_since(mark);
    let is_loud = |line: &&str| !line.contains("[debug]") && !line.contains("[trace]");
    ours(&log).into_iter().filter(is_loud).map(str::to_owned).collect()
}

/// The statistics of the filter that grew while `act` ran.
pub fn grown(envoy: &Envoy, act: impl FnOnce()) -> BTreeSet<String> {
    let before = envoy.admin().stats();
    act();
    let after = envoy.admin().stats();
    let ours = after.into_iter().filter_map(|(name, value)| {
        let short = name.strip_prefix(Host::under_test().statistics_prefix())?.to_owned();
        (value > before.get(&name).copied().unwrap_or_default()).then_some(short)
    });
    ours.collect()
}

/// A filter that puts the JSON of the header `x-identity` into the filter state, for the source
/// `{filter_state: attestation.identity}`.
pub fn identity_in_filter_state() -> Value {
    filter_state("attestation.identity", "%REQ(x-identity)%")
}

/// A filter that puts a text into the filter state.
pub fn filter_state(name: &str, format: &str) -> Value {
    json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": name,
                "factory_key": "envoy.string",
                "skip_if_empty": true,
                "format_string": {"text_format_source": {"inline_string": format}, "omit_empty_values": true},
            }],
        },
    })
}
