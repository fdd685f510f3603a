//! A private key in any place of a configuration: nothing that is printed has a part of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::*;

/// How many characters of a key are looked for at once, and how far apart they begin.
const PART: usize = 12;
const STEP: usize = 4;

fn pem() -> String {
    let base64 = read("tests/vectors/signing-key-a.b64");
    String::from_utf8(STANDARD.decode(base64.trim()).unwrap()).unwrap()
}

/// A key as it is given by mistake: PEM, base64 of it, cut base64, quoted, the base64 of its DER, a line of it.
fn forms() -> Vec<String> {
    let pem = pem();
    let body: Vec<_> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let base64 = STANDARD.encode(&pem);
    vec![pem.clone(), base64[..121].to_owned(), format!("'{base64}'"), body.concat(), body[0].to_owned(), base64]
}

/// Parts of a key, in lower case.
fn parts(key: &str) -> Vec<String> {
    let lines = key.lines().filter(|line| !line.starts_with('-')).map(str::to_ascii_lowercase);
    let of_line = |line: String| {
        let begins = (0..line.len().saturating_sub(PART)).step_by(STEP);
        begins.map(|begin| line[begin..begin + PART].to_owned()).collect::<Vec<_>>()
    };
    lines.flat_map(of_line).collect()
}

/// What is printed of a configuration, in every form.
fn printed(configuration: &Json) -> String {
    let sources = Sources::of_text(&configuration.to_string(), "envoy.yaml").unwrap();
    match find(&sources, Some((1, 36)), None) {
        Ok(found) => {
            let json: Vec<_> = found.iter().map(Finding::json).collect();
            format!("{}{}{}", report::text(&found), sarif::log(&found), Json::from(json))
        }
        Err(error) => format!("{error:#}"),
    }
}

fn assert_hidden(key: &str, place: &str, configuration: &Json) {
    let printed = printed(configuration);
    let lower = printed.to_ascii_lowercase();
    let shown = parts(key).into_iter().find(|part| lower.contains(part));
    assert_eq!(shown, None, "{place}: {printed}");
}

/// The paths to every value in a document.
fn pointers(at: &str, value: &Json, found: &mut Vec<String>) {
    match value {
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| pointers(&format!("{at}/{place}"), item, found));
        }
        Json::Object(members) => members.iter().for_each(|(name, member)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            found.push(format!("{at}/{name}"));
            pointers(&format!("{at}/{name}"), member, found);
        }),
        Json::String(_) => found.push(at.to_owned()),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// A shipped configuration without its early removal, whose many expressions take their time.
fn shipped(path: &str) -> Json {
    document::read(&read(path).replace("early_header_mutation_extensions", "not_early"), path).unwrap()[0].json()
}

#[test]
fn a_key_in_any_place_is_not_printed() {
    let forms = forms();
    for (file, key) in [(WASM, &forms[0]), (NATIVE, &forms[0]), (LOGIN, &forms[4])] {
        let document = shipped(file);
        let mut places = Vec::new();
        pointers("", &document, &mut places);
        assert!(places.len() > 100, "{file}");
        for place in &places {
            let mut wrong = document.clone();
            let value = wrong.pointer_mut(place).unwrap();
            if value.is_string() {
                *value = key.as_str().into();
                assert_hidden(key, place, &wrong);
            }
            let mut wrong = document.clone();
            let (parent, name) = place.rsplit_once('/').unwrap();
            if let Some(Json::Object(members)) = wrong.pointer_mut(parent) {
                let value = members.remove(&name.replace("~1", "/").replace("~0", "~")).unwrap();
                members.insert(key.clone(), value);
                assert_hidden(key, &format!("the name {place}"), &wrong);
            }
        }
    }
}

/// The settings of the filter with a key in one field, for each field that takes a text.
fn settings(key: &str) -> Vec<Json> {
    vec![
        json!({"signing_key": key}),
        json!({"signing_key": format!("{key} {key}")}),
        json!({"signing_key_file": key}),
        json!({"signing_key_cluster": key}),
        json!({"signing_key_secret": key}),
        json!({"signing_key_secret": {"name": key, "sds_config": {}}}),
        json!({"signing_key_refresh": key}),
        json!({"signing_key_wait": key}),
        json!({"signer": key}),
        json!({"issuer": key}),
        json!({"jwt_issuer_format": key}),
        json!({"audience": key}),
        json!({"audience": ["app", key]}),
        json!({"assertion_header": key}),
        json!({"assertion_prefix": key}),
        json!({"token_lifetime": key}),
        json!({"reuse": key}),
        json!({"jwt_groups_filter": [key]}),
        json!({"on_missing_identity": key}),
        json!({"identity_sources": [{"filter_state": key}]}),
        json!({"identity_sources": [{"metadata": {"namespace": key}}]}),
        json!({"identity_sources": [{"metadata": {"namespace": "envoy.filters.http.jwt_authn", "path": [key]}}]}),
        json!({"identity_sources": [{"headers": {"sub": key}}]}),
        json!({"identity_sources": [{"headers": {key: "x-user"}}]}),
        json!({"identity_sources": [{"client_certificate": {"sub": key}}]}),
        json!({"identity_sources": [{key: {}}]}),
        json!({"required_claims": [key]}),
        json!({"claims": {"env": {"value": key}}}),
        json!({"claims": {"env": {"value": {"deep": [key]}}}}),
        json!({"claims": {"env": {"from": key}}}),
        json!({"claims": {"env": {"first_of": [key, "a"]}}}),
        json!({"claims": {"sub": {"value": key}}}),
        json!({"claims": {key: {"from": "env"}}}),
        json!({"claim_values": key}),
        json!({"jwt_claims_headers": {key: "email"}}),
        json!({"jwt_claims_headers": {"x-email": key}}),
        json!({"jwt_claims_headers": [key]}),
        json!({"bind": [key]}),
        json!({"shed": [key], "max_assertion_bytes": 4000}),
        json!({"actor": key}),
        json!({"jwks_path": key}),
        json!({"jwks_max_age": key}),
        json!({key: true}),
    ]
}

#[test]
fn a_key_in_any_setting_is_not_printed() {
    for (file, path) in [(WASM, "config/configuration"), (NATIVE, "filter_config")] {
        let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
        let document = shipped(file);
        let chain = document.pointer(filters).and_then(Json::as_array).unwrap();
        let place = chain.iter().position(|filter| filter["name"] == "attestation").unwrap();
        for key in forms() {
            for settings in settings(&key) {
                let settings = settings.as_object().unwrap();
                let of_key = settings.keys().any(|name| name.starts_with("signing_key"));
                for keeps_file in [true, false].into_iter().filter(|keeps_file| *keeps_file || of_key) {
                    let mut wrong = document.clone();
                    let value = wrong.pointer_mut(&format!("{filters}/{place}/typed_config/{path}/value")).unwrap();
                    let members = value.as_object_mut().unwrap();
                    members.retain(|name, _| keeps_file || !name.starts_with("signing_key"));
                    members.extend(settings.clone());
                    assert_hidden(&key, &format!("{file}: {:?}", settings.keys().next()), &wrong);
                }
            }
        }
    }
}

#[test]
fn a_finding_without_its_key_says_what_to_do() {
    let line = pem().lines().nth(1).unwrap().to_owned();
    let text = apply(WASM, "signing_key_cluster: signing_key", &format!("signing_key_cluster: {line}"));
    let found = find(&Sources::of_text(&text, "a.yaml").unwrap(), None, None).unwrap();
    let it = found.iter().find(|finding| finding.id == catalog::Id::KeyClusterMissing).unwrap();
    assert_eq!(it.message, "what stands here holds a private key, or a part of one");
    assert!(it.cure.contains("signing_key_file") && it.place.path.ends_with("value.signing_key_file"), "{it:?}");
    let kid = "6b30af63dc84d5a15d1dbc3207e39a8fba86c0bc5ec9a3f1a59fd433c4bbd5a5";
    let long = "outbound|8080|v2|Signing.key_of-the-platform-team.production.svc.cluster.local";
    for name in [kid, long, "/Users/Ann/Projects/Envoy2026/attestation/keys"] {
        let text = apply(WASM, "signing_key_cluster: signing_key", &format!("signing_key_cluster: {name:?}"));
        let found = find(&Sources::of_text(&text, "a.yaml").unwrap(), None, None).unwrap();
        let it = found.iter().find(|finding| finding.id == catalog::Id::KeyClusterMissing).unwrap();
        assert!(it.message.contains(name), "{it:?}");
    }
}
