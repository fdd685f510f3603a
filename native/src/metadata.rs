//! Flat dynamic metadata: what an earlier filter, such as ext_authz, wrote right below a namespace.
//!
//! Envoy hands it out by type, and logs an error when a value has another one than it is asked for. So the types that a
//! value had are remembered, for all requests, and asked for first.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use attestation_filter::value::Flat;

use crate::ffi::{Kind, Stream};

/// How many names of a namespace are remembered. An identity has fewer.
const MAX_NAMES: usize = 256;
/// How often all types are tried for a name whose value is of no type that it has had. After that, one more of them each
/// [`PAUSE`]: what cannot be read would have Envoy log errors for each request.
const MAX_GUESSES: usize = 2;
const PAUSE: Duration = Duration::from_millis(100);
/// A list first: Envoy takes no notice if it is none.
const KINDS: [Kind; 4] = [Kind::Texts, Kind::Text, Kind::Number, Kind::Bool];

/// The types that values had, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Kinds(RwLock<BTreeMap<String, BTreeMap<Vec<u8>, Guess>>>);

#[derive(Clone, Debug, Default)]
struct Guess {
    /// All types that it has had, the last one first.
    seen: Vec<Kind>,
    guesses: usize,
    last: Option<Instant>,
}

impl Guess {
    /// The types to try that it has not had.
    fn guesses(&self, now: Instant) -> Vec<Kind> {
        let mut unseen: Vec<Kind> = KINDS.into_iter().filter(|kind| !self.seen.contains(kind)).collect();
        if self.guesses >= MAX_GUESSES && !unseen.is_empty() {
            let is_time = self.last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
            let next = unseen.swap_remove(self.guesses % unseen.len());
            unseen = if is_time { vec![next] } else { Vec::new() };
        }
        unseen
    }

    fn learn(&mut self, found: Option<Kind>, now: Instant) {
        self.guesses = self.guesses.saturating_add(1);
        self.last = Some(now);
        if let Some(kind) = found {
            self.seen.retain(|seen| *seen != kind);
            self.seen.insert(0, kind);
        }
    }
}

impl Kinds {
    /// The members of the namespace as Envoy has them; none if nothing is there. A member that is neither a scalar nor a list
    /// of strings is unreadable: where another could take its place, that would be somebody else's. So is one that nobody
    /// reads: for each name that a stranger's token brings along, Envoy would log errors.
    pub(crate) fn read<'s>(
        &self,
        stream: &'s Stream<'_>,
        namespace: &str,
        reads: &dyn Fn(&[u8]) -> bool,
    ) -> Option<Vec<(&'s [u8], Flat<'s>)>> {
        let names = stream.metadata_names(namespace);
        let value = |name| {
            reads(name).then(|| self.value(namespace, name, |kind| stream.metadata(namespace, name, kind))).flatten()
        };
        let members: Vec<_> = names.into_iter().map(|name| (name, value(name).unwrap_or(Flat::Unreadable))).collect();
        (!members.is_empty()).then_some(members)
    }

    fn value<'s>(&self, namespace: &str, name: &[u8], read: impl Fn(Kind) -> Option<Flat<'s>>) -> Option<Flat<'s>> {
        if let Some(value) = self.look(namespace, name, |known| known.seen.first().copied()).and_then(&read) {
            return Some(value);
        }
        let known = self.look(namespace, name, |known| Some(known.clone())).unwrap_or_default();
        let now = Instant::now();
        let guesses = known.guesses(now);
        let mut others = known.seen.iter().skip(1).chain(&guesses);
        let found = others.find_map(|kind| Some((*kind, read(*kind)?)));
        if found.is_some() || !guesses.is_empty() {
            self.learn(namespace, name, found.as_ref().map(|(kind, _)| *kind), now);
        }
        found.map(|(_, value)| value)
    }

    /// Looks at what is known of a name, if anything is.
    fn look<T>(&self, namespace: &str, name: &[u8], at: impl FnOnce(&Guess) -> Option<T>) -> Option<T> {
        let kinds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        kinds.get(namespace)?.get(name).and_then(at)
    }

    fn learn(&self, namespace: &str, name: &[u8], found: Option<Kind>, now: Instant) {
        let mut kinds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kinds = kinds.entry(namespace.to_owned()).or_default();
        if kinds.len() >= MAX_NAMES && !kinds.contains_key(name) {
            return;
        }
        kinds.entry(name.to_vec()).or_default().learn(found, now);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::thread;

    use super::*;

    fn read_a(kind: Kind) -> impl Fn(&Cell<usize>, Kind) -> Option<Flat<'static>> {
        move |calls, asked| {
            calls.set(calls.get() + 1);
            (asked == kind).then_some(Flat::Bool(true))
        }
    }

    #[test]
    fn type_is_found_once_and_then_known() {
        let (kinds, calls) = (Kinds::default(), Cell::new(0));
        let bool = read_a(Kind::Bool);
        assert!(kinds.value("n", b"a", |kind| bool(&calls, kind)).is_some());
        assert_eq!(calls.replace(0), 4);
        assert!(kinds.value("n", b"a", |kind| bool(&calls, kind)).is_some());
        assert_eq!(calls.get(), 1);
    }

    #[test]
    fn type_that_keeps_changing_is_always_read() {
        let (kinds, calls) = (Kinds::default(), Cell::new(0));
        for round in 0..100 {
            let value = read_a(if round % 2 == 0 { Kind::Bool } else { Kind::Text });
            assert!(kinds.value("n", b"a", |kind| value(&calls, kind)).is_some(), "round {round}");
        }
    }

    #[test]
    fn odd_values_cost_little_and_spoil_nothing() {
        let (kinds, calls) = (Kinds::default(), Cell::new(0));
        for _ in 0..100 {
            kinds.value("n", b"a", |_| {
                calls.set(calls.get() + 1);
                None
            });
        }
        assert!(calls.get() < KINDS.len() * MAX_GUESSES + 10, "{}", calls.get());
        for kind in KINDS {
            let value = read_a(kind);
            let read = || {
                thread::sleep(PAUSE);
                kinds.value("n", b"a", |kind| value(&calls, kind))
            };
            assert!((0..KINDS.len()).any(|_| read().is_some()), "{kind:?}");
            assert!(read().is_some(), "{kind:?}");
        }
    }

    #[test]
    fn names_beyond_the_limit_are_not_remembered() {
        let (kinds, calls) = (Kinds::default(), Cell::new(0));
        let text = read_a(Kind::Text);
        for name in 0..2 * MAX_NAMES {
            kinds.value("n", name.to_string().as_bytes(), |kind| text(&calls, kind));
        }
        assert_eq!(kinds.0.read().unwrap()["n"].len(), MAX_NAMES);
    }
}
