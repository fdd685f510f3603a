//! What is kept of a request that Envoy begins anew, as for an internal redirect.
//!
//! Envoy ends such a request without a response, and begins another one with the same header fields, ours among them, in
//! the same call: nothing else begins on the thread in between. The filter state of the first is gone by then. So what a
//! request without a response leaves behind is for the one that begins next, and only if that is of the same client's
//! connection. A service that calls another one with the assertion that it was sent does so while its own request has not
//! ended, even if a proxy in front has both over one connection.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// What the last request has left behind on this thread, by the name under which it was kept.
    static LEFT: RefCell<BTreeMap<String, Kept>> = const { RefCell::new(BTreeMap::new()) };
}

/// A text of a request over this connection.
struct Kept {
    connection: u64,
    text: String,
}

/// What is kept of a request until there is a response, and what the one before has left to it.
pub(crate) struct Unanswered {
    before: Option<Kept>,
    own: RefCell<Option<Kept>>,
}

impl Unanswered {
    /// A request begins.
    pub(crate) fn begin(name: &str) -> Self {
        Self { before: LEFT.with_borrow_mut(|left| left.remove(name)), own: RefCell::default() }
    }

    /// Keeps a text for the request that may come of this one.
    pub(crate) fn keep(&self, connection: u64, text: &str) {
        *self.own.borrow_mut() = Some(Kept { connection, text: text.to_owned() });
    }

    /// What was kept of the request that this one comes of.
    pub(crate) fn kept_before(&self, connection: u64) -> Option<Vec<u8>> {
        let before = self.before.as_ref().filter(|before| before.connection == connection);
        before.map(|before| before.text.clone().into_bytes())
    }

    /// A response comes.
    pub(crate) fn answer(&self) {
        self.own.take();
    }

    /// The request ends.
    pub(crate) fn end(&self, name: &str) {
        if let Some(own) = self.own.take() {
            LEFT.with_borrow_mut(|left| left.insert(name.to_owned(), own));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Unanswered;

    fn signed(name: &str) -> Unanswered {
        let request = Unanswered::begin(name);
        request.keep(1, "token");
        request
    }

    fn next(name: &str) -> Option<Vec<u8>> {
        Unanswered::begin(name).kept_before(1)
    }

    #[test]
    fn only_the_next_request_has_it() {
        signed("next").end("next");
        assert_eq!(next("other"), None);
        assert_eq!(next("next"), Some(b"token".into()));
        assert_eq!(next("next"), None);
    }

    #[test]
    fn request_that_goes_on_leaves_nothing() {
        let request = signed("goes on");
        assert_eq!(next("goes on"), None);
        request.answer();
        request.end("goes on");
        assert_eq!(next("goes on"), None);
    }

    #[test]
    fn another_connection_does_not_have_it() {
        signed("connection").end("connection");
        assert_eq!(Unanswered::begin("connection").kept_before(2), None);
    }
}
