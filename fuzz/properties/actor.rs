//! A peer's assertion that a client hands in.

use std::cell::LazyCell;
use std::iter;

use attestation_filter::actor::{Actors, OnUnverifiable, Peer};
use attestation_filter::keys::jws::{ProtectedHeader, compact};
use attestation_filter::keys::{Keyring, SigningKey};
use p256::ecdsa::signature::Signer as _;
use serde_json::{Value as Json, json};

use super::{KEY, lines};

const NOW: u64 = 1_686_870_680;

struct Peers {
    actors: Actors,
    signed: Vec<Signed>,
}

/// A token that the peer has signed.
struct Signed {
    /// What its signature is of.
    input: String,
    token: String,
    audiences: Vec<String>,
}

thread_local! {
    static PEERS: LazyCell<Peers> = LazyCell::new(peers);
}

/// Only what the peer signed is believed, whatever is done to its tokens. An input is an audience and a token, or the
/// number of one of those that the peer made and the place of a change in it.
pub fn actor(bytes: &[u8]) {
    let [audience, token] = lines(bytes);
    let Ok(audience) = str::from_utf8(audience) else { return };
    PEERS.with(|peers| {
        judge(peers, token, audience);
        if let [number, place, change, rest @ ..] = token {
            let mut token = peers.signed[usize::from(*number) % peers.signed.len()].token.clone().into_bytes();
            let place = (usize::from(*place) * 3 + rest.len()) % token.len();
            token[place] ^= change;
            judge(peers, &token, audience);
        }
    });
}

fn judge(peers: &Peers, token: &[u8], audience: &str) {
    let Ok(act) = peers.actors.act(token, iter::once(audience), NOW) else { return };
    let token = str::from_utf8(token).expect("text");
    let (input, _) = token.rsplit_once('.').expect("a signature");
    let signed = peers.signed.iter().find(|signed| signed.input == input).expect("only what the peer has signed");
    assert!(signed.audiences.iter().any(|signed| signed == audience), "not for {audience:?}");
    let act: Json = serde_json::from_str(&act).expect("JSON");
    assert_eq!((&act["iss"], &act["sub"]), (&json!("front"), &json!("ann")));
    let members = act.as_object().expect("an object").keys();
    assert!(members.into_iter().all(|name| ["act", "iss", "sub"].contains(&name.as_str())));
}

fn peers() -> Peers {
    let keys = Keyring::parse(KEY.as_bytes()).expect("the test key");
    let peer = Peer { issuer: "front".into(), keys: vec![keys.signing_key().public_key().clone()] };
    let actors = Actors { peers: vec![peer], on_unverifiable: OnUnverifiable::Deny, max_depth: 3 };
    let good = json!({"iss": "front", "aud": "back", "sub": "ann", "exp": NOW + 10, "email": "a@example.com"});
    let with = |name: &str, value: Json| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let chain = json!({"sub": "two", "act": {"sub": "three", "extra": 1}});
    let claims = [good.clone(), with("aud", json!(["x", "back"])), with("act", chain), with("exp", json!(NOW))];
    Peers { actors, signed: claims.iter().map(|claims| sign(&keys, claims)).collect() }
}

fn sign(keys: &Keyring, claims: &Json) -> Signed {
    let SigningKey::P256(key) = keys.signing_key() else { panic!("not P-256") };
    let header = ProtectedHeader::new("ES256", keys.signing_key().public_key().kid());
    let input = header.signing_input(claims.to_string().as_bytes());
    let signature: p256::ecdsa::Signature = key.signing_key().sign(input.as_bytes());
    let audiences = match &claims["aud"] {
        Json::Array(audiences) => audiences.clone(),
        one => vec![one.clone()],
    };
    Signed {
        token: compact(input.clone(), &signature.to_bytes()),
        input,
        audiences: audiences.iter().map(|audience| audience.as_str().expect("text").to_owned()).collect(),
    }
}
