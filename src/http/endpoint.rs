//! The paths that the filter answers itself, with the manners of HTTP (RFC 9110).

use base16ct::lower;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::authority::Authority;
use super::fields::Fields;

/// Where the keyset is, unless configured otherwise.
pub const JWKS_PATH: &str = "/.well-known/pomerium/jwks.json";
/// Where [`AUTHORIZE_PATH`] is named.
const OPENID_PATH: &str = "/.well-known/openid-configuration";
/// OpenID Connect Discovery requires one to be named; there is nothing there.
const AUTHORIZE_PATH: &str = "/.well-known/pomerium/authorize";
/// The paths that are answered with something else than the keyset.
pub const OTHER_PATHS: [&str; 6] = [
    "/.well-known/pomerium",
    "/.well-known/pomerium/",
    OPENID_PATH,
    AUTHORIZE_PATH,
    "/.pomerium/jwt",
    "/.pomerium/user",
];

/// An answer that goes to the client without seeing an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u32,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// The body; Envoy leaves it out of an answer to `HEAD`.
    pub body: Vec<u8>,
    /// Envoy's response code details.
    pub details: &'static str,
    /// The status for a gRPC client; without, Envoy derives it from the status code.
    pub grpc_status: Option<u32>,
}

impl Response {
    /// An answer without header fields.
    #[must_use]
    pub fn new(status: u32, details: &'static str, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body, details, grpc_status: None }
    }

    /// A refusal, in words that hold nothing of the request.
    #[must_use]
    pub fn refusal(status: u32, details: &'static str, reason: &str) -> Self {
        let response = Self::new(status, details, reason.into()).with("cache-control", "no-store");
        if reason.is_empty() { response } else { response.with("content-type", "text/plain; charset=utf-8") }
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
    /// The same for clients of OpenID Connect.
    OpenId,
    /// What OpenID Connect Discovery requires, and is not there.
    Authorize,
    /// The caller's own assertion.
    Jwt,
    /// The caller's own claims.
    User,
}

/// Which of the paths are answered.
#[derive(Debug, Clone, Copy)]
pub struct Paths<'a> {
    /// The keyset's.
    pub jwks: &'a str,
    /// Whether OpenID Connect Discovery is.
    pub openid: bool,
    /// Whether the caller's own assertion and claims are.
    pub user: bool,
}

impl Endpoint {
    /// The endpoint at exactly this path; only a query may follow it.
    #[must_use]
    pub fn at(target: &[u8], paths: Paths<'_>) -> Option<Self> {
        let path = target.split(|byte| *byte == b'?').next()?;
        match path {
            path if path == paths.jwks.as_bytes() => Some(Self::Jwks),
            b"/.well-known/pomerium" | b"/.well-known/pomerium/" => Some(Self::Discovery),
            path if paths.openid && path == OPENID_PATH.as_bytes() => Some(Self::OpenId),
            path if paths.openid && path == AUTHORIZE_PATH.as_bytes() => Some(Self::Authorize),
            b"/.pomerium/jwt" if paths.user => Some(Self::Jwt),
            b"/.pomerium/user" if paths.user => Some(Self::User),
            _ => None,
        }
    }
}

/// Whether Envoy will answer the request in gRPC's manner: status 200, and everything else in header fields.
#[must_use]
pub fn is_grpc(request: &Fields<'_>) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let mut types = request.values("content-type");
    types.any(|value| value.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC)))
}

/// Whether a browser asks what it may send (the Fetch standard, section 3.2).
#[must_use]
pub fn is_cors_preflight(request: &Fields<'_>) -> bool {
    let has = |name| !request.first(name).is_empty();
    request.first(":method") == b"OPTIONS" && has("origin") && has("access-control-request-method")
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
        let digest = Sha256::digest(&json);
        let etag = format!("\"{}\"", lower::encode_string(digest.get(..16).unwrap_or_default()));
        Self { json, etag }
    }

    /// Answers a request for it: anybody may read it, from any origin, and keep it for `max_age` seconds.
    #[must_use]
    pub fn answer(&self, request: &Fields<'_>, max_age: u64, details: &'static str) -> Response {
        match request.first(":method") {
            b"GET" | b"HEAD" => self.get(request, max_age, details),
            b"OPTIONS" => preflight(details),
            _ => cors(method_not_allowed("GET, HEAD, OPTIONS")),
        }
    }

    fn get(&self, request: &Fields<'_>, max_age: u64, details: &'static str) -> Response {
        let fresh = request.values("if-none-match").any(|value| self.is_named_in(value));
        let (status, body) = if fresh { (304, Vec::new()) } else { (200, self.json.clone().into_bytes()) };
        let response = Response::new(status, details, body)
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

fn preflight(details: &'static str) -> Response {
    cors(Response::new(204, details, Vec::new()))
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
    Response::refusal(405, "attestation_method_not_allowed", "method not allowed").with("allow", allow)
}

/// The discovery document of a host: the issuer of its assertions and where the keyset is.
#[must_use]
pub fn discovery(issuer: &str, jwks_uri: &str) -> Document {
    Document::new(json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string())
}

/// Whether clients of OpenID Connect Discovery take the issuer: they compare it with the URL that they asked (section 4.3).
#[must_use]
pub fn is_discoverable(issuer: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| {
        issuer.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', ' ']))
    })
}

/// The same, with what else OpenID Connect Discovery requires (section 3).
#[must_use]
pub fn openid_configuration(issuer: &str, jwks_uri: &str, host: &Authority, algorithms: &[&str]) -> Document {
    let document: Json = json!({
        "issuer": issuer,
        "jwks_uri": jwks_uri,
        "authorization_endpoint": format!("https://{}{AUTHORIZE_PATH}", host.uri_host()),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    });
    Document::new(document.to_string())
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
        let paths = |on| Paths { jwks: "/jwks", openid: on, user: on };
        let at = |target: &str| Endpoint::at(target.as_bytes(), paths(false));
        assert_eq!(at("/jwks"), Some(Endpoint::Jwks));
        assert_eq!(at("/jwks?x=/y"), Some(Endpoint::Jwks));
        assert_eq!(at("/.well-known/pomerium"), Some(Endpoint::Discovery));
        for path in [
            "/jwks/",
            "//jwks",
            "/JWKS",
            "/jwks%20",
            "/jwks;x",
            "/.pomerium/jwt",
            "",
            "/.well-known/pomerium//",
            OPENID_PATH,
        ] {
            assert_eq!(at(path), None, "{path}");
        }
        assert_eq!(at("/.well-known/pomerium/"), Some(Endpoint::Discovery));
        assert_eq!(Endpoint::at(b"/.pomerium/jwt", paths(true)), Some(Endpoint::Jwt));
        assert_eq!(Endpoint::at(b"/.pomerium/user?", paths(true)), Some(Endpoint::User));
        assert_eq!(Endpoint::at(OPENID_PATH.as_bytes(), paths(true)), Some(Endpoint::OpenId));
    }

    #[test]
    fn a_known_etag_is_answered_304() {
        let document = Document::new("{}".into());
        let etag = header(&document.answer(&request(&[(":method", "GET")]), 60, "d"), "etag").unwrap().to_owned();
        for tags in [etag.clone(), format!("W/{etag}"), format!("\"a\" , {etag}"), "*".into()] {
            let answer = document.answer(&request(&[(":method", "GET"), ("if-none-match", &tags)]), 60, "d");
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{tags}");
        }
        let answer = document.answer(&request(&[(":method", "GET"), ("if-none-match", "\"a\"")]), 60, "d");
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    }
}
