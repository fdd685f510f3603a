//! What goes to the terminal: colours where they are wanted (`NO_COLOR` and pipes turn them off), and nothing
//! that a hostile token could use to drive the terminal itself.

use std::io::{self, Write as _};

use owo_colors::{OwoColorize as _, Style};

/// Where a text is going; each may or may not show colours.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// What one hopes to read.
    pub(crate) fn good(self, text: &str) -> String {
        self.styled(text, Style::new().green().bold())
    }

    /// What one must not overlook.
    pub(crate) fn bad(self, text: &str) -> String {
        self.styled(text, Style::new().red().bold())
    }

    /// What needs a second look.
    pub(crate) fn warn(self, text: &str) -> String {
        self.styled(text, Style::new().yellow())
    }

    /// Names of things, beside their values.
    pub(crate) fn label(self, text: &str) -> String {
        self.styled(text, Style::new().dimmed())
    }

    /// Headings.
    pub(crate) fn strong(self, text: &str) -> String {
        self.styled(text, Style::new().bold())
    }

    fn styled(self, text: &str, style: Style) -> String {
        let stream = match self {
            Self::Stdout => owo_colors::Stream::Stdout,
            Self::Stderr => owo_colors::Stream::Stderr,
        };
        text.if_supports_color(stream, |text| text.style(style)).to_string()
    }
}

/// Rows of a label and a value, the values aligned.
#[derive(Default)]
pub(crate) struct Rows(Vec<(String, String)>);

impl Rows {
    /// Adds a row; the value may be styled already.
    pub(crate) fn push(&mut self, label: &str, value: impl Into<String>) -> &mut Self {
        self.0.push((label.to_owned(), value.into()));
        self
    }

    /// The rows as lines, indented by two columns.
    pub(crate) fn text(&self, stream: Stream) -> String {
        let width = self.0.iter().map(|(label, _)| label.chars().count()).max().unwrap_or_default();
        let line =
            |(label, value): &(String, String)| format!("  {}  {value}\n", stream.label(&format!("{label:<width$}")));
        self.0.iter().map(line).collect()
    }
}

/// Prints to standard output.
///
/// # Errors
/// What the stream says; a broken pipe among it.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Prints a line to standard error; that nobody reads it is no reason to stop.
pub(crate) fn remark(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a value as JSON to standard output, one member a line.
///
/// # Errors
/// As [`print`].
pub(crate) fn print_json(value: &serde_json::Value) -> io::Result<()> {
    print(&format!("{}\n", pretty(value)))
}

/// A value as indented JSON, safe to show on a terminal.
pub(crate) fn pretty(value: &serde_json::Value) -> String {
    safe_json(&format!("{value:#}"))
}

/// A value as JSON on one line, safe to show on a terminal.
pub(crate) fn compact(value: &serde_json::Value) -> String {
    safe_json(&value.to_string())
}

/// Escapes the control characters that JSON leaves alone (DEL, and U+0080 to U+009F, which some terminals obey).
fn safe_json(json: &str) -> String {
    escape_controls(json, |character| format!("\\u{:04x}", u32::from(character)))
}

/// A text with its control characters made visible.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { character.escape_unicode().to_string() } else { character.into() })
        .collect()
}

fn escape_controls(text: &str, escape: impl Fn(char) -> String) -> String {
    text.chars()
        .map(|character| match character {
            '\n' => character.into(),
            _ if character.is_control() => escape(character),
            _ => character.into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_never_reaches_the_terminal_with_a_control_character() {
        let hostile = serde_json::json!({ "name": "a\u{1b}[2Jb\u{9b}31mc\u{7f}" });
        let shown = pretty(&hostile);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), hostile);
        assert_eq!(plain("a\u{1b}b\n"), "a\\u{1b}b\\u{a}");
    }

    #[test]
    fn rows_are_aligned() {
        let mut rows = Rows::default();
        rows.push("kid", "abc").push("file", "x.pem");
        assert_eq!(rows.text(Stream::Stdout), "  kid   abc\n  file  x.pem\n");
    }
}
