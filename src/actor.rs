//! Who acts on behalf of the user: a trusted peer's incoming assertion, verified, as the `act` claim (RFC 8693,
//! section 4.1). Nothing of it is copied unverified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json};
use thiserror::Error;

use crate::keys::PublicKey;

/// Longer than any assertion that fits a request.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// Peers whose assertions are believed.
#[derive(Debug)]
pub struct Actors {
    /// The peers.
    pub peers: Vec<Peer>,
    /// What happens to a request with an assertion that cannot be verified.
    pub on_unverifiable: OnUnverifiable,
    /// How many actors there may be in a chain, the peer included.
    pub max_depth: usize,
}

/// What happens to a request with an assertion that cannot be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnverifiable {
    /// It goes on as if there were none.
    #[default]
    Drop,
    /// It is answered 401.
    Deny,
}

/// A peer: the issuer of assertions, and its keys.
#[derive(Debug)]
pub struct Peer {
    /// The `iss` of its assertions.
    pub issuer: String,
    /// Its keys.
    pub keys: Vec<PublicKey>,
}

/// Why an incoming assertion is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unverifiable {
    /// No compact JWS with JSON in it.
    #[error("it is not a signed token")]
    Malformed,
    /// From somebody else, or signed with a key that is not theirs.
    #[error("its issuer and key are none of the trusted ones")]
    UnknownPeer,
    /// Forged or damaged.
    #[error("its signature is wrong")]
    BadSignature,
    /// Over, or not yet begun, or without an end.
    #[error("it is not valid at this time")]
    WrongTime,
    /// Meant for another service.
    #[error("it is for another audience")]
    WrongAudience,
    /// More actors than are allowed, or none that has a name.
    #[error("its chain of actors is too long or broken")]
    BadChain,
}

impl Actors {
    /// The `act` claim that a token makes, as JSON. The token must be for one of these audiences, at this time.
    ///
    /// What is cheap is checked first: a client can have one signature verified a request, and only with a token that is
    /// right in everything else.
    ///
    /// # Errors
    /// [`Unverifiable`]; then nothing of the token may be used.
    pub fn act<'a>(
        &self,
        token: &[u8],
        mut audiences: impl Iterator<Item = &'a str>,
        now: u64,
    ) -> Result<String, Unverifiable> {
        let token = Token::read(token)?;
        let key = self.key(&token).ok_or(Unverifiable::UnknownPeer)?;
        if !token.is_valid_at(now) {
            return Err(Unverifiable::WrongTime);
        }
        if !audiences.any(|audience| token.is_for(audience)) {
            return Err(Unverifiable::WrongAudience);
        }
        let act = actor(&token.claims, self.max_depth).ok_or(Unverifiable::BadChain)?;
        if token.header("alg") == key.alg() && key.verifies(token.signed, &token.signature) {
            Ok(act.to_string())
        } else {
            Err(Unverifiable::BadSignature)
        }
    }

    fn key(&self, token: &Token<'_>) -> Option<&PublicKey> {
        let issuer = token.claims.get("iss").and_then(Json::as_str)?;
        let keys = self.peers.iter().filter(|peer| peer.issuer == issuer).flat_map(|peer| &peer.keys);
        keys.into_iter().find(|key| key.kid() == token.header("kid"))
    }
}

/// A compact JWS (RFC 7515, section 7.1) that has been read, but not verified.
struct Token<'a> {
    header: Json,
    claims: Json,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Token<'a> {
    fn read(token: &'a [u8]) -> Result<Self, Unverifiable> {
        let token = str::from_utf8(token).ok().filter(|token| token.len() <= MAX_TOKEN_BYTES);
        let (signed, signature) = token.and_then(|token| token.rsplit_once('.')).ok_or(Unverifiable::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Unverifiable::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Unverifiable::Malformed)?;
        let (header, claims) = (json_part(header)?, json_part(payload)?);
        // Nothing that a header could declare critical is understood here (RFC 7515, section 4.1.11).
        match header.get("crit") {
            Some(_) => Err(Unverifiable::Malformed),
            None => Ok(Self { header, claims, signed: signed.as_bytes(), signature }),
        }
    }

    fn header(&self, name: &str) -> &str {
        self.header.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// By `exp` and `nbf` (RFC 7519, sections 4.1.4 and 4.1.5). `iat` says how old a token is, not from when on it is valid.
    fn is_valid_at(&self, now: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch are far below 2^53")]
        let now = now as f64;
        let has_begun = |begin: &Json| begin.as_f64().is_some_and(|begin| begin <= now);
        self.claims.get("exp").and_then(Json::as_f64).is_some_and(|end| now < end)
            && self.claims.get("nbf").is_none_or(has_begun)
    }

    /// Whether `aud`, a string or a list of them (RFC 7519, section 4.1.3), names this audience.
    fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            _ if audience.is_empty() => false,
            Some(Json::String(name)) => name == audience,
            Some(Json::Array(all)) => all.iter().any(|name| name == audience),
            _ => false,
        }
    }
}

fn json_part(part: &str) -> Result<Json, Unverifiable> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Unverifiable::Malformed)?;
    serde_json::from_slice(&bytes).ok().filter(Json::is_object).ok_or(Unverifiable::Malformed)
}

/// Issuer and subject of these claims, with the actors before them. Nothing else is taken over.
fn actor(claims: &Json, depth: usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let subject = claims.get("sub")?.as_str().filter(|subject| !subject.is_empty())?;
    let mut act = Map::new();
    if let Some(before) = claims.get("act") {
        act.insert("act".into(), actor(before, depth)?);
    }
    if let Some(issuer) = claims.get("iss").and_then(Json::as_str) {
        act.insert("iss".into(), issuer.into());
    }
    act.insert("sub".into(), subject.into());
    Some(act.into())
}

#[cfg(test)]
mod tests {
    use std::iter;

    use serde_json::json;

    use super::*;
    use crate::keys::jws::{ProtectedHeader, compact};
    use crate::keys::{Keyring, SigningKey};

    const KEY_A: &[u8] = include_bytes!("../tests/vectors/signing-key-a.b64");
    const KEY_B: &[u8] = include_bytes!("../tests/vectors/signing-key-b.b64");
    const NOW: u64 = 1_686_870_680;

    fn actors() -> Actors {
        let keys = Keyring::parse(KEY_A).ok().unwrap();
        let peer = Peer { issuer: "front".into(), keys: vec![keys.signing_key().public_key().clone()] };
        Actors { peers: vec![peer], on_unverifiable: OnUnverifiable::Drop, max_depth: 3 }
    }

    fn token(key: &[u8], alg: &str, claims: &Json) -> String {
        let keys = Keyring::parse(key).ok().unwrap();
        let SigningKey::P256(key) = keys.signing_key() else { panic!("not P-256") };
        let kid = Keyring::parse(KEY_A).ok().unwrap().signing_key().public_key().kid().to_owned();
        let input = ProtectedHeader::new(alg, &kid).signing_input(claims.to_string().as_bytes());
        let signature: p256::ecdsa::Signature =
            p256::ecdsa::signature::Signer::sign(&key.signing_key(), input.as_bytes());
        compact(input, &signature.to_bytes())
    }

    fn claims() -> Json {
        json!({"iss": "front", "aud": ["back"], "sub": "ann", "exp": NOW + 10, "email": "not taken over"})
    }

    fn act(claims: &Json) -> Result<String, Unverifiable> {
        actors().act(token(KEY_A, "ES256", claims).as_bytes(), iter::once("back"), NOW)
    }

    #[test]
    fn a_verified_assertion_becomes_its_issuer_and_subject() {
        assert_eq!(act(&claims()), Ok(r#"{"iss":"front","sub":"ann"}"#.into()));
    }

    #[test]
    fn an_issue_in_the_future_is_no_beginning() {
        let mut early = claims();
        (early["iat"], early["nbf"]) = (json!(NOW + 5), json!(NOW));
        assert!(act(&early).is_ok());
    }

    #[test]
    fn earlier_actors_are_kept_up_to_the_depth() {
        let mut chain = claims();
        chain["act"] = json!({"sub": "two", "act": {"sub": "three", "extra": 1}});
        assert_eq!(act(&chain), Ok(r#"{"act":{"act":{"sub":"three"},"sub":"two"},"iss":"front","sub":"ann"}"#.into()));
        chain["act"]["act"]["act"] = json!({"sub": "four"});
        assert_eq!(act(&chain), Err(Unverifiable::BadChain));
        chain["act"] = json!("two");
        assert_eq!(act(&chain), Err(Unverifiable::BadChain));
    }

    #[test]
    fn what_cannot_be_verified_is_not_believed() {
        let with = |name: &str, value: Json| {
            let mut claims = claims();
            claims[name] = value;
            claims
        };
        assert_eq!(act(&with("exp", json!(NOW))), Err(Unverifiable::WrongTime));
        assert_eq!(act(&with("exp", Json::Null)), Err(Unverifiable::WrongTime));
        assert_eq!(act(&with("nbf", json!(NOW + 1))), Err(Unverifiable::WrongTime));
        assert_eq!(act(&with("nbf", json!((NOW - 1).to_string()))), Err(Unverifiable::WrongTime));
        assert_eq!(act(&with("nbf", Json::Null)), Err(Unverifiable::WrongTime));
        assert_eq!(act(&with("aud", json!("other"))), Err(Unverifiable::WrongAudience));
        assert_eq!(act(&with("iss", json!("other"))), Err(Unverifiable::UnknownPeer));
        assert_eq!(act(&with("sub", json!(""))), Err(Unverifiable::BadChain));
        let of = |token: &str| actors().act(token.as_bytes(), iter::once("back"), NOW);
        assert_eq!(of(&token(KEY_B, "ES256", &claims())), Err(Unverifiable::BadSignature));
        assert_eq!(of(&token(KEY_A, "none", &claims())), Err(Unverifiable::BadSignature));
        assert_eq!(of(&token(KEY_A, "RS256", &claims())), Err(Unverifiable::BadSignature));
        for malformed in ["", ".", "..", "a.b.c", "e30.e30.", "....", "e30.W10.e30"] {
            assert!(of(malformed).is_err(), "{malformed}");
        }
    }
}
