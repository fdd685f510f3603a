//! Names of headers, and which of them only the filter may set.

use attestation_filter::http::header_name::{HeaderName, OwnHeaders, is_field_value};

use super::lines;

const STEERING: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A name that a client sends, and two that are configured, one a line.
pub fn own_headers(bytes: &[u8]) {
    let [sent, first, second] = lines(bytes);
    let configured: Vec<HeaderName> = [first, second].into_iter().filter_map(name).collect();
    let own = OwnHeaders::new(configured.clone());
    assert_eq!(own.include(sent), is_own(sent, configured.iter().map(HeaderName::as_str)));
    for name in &configured {
        assert!(own.include(name.as_str().to_uppercase().replace('-', "_").as_bytes()));
        assert!(configured.iter().all(|other| other.is_alias_of(name.as_str()) == name.is_alias_of(other.as_str())));
    }
    a_claims_header_is_stripped(first);
    assert_eq!(is_field_value(bytes), http::HeaderValue::from_bytes(bytes).is_ok());
}

fn name(text: &[u8]) -> Option<HeaderName> {
    let text = str::from_utf8(text).ok()?;
    let name = HeaderName::parse(text);
    let other = http::HeaderName::from_bytes(text.as_bytes()).ok();
    let allowed = other.as_ref().map(http::HeaderName::as_str).filter(|name| !STEERING.contains(name));
    assert_eq!(name.as_ref().map(HeaderName::as_str), allowed);
    name
}

fn a_claims_header_is_stripped(claim: &[u8]) {
    let Some(header) = str::from_utf8(claim).ok().and_then(HeaderName::for_claim) else { return };
    assert!(header.as_str().starts_with("x-pomerium-claim-"));
    assert!(OwnHeaders::new(Vec::new()).include(header.as_str().as_bytes()));
}

/// Whether some server could take the name for one of these, or for a claim's.
pub(super) fn is_own<'a>(sent: &[u8], own: impl IntoIterator<Item = &'a str>) -> bool {
    let sent = folded(sent);
    let always = sent.starts_with(b"x-pomerium-claim-") || sent == b"x-pomerium-jwt-assertion-for";
    always || own.into_iter().any(|own| folded(own.as_bytes()) == sent)
}

fn folded(name: &[u8]) -> Vec<u8> {
    let mut name = name.to_ascii_lowercase();
    name.iter_mut().filter(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9')).for_each(|byte| *byte = b'-');
    name
}
