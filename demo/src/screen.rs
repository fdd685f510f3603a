//! What the demo says, nicely set.

use std::io::{self, Write as _};

use owo_colors::Stream::{Stderr, Stdout};
use owo_colors::{OwoColorize as _, Style};

/// The terminal. Its methods fail where nobody reads any more; the demo then ends, and cleans up.
pub(crate) struct Screen {
    scene: u8,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { scene: 0 }
    }

    /// The headline of the next scene.
    pub(crate) fn scene(&mut self, title: &str) -> io::Result<()> {
        self.scene += 1;
        let number = self.scene.to_string();
        self.line(&format!("\n{}  {}", styled(&number, Style::new().cyan().bold()), styled(title, Style::new().bold())))
    }

    /// What somebody did, as they would type it.
    pub(crate) fn typed(&self, command: &str) -> io::Result<()> {
        self.line(&format!("   {}", styled(&format!("$ {command}"), Style::new().cyan())))
    }

    /// A named value.
    pub(crate) fn row(&self, label: &str, value: &str) -> io::Result<()> {
        self.line(&format!("   {}  {value}", styled(&format!("{label:<10}"), Style::new().dimmed())))
    }

    /// Something that was checked and is so.
    pub(crate) fn checked(&self, text: &str) -> io::Result<()> {
        self.line(&format!("   {} {text}", styled("✔", Style::new().green().bold())))
    }

    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    }

    /// A title.
    pub(crate) fn strong(text: &str) -> String {
        styled(text, Style::new().bold())
    }

    /// What matters less.
    pub(crate) fn faint(text: &str) -> String {
        styled(text, Style::new().dimmed())
    }

    /// A failure, for standard error.
    pub(crate) fn bad(text: &str) -> String {
        text.if_supports_color(Stderr, |text| text.style(Style::new().red().bold())).to_string()
    }

    /// A token: its three parts in three colours, each shortened.
    pub(crate) fn token(token: &str) -> String {
        let styles = [Style::new().magenta(), Style::new().blue(), Style::new().green()];
        let parts = token.split('.').zip(styles).map(|(part, style)| styled(&shortened(part), style));
        format!("{} {}", parts.collect::<Vec<_>>().join("."), Self::faint(&format!("({} bytes)", token.len())))
    }
}

fn styled(text: &str, style: Style) -> String {
    text.if_supports_color(Stdout, |text| text.style(style)).to_string()
}

fn shortened(part: &str) -> String {
    match part.char_indices().nth(18) {
        Some((at, _)) => format!("{}…", part.get(..at).unwrap_or_default()),
        None => part.to_owned(),
    }
}
