//! Assertions of requests that have no response.
//!
//! Envoy ends a request that it redirects internally, and begins another one with the same header fields on the same
//! thread, ours among them; which of the two comes first depends on its version. The filter state of the first is gone
//! by then.
//!
//! So an assertion is looked up by its `jti` and the client's connection: a service that calls another one with the assertion
//! that it was sent does so over a connection of its own.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// How many that have ended are remembered on each thread. Others may end in between, as an earlier filter can hold the
/// new request.
const MAX_ENDED: usize = 64;

thread_local! {
    static TOKEN_IDS: RefCell<TokenIds> = RefCell::default();
}

/// Those on this thread.
#[derive(Default)]
struct TokenIds {
    /// In how many requests each is: several have the same where assertions are used again.
    open: HashMap<Key, usize>,
    ended: VecDeque<Key>,
}

/// An assertion on a connection.
type Key = Rc<str>;

fn key(connection: u64, token_id: &str) -> Key {
    format!("{connection} {token_id}").into()
}

impl TokenIds {
    fn open(&mut self, key: Key) {
        *self.open.entry(key).or_default() += 1;
    }

    fn close(&mut self, key: &str) {
        if let Some(requests) = self.open.get_mut(key) {
            *requests -= 1;
            if *requests == 0 {
                self.open.remove(key);
            }
        }
    }

    fn end(&mut self, key: Key) {
        self.ended.truncate(MAX_ENDED - 1);
        self.ended.push_front(key);
    }

    fn has(&self, key: &str) -> bool {
        self.open.contains_key(key) || self.ended.iter().any(|ended| **ended == *key)
    }
}

/// Whether a request over this connection with this assertion has no response, or had none when it ended.
pub(crate) fn is_known(connection: u64, token_id: &str) -> bool {
    TOKEN_IDS.with_borrow(|ids| ids.has(&key(connection, token_id)))
}

/// A request's assertion, until there is a response.
#[derive(Default)]
pub(crate) struct Unanswered(Cell<Option<Key>>);

impl Unanswered {
    /// The request over this connection goes on with this assertion.
    pub(crate) fn sign(&self, connection: u64, token_id: &str) {
        self.answer();
        let key = key(connection, token_id);
        self.0.set(Some(Rc::clone(&key)));
        TOKEN_IDS.with_borrow_mut(|ids| ids.open(key));
    }

    /// A response comes.
    pub(crate) fn answer(&self) {
        if let Some(key) = self.0.take() {
            TOKEN_IDS.with_borrow_mut(|ids| ids.close(&key));
        }
    }

    /// The request ends.
    pub(crate) fn end(&self) {
        if let Some(key) = self.0.take() {
            TOKEN_IDS.with_borrow_mut(|ids| {
                ids.close(&key);
                ids.end(key);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENDED, Unanswered};

    fn signed(token_id: &str) -> Unanswered {
        let request = Unanswered::default();
        request.sign(1, token_id);
        request
    }

    fn is_known(token_id: &str) -> bool {
        super::is_known(1, token_id)
    }

    #[test]
    fn another_connection_does_not_know_it() {
        let request = signed("elsewhere");
        assert!(is_known("elsewhere") && !super::is_known(2, "elsewhere"));
        request.end();
        assert!(is_known("elsewhere") && !super::is_known(2, "elsewhere"));
    }

    #[test]
    fn request_is_known_until_its_response() {
        let request = signed("answered");
        assert!(is_known("answered"));
        request.answer();
        request.end();
        assert!(!is_known("answered"));
    }

    #[test]
    fn an_assertion_used_again_is_known_by_each() {
        let (first, second) = (signed("twice"), signed("twice"));
        first.answer();
        assert!(is_known("twice"));
        second.answer();
        assert!(!is_known("twice"));
    }

    #[test]
    fn only_the_last_without_a_response_are_known() {
        (0..100).for_each(|number| signed(&number.to_string()).end());
        let known = (0..100).filter(|number| is_known(&number.to_string()));
        assert_eq!(known.collect::<Vec<_>>(), (100 - MAX_ENDED..100).collect::<Vec<_>>());
    }
}
