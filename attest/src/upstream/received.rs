//! What one request brought: the assertion, the verdict on it, and the rest.

use std::time::Duration;

use axum::http::HeaderName;
use axum::http::request::Parts;
use serde_json::{Value, json};

use super::keyset_cache::{Cached, KeysetCache};
use crate::assertion::{self, Expected, Fault, Token, Verdict};
use crate::clock;
use crate::keyset::SourceError;

/// Headers that hold secrets of the user; a page that shows them invites to leak them.
const SECRET_HEADERS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// A request as this service saw it.
pub(super) struct Received {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) host: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) assertion_header: HeaderName,
    pub(super) arrival: Arrival,
    pub(super) verdict: Verdict,
    pub(super) keyset: Option<Cached>,
    pub(super) keyset_source: String,
    /// What this service insists on.
    pub(super) expects: Expects,
    /// When, in seconds since 1970.
    pub(super) at: f64,
}

/// Which names are compared at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expects {
    pub(super) audience: bool,
    pub(super) issuer: bool,
}

/// How the assertion header was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Once,
    Never,
    /// More than one copy: an application could read one that nobody signed.
    Repeated(usize),
}

impl Received {
    pub(super) async fn new(parts: &Parts, header: &HeaderName, expected: &Expected, keysets: &KeysetCache) -> Self {
        let values: Vec<String> = parts.headers.get_all(header).iter().map(|value| lossy(value.as_bytes())).collect();
        let arrival = match values.len() {
            0 => Arrival::Never,
            1 => Arrival::Once,
            count => Arrival::Repeated(count),
        };
        let text = values.first().map(String::as_str).unwrap_or_default();
        let kid = Token::parse(text).ok().and_then(|token| token.kid().map(str::to_owned));
        let at = clock::now();
        let fetched = keysets.get(kid.as_deref()).await;
        let (verdict, keyset) = judge(text, fetched, expected, clock::now());
        Self {
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            host: host(parts),
            headers: headers(parts),
            assertion_header: header.clone(),
            arrival,
            verdict,
            keyset,
            expects: Expects { audience: !expected.audiences.is_empty(), issuer: !expected.issuers.is_empty() },
            keyset_source: keysets.source().to_string(),
            at,
        }
    }

    /// Whether exactly one assertion came, and is good.
    pub(super) fn is_verified(&self) -> bool {
        self.arrival == Arrival::Once && self.verdict.is_good()
    }

    /// The token, if there is one that can be shown as the request's.
    pub(super) fn token(&self) -> Option<&Token> {
        self.verdict.token.as_ref()
    }

    /// Whether a good assertion says that nobody in particular asked.
    pub(super) fn is_anonymous(&self) -> bool {
        self.is_verified() && self.token().is_some_and(Token::is_anonymous)
    }

    /// How long ago the keyset was fetched.
    pub(super) fn keyset_age(&self) -> Option<Duration> {
        self.keyset.as_ref().map(|cached| cached.fetched.elapsed())
    }

    /// What is wrong, in words, each with what to do next.
    pub(super) fn problems(&self) -> Vec<(String, String)> {
        let of_header = match self.arrival {
            Arrival::Once => None,
            Arrival::Never => Some((
                format!("no {} header arrived", self.assertion_header),
                "is the filter in this listener's chain, before the router, and is pass_identity_headers on?"
                    .to_owned(),
            )),
            Arrival::Repeated(count) => Some((
                format!("{count} {} headers arrived", self.assertion_header),
                "one request carries one assertion; what adds the other, after the filter?".to_owned(),
            )),
        };
        let of_token = self.verdict.faults.iter().filter(|_| self.arrival != Arrival::Never);
        of_header.into_iter().chain(of_token.map(|fault| (fault.to_string(), fault.advice().to_owned()))).collect()
    }

    /// One line for the log. It holds no token.
    pub(super) fn log_line(&self) -> String {
        let who = match self.token() {
            Some(token) if self.is_verified() && !token.is_anonymous() => {
                [token.text("email"), token.text("sub")].into_iter().find(|text| !text.is_empty()).unwrap_or("a user")
            }
            _ if self.is_anonymous() => "anonymous",
            _ => "-",
        };
        let verdict = match self.problems().first() {
            None => format!("verified with kid {}", self.token().and_then(Token::kid).unwrap_or_default()),
            Some((problem, _)) => problem.clone(),
        };
        crate::terminal::plain(&format!("{} {} {who}: {verdict}", self.method, self.path))
    }

    /// Everything, for scripts.
    pub(super) fn json(&self) -> Value {
        let token = self.token();
        let headers: Vec<Value> =
            self.headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({
            "verified": self.is_verified(),
            "anonymous": self.is_anonymous(),
            "faults": self.faults_json(),
            "kid": token.and_then(Token::kid),
            "header": token.map(|token| &token.header),
            "claims": token.map(|token| &token.claims),
            "token": token.map(Token::compact),
            "request": { "method": self.method, "path": self.path, "host": self.host, "headers": headers },
            "keyset": {
                "source": self.keyset_source,
                "keys": self.keyset.as_ref().map(|cached| {
                    cached.keyset.keys().iter().map(|key| key.json().clone()).collect::<Vec<_>>()
                }),
            },
        })
    }

    fn faults_json(&self) -> Vec<Value> {
        let code = match self.arrival {
            Arrival::Once => return self.verdict.faults.iter().map(Fault::json).collect(),
            Arrival::Never => "no_assertion",
            Arrival::Repeated(_) => "repeated_assertion",
        };
        let of_header = self.problems().into_iter().take(1);
        of_header.map(|(message, next)| json!({ "code": code, "message": message, "next": next })).collect()
    }
}

fn judge(text: &str, fetched: Result<Cached, SourceError>, expected: &Expected, now: f64) -> (Verdict, Option<Cached>) {
    match fetched {
        Ok(cached) => (assertion::check(text, Ok(&cached.keyset), expected, now), Some(cached)),
        Err(error) => (assertion::check(text, Err(error), expected, now), None),
    }
}

fn host(parts: &Parts) -> String {
    let from_uri = parts.uri.authority().map(ToString::to_string);
    from_uri.unwrap_or_else(|| parts.headers.get("host").map(|host| lossy(host.as_bytes())).unwrap_or_default())
}

fn headers(parts: &Parts) -> Vec<(String, String)> {
    let shown = |name: &HeaderName, value: &[u8]| match SECRET_HEADERS.contains(&name.as_str()) {
        true => "(there, and not shown)".to_owned(),
        false => lossy(value),
    };
    parts.headers.iter().map(|(name, value)| (name.to_string(), shown(name, value.as_bytes()))).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
