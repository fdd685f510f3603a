//! The URLs of a Pomerium configuration.

/// `scheme://host:port/path`, as far as a configuration needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: String,
    /// In lower case; an IPv6 address without its brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// With the `/` that it begins with, else empty.
    pub(super) path: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let authority = authority.split(['?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
            _ => (authority, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return None;
        }
        let path = path.split(['?', '#']).next().unwrap_or_default().to_owned();
        Some(Self { scheme: scheme.to_ascii_lowercase(), host, port, path })
    }

    /// The host, and the port where one is written.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    }

    pub(super) fn is_tls(&self) -> bool {
        self.scheme == "https"
    }

    /// The port, also where none is written.
    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_tls() { 443 } else { 80 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("https://App.example.com:8443/a/b?c").unwrap();
        assert_eq!((url.host.as_str(), url.port(), url.path.as_str()), ("app.example.com", 8443, "/a/b"));
        assert_eq!(Url::parse("http://[::1]:80").unwrap().host, "::1");
        assert_eq!(Url::parse("https://*.example.com").unwrap().port(), 443);
        for text in ["", "app", "https://", "https://a b", "https://a:x", "${URL}"] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }
}
