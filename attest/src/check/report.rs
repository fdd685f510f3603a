//! The findings for a person, and for a script.

use serde_json::{Value as Json, json};

use super::finding::{Finding, Severity};
use super::levels::Levels;
use crate::terminal::{self, Stream};

/// The findings in words, and how many there are.
pub(crate) fn text(found: &[Finding]) -> String {
    let mut text: String = found.iter().map(finding).collect();
    let count = |severity| found.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    if errors + warnings == 0 {
        text.push_str(&format!("{} nothing is wrong", Stream::Stdout.good("✔")));
        text.push_str(&if notes > 0 { format!(", {notes} to note\n") } else { "\n".to_owned() });
    } else {
        let counts = [many(errors, "error"), many(warnings, "warning"), many(notes, "note")].join(", ");
        text.push_str(&format!("{} {counts}\n", Stream::Stdout.bad("✘")));
    }
    text
}

fn many(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

fn finding(finding: &Finding) -> String {
    let stream = Stream::Stdout;
    let word = finding.severity.word();
    let word = match finding.severity {
        Severity::Error => stream.bad(word),
        Severity::Warning => stream.warn(word),
        Severity::Note => stream.label(word),
    };
    let entry = finding.id.entry();
    let indent = |text: &str| lines(text).replace('\n', "\n      ");
    format!(
        "{word}[{}] {}\n  {}\n  {}\n  {} {}\n\n",
        entry.name,
        lines(&finding.message),
        stream.label(&terminal::plain(&finding.place.to_string())),
        entry.consequence,
        stream.strong("do:"),
        indent(&finding.cure),
    )
}

/// Line by line without control characters.
fn lines(text: &str) -> String {
    text.lines().map(terminal::plain).collect::<Vec<_>>().join("\n")
}

pub(crate) fn json(found: &[Finding], levels: &Levels) -> Json {
    json!({ "good": !levels.fail(found), "findings": found.iter().map(Finding::json).collect::<Vec<_>>() })
}
