//! The paths that the filter answers itself, and how it answers.

use std::cell::LazyCell;

use attestation_filter::http::endpoint::{Document, Endpoint, Paths, Response, discovery};
use attestation_filter::http::fields::Fields;

use super::lines;

thread_local! {
    /// A document and its tag.
    static KEYSET: LazyCell<(Document, String)> = LazyCell::new(|| {
        let document = Document::new(r#"{"keys":[]}"#.into());
        let etag = header(&document.answer(&get(), 60, "details"), "etag").expect("an etag").to_owned();
        (document, etag)
    });
}

const JWKS_PATH: &str = "/.well-known/pomerium/jwks.json";

/// A method, a target and the values of `if-none-match`, one a line: what is answered follows from them alone.
pub fn endpoint(bytes: &[u8]) {
    let [method, target, first, second] = lines(bytes);
    the_exact_path(target);
    let mut fields = vec![(&b":method"[..], method)];
    fields.extend(
        [first, second].into_iter().filter(|value| !value.is_empty()).map(|value| (&b"if-none-match"[..], value)),
    );
    let (answer, etag) = KEYSET.with(|keyset| {
        let (document, etag) = &**keyset;
        (document.answer(&Fields::new(fields.clone()), 60, "details"), etag.clone())
    });
    is_well_formed(&answer);
    let fresh = [first, second].into_iter().any(|value| names(value, &etag));
    let expected = match method {
        b"GET" | b"HEAD" if fresh => 304,
        b"GET" | b"HEAD" => 200,
        b"OPTIONS" => 204,
        _ => 405,
    };
    assert_eq!(answer.status, expected);
    assert_eq!(answer.body.is_empty(), matches!(answer.status, 204 | 304));
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
    the_discovery_document(target);
}

fn the_exact_path(target: &[u8]) {
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    for opted_in in [false, true] {
        let expected = match &target[..end] {
            path if path == JWKS_PATH.as_bytes() => Some(Endpoint::Jwks),
            b"/.well-known/pomerium" | b"/.well-known/pomerium/" => Some(Endpoint::Discovery),
            b"/.well-known/openid-configuration" if opted_in => Some(Endpoint::OpenId),
            b"/.well-known/pomerium/authorize" if opted_in => Some(Endpoint::Authorize),
            b"/.pomerium/jwt" if opted_in => Some(Endpoint::Jwt),
            b"/.pomerium/user" if opted_in => Some(Endpoint::User),
            _ => None,
        };
        let paths = Paths { jwks: JWKS_PATH, openid: opted_in, user: opted_in };
        assert_eq!(Endpoint::at(target, paths), expected);
    }
}

/// Whatever stands in the path and the issuer, the document has two members and they are these.
fn the_discovery_document(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let answer = discovery(text, &format!("https://a:1{text}")).answer(&get(), 60, "details");
    let document: serde_json::Value = serde_json::from_slice(&answer.body).expect("a document of JSON");
    assert_eq!(document, serde_json::json!({"issuer": text, "jwks_uri": format!("https://a:1{text}")}));
}

/// RFC 9110, section 13.1.2: a list with commas, weak or not, or any at all. Our tag has no comma in it.
fn names(if_none_match: &[u8], etag: &str) -> bool {
    let if_none_match = String::from_utf8_lossy(if_none_match);
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c');
    if_none_match.split(',').map(|tag| tag.trim_matches(is_blank)).any(|tag| {
        tag == "*" || tag == etag || tag.split_once('/').is_some_and(|(weak, tag)| weak == "W" && tag == etag)
    })
}

fn get() -> Fields<'static> {
    Fields::new(vec![(b":method", b"GET")])
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
}

/// An answer that any HTTP implementation could send.
pub(super) fn is_well_formed(answer: &Response) {
    assert!(
        matches!(answer.status, 200 | 204 | 304 | 400 | 401 | 404 | 405 | 415 | 431 | 500 | 503),
        "{}",
        answer.status
    );
    for (name, value) in &answer.headers {
        http::HeaderName::from_lowercase(name.as_bytes()).expect("a header name");
        http::HeaderValue::from_str(value).expect("a header value");
    }
    assert_eq!(answer.status < 400 || answer.status == 415, answer.body.is_empty() || answer.status == 200);
    assert!(answer.details.starts_with("attestation_") || answer.details == "details");
}
