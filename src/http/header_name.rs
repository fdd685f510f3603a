//! Header names, and which of the headers that a client sends are the filter's own.

use super::fields::Fields;

/// Headers that steer the connection or the request itself (RFC 9110, sections 7.2, 7.6.1 and 8.6).
const NOT_FOR_CLAIMS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];
const CLAIM_PREFIX: &str = "x-pomerium-claim-";
/// In which Pomerium tells an upstream whose assertion it is.
const ASSERTION_FOR: &str = "x-pomerium-jwt-assertion-for";

/// A lower-cased header name that HTTP allows (RFC 9110, section 5.1) and that a claim may be sent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(String);

impl HeaderName {
    /// Reads a name in any letter case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        (is_token(name.as_bytes()) && !NOT_FOR_CLAIMS.contains(&name.as_str())).then_some(Self(name))
    }

    /// Pomerium's, which is the default.
    #[must_use]
    pub fn assertion() -> Self {
        Self("x-pomerium-jwt-assertion".into())
    }

    /// The header in which Pomerium sends a claim, its name as it is; none if that cannot be a part of one.
    #[must_use]
    pub fn for_claim(claim: &str) -> Option<Self> {
        if claim.is_empty() { None } else { Self::parse(&format!("{CLAIM_PREFIX}{claim}")) }
    }

    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether some server could take the two names for one.
    #[must_use]
    pub fn is_alias_of(&self, name: &str) -> bool {
        self.matches(name.as_bytes())
    }

    fn matches(&self, name: &[u8]) -> bool {
        self.0.len() == name.len() && self.0.bytes().zip(name).all(|(own, other)| fold(own) == fold(*other))
    }
}

/// The headers that only the filter may set, under every name that a server might fold into theirs.
#[derive(Debug)]
pub struct OwnHeaders(Vec<HeaderName>);

impl OwnHeaders {
    /// These, `x-pomerium-jwt-assertion-for`, and every `x-pomerium-claim-*`.
    #[must_use]
    pub fn new(mut names: Vec<HeaderName>) -> Self {
        names.push(HeaderName(ASSERTION_FOR.into()));
        Self(names)
    }

    /// Whether a header that came in must not go on.
    #[must_use]
    pub fn include(&self, name: &[u8]) -> bool {
        has_claim_prefix(name) || self.0.iter().any(|own| own.matches(name))
    }

    /// Whether a header is one of these by its very name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        name.starts_with(CLAIM_PREFIX) || self.0.iter().any(|own| own.as_str() == name)
    }

    /// The value of `Connection` without these names, and without what is no token: a proxy behind could trim it to one
    /// of them (RFC 9110, section 7.6.1). None if nothing is to go.
    #[must_use]
    pub fn connection_without_them(&self, fields: &Fields<'_>) -> Option<String> {
        let options = fields.values("connection").flat_map(|value| value.split(|byte| *byte == b','));
        let options = options.map(<[u8]>::trim_ascii).filter(|option| !option.is_empty());
        let (kept, gone): (Vec<_>, Vec<_>) = options.partition(|option| is_token(option) && !self.include(option));
        (!gone.is_empty()).then(|| String::from_utf8_lossy(&kept.join(&b", "[..])).into_owned())
    }
}

fn has_claim_prefix(name: &[u8]) -> bool {
    name.len() >= CLAIM_PREFIX.len() && CLAIM_PREFIX.bytes().zip(name).all(|(own, other)| own == fold(*other))
}

/// CGI and its heirs turn `-` into `_`, and some, lighttpd among them, every byte that is no letter or digit: names are
/// compared as if all of these were `-`.
fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether HTTP allows these bytes as a field value: no control characters but tab (RFC 9110, section 5.5).
#[must_use]
pub fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_that_steer_nothing() {
        for name in ["", "a b", "a:b", "ä", "a\n", "a\"", "Host", "content-length", "Connection", ":path"] {
            assert_eq!(HeaderName::parse(name), None, "{name}");
        }
        assert_eq!(HeaderName::parse("X-User.Id_1").unwrap().as_str(), "x-user.id_1");
        assert_eq!(HeaderName::for_claim("family_name").unwrap().as_str(), "x-pomerium-claim-family_name");
        assert_eq!(HeaderName::for_claim("https://example.com/roles"), None);
    }

    #[test]
    fn own_headers_include_their_aliases() {
        let own = OwnHeaders::new(vec![HeaderName::assertion(), HeaderName::parse("x_email").unwrap()]);
        for name in [
            "x-pomerium-jwt-assertion",
            "X_Pomerium.Jwt-ASSERTION",
            "x.email",
            "X-Email",
            "x-pomerium-claim-email",
            "x_pomerium_claim_",
            "x~pomerium*jwt!assertion",
            "x|email",
            "x^pomerium`claim$admin",
            "x-pomerium-jwt-assertion-for",
            "X_Pomerium_Jwt_Assertion_For",
        ] {
            assert!(own.include(name.as_bytes()), "{name}");
        }
        for name in ["x-pomerium-jwt-assertions", "x-pomerium-claim", "xpomerium-jwt-assertion", "email", ""] {
            assert!(!own.include(name.as_bytes()), "{name}");
        }
    }
    #[test]
    fn connection_loses_ours_and_what_is_no_token() {
        let own = OwnHeaders::new(vec![HeaderName::assertion()]);
        let without = |value: &[u8]| own.connection_without_them(&Fields::new(vec![(b"connection", value)]));
        for value in [&b"upgrade, x-other"[..], b"upgrade,,", b""] {
            assert_eq!(without(value), None, "{}", value.escape_ascii());
        }
        for value in [
            &b"upgrade, x_pomerium_jwt_assertion,,x-other"[..],
            b"upgrade,x-pomerium-jwt-assertion\xa0,x-other",
            b"upgrade, \x0bx-pomerium-jwt-assertion, x-other",
            b"upgrade, \"x-pomerium-jwt-assertion\", x-other",
        ] {
            assert_eq!(without(value).as_deref(), Some("upgrade, x-other"), "{}", value.escape_ascii());
        }
        assert_eq!(without(b"x-pomerium-jwt-assertion").as_deref(), Some(""));
    }
}
