//! A whole request, with a host that may say anything.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use attestation_filter::attester::{Attester, Changes, Decision, Worker};
use attestation_filter::config::{Config, Platform};
use attestation_filter::host::Unreadable;
use attestation_filter::keys::{Keyring, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde_json::{Value as Json, json};

use super::claims::is_claims;
use super::endpoint::is_well_formed;
use super::host::{self, FakeHost, NOW, Sign};
use super::own_headers::is_own;
use super::{KEY, parts};

/// What differs between the configurations that requests are tried with.
struct Case {
    config: Json,
    header: &'static str,
    prefix: &'static str,
    claim_headers: &'static [&'static str],
    extra_claims: &'static [&'static str],
}

struct Configured {
    case: Case,
    filter: Filter,
    /// How the host signs with the filter's key.
    sign: Arc<Mutex<Sign>>,
}

/// The filter in one thread.
struct Filter {
    attester: Attester,
    worker: Worker,
}

impl Filter {
    fn on_request(&self, host: &FakeHost) -> Decision {
        self.attester.on_request(&self.worker, host)
    }
}

thread_local! {
    static CONFIGURED: LazyCell<Vec<Configured>> = LazyCell::new(|| cases().into_iter().map(configured).collect());
    static VERIFYING_KEY: LazyCell<VerifyingKey> = LazyCell::new(|| match keys().signing_key() {
        SigningKey::P256(key) => *key.signing_key().verifying_key(),
        SigningKey::Rsa(_) => panic!("not P-256"),
    });
}

/// One byte chooses a configuration, one how the host signs; then follow, between lines of hyphens, the header fields
/// (`name:value` on a line each), the metadata, the route's metadata, the client certificate, and the answer of `sign`.
pub fn attester(bytes: &[u8]) {
    let [choice, signing, rest @ ..] = bytes else { return };
    let [fields, metadata, route, certificate, answer] = parts(rest);
    let fields: Vec<_> = fields.split(|byte| *byte == b'\n').filter_map(field).collect();
    let host = FakeHost {
        metadata: Some(metadata.to_vec()).filter(|metadata| !metadata.is_empty()),
        route_metadata: if signing & 0x80 == 0 { Ok(route.to_vec()) } else { Err(Unreadable) },
        certificate: Some(certificate.to_vec()).filter(|certificate| !certificate.is_empty()),
        ..host::host(&fields)
    };
    host.set_sign(match signing % 16 {
        1 => Sign::Missing,
        2 => Sign::Answers(answer.to_vec()),
        _ => Sign::Repeats,
    });
    CONFIGURED.with(|configured| {
        let chosen = &configured[usize::from(*choice) % configured.len()];
        judge(chosen, &host);
        if chosen.case.config.get("reuse").is_some() {
            is_reused_by_the_same_only(&chosen.filter, &configured[0].filter, &host);
        }
    });
}

/// An assertion that is used again says the same as a new one would, apart from what is new in each.
fn is_reused_by_the_same_only(reusing: &Filter, signing: &Filter, host: &FakeHost) {
    let [kept, new] = [reusing, signing].map(|filter| match filter.on_request(host) {
        Decision::Forward(Changes { set, .. }) => {
            set.iter().find(|(name, _)| name != "connection").map(|(_, token)| {
                let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a payload")).expect("base64url");
                let mut claims: Json = serde_json::from_slice(&payload).expect("JSON");
                claims["jti"].take();
                claims
            })
        }
        Decision::Respond(response) => Some(response.status.into()),
        Decision::Wait => panic!("there is a key"),
    });
    assert_eq!(kept, new);
}

/// The name may begin with a colon.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = 1 + line.get(1..)?.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], &line[colon + 1..]))
}

fn judge(Configured { case, filter, sign }: &Configured, host: &FakeHost) {
    *sign.lock().expect("no panic") = host.sign.lock().expect("no panic").clone();
    let decision = filter.on_request(host);
    no_log_tells_a_secret(host);
    let Some(changes) = is_decision(&decision, host) else { return };
    spoofs_are_removed(case, changes, host);
    connection_names_nothing_of_ours(case, changes, host);
    let set: Vec<&(String, String)> = changes.set.iter().filter(|(name, _)| name != "connection").collect();
    let values: Vec<&str> =
        set.iter().filter(|(name, _)| name == case.header).map(|(_, value)| value.as_str()).collect();
    match values[..] {
        [value] => is_assertion(case, value.strip_prefix(case.prefix).expect("the prefix"), host),
        [] => {
            assert!(set.is_empty(), "claim headers without an assertion");
            let may_skip = case.config["on_missing_identity"] == "skip" || !has_plain_route(host);
            assert!(may_skip, "forwarded without an assertion");
        }
        _ => panic!("more than one assertion"),
    }
    let names: BTreeSet<&str> = set.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), set.len());
    assert!(names.iter().all(|name| *name == case.header || case.claim_headers.contains(name)));
}

fn has_plain_route(host: &FakeHost) -> bool {
    host.route_metadata.as_ref().is_ok_and(Vec::is_empty)
}

/// A decision that Envoy can carry out: what is forwarded, if it is.
pub(super) fn is_decision<'a>(decision: &'a Decision, host: &FakeHost) -> Option<&'a Changes> {
    match decision {
        Decision::Respond(response) => {
            is_well_formed(response);
            None
        }
        Decision::Wait => None,
        Decision::Forward(changes) => {
            for (name, value) in &changes.set {
                http::HeaderName::from_lowercase(name.as_bytes()).expect("a header name");
                http::HeaderValue::from_str(value).expect("a header value");
            }
            assert!(changes.remove.iter().all(|name| host.headers.iter().any(|(sent, _)| *sent == name.as_bytes())));
            Some(changes)
        }
    }
}

/// None of the filter's own headers goes on under any of its names, and all others do, but for `Connection`, which has
/// its own rule. Names that HTTP does not allow do not get past Envoy.
fn spoofs_are_removed(case: &Case, changes: &Changes, host: &FakeHost) {
    for (name, _) in &host.headers {
        if *name == b"connection" || http::HeaderName::from_bytes(name).is_err() {
            continue;
        }
        let own = is_own(name, own_names(case));
        let removed = changes.remove.iter().any(|removed| removed.as_bytes() == name);
        assert_eq!(removed, own, "{}", name.escape_ascii());
    }
}

/// What goes on of `Connection` is what the client sent, in its order, without what is ours or no token.
fn connection_names_nothing_of_ours(case: &Case, changes: &Changes, host: &FakeHost) {
    let sent =
        host.headers.iter().filter(|(name, _)| *name == b"connection").map(|(_, value)| value.split(|b| *b == b','));
    let sent: Vec<&[u8]> = sent.flatten().map(<[u8]>::trim_ascii).filter(|option| !option.is_empty()).collect();
    let is_kept = |option: &&[u8]| http::HeaderName::from_bytes(option).is_ok() && !is_own(option, own_names(case));
    let kept: Vec<&[u8]> = sent.iter().copied().filter(is_kept).collect();
    let set = changes.set.iter().find(|(name, _)| name == "connection").map(|(_, value)| value.as_bytes());
    let removed = changes.remove.iter().any(|name| name == "connection");
    assert_eq!(removed, kept.is_empty() && !sent.is_empty());
    assert_eq!(set, (!removed && kept.len() < sent.len()).then(|| kept.join(&b", "[..])).as_deref());
}

fn own_names(case: &Case) -> impl Iterator<Item = &'static str> {
    case.claim_headers.iter().copied().chain([case.header])
}

fn is_assertion(case: &Case, token: &str, host: &FakeHost) {
    let segments: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = segments[..] else { panic!("not three segments") };
    let decode = |segment: &str| URL_SAFE_NO_PAD.decode(segment).expect("base64url");
    let kid = keys().keyset().keys()[0].kid().to_owned();
    assert_eq!(decode(header), format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT"}}"#).into_bytes());
    let payload = decode(payload);
    let claims = if has_plain_route(host) {
        is_claims(&payload, case.extra_claims)
    } else {
        // A route may add claims of any name.
        let claims: serde_json::Map<String, Json> = serde_json::from_slice(&payload).expect("an object");
        let names: Vec<&str> = claims.keys().map(String::as_str).collect();
        is_claims(&payload, &names)
    };
    let now = NOW.as_secs();
    let lifetime = if case.config["token_lifetime"] == "10s" { 10 } else { 300 };
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + lifetime)));
    let state = host.filter_state.borrow();
    assert_eq!((&claims["jti"], &json!(kid)), (&json!(state["attestation.jti"]), &json!(state["attestation.kid"])));
    let signature = Signature::from_slice(&decode(signature)).expect("r and s");
    // One that is kept may be from a request before, when the host signed.
    if *host.sign.lock().expect("no panic") == Sign::Missing && case.config.get("reuse").is_none() {
        let signed = token.rsplit_once('.').expect("a signature").0;
        VERIFYING_KEY.with(|key| key.verify(signed.as_bytes(), &signature)).expect("a signature that verifies");
    }
    assert!(host.log.borrow().iter().all(|line| !line.contains(token)));
}

/// The fuzzer learns the key from this comparison, and has it in its inputs then.
fn no_log_tells_a_secret(host: &FakeHost) {
    let parts = KEY.as_bytes().chunks_exact(16).skip(2).filter(|part| !host::says(host, part));
    let parts: Vec<&str> = parts.map(|part| str::from_utf8(part).expect("base64")).collect();
    assert!(!host.log.borrow().iter().any(|line| parts.iter().any(|part| line.contains(part))));
}

fn keys() -> Keyring {
    Keyring::parse(KEY.as_bytes()).expect("the test key")
}

fn configured(case: Case) -> Configured {
    let mut config = case.config.clone();
    config["signing_key"] = KEY.into();
    let config = Config::read(Platform::Wasm, config.to_string().as_bytes(), |_| None).expect("a configuration");
    let host = host::host(&[]);
    let attester = Attester::new(config, &host).expect("a key that signs");
    let filter = Filter { worker: attester.worker(), attester };
    Configured { case, filter, sign: host.sign }
}

fn cases() -> Vec<Case> {
    const ASSERTION: &str = "x-pomerium-jwt-assertion";
    let jwk: Json = serde_json::from_str(&keys().signing_key().public_key().jwk()).expect("a JWK");
    let plain = |config: Json| Case { config, header: ASSERTION, prefix: "", claim_headers: &[], extra_claims: &[] };
    vec![
        plain(json!({})),
        Case {
            claim_headers: &["x-pomerium-claim-email", "x-pomerium-claim-groups", "x-pomerium-claim-x"],
            extra_claims: &["x"],
            ..plain(json!({"jwt_claims_headers": "email,groups,x", "user_endpoints": true, "token_lifetime": "10s"}))
        },
        Case {
            header: "authorization",
            prefix: "Bearer ",
            ..plain(json!({
                "assertion_header": "Authorization", "assertion_prefix": "Bearer ", "on_missing_identity": "deny",
                "jwt_issuer_format": "uri", "identity_sources": [
                    {"headers": {"sub": "x-user", "groups": "x-groups", "email": "x-forwarded-for"}},
                    {"client_certificate": {"sub": "uri_san", "name": "subject"}},
                    {"metadata": {"namespace": "n", "path": ["a", "b"]}},
                ],
            }))
        },
        Case {
            extra_claims: &["dept", "dept_truncated", "groups_truncated", "htm", "htu", "idsrc", "request_id"],
            ..plain(json!({
                "bind": ["method", "authority", "path", "request_id"], "provenance": true, "shed": ["groups", "dept"],
                "max_assertion_bytes": 900, "claims": {"dept": {"from": "dept"}},
            }))
        },
        Case {
            extra_claims: &["act"],
            ..plain(json!({"actor": {"trusted": [{"issuer": "a", "jwks": {"keys": [jwk]}}]}}))
        },
        Case {
            extra_claims: &["env", "inner"],
            ..plain(json!({
                "on_missing_identity": "skip", "jwt_groups_filter": ["a", "b"], "issuer": "i", "audience": ["x", "y"],
                "claims": {"env": {"value": {"b": [1, null]}}, "inner": {"from": ["deep", "b"]}, "name": {"from": "n"}},
            }))
        },
        plain(json!({"reuse": "10s"})),
    ]
}
