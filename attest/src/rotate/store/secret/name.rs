//! How a Secret and its keys are named.

use std::fmt;
use std::str::FromStr;

/// The key under which the shipped manifests have the keyring.
pub(in crate::rotate) const USUAL_KEY: &str = "signing-key.pem";

/// `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rotate) struct SecretName {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').filter(|(namespace, name)| is_label(namespace) && is_subdomain(name));
        let (namespace, name) =
            parts.ok_or("write NAMESPACE/NAME, like envoy/attestation-signing-key, in lower case")?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// A key of a Secret's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rotate) struct SecretKey(String);

impl SecretKey {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_usual(&self) -> bool {
        self.0 == USUAL_KEY
    }
}

impl FromStr for SecretKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_key = (1..=253).contains(&text.len()) && text.bytes().all(allowed) && !matches!(text, "." | "..");
        is_key.then(|| Self(text.to_owned())).ok_or_else(|| "letters, digits, -, _ and . are allowed".to_owned())
    }
}

impl fmt::Display for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// RFC 1123, as Kubernetes has it for namespaces.
fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_namespace_and_a_name() {
        assert_eq!("a-1/b.c".parse::<SecretName>().unwrap().to_string(), "a-1/b.c");
        for wrong in ["", "a", "/", "a/", "/b", "A/b", "a/b/c", "a/..", "a/-b", "a/b%2fc", "a/b?c"] {
            assert!(wrong.parse::<SecretName>().unwrap_err().contains("NAMESPACE/NAME"), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_a_plain_name() {
        assert!("signing-key.pem".parse::<SecretKey>().unwrap().is_usual());
        for wrong in ["", ".", "..", "a/b", "a b"] {
            assert!(wrong.parse::<SecretKey>().is_err(), "{wrong}");
        }
    }
}
