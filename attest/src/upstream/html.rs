//! HTML that cannot be broken by what it shows.

use std::fmt::{self, Display, Write as _};

/// A piece of HTML. It is made of templates of this program and of escaped text, and of nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Markup of this program's own.
    pub(super) fn markup(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// Any text, wherever it is from, for an element's content or a quoted attribute. Control characters and the
    /// characters that reorder text on the screen are made visible.
    pub(super) fn text(text: &str) -> Self {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                '\n' => escaped.push('\n'),
                _ if character.is_control() || reorders(character) => {
                    // Writing to a string cannot fail.
                    let _ = write!(escaped, "{}", character.escape_unicode());
                }
                _ => escaped.push(character),
            }
        }
        Self(escaped)
    }

    /// A template with its `{{slots}}` filled in one pass, so that no value is ever taken for a template. An
    /// unknown slot stays empty.
    pub(super) fn template(template: &'static str, slots: &[(&str, Html)]) -> Self {
        let mut filled = String::with_capacity(template.len() * 2);
        let mut pieces = template.split("{{");
        filled.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
            if let Some((_, value)) = slots.iter().find(|(slot, _)| *slot == name) {
                filled.push_str(&value.0);
            }
            filled.push_str(rest);
        }
        Self(filled)
    }

    /// Several pieces in a row.
    pub(super) fn join(pieces: impl IntoIterator<Item = Html>) -> Self {
        Self(pieces.into_iter().map(|piece| piece.0).collect())
    }

    /// The HTML for the response.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Display for Html {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Bidirectional controls (Unicode UAX #9), with which a name can be made to look like another.
fn reorders(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let hostile = "<script>'\"&\u{1b}\u{202e}";
        assert_eq!(Html::text(hostile).into_string(), "&lt;script&gt;&#39;&quot;&amp;\\u{1b}\\u{202e}");
    }

    #[test]
    fn a_value_is_never_a_template() {
        let slots = [("a", Html::text("{{b}}")), ("b", Html::text("secret"))];
        assert_eq!(Html::template("<{{a}}|{{b}}|{{c}}>", &slots).into_string(), "<{{b}}|secret|>");
    }
}
