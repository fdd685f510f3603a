//! Assertions that a worker keeps to use again.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use super::assertion::Assertion;

/// How many assertions a worker keeps; with [`MAX_CLAIMS_BYTES`] this bounds what they take.
const MAX_KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(511);
/// Longer claims are not kept: whoever they are about could fill the store with them.
const MAX_CLAIMS_BYTES: usize = 16 * 1024;

/// Assertions to use again, least recently used first to go, by their claims without `jti`, `iat` and `exp`. The store
/// belongs to one key and one configuration; whatever else two assertions can differ in is among their claims.
pub(super) struct Cache {
    lifetime: Duration,
    store: RefCell<Store>,
}

struct Store {
    /// The key that has signed all of them.
    kid: String,
    /// The latest `iat` among them.
    issued_at: u64,
    assertions: LruCache<Vec<u8>, (Assertion, Duration)>,
}

impl Store {
    /// What a new key has not signed is not used again, nor what is from the future of a clock that was set back.
    fn of(&mut self, kid: &str, now: Duration) -> &mut LruCache<Vec<u8>, (Assertion, Duration)> {
        if self.kid != kid || now.as_secs() < self.issued_at {
            self.assertions.clear();
            self.issued_at = 0;
            kid.clone_into(&mut self.kid);
        }
        &mut self.assertions
    }
}

impl Cache {
    /// A store whose assertions are used for this long.
    pub(super) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            store: RefCell::new(Store { kid: String::new(), issued_at: 0, assertions: LruCache::new(MAX_KEPT) }),
        }
    }

    /// An assertion by this key with these claims that may still be used, for an identity with this end.
    pub(super) fn get(&self, kid: &str, claims: &[u8], now: Duration, end: Option<Duration>) -> Option<Assertion> {
        if end.is_some_and(|end| end <= now) {
            return None;
        }
        let mut store = self.store.borrow_mut();
        let store = store.of(kid, now);
        match store.get(claims) {
            Some((assertion, until)) if now < *until => Some(assertion.clone()),
            Some(_) => {
                store.pop(claims);
                None
            }
            None => None,
        }
    }

    /// Keeps an assertion, but never beyond the end of the identity itself.
    pub(super) fn put(&self, kid: &str, claims: Vec<u8>, assertion: Assertion, now: Duration, end: Option<Duration>) {
        let until = now + self.lifetime;
        let until = end.map_or(until, |end| until.min(end));
        if claims.len() > MAX_CLAIMS_BYTES || until <= now {
            return;
        }
        let mut store = self.store.borrow_mut();
        store.of(kid, now);
        store.issued_at = store.issued_at.max(assertion.stamp.issued_at);
        store.assertions.put(claims, (assertion, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Stamp;
    use crate::identity::Identity;
    use crate::value::Object;
    use crate::value::protobuf::{Struct, build};
    use serde_json::{Value as Json, json};

    const KID: &str = "a";
    const NOW: Duration = Duration::from_secs(1000);

    fn assertion() -> Assertion {
        Assertion { token: "t".into(), stamp: Stamp { token_id: "j".into(), issued_at: 1000, expires_at: 1300 } }
    }

    #[test]
    fn an_assertion_is_used_again_for_its_time() {
        let kept = Cache::new(Duration::from_secs(10));
        let key = b"{}".to_vec();
        kept.put(KID, key.clone(), assertion(), NOW, None);
        assert_eq!(kept.get(KID, &key, NOW + Duration::from_millis(9999), None), Some(assertion()));
        assert_eq!(kept.get(KID, &key, NOW + Duration::from_secs(10), None), None);
    }

    /// Whether an assertion for an identity that ends then is used again, after so many seconds, for another that ends then.
    fn is_used_again(end: &Json, after: u64, other_end: &Json) -> bool {
        let kept = Cache::new(Duration::from_secs(10));
        let [first, other] = [end, other_end].map(|end| build::object(&json!({"sub": "ann", "exp": end})));
        let end = |bytes| Identity::Members(Object::Struct(Struct::new(bytes)).members().collect()).expires_at();
        kept.put(KID, b"{}".to_vec(), assertion(), NOW, end(&first));
        kept.get(KID, b"{}", NOW + Duration::from_secs(after), end(&other)).is_some()
    }

    #[test]
    fn an_assertion_does_not_outlive_its_identity() {
        for end in [json!(1002), json!("1002")] {
            assert!(is_used_again(&end, 1, &end), "{end}");
            assert!(!is_used_again(&end, 2, &json!(9999)), "{end}");
            assert!(!is_used_again(&json!(9999), 2, &end), "{end}");
        }
        assert!(is_used_again(&json!(null), 9, &json!(null)));
    }

    #[test]
    fn identity_whose_end_cannot_be_read_has_ended() {
        for end in [json!(-1), json!(1e300), json!("soon"), json!(""), json!([1]), json!(true)] {
            assert!(!is_used_again(&end, 0, &json!(9999)), "{end}");
            assert!(!is_used_again(&json!(9999), 0, &end), "{end}");
        }
    }

    #[test]
    fn a_new_key_empties_the_store() {
        let kept = Cache::new(Duration::from_secs(10));
        let key = b"{}".to_vec();
        kept.put(KID, key.clone(), assertion(), NOW, None);
        assert_eq!(kept.get("b", &key, NOW, None), None);
        assert_eq!(kept.get(KID, &key, NOW, None), None);
    }

    #[test]
    fn a_clock_that_is_set_back_empties_the_store() {
        let kept = Cache::new(Duration::from_secs(10));
        let key = b"{}".to_vec();
        kept.put(KID, key.clone(), assertion(), NOW, None);
        assert_eq!(kept.get(KID, &key, NOW - Duration::from_secs(1), None), None);
        assert_eq!(kept.get(KID, &key, NOW, None), None);
    }
}
