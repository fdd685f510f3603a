//! Flat dynamic metadata: what an earlier filter, such as ext_authz, wrote right below a namespace.
//!
//! Envoy hands it out by type, and logs an error when a value has another one than it is asked for. So the type that a
//! value had last is remembered, for all requests, and asked for first.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde_json::{Map as Object, Number, Value};

use crate::ffi::{Kind, Scalar, Stream};

/// How many names of a namespace are remembered. An identity has fewer.
const MAX_NAMES: usize = 256;
/// How often all types are tried for a name whose value is not of the type that it had last. After that, values of other
/// types are left out.
const MAX_GUESSES: u8 = 8;

/// The types that values had last, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Kinds(RwLock<BTreeMap<String, BTreeMap<Vec<u8>, Guess>>>);

#[derive(Clone, Copy, Debug, Default)]
struct Guess {
    kind: Option<Kind>,
    guesses: u8,
}

impl Kinds {
    /// The namespace as an object of scalars and lists of strings; none if nothing is there. What has another type is
    /// left out.
    pub(crate) fn read(&self, stream: &Stream<'_>, namespace: &str) -> Option<Value> {
        let names = stream.metadata_names(namespace);
        let members = names.into_iter().filter_map(|name| {
            let value = self.value(namespace, name, |kind| read(stream, namespace, name, kind))?;
            Some((String::from_utf8(name.to_vec()).ok()?, value))
        });
        let object: Object<String, Value> = members.collect();
        (!object.is_empty()).then_some(Value::Object(object))
    }

    fn value(&self, namespace: &str, name: &[u8], read: impl Fn(Kind) -> Option<Value>) -> Option<Value> {
        let known = self.known(namespace, name);
        if let Some(value) = known.kind.and_then(&read) {
            return Some(value);
        }
        if known.guesses >= MAX_GUESSES {
            return None;
        }
        // A list first: Envoy takes no notice if it is none.
        let others = [Kind::List, Kind::Text, Kind::Number, Kind::Bool].into_iter();
        let found = others.filter(|kind| known.kind != Some(*kind)).find_map(|kind| Some((kind, read(kind)?)));
        self.learn(namespace, name, found.as_ref().map(|(kind, _)| *kind).or(known.kind));
        found.map(|(_, value)| value)
    }

    fn known(&self, namespace: &str, name: &[u8]) -> Guess {
        let kinds = self.0.read().unwrap_or_else(PoisonError::into_inner);
        kinds.get(namespace).and_then(|names| names.get(name)).copied().unwrap_or_default()
    }

    fn learn(&self, namespace: &str, name: &[u8], kind: Option<Kind>) {
        let mut kinds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kinds = kinds.entry(namespace.to_owned()).or_default();
        if kinds.len() >= MAX_NAMES && !kinds.contains_key(name) {
            return;
        }
        let guess = kinds.entry(name.to_vec()).or_default();
        *guess = Guess { kind, guesses: guess.guesses.saturating_add(1) };
    }
}

fn read(stream: &Stream<'_>, namespace: &str, name: &[u8], kind: Kind) -> Option<Value> {
    match kind {
        Kind::List => {
            let texts = stream.metadata_texts(namespace, name)?;
            Some(
                texts.into_iter().filter_map(|text| String::from_utf8(text.to_vec()).ok()).map(Value::String).collect(),
            )
        }
        Kind::Text | Kind::Number | Kind::Bool => match stream.metadata(namespace, name, kind)? {
            Scalar::Text(text) => String::from_utf8(text.to_vec()).ok().map(Value::String),
            Scalar::Number(number) => Number::from_f64(number).map(Value::Number),
            Scalar::Bool(bool) => Some(Value::Bool(bool)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn read_a(kind: Kind) -> impl Fn(&Cell<usize>, Kind) -> Option<Value> {
        move |calls, asked| {
            calls.set(calls.get() + 1);
            (asked == kind).then(|| Value::from("value"))
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
    fn type_that_keeps_changing_is_given_up() {
        let (kinds, calls) = (Kinds::default(), Cell::new(0));
        for round in 0..100 {
            let value = read_a(if round % 2 == 0 { Kind::Bool } else { Kind::Text });
            kinds.value("n", b"a", |kind| value(&calls, kind));
        }
        assert!(calls.get() < 100 + 4 * usize::from(MAX_GUESSES), "{}", calls.get());
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
