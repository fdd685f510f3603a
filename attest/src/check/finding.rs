//! What was found, how bad it is, and where.

use serde_json::{Value as Json, json};

use super::catalog::{Entry, Id};
use super::node::Node;
use super::place::Place;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Severity {
    /// Worth knowing.
    Note,
    /// Wrong for most.
    Warning,
    /// Requests are refused, unsigned, or signed for somebody else.
    Error,
}

impl Severity {
    /// The word that reports have for it; SARIF has the same three.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that Envoy accepts and that does not do what it looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) id: Id,
    pub(crate) severity: Severity,
    pub(crate) place: Place,
    /// What stands there, or is missing.
    pub(crate) message: String,
    /// The lines to write.
    pub(crate) cure: String,
}

impl Finding {
    pub(crate) fn new(id: Id, place: &Place, message: impl Into<String>, cure: impl Into<String>) -> Self {
        let severity = id.entry().severity;
        Self { id, severity, place: place.clone(), message: message.into(), cure: cure.into() }
    }

    /// The same, not worse than this.
    pub(crate) fn at_most(self, severity: Severity) -> Self {
        Self { severity: self.severity.min(severity), ..self }
    }

    pub(crate) fn json(&self) -> Json {
        let Entry { name, consequence, .. } = self.id.entry();
        json!({
            "id": name,
            "severity": self.severity.word(),
            "file": &*self.place.file,
            "line": self.place.line,
            "path": self.place.path,
            "message": self.message,
            "consequence": consequence,
            "cure": self.cure,
        })
    }
}

/// What the rules have found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn add(&mut self, id: Id, node: &Node, message: impl Into<String>, cure: impl Into<String>) {
        self.push(Finding::new(id, &node.place, message, cure));
    }

    /// Two chains can lead to the same place: it is said once.
    pub(crate) fn push(&mut self, finding: Finding) {
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }
}
