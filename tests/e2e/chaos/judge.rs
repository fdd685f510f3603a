//! What may arrive at the upstream, and what may not.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::ledger::Ledger;
use harness::ASSERTION_HEADER;
use harness::message::{Lines, folded, latin1};

/// In the audience of a configuration that Envoy must refuse.
pub(super) const REJECTED: &str = "rejected";
const CLAIM_HEADERS: &str = "x-pomerium-claim-";
const ASSERTION_FOR: &str = "x-pomerium-jwt-assertion-for";
/// The only claim header that a configuration of the test asks for.
const CLAIM_HEADER: &str = "x-pomerium-claim-sub";

/// What arrived, and what should not have.
#[derive(Default)]
pub(super) struct Record {
    pub(super) arrived: u64,
    pub(super) signed: u64,
    pub(super) unsigned_by_right: u64,
    pub(super) by_kid: BTreeMap<String, u64>,
    pub(super) violations: Vec<String>,
    jtis: HashSet<String>,
}

/// Judges each request as it arrives.
pub(super) struct Judge {
    ledger: Arc<Ledger>,
    record: Mutex<Record>,
}

impl Judge {
    pub(super) fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, record: Mutex::default() }
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's head.
    pub(super) fn request(&self, start_line: &str, headers: &Lines, at: Instant) {
        let verdict = self.verdict(start_line, headers, at);
        let mut record = self.record();
        record.arrived += 1;
        match verdict {
            Ok(None) => record.unsigned_by_right += 1,
            Ok(Some((kid, jti))) => {
                record.signed += 1;
                *record.by_kid.entry(kid).or_default() += 1;
                if !record.jtis.insert(jti) {
                    record.violations.push(format!("{start_line}: its jti has been on another request"));
                }
            }
            Err(why) => record.violations.push(format!("{start_line}: {why}")),
        }
    }

    /// A request's trailers, which never have an assertion or a claim.
    pub(super) fn trailers(&self, start_line: &str, trailers: &Lines) {
        let of_ours = |name: &String| name == ASSERTION_HEADER || name.starts_with(CLAIM_HEADERS);
        if let Some(name) = trailers.iter().map(|(name, _)| folded(&latin1(name))).find(of_ours) {
            self.record().violations.push(format!("{start_line}: a trailer {name}"));
        }
    }

    /// The kid and the jti of a request that must be signed; nothing for one that must not.
    fn verdict(&self, start_line: &str, headers: &Lines, at: Instant) -> Result<Option<(String, String)>, String> {
        let mut path = start_line.split(' ').nth(1).unwrap_or_default().split('/').skip(1);
        let (due, number) = (path.next() == Some("due"), path.next().unwrap_or_default());
        let user = format!("u-{number}");
        check_claim_headers(headers, due.then_some(&user))?;
        if headers.iter().any(|(name, _)| folded(&latin1(name)) == ASSERTION_FOR) {
            return Err("an assertion for another".into());
        }
        let assertions: Vec<_> = headers.iter().filter(|(name, _)| folded(&latin1(name)) == ASSERTION_HEADER).collect();
        let value = match (due, assertions.as_slice()) {
            (false, []) => return Ok(None),
            (false, _) => return Err("an assertion where none is due".into()),
            (true, []) => return Err("no assertion".into()),
            (true, [(name, value)]) if name.as_slice() == ASSERTION_HEADER.as_bytes() => latin1(value),
            (true, [(name, _)]) => return Err(format!("an assertion in {}", latin1(name))),
            (true, more) => return Err(format!("{} assertions", more.len())),
        };
        let claims = self.ledger.verify(&value, at)?;
        check_claims(&claims, &user)?;
        let kid = jsonwebtoken::decode_header(&value).ok().and_then(|header| header.kid).unwrap_or_default();
        Ok(Some((kid, claims["jti"].as_str().ok_or("no jti")?.to_owned())))
    }
}

fn check_claims(claims: &Value, user: &str) -> Result<(), String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let issued = claims["iat"].as_u64().ok_or("no iat")?;
    if claims["sub"] != *user || claims["user"] != *user {
        return Err(format!("an assertion about {}", claims["sub"]));
    }
    if issued > now + 1 || issued + 30 < now {
        return Err(format!("issued at {issued}, and it is {now}"));
    }
    match claims["aud"].as_str() {
        Some(REJECTED) | None => Err(format!("aud {}, from a configuration that was refused", claims["aud"])),
        Some(_) => Ok(()),
    }
}

/// A claim header is the filter's own or is not there.
fn check_claim_headers(headers: &Lines, user: Option<&String>) -> Result<(), String> {
    let mut there = headers.iter().filter(|(name, _)| folded(&latin1(name)).starts_with(CLAIM_HEADERS));
    match (there.next(), there.next()) {
        (None, _) => Ok(()),
        (Some((name, value)), None)
            if name.as_slice() == CLAIM_HEADER.as_bytes() && user.is_some_and(|user| user.as_bytes() == value) =>
        {
            Ok(())
        }
        (Some((name, value)), _) => Err(format!("a claim header {}: {}", latin1(name), latin1(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::forger::Forger;
    use super::super::ledger::{Key, SLACK};
    use super::*;

    /// What the judge says of a request for user 1 with these header lines.
    fn judged(path: &str, lines: &[(&str, &str)], ledger: &Arc<Ledger>) -> Vec<String> {
        let judge = Judge::new(Arc::clone(ledger));
        let lines: Lines =
            lines.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        judge.request(&format!("GET {path} HTTP/1.1"), &lines, Instant::now());
        let record = std::mem::take(&mut *judge.record());
        assert_eq!(record.arrived, 1);
        record.violations
    }

    #[test]
    fn the_judge_passes_what_is_right_and_nothing_else() {
        let ledger = Arc::new(Ledger::default());
        let ours = Key::generate();
        ledger.offer(&ours);
        let (good, foreign) = (Forger::with(&ours), Forger::with(&Key::generate()));
        let of = |forger: &Forger, user: &str, aud: &str| forger.token(user, aud, 0);
        let token = of(&good, "u-1", "accepted");
        let header = ASSERTION_HEADER;
        assert_eq!(judged("/due/1", &[(header, &token), (CLAIM_HEADER, "u-1")], &ledger), [""; 0]);
        assert_eq!(judged("/off/1", &[("x-other", "1")], &ledger), [""; 0]);
        for (what, path, lines) in [
            ("missing", "/due/1", vec![]),
            ("doubled", "/due/1", vec![(header, token.clone()), (header, token.clone())]),
            (
                "an alias beside it",
                "/due/1",
                vec![(header, token.clone()), ("X_Pomerium.jwt-assertion", token.clone())],
            ),
            ("an alias alone", "/due/1", vec![("x_pomerium_jwt_assertion", token.clone())]),
            ("foreign", "/due/1", vec![(header, of(&foreign, "u-1", "accepted"))]),
            ("a client's", "/due/1", vec![(header, "forged".to_owned())]),
            ("another user's", "/due/2", vec![(header, token.clone())]),
            ("of a refused configuration", "/due/1", vec![(header, of(&good, "u-1", REJECTED))]),
            ("stale", "/due/1", vec![(header, good.token("u-1", "accepted", 60))]),
            ("not due", "/off/1", vec![(header, token.clone())]),
            ("a claim header", "/due/1", vec![(header, token.clone()), ("x-pomerium-claim-email", "x".to_owned())]),
            ("another's claim", "/due/1", vec![(header, token.clone()), (CLAIM_HEADER, "u-2".to_owned())]),
            ("an assertion for another", "/off/1", vec![("x~pomerium-jwt.assertion-For", "x".to_owned())]),
            ("a claim header, not due", "/off/1", vec![("x_pomerium_claim_sub", "u-1".to_owned())]),
        ] {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(judged(path, &lines, &ledger).len(), 1, "{what}");
        }
    }

    #[test]
    fn the_judge_sees_a_key_that_is_back_and_a_jti_that_is_back() {
        let ledger = Arc::new(Ledger::default());
        let (old, new) = (Key::generate(), Key::generate());
        ledger.offer(&old);
        ledger.offer(&new);
        let [token, newer] = [&old, &new].map(|key| Forger::with(key).token("u-1", "accepted", 0));
        assert!(ledger.verify(&token, Instant::now() + 2 * SLACK).is_ok(), "its successor has not signed yet");
        assert!(ledger.verify(&newer, Instant::now()).is_ok());
        assert!(ledger.has_signed(&new.kid));
        assert!(ledger.verify(&token, Instant::now()).is_ok(), "just replaced");
        assert!(ledger.verify(&token, Instant::now() + 2 * SLACK).is_err(), "replaced long ago");
        let judge = Judge::new(ledger);
        let lines = vec![(ASSERTION_HEADER.as_bytes().to_vec(), token.into_bytes())];
        judge.request("GET /due/1 HTTP/1.1", &lines, Instant::now());
        assert!(judge.record().violations.is_empty());
        judge.request("GET /due/1 HTTP/1.1", &lines, Instant::now());
        assert_eq!(judge.record().violations.len(), 1);
        judge.trailers("GET /due/1 HTTP/1.1", &vec![(b"X.Pomerium-Jwt_Assertion".to_vec(), b"1".to_vec())]);
        assert_eq!(judge.record().violations.len(), 2);
    }
}
