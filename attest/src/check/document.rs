//! Text in, trees with places out. YAML and JSON have one parser: what it takes of JSON is JSON.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span};
use thiserror::Error;

use super::node::{Member, Node, Value};
use super::place::Place;
use super::scalar;

/// More values than any configuration has: aliases of aliases could make a small file endless.
const MAX_NODES: usize = 4_000_000;

/// How scalars without quotes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Json,
    Yaml,
}

/// Why a text is no document.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum DocumentError {
    #[error("{file}:{line}: it is neither YAML nor JSON: {reason}")]
    Syntax { file: String, line: usize, reason: String },
    #[error("{file}: it has more than {MAX_NODES} values")]
    TooBig { file: String },
    #[error("{file}: there is nothing in it; give a file with an Envoy configuration")]
    Empty { file: String },
}

/// The documents of a text.
///
/// # Errors
/// A [`DocumentError`] with the line.
pub(crate) fn read(text: &str, file: &str) -> Result<Vec<Node>, DocumentError> {
    let options = granit_parser::options! { emit_comments: false };
    let events = Parser::new_from_str_with_options(text, options).collect::<Result<Vec<_>, ScanError>>();
    let events = events.map_err(|error| DocumentError::Syntax {
        file: file.to_owned(),
        line: error.marker().line(),
        reason: error.info(),
    })?;
    let mut builder =
        Builder { events: events.into_iter(), language: language(text), anchors: HashMap::new(), room: MAX_NODES };
    let mut documents = Vec::new();
    while let Some((event, span)) = builder.events.next() {
        if let Event::DocumentStart(..) = event {
            let place = Place { file: file.into(), line: span.start.line(), path: String::new() };
            let document = builder.next(&place).ok_or_else(|| DocumentError::TooBig { file: file.to_owned() })?;
            documents.push(document);
        }
    }
    let is_empty = documents.iter().all(|document| matches!(document.value, Value::Null));
    if is_empty { Err(DocumentError::Empty { file: file.to_owned() }) } else { Ok(documents) }
}

fn language(text: &str) -> Language {
    let looks_so = text.trim_start().starts_with(['{', '[']);
    let is_json = looks_so && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json { Language::Json } else { Language::Yaml }
}

/// Makes trees of events. It returns nothing where there are too many.
struct Builder<'text> {
    events: std::vec::IntoIter<(Event<'text>, Span)>,
    language: Language,
    anchors: HashMap<usize, Node>,
    room: usize,
}

impl Builder<'_> {
    fn next(&mut self, place: &Place) -> Option<Node> {
        let (event, span) = self.events.next()?;
        self.node(event, &span, place)
    }

    /// The value that begins with this event; `place` has the path to it.
    fn node(&mut self, event: Event<'_>, span: &Span, place: &Place) -> Option<Node> {
        self.room = self.room.checked_sub(1)?;
        let place = Place { line: span.start.line(), ..place.clone() };
        let (value, anchor, plain) = match event {
            Event::Alias(anchor) => return self.alias(anchor),
            Event::Scalar(text, ScalarStyle::Plain, anchor, None) => {
                (scalar::plain(self.language, &text), anchor, Some(text.as_ref().into()))
            }
            Event::Scalar(text, _, anchor, _) => (Value::Text(text.as_ref().into()), anchor, None),
            Event::SequenceStart(_, anchor, _) => (Value::List(self.items(&place)?), anchor, None),
            Event::MappingStart(_, anchor, _) => (Value::Map(self.members(&place)?), anchor, None),
            _ => (Value::Null, 0, None),
        };
        let node = Node { value, place, plain };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Some(node)
    }

    fn alias(&mut self, anchor: usize) -> Option<Node> {
        let node = self.anchors.get(&anchor)?.clone();
        let mut count = 0;
        node.each(&mut |_| count += 1);
        self.room = self.room.checked_sub(count)?;
        Some(node)
    }

    fn items(&mut self, place: &Place) -> Option<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.events.next()?;
            if let Event::SequenceEnd = event {
                return Some(items);
            }
            items.push(self.node(event, &span, &place.item(items.len(), 0))?);
        }
    }

    fn members(&mut self, place: &Place) -> Option<Vec<Member>> {
        let mut members = Vec::new();
        loop {
            let (event, span) = self.events.next()?;
            let name: Rc<str> = match event {
                Event::MappingEnd => return Some(members),
                Event::Scalar(text, ..) => text.as_ref().into(),
                // No field of Envoy's has such a name; its value is read so that the rest keeps its place.
                other => {
                    self.node(other, &span, place)?;
                    "?".into()
                }
            };
            let line = span.start.line();
            let value = self.next(&place.member(&name, line))?;
            members.push(Member { name, line, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line_and_path() {
        let documents = read("a:\n- b: 1\n  \"c d\":\n    e: x\n---\nf: y\n", "a.yaml").unwrap();
        let [first, second] = documents.as_slice() else { panic!("two documents") };
        let inner = first.list("a")[0].at(&["c d", "e"]).unwrap();
        assert_eq!(inner.place.to_string(), "a.yaml:4 a[0].\"c d\".e");
        assert_eq!(second.get("f").unwrap().place.to_string(), "a.yaml:6 f");
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_line() {
        let error = read("a: 1\nb: [1, 2\n", "a.yaml").unwrap_err();
        assert!(error.to_string().starts_with("a.yaml:"), "{error}");
    }

    #[test]
    fn text_without_a_document_is_refused() {
        for text in ["", "\n", "# a comment\n", "---\n", "---\n---\n", "null"] {
            assert_eq!(read(text, "a.yaml").unwrap_err(), DocumentError::Empty { file: "a.yaml".into() }, "{text:?}");
        }
    }

    #[test]
    fn aliases_are_followed_but_not_for_ever() {
        let documents = read("a: &x {b: 1}\nc: *x\n", "a.yaml").unwrap();
        assert_eq!(documents[0].at(&["c", "b"]).unwrap().number(), Some(1));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert_eq!(read(&bomb, "a.yaml").unwrap_err(), DocumentError::TooBig { file: "a.yaml".into() });
    }

    #[test]
    fn long_texts_of_json_are_read() {
        let long = "x".repeat(100_000);
        let text = format!("{{\n\"a\":\t\"{long}\",\n\"b\\n\": [1.5, null, true]}}");
        let documents = read(&text, "a.json").unwrap();
        assert_eq!(documents[0].json(), serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }
}
