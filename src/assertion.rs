//! Assertions, and those that a worker keeps to use again.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use crate::identity::Identity;

/// How many assertions a worker keeps; with [`MAX_KEY_BYTES`] this bounds what they take.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// An identity beyond this is not kept: its owner could fill the store with it.
const MAX_KEY_BYTES: usize = 8 * 1024;

/// A signed assertion, and what is told of it beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The compact token.
    pub token: String,
    /// `jti`.
    pub token_id: String,
    /// `iat`, in seconds since the epoch.
    pub issued_at: u64,
    /// `exp`, in seconds since the epoch.
    pub expires_at: u64,
    /// How many of the claims that can be shed it does without.
    pub shed: usize,
}

/// Assertions to use again, least recently used first to go. The store belongs to one keyring and one configuration.
pub struct Kept {
    lifetime: Duration,
    store: RefCell<LruCache<Vec<u8>, (Assertion, Duration)>>,
}

impl Kept {
    /// A store whose assertions are used for this long.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        Self { lifetime, store: RefCell::new(LruCache::new(MAX_KEPT)) }
    }

    /// The key for all that an assertion depends on, compared byte by byte; none if it is too long to keep.
    #[must_use]
    pub fn key(
        route: usize,
        host: &str,
        actor: Option<&str>,
        max_bytes: Option<usize>,
        identity: Option<&Identity<'_>>,
    ) -> Option<Vec<u8>> {
        let mut key = Vec::with_capacity(1024);
        key.extend_from_slice(&route.to_le_bytes());
        key.extend_from_slice(&max_bytes.unwrap_or(usize::MAX).to_le_bytes());
        // Neither a host nor JSON has a zero byte, so nothing runs into what follows.
        for text in [host, actor.unwrap_or_default()] {
            key.extend_from_slice(text.as_bytes());
            key.push(0);
        }
        if let Some(identity) = identity {
            key.push(1);
            identity.fingerprint(&mut key);
        }
        (key.len() <= MAX_KEY_BYTES).then_some(key)
    }

    /// An assertion that may still be used.
    #[must_use]
    pub fn get(&self, key: &[u8], now: Duration) -> Option<Assertion> {
        let mut store = self.store.borrow_mut();
        match store.get(key) {
            Some((assertion, until)) if now < *until => Some(assertion.clone()),
            Some(_) => {
                store.pop(key);
                None
            }
            None => None,
        }
    }

    /// Keeps an assertion, but never beyond the end of the identity itself.
    pub fn put(&self, key: Vec<u8>, assertion: Assertion, now: Duration, identity: Option<&Identity<'_>>) {
        let identity_end = identity.and_then(Identity::expires_at);
        let until = now + self.lifetime;
        let until = match identity_end.map(Duration::try_from_secs_f64) {
            Some(Ok(end)) => until.min(end),
            Some(Err(_)) => return,
            None => until,
        };
        self.store.borrow_mut().put(key, (assertion, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{Struct, build};
    use serde_json::json;

    const NOW: Duration = Duration::from_secs(1000);

    fn assertion() -> Assertion {
        Assertion { token: "t".into(), token_id: "j".into(), issued_at: 1000, expires_at: 1300, shed: 0 }
    }

    #[test]
    fn an_assertion_is_used_again_for_its_time() {
        let kept = Kept::new(Duration::from_secs(10));
        let key = Kept::key(0, "a", None, None, None).unwrap();
        kept.put(key.clone(), assertion(), NOW, None);
        assert_eq!(kept.get(&key, NOW + Duration::from_millis(9999)), Some(assertion()));
        assert_eq!(kept.get(&key, NOW + Duration::from_secs(10)), None);
    }

    #[test]
    fn an_assertion_does_not_outlive_its_identity() {
        let kept = Kept::new(Duration::from_secs(10));
        let bytes = build::object(&json!({"sub": "ann", "exp": 1002}));
        let identity = Identity::Object(Struct::new(&bytes));
        let key = Kept::key(0, "a", None, None, Some(&identity)).unwrap();
        kept.put(key.clone(), assertion(), NOW, Some(&identity));
        assert!(kept.get(&key, NOW + Duration::from_secs(1)).is_some());
        assert_eq!(kept.get(&key, NOW + Duration::from_secs(2)), None);
    }

    #[test]
    fn keys_tell_route_host_and_identity_apart() {
        let bytes = build::object(&json!({"sub": "ann"}));
        let ann = Identity::Object(Struct::new(&bytes));
        let empty = Identity::Object(Struct::new(b""));
        let keys = [
            Kept::key(0, "a", None, None, None),
            Kept::key(1, "a", None, None, None),
            Kept::key(0, "b", None, None, None),
            Kept::key(0, "a", None, None, Some(&ann)),
            Kept::key(0, "a", None, None, Some(&empty)),
            Kept::key(0, "a", Some("{}"), None, None),
            Kept::key(0, "a", None, Some(9), None),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(keys.iter().skip(index + 1).all(|other| other != key));
        }
    }
}
