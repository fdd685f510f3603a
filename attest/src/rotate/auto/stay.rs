//! `--stay`: one look after the other, each when the next step is due.

use std::thread;
use std::time::Duration;

use indicatif::MultiProgress;

use super::look::Look;
use super::status::Status;
use crate::rotate::hold;
use crate::rotate::interrupt::{Wait, Waiting};
use crate::rotate::outlook::{Outlook, Report};
use crate::terminal::{self, Stream};

/// How long --stay sleeps at most: the keyring may be changed by somebody else.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// And while a proxy does not show what it has to: when it does, the time begins to count.
const PAUSE: Duration = Duration::from_secs(1);
const AFTER_ERROR: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Goes on for ever. What fails later may succeed again: it is told once.
pub(super) fn stay(look: &Look<'_>, status: &Status, mut last: Report, json: bool) -> anyhow::Result<()> {
    let mut last_error = String::new();
    let mut rest = pause(&last.outlook);
    loop {
        sleep(rest, &last, json);
        match look.once() {
            Ok(report) => {
                status.note(&report, look.clock.now());
                if report.tells_more_than(&last) || !last_error.is_empty() {
                    report.print(json)?;
                }
                last_error.clear();
                rest = pause(&report.outlook);
                last = report;
            }
            Err(error) => {
                let error = format!("{error:#}");
                status.fail(&error, look.clock.now());
                if error != last_error {
                    terminal::remark(&format!("{} {error}", Stream::Stderr.bad("error:")));
                }
                last_error = error;
                rest = AFTER_ERROR;
            }
        }
    }
}

/// Only here a signal ends the program: a step that is being done is left to its end.
fn sleep(rest: Duration, last: &Report, json: bool) {
    let _waiting = Waiting::begin(Wait {
        step: "auto",
        state: last.state.clone(),
        json,
        exit_code: Some(0),
        progress: MultiProgress::new(),
    });
    thread::sleep(rest);
}

/// How long nothing can happen that concerns the next step.
fn pause(outlook: &Outlook) -> Duration {
    let until = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST_PAUSE);
    match outlook {
        Outlook::Done(_) => SHORTEST_PAUSE,
        Outlook::Busy | Outlook::Would { .. } => PAUSE,
        Outlook::NotDue { seconds_left, .. } => until(*seconds_left).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
        Outlook::Held { rows, .. } => {
            hold::seconds_left_exactly(rows).map_or(PAUSE, until).clamp(SHORTEST_PAUSE, PAUSE)
        }
    }
}
