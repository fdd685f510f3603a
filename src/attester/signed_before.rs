//! The assertions that a worker has signed last.
//!
//! Envoy runs its filters again for an internal redirect, and for each try of an upstream filter. The request then has the
//! assertion that this very filter has put there. A client cannot know the ID of one before it is sent.

use std::cell::RefCell;
use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A request comes back within milliseconds.
const MAX_REMEMBERED: usize = 1024;
/// Longer than the header of any assertion that this filter signs.
const MAX_TOKEN_BYTES: usize = 128 * 1024;

/// The `jti`s that were signed last, oldest first.
#[derive(Debug, Default)]
pub(super) struct SignedBefore(RefCell<VecDeque<String>>);

impl SignedBefore {
    pub(super) fn remember(&self, token_id: &str) {
        let mut remembered = self.0.borrow_mut();
        if remembered.len() == MAX_REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(token_id.to_owned());
    }

    /// Whether this is an assertion by this filter.
    pub(super) fn has(&self, token: &[u8]) -> bool {
        token_id(token).is_some_and(|token_id| self.0.borrow().contains(&token_id))
    }
}

fn token_id(token: &[u8]) -> Option<String> {
    let token = token.get(..MAX_TOKEN_BYTES.min(token.len()))?;
    let payload = URL_SAFE_NO_PAD.decode(token.split(|byte| *byte == b'.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    claims.get("jti")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(token_id: &str) -> Vec<u8> {
        format!("e30.{}.x", URL_SAFE_NO_PAD.encode(format!(r#"{{"jti":"{token_id}"}}"#))).into_bytes()
    }

    #[test]
    fn only_what_was_signed_is_known() {
        let signed = SignedBefore::default();
        signed.remember("a");
        assert!(signed.has(&token("a")));
        for other in [token("b"), b"".to_vec(), b"a.b.c".to_vec(), b"\xff.\xff.".to_vec(), b"e30.e30.".to_vec()] {
            assert!(!signed.has(&other), "{other:?}");
        }
        (0..MAX_REMEMBERED).for_each(|number| signed.remember(&number.to_string()));
        assert!(!signed.has(&token("a")));
    }
}
