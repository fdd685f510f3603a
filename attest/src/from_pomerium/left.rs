//! What is not carried over, and what is left to do.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::check::place::Place;
use crate::terminal::{self, Stream};

/// How much is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Not carried over: the requests are refused.
    Closed,
    /// Nothing works before this is done.
    Todo,
    /// Carried over, and not quite the same.
    Differs,
    /// Without an effect here.
    LeftOut,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Todo => "to do",
            Self::Differs => "differs",
            Self::LeftOut => "left out",
        }
    }
}

/// One thing that is left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    kind: Kind,
    place: Place,
    reason: String,
    /// What to do by hand.
    cure: String,
}

/// Everything that is left, in the order of the file. It holds no values of the input but names, hosts and paths.
#[derive(Debug, Default)]
pub(super) struct Lefts(Vec<Left>);

impl Lefts {
    pub(super) fn add(&mut self, kind: Kind, place: &Place, reason: impl Into<String>, cure: impl Into<String>) {
        let left = Left { kind, place: place.clone(), reason: reason.into(), cure: cure.into() };
        if !self.0.contains(&left) {
            self.0.push(left);
        }
    }

    pub(super) fn any_closed(&self) -> bool {
        self.0.iter().any(|left| left.kind == Kind::Closed)
    }

    /// The worst first, and within that as in the file.
    fn sorted(&self) -> Vec<&Left> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|left| (left.kind, left.place.line));
        all
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for left in self.sorted() {
            let stream = Stream::Stderr;
            let word = match left.kind {
                Kind::Closed => stream.bad(left.kind.word()),
                Kind::Todo | Kind::Differs => stream.warn(left.kind.word()),
                Kind::LeftOut => stream.label(left.kind.word()),
            };
            let place = stream.label(&terminal::plain(&left.place.to_string()));
            let [reason, cure] = [&left.reason, &left.cure].map(|text| terminal::plain(text));
            let _ = writeln!(text, "{word}: {reason}\n  {place}\n  {} {cure}", stream.strong("do:"));
        }
        let _ = writeln!(text, "{}", self.counts());
        text
    }

    fn counts(&self) -> String {
        let count = |kind| self.0.iter().filter(|left| left.kind == kind).count();
        let counts = [Kind::Closed, Kind::Todo, Kind::Differs, Kind::LeftOut].map(|kind| (count(kind), kind.word()));
        counts.map(|(count, word)| format!("{count} {word}")).join(", ")
    }

    /// For the head of the file.
    pub(super) fn comment(&self) -> String {
        let mut text = String::from(
            "# Written by attest from-pomerium. Read what is left before you use it; then:\n#   attest check FILE && envoy --mode \
             validate -c FILE\n",
        );
        for left in self.sorted() {
            let [reason, cure] = [&left.reason, &left.cure].map(|text| terminal::plain(text));
            let _ = writeln!(text, "#\n# {}, {}: {reason}", left.kind.word(), terminal::plain(&left.place.to_string()));
            let _ = writeln!(text, "#   do: {cure}");
        }
        text + "\n"
    }

    pub(super) fn json(&self) -> Json {
        let entry = |left: &&Left| {
            json!({
                "kind": left.kind.word(),
                "file": &*left.place.file,
                "line": left.place.line,
                "path": left.place.path,
                "reason": left.reason,
                "do": left.cure,
            })
        };
        self.sorted().iter().map(entry).collect()
    }
}
