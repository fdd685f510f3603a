//! What a look at a rotation has shown, and what was done.

use serde_json::{Value, json};

use super::done::Done;
use super::hold::{self, Row};
use super::rotation::Rotation;
use super::standing::Standing;
use crate::clock;
use crate::terminal::{self, Stream};

/// How things stand with the next step.
pub(super) enum Outlook {
    /// The step was done.
    Done(Done),
    /// It would have been done.
    Would { step: &'static str, rows: Vec<Row> },
    /// It is too early for it.
    NotDue { step: &'static str, seconds_left: f64, rows: Vec<Row> },
    /// It is due, and not safe yet.
    Held { step: &'static str, because: &'static str, rows: Vec<Row> },
    /// Somebody else works on the file.
    Busy,
}

/// An outlook, and how the key file is.
pub(super) struct Report {
    pub(super) outlook: Outlook,
    /// The key file in words.
    pub(super) state: String,
    kids: Vec<String>,
}

impl Report {
    pub(super) fn new(rotation: &Rotation, outlook: Outlook) -> Self {
        Self { outlook, state: rotation.state(), kids: rotation.ring.kids() }
    }

    pub(super) fn busy(state: String) -> Self {
        Self { outlook: Outlook::Busy, state, kids: Vec::new() }
    }

    /// The published keys, the signer first; empty where they are not known.
    pub(super) fn kids(&self) -> &[String] {
        &self.kids
    }

    /// A word for scripts.
    pub(super) fn code(&self) -> &'static str {
        self.gist().0
    }

    /// Whether there is news in this report for somebody who has read the other.
    pub(super) fn tells_more_than(&self, other: &Self) -> bool {
        matches!(self.outlook, Outlook::Done(_)) || self.gist() != other.gist()
    }

    /// The kind of outlook, and how each proxy stands.
    fn gist(&self) -> (&'static str, Option<&'static str>, Vec<(String, &'static str)>) {
        let standings =
            |rows: &[Row]| rows.iter().map(|row| (row.target.to_string(), row.standing.code())).collect::<Vec<_>>();
        match &self.outlook {
            Outlook::Done(done) => ("done", Some(done.step), Vec::new()),
            Outlook::Would { step, rows } => ("would", Some(step), standings(rows)),
            Outlook::NotDue { step, rows, .. } => ("not_due", Some(step), standings(rows)),
            Outlook::Held { step, rows, .. } => ("held", Some(step), standings(rows)),
            Outlook::Busy => ("busy", None, Vec::new()),
        }
    }

    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        if json {
            return terminal::print(&format!("{}\n", terminal::compact(&self.json())));
        }
        match &self.outlook {
            Outlook::Done(done) => done.print(false),
            Outlook::Would { step, .. } => terminal::print(&format!("{step} is due, and safe; {}\n", self.state)),
            Outlook::NotDue { step, seconds_left, rows } => {
                let when = clock::utc(clock::now() + seconds_left).unwrap_or_default();
                let left = clock::span(*seconds_left);
                let trouble = rows.iter().filter(|row| row.standing != Standing::Ready);
                let lines: Vec<String> = trouble.map(|row| format!("  {}\n", row.line())).collect();
                let text = format!("nothing is due: {step} comes in {left}, {when}; {}\n", self.state);
                terminal::print(&format!("{text}{}", lines.concat()))
            }
            Outlook::Held { step, because, rows } => {
                let lines: Vec<String> = rows.iter().map(|row| format!("  {}\n", row.line())).collect();
                let not_yet = Stream::Stdout.warn(&format!("{step} is not safe yet:"));
                terminal::print(&format!("{not_yet} {because}\n{}  {}\n", lines.concat(), self.state))
            }
            Outlook::Busy => terminal::print(&format!("nothing was done: {}\n", self.state)),
        }
    }

    fn json(&self) -> Value {
        let (outlook, step, _) = self.gist();
        let (rows, seconds_left, because) = match &self.outlook {
            Outlook::Would { rows, .. } => (rows.as_slice(), Some(0.0), None),
            Outlook::Held { because, rows, .. } => (rows.as_slice(), hold::seconds_left(rows), Some(*because)),
            Outlook::NotDue { seconds_left, rows, .. } => (rows.as_slice(), Some(seconds_left.ceil()), None),
            Outlook::Done(_) | Outlook::Busy => (&[][..], None, None),
        };
        let done = matches!(self.outlook, Outlook::Done(_));
        let mut answer = json!({
            "done": done,
            "outlook": outlook,
            "step": step,
            "because": because,
            "seconds_left": seconds_left,
            "signer": self.kids.first(),
            "published": self.kids,
            "proxies": rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        if let (Outlook::Done(done), Some(members)) = (&self.outlook, answer.as_object_mut()) {
            members.insert("kid".to_owned(), done.kid.as_str().into());
            members.insert("next".to_owned(), done.next.as_str().into());
            members.insert("notes".to_owned(), done.notes.as_slice().into());
        }
        answer
    }
}
