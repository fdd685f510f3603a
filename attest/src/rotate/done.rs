//! What a step has changed, and what comes next.

use serde_json::json;

use crate::terminal::{self, Rows, Stream};

/// A step that was done.
pub(super) struct Done {
    pub(super) step: &'static str,
    /// The key that the step was about.
    pub(super) kid: String,
    /// The published keys, the signer first.
    pub(super) kids: Vec<String>,
    pub(super) file: String,
    pub(super) summary: String,
    pub(super) next: String,
    pub(super) notes: Vec<String>,
}

impl Done {
    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        for note in &self.notes {
            terminal::remark(&format!("{} {note}", Stream::Stderr.warn("note:")));
        }
        if json {
            return terminal::print_json(&json!({
                "done": true,
                "step": self.step,
                "kid": self.kid,
                "file": self.file,
                "signer": self.kids.first(),
                "published": self.kids,
                "next": self.next,
                "notes": self.notes,
            }));
        }
        let mut rows = Rows::default();
        rows.push("kid", self.kid.as_str()).push("signs", self.kids.first().map_or("", String::as_str));
        for kid in self.kids.iter().skip(1) {
            rows.push("published", kid.as_str());
        }
        rows.push("next", self.next.as_str());
        terminal::print(&format!("{}\n{}", Stream::Stdout.good(&self.summary), rows.text(Stream::Stdout)))
    }
}
