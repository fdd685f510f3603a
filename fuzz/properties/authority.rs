//! The host that a request asks for.

use std::net::Ipv6Addr;

use attestation_filter::http::authority::Authority;

/// Exactly what the grammar allows is a host, and it means the same when it is read again, by us or by another parser.
pub fn authority(bytes: &[u8]) {
    let parsed = Authority::parse(bytes);
    assert_eq!(parsed.is_some(), str::from_utf8(bytes).is_ok_and(is_authority));
    let Some(authority) = parsed else { return };

    assert!(authority.as_str().as_bytes().eq_ignore_ascii_case(bytes));
    assert!(!authority.as_str().bytes().any(|byte| byte.is_ascii_uppercase()));
    assert_eq!(Authority::parse(authority.as_str().as_bytes()).as_ref(), Some(&authority));
    let alone = Authority::parse(authority.uri_host().as_bytes()).expect("the host alone");
    assert_eq!((alone.host(), alone.uri_host()), (authority.host(), authority.uri_host()));
    let bracketed = authority.uri_host() != authority.host();
    assert!(!bracketed || authority.uri_host() == format!("[{}]", authority.host()));
    assert_eq!(bracketed, authority.host().contains(':'));

    let other: http::uri::Authority = authority.as_str().parse().expect("another parser takes it too");
    assert_eq!(other.host(), authority.uri_host());
    let uri: http::Uri = format!("https://{}/", authority.uri_host()).parse().expect("an issuer that is a URI");
    assert_eq!((uri.host(), uri.path(), uri.port()), (Some(authority.uri_host()), "/", None));
}

/// RFC 3986, section 3.2, without user info and percent-encoding; read from its end.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text[colon..].contains(']') => (&text[..colon], &text[colon + 1..]),
        _ => (text, ""),
    };
    is_port(port) && (is_literal(host) || is_name(host))
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
}

fn is_literal(host: &str) -> bool {
    host.starts_with('[') && host.ends_with(']') && host[1..host.len() - 1].parse::<Ipv6Addr>().is_ok()
}

fn is_name(host: &str) -> bool {
    let name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.len() <= 255 && host != "." && host.bytes().all(name_byte)
}
