//! The module from hook to hook, in an Envoy made by hand.

use std::fs;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::ffi::HeadersStatus;
use crate::ffi::fake::{FakeConfig, FakeStream, Fields};

const ASSERTION: &str = "x-pomerium-jwt-assertion";
const KEY: &str = include_str!("../../tests/vectors/signing-key-a.b64");

fn fields(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn get(path: &str) -> Fields {
    fields(&[(":method", "GET"), (":path", path), (":scheme", "https"), (":authority", "app.example.com")])
}

fn config(text: &str) -> FakeConfig {
    FakeConfig::load(text).unwrap()
}

/// Runs what is scheduled until the request is no longer held.
fn wait(stream: &mut FakeStream) {
    let start = Instant::now();
    while !stream.run_events() {
        assert!(start.elapsed() < Duration::from_secs(10), "held for good");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn request_goes_on_with_an_assertion() {
    let config = config(r#"{"jwt_claims_headers": {"x-email": "email", "x-name": "name"}}"#);
    let spoofs = [("x-email", "mallory"), ("x-name", "mallory"), (ASSERTION, "forged"), (ASSERTION, "again")];
    let mut stream = config.request([get("/"), fields(&spoofs)].concat());
    stream.state.insert(b"attestation.identity".into(), br#"{"sub": "alice", "email": "alice@example.com"}"#.into());
    assert_eq!(stream.headers(), HeadersStatus::Continue);
    assert_eq!(stream.header(ASSERTION).unwrap().split(|byte| *byte == b'.').count(), 3);
    assert_eq!(stream.header("x-email"), Some(&b"alice@example.com"[..]));
    assert_eq!(stream.header("x-name"), None, "Envoy takes an empty value for none");
    assert!(stream.state.contains_key(&b"wasm.attestation.jti"[..]));
    assert_eq!(config.metric("attestation.signed.native"), 1);
    assert_eq!(config.metric("attestation.spoofs_stripped"), 4);
    let kid = String::from_utf8(stream.state[&b"wasm.attestation.kid"[..]].clone()).unwrap();
    assert_eq!(config.metric(&format!("attestation.signed_by_kid.{kid}")), 1);
}

#[test]
fn trailers_lose_what_is_the_filters_own() {
    let config = config("");
    let mut stream = config.request(get("/"));
    stream.trailers = fields(&[("x-pomerium_jwt.assertion", "forged"), ("x-other", "1")]);
    assert_eq!(stream.headers(), HeadersStatus::Continue);
    stream.trailers();
    assert_eq!(stream.trailers, fields(&[("x-other", "1")]));
}

#[test]
fn answer_may_end_the_request_within_the_hook() {
    let config = config(&format!(r#"{{"signing_key": "{}"}}"#, KEY.trim()));
    let mut stream = config.request(get("/.well-known/pomerium/jwks.json"));
    assert_eq!(stream.headers(), HeadersStatus::StopIteration);
    let answer = stream.answer.as_ref().unwrap();
    assert_eq!((answer.status, answer.details.as_str()), (200, "attestation_jwks"));
    assert!(answer.headers.contains(&(b"content-type".to_vec(), b"application/json".to_vec())));
    assert!(answer.body.starts_with(br#"{"keys":["#));
    assert_eq!(config.metric("attestation.keys_published"), 1);
}

#[test]
fn grpc_client_hears_of_the_refusal() {
    let config = config("");
    let grpc = fields(&[("content-type", "application/grpc+proto")]);
    let mut stream = config.request([get("/.well-known/pomerium/jwks.json"), grpc].concat());
    assert_eq!(stream.headers(), HeadersStatus::StopIteration);
    let answer = stream.answer.as_ref().unwrap();
    assert_eq!((answer.status, answer.details.as_str()), (415, "attestation_grpc"));
    // Without it Envoy would say `0`, that all is well.
    assert!(answer.headers.contains(&(b"grpc-status".to_vec(), b"12".to_vec())), "{:?}", answer.headers);
}

#[test]
fn route_overrides_and_bad_ones_are_refused() {
    let config = config("");
    let mut stream = config.request(get("/"));
    assert!(stream.take_route(r#"{"pass_identity_headers": false}"#));
    assert_eq!(stream.headers(), HeadersStatus::Continue);
    assert_eq!(stream.header(ASSERTION), None);
    for bad in [r#"{"audience": []}"#, r#"{"signing_key": "k"}"#, "[]", "{", r#"{"issuer": null}"#] {
        assert!(!config.request(get("/")).take_route(bad), "{bad}");
    }
}

#[test]
fn bad_configuration_is_refused() {
    for bad in ["[]", r#"{"signer": "wasm"}"#, r#"{"signing_key": "k"}"#, r#"{"signing_key_cluster": "c"}"#] {
        assert!(FakeConfig::load(bad).is_none(), "{bad}");
    }
}

#[test]
fn request_is_held_until_the_key_file_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let config = config(&format!(r#"{{"signing_key_file": {path:?}}}"#));
    let mut stream = config.request(get("/"));
    assert_eq!(stream.headers(), HeadersStatus::StopAllIterationAndWatermark);
    assert!(!stream.run_events());
    fs::write(&path, KEY).unwrap();
    wait(&mut stream);
    assert!(stream.went_on);
    assert!(stream.header(ASSERTION).is_some());
    assert!(!stream.run_events());
    let mut next = config.request(get("/"));
    assert_eq!(next.headers(), HeadersStatus::Continue);
    assert_eq!(config.metric("attestation.key_loads"), 1);
}

#[test]
fn request_is_answered_503_when_no_key_comes() {
    let config = config(r#"{"signing_key_file": "/nowhere/at/all"}"#);
    let mut stream = config.request(get("/"));
    assert_eq!(stream.headers(), HeadersStatus::StopAllIterationAndWatermark);
    wait(&mut stream);
    assert!(!stream.went_on);
    assert_eq!(stream.answer.as_ref().unwrap().status, 503);
}

#[test]
fn requests_can_end_while_they_are_held() {
    let config = config(r#"{"signing_key_file": "/nowhere/at/all"}"#);
    for _ in 0..2 {
        let mut streams: Vec<_> = (0..1500).map(|_| config.request(get("/"))).collect();
        let held = streams
            .iter_mut()
            .filter_map(|stream| (stream.headers() == HeadersStatus::StopAllIterationAndWatermark).then_some(()));
        assert_eq!(held.count(), 1024);
        assert!(streams.iter().all(|stream| stream.answer.as_ref().is_none_or(|answer| answer.status == 503)));
    }
}

#[test]
fn new_configuration_starts_with_the_keys_of_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    fs::write(&path, KEY).unwrap();
    let text = format!(r#"{{"signing_key_file": {path:?}}}"#);
    let old = config(&text);
    fs::write(&path, "no key").unwrap();
    let new = config(&text);
    assert_eq!(new.request(get("/")).headers(), HeadersStatus::Continue);
    drop((old, new));
    let newest = config(&text);
    assert_eq!(newest.request(get("/")).headers(), HeadersStatus::StopAllIterationAndWatermark);
}

#[test]
fn configurations_come_and_go_under_requests() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    fs::write(&path, KEY).unwrap();
    let text = format!(r#"{{"signing_key_file": {path:?}, "signing_key_refresh": "0.01s", "reuse": "1s"}}"#);
    for _ in 0..100 {
        let config = config(&text);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(config.request(get("/")).headers(), HeadersStatus::Continue));
            }
        });
        config.wake();
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..20), "[a-z0-9._:-]{0,30}".prop_map(String::into_bytes)]
}

#[test]
fn panic_is_answered_500_and_counted() {
    let config = config("");
    let mut stream = config.request(get("/"));
    assert_eq!(stream.panic(), HeadersStatus::StopIteration);
    assert_eq!(stream.answer.as_ref().unwrap().status, 500);
    assert_eq!(config.metric("attestation.panics"), 1);
    let mut next = config.request(get("/"));
    assert_eq!(next.headers(), HeadersStatus::Continue);
}

/// Nothing that a client or an earlier filter writes makes a hook panic.
#[test]
fn no_bytes_make_it_panic() {
    let config = config(
        r#"{
            "user_endpoints": true, "jwt_claims_headers": ["email", "groups"], "assertion_header": "x-a", "reuse": "1s",
            "identity_sources": [{"filter_state": "attestation.identity"}, {"client_certificate": {"sub": "subject"}},
                                 {"headers": {"sub": "x-user", "groups": "x-groups"}}]
        }"#,
    );
    let request = (proptest::collection::vec((bytes(), bytes()), 0..10), [bytes(), bytes(), bytes(), bytes()]);
    proptest!(|((mut headers, [authority, path, state, route]) in request)| {
        headers.push((b":authority".to_vec(), authority));
        headers.push((b":path".to_vec(), path));
        let mut stream = config.request(headers.clone());
        stream.trailers = headers;
        stream.state.insert(b"attestation.identity".to_vec(), state);
        stream.take_route(&String::from_utf8_lossy(&route));
        stream.headers();
        stream.trailers();
        prop_assert_eq!(config.metric("attestation.panics"), 0);
    });
}
