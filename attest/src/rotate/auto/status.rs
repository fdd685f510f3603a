//! What `--stay` has seen and done so far, for those who watch it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::rotate::hold::{self, Row};
use crate::rotate::outlook::{Outlook, Report};
use crate::rotate::standing::Standing;

/// No look takes longer, and no pause between two: after that, the daemon hangs.
const LONGEST_SILENCE: Duration = Duration::from_secs(10 * 60);

/// Shared between the looks and the port.
pub(super) struct Status(Mutex<Known>);

/// All times are seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    /// The published keys, the signer first.
    pub(super) kids: Vec<String>,
    /// What the rotation waits for.
    pub(super) next: Next,
    pub(super) proxies: Vec<Proxy>,
    pub(super) steps: BTreeMap<&'static str, Steps>,
    /// How many looks ended how.
    pub(super) looks: BTreeMap<&'static str, u64>,
    pub(super) looked_at: f64,
    /// Why the last look failed, if it did.
    pub(super) error: Option<String>,
    pub(super) failed_at: Option<f64>,
    pub(super) last_sign: Option<Instant>,
}

/// The step that comes next.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Next {
    pub(super) step: &'static str,
    /// None: more than time is missing.
    pub(super) due: Option<f64>,
    /// It would be due, and a proxy is in the way.
    pub(super) held: bool,
}

/// The steps of one kind that were done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Steps {
    pub(super) count: u64,
    pub(super) last_at: f64,
}

/// A proxy, and a word for how it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proxy {
    pub(super) name: String,
    pub(super) state: &'static str,
    /// It answers, and does not show what the file says.
    pub(super) lags: bool,
}

impl Default for Status {
    fn default() -> Self {
        Self(Mutex::new(Known { last_sign: Some(Instant::now()), ..Known::default() }))
    }
}

impl Status {
    /// Notes a look that ended well.
    pub(super) fn note(&self, report: &Report, now: f64) {
        let mut known = self.lock();
        known.looked(report.code(), now);
        known.error = None;
        if !report.kids().is_empty() {
            known.kids = report.kids().to_vec();
        }
        match &report.outlook {
            Outlook::Done(done) => {
                let steps = known.steps.entry(done.step).or_default();
                *steps = Steps { count: steps.count + 1, last_at: now };
                known.next = Next { step: after(done.step), due: None, held: false };
            }
            Outlook::Would { step, rows } => known.expect(step, Some(now), false, rows),
            Outlook::NotDue { step, seconds_left, rows } => known.expect(step, Some(now + seconds_left), false, rows),
            Outlook::Held { step, rows, .. } => {
                let due = hold::seconds_left_exactly(rows).map(|seconds| now + seconds);
                known.expect(step, due, due.is_none(), rows);
            }
            Outlook::Busy => {}
        }
    }

    /// Notes a look that failed.
    pub(super) fn fail(&self, error: &str, now: f64) {
        let mut known = self.lock();
        known.looked("error", now);
        known.error = Some(error.to_owned());
        known.failed_at = Some(now);
    }

    /// As it is now.
    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn looked(&mut self, code: &'static str, now: f64) {
        *self.looks.entry(code).or_default() += 1;
        self.looked_at = now;
        self.last_sign = Some(Instant::now());
    }

    fn expect(&mut self, step: &'static str, due: Option<f64>, held: bool, rows: &[Row]) {
        self.next = Next { step, due, held };
        self.proxies = rows.iter().map(Proxy::of).collect();
    }

    /// Whether looks still come.
    pub(super) fn is_alive(&self) -> bool {
        self.last_sign.is_some_and(|sign| sign.elapsed() < LONGEST_SILENCE)
    }
}

impl Proxy {
    fn of(row: &Row) -> Self {
        let lags = matches!(row.standing, Standing::Missing { .. } | Standing::SignsWithOther { .. });
        Self { name: row.target.to_string(), state: row.standing.code(), lags }
    }
}

fn after(step: &str) -> &'static str {
    match step {
        "stage" => "promote",
        "promote" => "retire",
        _ => "stage",
    }
}
