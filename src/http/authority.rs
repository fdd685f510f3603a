//! The host that a request asked for (RFC 3986, section 3.2), as issuer and audience need it.

use std::net::Ipv6Addr;

/// No DNS name and no IPv6 literal is longer (RFC 1035, section 2.3.4).
const MAX_HOST_BYTES: usize = 255;

/// A request's authority, lower-cased, and known to be a host with at most a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    text: String,
    host_bytes: usize,
}

impl Authority {
    /// Reads an `:authority` or `Host` value: a name, an IPv4 address or a bracketed IPv6 address, and perhaps a port.
    /// None for anything else: empty, user info, percent-encoding, spaces, two colons.
    #[must_use]
    pub fn parse(authority: &[u8]) -> Option<Self> {
        let text = str::from_utf8(authority).ok()?.to_ascii_lowercase();
        let host_bytes = match text.strip_prefix('[') {
            Some(rest) => 1 + rest.find(']')? + 1,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at_checked(host_bytes)?;
        (is_host(host) && is_port(port)).then_some(Self { text, host_bytes })
    }

    /// The host without the port; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.uri_host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The host as it stands in a URI: without the port, an IPv6 address in brackets.
    #[must_use]
    pub fn uri_host(&self) -> &str {
        self.text.get(..self.host_bytes).unwrap_or_default()
    }

    /// Host and port, as asked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => (1..=MAX_HOST_BYTES).contains(&host.len()) && host.bytes().all(is_name_byte) && host != ".",
    }
}

/// Letters, digits, hyphens and dots, and the underscore that many real names have.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Nothing, a lone colon (RFC 3986 allows it), or a colon and a number of 16 bits.
fn is_port(port: &str) -> bool {
    match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.is_empty() || digits.parse::<u16>().is_ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_lose_their_port_and_case() {
        for (authority, host, uri_host) in [
            ("App.Example.COM", "app.example.com", "app.example.com"),
            ("app.example.com:8443", "app.example.com", "app.example.com"),
            ("app.example.com:", "app.example.com", "app.example.com"),
            ("10.0.0.1:80", "10.0.0.1", "10.0.0.1"),
            ("[::1]:8443", "::1", "[::1]"),
            ("[2001:DB8::1]", "2001:db8::1", "[2001:db8::1]"),
            ("my_service", "my_service", "my_service"),
        ] {
            let parsed = Authority::parse(authority.as_bytes()).unwrap();
            assert_eq!((parsed.host(), parsed.uri_host()), (host, uri_host));
            assert_eq!(parsed.as_str(), authority.to_lowercase());
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for authority in [
            "",
            ":",
            ":80",
            "a:b",
            "a:b:c",
            "::1",
            "[",
            "]",
            "[]",
            "[]:80",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[g::1]",
            "%ff",
            "a%41",
            "user@host",
            "user:pw@host:80",
            "a b",
            "a/b",
            "a,b",
            "host:99999",
            ".",
        ] {
            assert_eq!(Authority::parse(authority.as_bytes()), None, "{authority}");
        }
        assert_eq!(Authority::parse(&[b'a'; 256]), None);
        assert_eq!(Authority::parse(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Authority::parse(&bytes);
        }
    }
}
