//! Assertions of requests that have no response.
//!
//! Envoy ends a request that it redirects internally, and begins another one with the same header fields on the same
//! thread, ours among them; which of the two comes first depends on its version. The filter state of the first is gone
//! by then.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// How many that have ended are remembered on each thread. Others may end in between, as an earlier filter can hold the
/// new request.
const MAX_ENDED: usize = 64;

thread_local! {
    static TOKEN_IDS: RefCell<TokenIds> = RefCell::default();
}

/// The `jti` of those on this thread.
#[derive(Default)]
struct TokenIds {
    /// In how many requests each is: several have the same where assertions are used again.
    open: HashMap<Rc<str>, usize>,
    ended: VecDeque<Rc<str>>,
}

impl TokenIds {
    fn open(&mut self, token_id: Rc<str>) {
        *self.open.entry(token_id).or_default() += 1;
    }

    fn close(&mut self, token_id: &str) {
        if let Some(requests) = self.open.get_mut(token_id) {
            *requests -= 1;
            if *requests == 0 {
                self.open.remove(token_id);
            }
        }
    }

    fn end(&mut self, token_id: Rc<str>) {
        self.ended.truncate(MAX_ENDED - 1);
        self.ended.push_front(token_id);
    }

    fn has(&self, token_id: &str) -> bool {
        self.open.contains_key(token_id) || self.ended.iter().any(|ended| **ended == *token_id)
    }
}

/// Whether a request with this assertion has no response, or had none when it ended.
pub(crate) fn is_known(token_id: &str) -> bool {
    TOKEN_IDS.with_borrow(|ids| ids.has(token_id))
}

/// A request's assertion, until there is a response.
#[derive(Default)]
pub(crate) struct Unanswered(Cell<Option<Rc<str>>>);

impl Unanswered {
    /// The request goes on with this assertion.
    pub(crate) fn sign(&self, token_id: &str) {
        self.answer();
        let token_id: Rc<str> = token_id.into();
        self.0.set(Some(Rc::clone(&token_id)));
        TOKEN_IDS.with_borrow_mut(|ids| ids.open(token_id));
    }

    /// A response comes.
    pub(crate) fn answer(&self) {
        if let Some(token_id) = self.0.take() {
            TOKEN_IDS.with_borrow_mut(|ids| ids.close(&token_id));
        }
    }

    /// The request ends.
    pub(crate) fn end(&self) {
        if let Some(token_id) = self.0.take() {
            TOKEN_IDS.with_borrow_mut(|ids| {
                ids.close(&token_id);
                ids.end(token_id);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(token_id: &str) -> Unanswered {
        let request = Unanswered::default();
        request.sign(token_id);
        request
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
