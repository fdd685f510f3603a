//! What must not come out again.

use crate::check::document::DocumentError;

/// Parts of names whose values are secrets more often than not.
const SECRET: [&str; 8] = ["auth", "cookie", "credential", "key", "password", "secret", "session", "token"];

/// Whether a header of this name holds a secret: its value is not copied.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// Why a file cannot be read, without any of its text.
pub(super) fn blunt(error: &DocumentError) -> String {
    match error {
        DocumentError::Syntax { file, line, .. } => {
            format!("{file}:{line}: it is neither YAML nor JSON; Pomerium's TOML is not read")
        }
        DocumentError::Empty { file } => format!("{file}: there is nothing in it; name a Pomerium configuration"),
        DocumentError::TooBig { .. } => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_secrets_are_known_by_name() {
        for name in ["Authorization", "X-Api-Key", "Cookie", "X-Vault-Token", "Proxy-Authorization"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["X-Forwarded-Proto", "X-Frame-Options", "X-Tenant"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
