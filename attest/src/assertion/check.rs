//! The checks of a verifier, all of them, so that one look shows everything that is wrong.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::{Fault, Token, Verdict};
use crate::keyset::{Keyset, SourceError};

/// What the verifier expects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    /// One of these must be in `aud`; empty: any will do.
    pub(crate) audiences: Vec<String>,
    /// One of these must be `iss`; empty: any will do.
    pub(crate) issuers: Vec<String>,
    /// How far the clocks may be apart.
    pub(crate) leeway: Duration,
}

/// Judges a token at a time in seconds since 1970. Without a keyset nothing vouches for it, and its claims are judged all
/// the same.
pub(crate) fn check(text: &str, keyset: Result<&Keyset, SourceError>, expected: &Expected, now: f64) -> Verdict {
    let keyset = keyset.map_err(|error| Fault::NoKeyset { problem: error.problem, advice: error.advice });
    match Token::parse(text) {
        Err(fault) => Verdict { token: None, faults: [Some(fault), keyset.err()].into_iter().flatten().collect() },
        Ok(token) => {
            let signed = keyset.and_then(|keyset| signature(&token, keyset));
            let mut faults: Vec<Fault> = signed.err().into_iter().collect();
            faults.extend(claims(&token, expected, now));
            Verdict { token: Some(token), faults }
        }
    }
}

fn signature(token: &Token, keyset: &Keyset) -> Result<(), Fault> {
    let algorithm = algorithm(token)?;
    if token.header.contains_key("crit") {
        return Err(Fault::Critical);
    }
    if keyset.keys().is_empty() {
        return Err(Fault::EmptyKeyset);
    }
    let kid = token.kid().ok_or_else(|| Fault::NoKid { kids: keyset.kids() })?;
    let key = keyset.key(kid).ok_or_else(|| Fault::UnknownKid { kid: kid.to_owned(), kids: keyset.kids() })?;
    if !key.fits(algorithm) {
        return Err(Fault::KeyMismatch {
            alg: format!("{algorithm:?}"),
            key: crate::terminal::plain(&key.description()),
        });
    }
    match key.verifies(algorithm, token.signing_input().as_bytes(), token.signature()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::Signature),
        Err(reason) => Err(Fault::UnusableKey { reason }),
    }
}

/// Only what the filter signs with: a verifier that takes whatever the header says can be led to take anything
/// (RFC 8725, section 3.1).
fn algorithm(token: &Token) -> Result<Algorithm, Fault> {
    match token.header.get("alg").and_then(Value::as_str) {
        None => Err(Fault::NoAlgorithm),
        Some("ES256") => Ok(Algorithm::ES256),
        Some("RS256") => Ok(Algorithm::RS256),
        Some(none) if none.eq_ignore_ascii_case("none") => Err(Fault::Unsigned),
        Some(shared @ ("HS256" | "HS384" | "HS512")) => Err(Fault::SharedSecret(shared.to_owned())),
        Some(other) => Err(Fault::Algorithm(other.to_owned())),
    }
}

fn claims(token: &Token, expected: &Expected, now: f64) -> Vec<Fault> {
    let leeway = expected.leeway.as_secs_f64();
    [
        expiry(token, now, leeway),
        start(token, "nbf", now, leeway, Fault::NotYetValid),
        start(token, "iat", now, leeway, Fault::IssuedInFuture),
        audience(token, &expected.audiences),
        issuer(token, &expected.issuers),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect()
}

fn expiry(token: &Token, now: f64, leeway: f64) -> Result<(), Fault> {
    let exp = date(token, "exp")?.ok_or(Fault::MissingClaim("exp"))?;
    // Valid before this time, and no longer at it (RFC 7519, section 4.1.4).
    if now - leeway < exp { Ok(()) } else { Err(Fault::Expired((now - exp).floor())) }
}

fn start(token: &Token, claim: &'static str, now: f64, leeway: f64, fault: fn(f64) -> Fault) -> Result<(), Fault> {
    match date(token, claim)? {
        Some(start) if start > now + leeway => Err(fault(start - now)),
        _ => Ok(()),
    }
}

/// A `NumericDate` (RFC 7519, section 2).
fn date(token: &Token, claim: &'static str) -> Result<Option<f64>, Fault> {
    match token.claims.get(claim) {
        None => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or(Fault::ClaimType { claim, expected: "a number of seconds since 1970" })
        }
    }
}

fn audience(token: &Token, expected: &[String]) -> Result<(), Fault> {
    if expected.is_empty() {
        return Ok(());
    }
    let actual: Vec<String> = match token.claims.get("aud") {
        None => return Err(Fault::MissingClaim("aud")),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        Some(_) => return Err(Fault::ClaimType { claim: "aud", expected: "a string or a list of strings" }),
    };
    match actual.iter().any(|audience| expected.contains(audience)) {
        true => Ok(()),
        false => Err(Fault::Audience { actual, expected: expected.to_vec() }),
    }
}

fn issuer(token: &Token, expected: &[String]) -> Result<(), Fault> {
    if expected.is_empty() {
        return Ok(());
    }
    match token.claims.get("iss") {
        None => Err(Fault::MissingClaim("iss")),
        Some(Value::String(actual)) if expected.contains(actual) => Ok(()),
        Some(Value::String(actual)) => Err(Fault::Issuer { actual: actual.clone(), expected: expected.to_vec() }),
        Some(_) => Err(Fault::ClaimType { claim: "iss", expected: "a string" }),
    }
}

#[cfg(test)]
mod tests;
