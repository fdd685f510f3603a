//! Flat dynamic metadata: what an earlier filter, such as ext_authz, wrote right below a namespace.
//!
//! Envoy hands it out by type, and logs an error when a value has another one than it is asked for. So the type that a
//! value had last is remembered, for all requests, and asked for first.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use attestation_filter::value::Flat;

use crate::ffi::{Kind, Stream};

/// How many names of a namespace are remembered. An identity has fewer.
const MAX_NAMES: usize = 256;
/// How often all types are tried for a name whose value is not of the type that it had last. After that, those that it has
/// had, and one of the others at a time: what cannot be read would have Envoy log three errors for each request.
const MAX_GUESSES: usize = 8;
/// The types that Envoy logs an error for if a value is asked for as one of them and is none.
const SCALARS: [Kind; 3] = [Kind::Text, Kind::Number, Kind::Bool];

/// The types that values had last, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Kinds(RwLock<BTreeMap<String, BTreeMap<Vec<u8>, Guess>>>);

#[derive(Clone, Debug, Default)]
struct Guess {
    kind: Option<Kind>,
    /// All types that it has had.
    seen: Vec<Kind>,
    guesses: usize,
}

impl Guess {
    fn tries(&self, kind: Kind) -> bool {
        let is_next = || SCALARS.get(self.guesses % SCALARS.len()) == Some(&kind);
        self.kind != Some(kind)
            && (self.guesses < MAX_GUESSES || kind == Kind::Texts || self.seen.contains(&kind) || is_next())
    }

    fn learn(&mut self, found: Option<Kind>) {
        self.guesses = self.guesses.saturating_add(1);
        if let Some(kind) = found {
            self.kind = found;
            if !self.seen.contains(&kind) {
                self.seen.push(kind);
            }
        }
    }
}

impl Kinds {
    /// The members of the namespace as Envoy has them; none if nothing is there. A member that is neither a scalar nor a list
    /// of strings is unreadable: where another could take its place, that would be somebody else's.
    pub(crate) fn read<'s>(&self, stream: &'s Stream<'_>, namespace: &str) -> Option<Vec<(&'s [u8], Flat<'s>)>> {
        let names = stream.metadata_names(namespace);
        let value = |name| self.value(namespace, name, |kind| stream.metadata(namespace, name, kind));
        let members: Vec<_> = names.into_iter().map(|name| (name, value(name).unwrap_or(Flat::Unreadable))).collect();
        (!members.is_empty()).then_some(members)
    }

    fn value<'s>(&self, namespace: &str, name: &[u8], read: impl Fn(Kind) -> Option<Flat<'s>>) -> Option<Flat<'s>> {
        let known = self.known(namespace, name);
        if let Some(value) = known.kind.and_then(&read) {
            return Some(value);
        }
        // A list first: Envoy takes no notice if it is none.
        let mut others = [Kind::Texts].into_iter().chain(SCALARS).filter(|kind| known.tries(*kind));
        let found = others.find_map(|kind| Some((kind, read(kind)?)));
        self.learn(namespace, name, found.as_ref().map(|(kind, _)| *kind));
        found.map(|(_, value)| value)
    }

    fn known(&self, namespace: &str, name: &[u8]) -> Guess {
        let kinds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        kinds.get(namespace).and_then(|names| names.get(name)).cloned().unwrap_or_default()
    }

    fn learn(&self, namespace: &str, name: &[u8], found: Option<Kind>) {
        let mut kinds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kinds = kinds.entry(namespace.to_owned()).or_default();
        if kinds.len() >= MAX_NAMES && !kinds.contains_key(name) {
            return;
        }
        kinds.entry(name.to_vec()).or_default().learn(found);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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
        let odd = |calls: &Cell<usize>, _: Kind| -> Option<Flat<'static>> {
            calls.set(calls.get() + 1);
            None
        };
        for _ in 0..100 {
            kinds.value("n", b"a", |kind| odd(&calls, kind));
        }
        assert!(calls.get() <= 2 * 100 + 2 * MAX_GUESSES, "{}", calls.get());
        for kind in [Kind::Text, Kind::Number, Kind::Bool, Kind::Texts] {
            let value = read_a(kind);
            let read = || kinds.value("n", b"a", |kind| value(&calls, kind));
            assert!((0..SCALARS.len()).any(|_| read().is_some()), "{kind:?}");
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
