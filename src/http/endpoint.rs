//! The paths that the filter answers itself, with the manners of HTTP (RFC 9110).

use sha2::{Digest as _, Sha256};

use crate::http::fields::Fields;
use crate::keys::public::hex;

/// An answer that goes to the client without seeing an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u32,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body; Envoy leaves it out of an answer to `HEAD`.
    pub body: Vec<u8>,
}

impl Response {
    /// A refusal, in words that hold nothing of the request.
    #[must_use]
    pub fn refusal(status: u32, reason: &str) -> Self {
        let headers = vec![("content-type", "text/plain; charset=utf-8".into()), ("cache-control", "no-store".into())];
        Self { status, headers, body: reason.into() }
    }

    /// The same answer with one more header field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// One of the filter's own paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The keyset.
    Jwks,
    /// Where to find it.
    Discovery,
    /// The caller's own assertion.
    Jwt,
    /// The caller's own claims.
    User,
}

impl Endpoint {
    /// The endpoint at exactly this path; only a query may follow it.
    #[must_use]
    pub fn at(target: &[u8], jwks_path: &str, user_endpoints: bool) -> Option<Self> {
        let path = target.split(|byte| *byte == b'?').next()?;
        match path {
            path if path == jwks_path.as_bytes() => Some(Self::Jwks),
            b"/.well-known/pomerium" => Some(Self::Discovery),
            b"/.pomerium/jwt" if user_endpoints => Some(Self::Jwt),
            b"/.pomerium/user" if user_endpoints => Some(Self::User),
            _ => None,
        }
    }
}

/// A public JSON document and its validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    json: String,
    etag: String,
}

impl Document {
    /// The document, with a strong `ETag` of its content.
    #[must_use]
    pub fn new(json: String) -> Self {
        let etag = format!("\"{}\"", hex(Sha256::digest(&json).get(..16).unwrap_or_default()));
        Self { json, etag }
    }

    /// Answers a request for it: anybody may read it, from any origin, and keep it for `max_age` seconds.
    #[must_use]
    pub fn answer(&self, request: &Fields<'_>, max_age: u64) -> Response {
        match request.first(":method") {
            b"GET" | b"HEAD" => self.get(request, max_age),
            b"OPTIONS" => preflight(),
            _ => cors(method_not_allowed("GET, HEAD, OPTIONS")),
        }
    }

    fn get(&self, request: &Fields<'_>, max_age: u64) -> Response {
        let fresh = request.values("if-none-match").any(|value| self.is_named_in(value));
        let (status, body) = if fresh { (304, Vec::new()) } else { (200, self.json.clone().into_bytes()) };
        let response = Response { status, headers: Vec::new(), body }
            .with("cache-control", format!("public, max-age={max_age}"))
            .with("etag", self.etag.clone())
            .with("x-content-type-options", "nosniff");
        let response = if fresh { response } else { response.with("content-type", "application/json") };
        cors(response)
    }

    /// Weak comparison, or any at all (RFC 9110, sections 8.8.3.2 and 13.1.2).
    fn is_named_in(&self, if_none_match: &[u8]) -> bool {
        let mut tags = if_none_match.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes())
    }
}

fn preflight() -> Response {
    cors(Response { status: 204, headers: Vec::new(), body: Vec::new() })
        .with("access-control-allow-methods", "GET, HEAD, OPTIONS")
        .with("access-control-allow-headers", "*")
        .with("access-control-max-age", "86400")
        .with("allow", "GET, HEAD, OPTIONS")
}

fn cors(response: Response) -> Response {
    response.with("access-control-allow-origin", "*")
}

/// A refusal of the method.
#[must_use]
pub fn method_not_allowed(allow: &str) -> Response {
    Response::refusal(405, "method not allowed").with("allow", allow)
}

/// The discovery document of a host.
#[must_use]
pub fn discovery(issuer: &serde_json::Value, scheme: &str, authority: &str, jwks_path: &str) -> Document {
    let jwks_uri = serde_json::Value::from(format!("{scheme}://{authority}{jwks_path}"));
    Document::new(format!(r#"{{"issuer":{issuer},"jwks_uri":{jwks_uri}}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(fields: &[(&'a str, &'a str)]) -> Fields<'a> {
        Fields::new(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect())
    }

    fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn only_the_exact_path_is_an_endpoint() {
        let at = |target: &str| Endpoint::at(target.as_bytes(), "/jwks", false);
        assert_eq!(at("/jwks"), Some(Endpoint::Jwks));
        assert_eq!(at("/jwks?x=/y"), Some(Endpoint::Jwks));
        assert_eq!(at("/.well-known/pomerium"), Some(Endpoint::Discovery));
        for path in ["/jwks/", "//jwks", "/JWKS", "/jwks%20", "/jwks;x", "/.pomerium/jwt", "", "/.well-known/pomerium/"]
        {
            assert_eq!(at(path), None, "{path}");
        }
        assert_eq!(Endpoint::at(b"/.pomerium/jwt", "/jwks", true), Some(Endpoint::Jwt));
        assert_eq!(Endpoint::at(b"/.pomerium/user?", "/jwks", true), Some(Endpoint::User));
    }

    #[test]
    fn a_known_etag_is_answered_304() {
        let document = Document::new("{}".into());
        let etag = header(&document.answer(&request(&[(":method", "GET")]), 60), "etag").unwrap().to_owned();
        for tags in [etag.clone(), format!("W/{etag}"), format!("\"a\" , {etag}"), "*".into()] {
            let answer = document.answer(&request(&[(":method", "GET"), ("if-none-match", &tags)]), 60);
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{tags}");
        }
        let answer = document.answer(&request(&[(":method", "GET"), ("if-none-match", "\"a\"")]), 60);
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    }
}
