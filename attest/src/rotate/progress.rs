//! A wait, as people like to see it: a line for each proxy. Where there is no terminal, a line for each change.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::hold::Row;
use crate::terminal::{self, Stream};

pub(super) struct Progress {
    bars: Vec<ProgressBar>,
    all: MultiProgress,
    last: Vec<(String, &'static str)>,
}

impl Progress {
    pub(super) fn new(all: MultiProgress) -> Self {
        Self { bars: Vec::new(), all, last: Vec::new() }
    }

    pub(super) fn show(&mut self, because: &str, rows: &[Row]) {
        if self.last.is_empty() && self.bars.is_empty() {
            terminal::remark(&format!("{} {because}", Stream::Stderr.strong("waiting:")));
        }
        if std::io::stderr().is_terminal() {
            self.show_bars(rows);
        } else {
            self.show_changes(rows);
        }
    }

    fn show_bars(&mut self, rows: &[Row]) {
        while self.bars.len() > rows.len() {
            if let Some(bar) = self.bars.pop() {
                bar.finish_and_clear();
            }
        }
        while self.bars.len() < rows.len() {
            let bar = self.all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            self.bars.push(bar);
        }
        for (bar, row) in self.bars.iter().zip(rows) {
            bar.set_message(row.line());
        }
    }

    fn show_changes(&mut self, rows: &[Row]) {
        let now: Vec<(String, &'static str)> =
            rows.iter().map(|row| (row.target.to_string(), row.standing.code())).collect();
        for (row, state) in rows.iter().zip(&now) {
            if !self.last.contains(state) {
                terminal::remark(&format!("  {}", row.line()));
            }
        }
        self.last = now;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        for bar in &self.bars {
            bar.finish_and_clear();
        }
    }
}
