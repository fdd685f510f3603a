//! A step that is not safe yet, and which proxies stand in its way.

use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;

use super::standing::Standing;
use super::target::Target;
use crate::clock::span;
use crate::terminal::{self, Stream};

/// How one proxy stands towards a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) target: Target,
    pub(super) standing: Standing,
}

/// Rows that are not all ready.
#[derive(Debug, Error)]
#[error("{step}: not yet")]
pub(super) struct Hold {
    pub(super) step: &'static str,
    pub(super) because: &'static str,
    pub(super) rows: Vec<Row>,
    pub(super) timed_out: Option<Duration>,
}

impl Row {
    pub(super) fn line(&self) -> String {
        let mark = match self.standing {
            Standing::Ready => Stream::Stderr.good("✔"),
            Standing::Waiting { .. } => Stream::Stderr.warn("…"),
            _ => Stream::Stderr.bad("✘"),
        };
        let (target, standing) = (self.target.to_string(), self.standing.to_string());
        format!("{mark} {}  {}", terminal::plain(&target), terminal::plain(&standing))
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "url": self.target.url,
            "address": self.target.address.map(|address| address.to_string()),
            "state": self.standing.code(),
            "seconds_left": self.standing.seconds_left(),
            "message": self.standing.to_string(),
        })
    }
}

/// Until all rows are ready, if only time is missing.
pub(super) fn seconds_left(rows: &[Row]) -> Option<f64> {
    rows.iter().map(|row| row.standing.seconds_left()).try_fold(0.0, |most, left| Some(f64::max(most, left?)))
}

/// The same to a fraction of a second.
pub(super) fn seconds_left_exactly(rows: &[Row]) -> Option<f64> {
    let left = |row: &Row| match &row.standing {
        Standing::Ready => Some(0.0),
        Standing::Waiting { seconds_left } => Some(*seconds_left),
        _ => None,
    };
    rows.iter().map(left).try_fold(0.0, |most, left| Some(f64::max(most, left?)))
}

impl Hold {
    /// Says which proxy is not ready, and why.
    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        if json {
            return terminal::print_json(&json!({
                "done": false,
                "step": self.step,
                "error": format!("not yet: {}", self.because),
                "seconds_left": seconds_left(&self.rows),
                "proxies": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            }));
        }
        let mut text = format!("{} {}\n", Stream::Stderr.bad("not yet:"), self.because);
        for row in &self.rows {
            text.push_str(&format!("  {}\n", row.line()));
        }
        text.push_str(&format!("  {}", self.next()));
        terminal::remark(&text);
        Ok(())
    }

    fn has_unreachable(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.standing, Standing::Unreachable { .. }))
    }

    fn next(&self) -> String {
        let given_up = self.timed_out.map(|timeout| format!("gave up after {}; ", span(timeout.as_secs_f64())));
        let next = match seconds_left(&self.rows) {
            Some(seconds) => format!("nothing was changed; run it again in {}, or with --wait", span(seconds)),
            None if self.has_unreachable() => "nothing was changed; run it again when every proxy answers".to_owned(),
            None => {
                "nothing was changed; give every proxy the key file as it is now, then run it again. An Envoy that \
                     reads this very file sees a new one only if watched_directory names its directory"
                    .to_owned()
            }
        };
        format!("{}{next}", given_up.unwrap_or_default())
    }
}
