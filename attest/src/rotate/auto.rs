//! `attest rotate auto`: whichever step is due, or none.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use indicatif::MultiProgress;

use super::fleet::{FleetArgs, Requirement};
use super::hold::{self, Row};
use super::interrupt::{self, Wait, Waiting};
use super::outlook::{Outlook, Report};
use super::record::{Phase, Record, Settled};
use super::ring::Locked;
use super::standing::Standing;
use super::{Done, Rotation, promote, retire, stage};
use crate::keyset::Fetcher;
use crate::new_key::KeyType;
use crate::{clock, terminal};

/// How long --stay sleeps at most: the file may be changed by somebody else.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// And while a proxy does not show what it has to: when it does, the time begins to count.
const PAUSE: Duration = Duration::from_secs(1);
const AFTER_ERROR: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Take the step that is due, or none
///
/// A new key is staged when the one that signs has done so for --every; promoted when every proxy has published it for as
/// long as clients keep a keyset; and the old key is retired when its last assertion has expired. One step is taken in
/// each run, and only if all proxies agree. Run it again and again, from a timer or with --stay: at any time, two at
/// once, and after it was killed. The exit code is 0 also where nothing is due, or where a proxy is in the way.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest rotate auto signing-key.pem --every 30d --jwks-url http://10.0.0.1:8080/.well-known/pomerium/jwks.json
  attest rotate auto signing-key.pem --every 30d --dry-run --jwks-url ...")]
pub(super) struct Args {
    /// The key file
    file: PathBuf,

    /// How long a key signs before the next one is staged
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    every: Duration,

    /// The filter's token_lifetime: how long an assertion of the old key may still be used
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "300s")]
    token_lifetime: Duration,

    /// The kind of key to make [default: the kind that signs now]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    key_type: Option<KeyType>,

    /// Go on until stopped, and take each step when it is due
    #[arg(long)]
    stay: bool,

    /// Say what would be done, and when, and change nothing
    #[arg(long, conflicts_with = "stay")]
    dry_run: bool,

    #[command(flatten)]
    fleet: FleetArgs,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<()> {
    ensure!(
        args.fleet.is_named(),
        "nobody watches: name every proxy with --jwks-url URL, so that a step is taken only when it is safe"
    );
    if args.stay {
        interrupt::listen();
    }
    let fetcher = args.fleet.fetcher()?;
    let report = pass(args, &fetcher)?;
    report.print(json)?;
    if args.stay { stay(args, &fetcher, report, json) } else { Ok(()) }
}

/// Goes on for ever. What fails later may succeed again: it is told once.
fn stay(args: &Args, fetcher: &Fetcher, mut last: Report, json: bool) -> anyhow::Result<()> {
    let mut last_error = String::new();
    let mut rest = pause(&last.outlook);
    loop {
        {
            let _waiting = Waiting::begin(Wait {
                step: "auto",
                state: last.state.clone(),
                json,
                exit_code: Some(0),
                progress: MultiProgress::new(),
            });
            thread::sleep(rest);
        }
        match pass(args, fetcher) {
            Ok(report) => {
                if report.tells_more_than(&last) || !last_error.is_empty() {
                    report.print(json)?;
                }
                last_error.clear();
                rest = pause(&report.outlook);
                last = report;
            }
            Err(error) => {
                let error = format!("{error:#}");
                if error != last_error {
                    terminal::remark(&format!("{} {error}", terminal::Stream::Stderr.bad("error:")));
                }
                last_error = error;
                rest = AFTER_ERROR;
            }
        }
    }
}

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

/// The step that comes next, if it is not too early for it.
enum Next {
    Stage,
    Promote(String),
    Retire(Vec<String>),
}

/// Looks once, and takes the step that is due.
fn pass(args: &Args, fetcher: &Fetcher) -> anyhow::Result<Report> {
    let mut rotation = match Rotation::open(&args.file) {
        Err(error) if error.is::<Locked>() => return Ok(Report::busy(error.to_string())),
        opened => opened?,
    };
    let (next, requirement) = match rotation.record.phase(&rotation.ring)? {
        Phase::Settled => {
            let seconds_left = args.until_due(&mut rotation)?;
            if seconds_left > 0.0 {
                args.remember(&mut rotation.record)?;
                return Ok(Report::new(&rotation, Outlook::NotDue { step: "stage", seconds_left }));
            }
            rotation.forget_older_rotations();
            (Next::Stage, stage::requirement(&rotation)?)
        }
        Phase::Staged { kids, since } => {
            let kid = promote::the_only(&kids)?;
            let requirement = promote::requirement(&kid, since);
            (Next::Promote(kid), requirement)
        }
        Phase::Promoted { old, since } => {
            let requirement = retire::requirement(&rotation, since, args.token_lifetime)?;
            (Next::Retire(old), requirement)
        }
    };
    let rows = args.fleet.look(fetcher, &requirement, &mut rotation.record);
    args.remember(&mut rotation.record)?;
    let outlook = args.act(&mut rotation, next, &requirement, rows)?;
    Ok(Report::new(&rotation, outlook))
}

impl Args {
    /// Seconds until the next key is due. A time that lies ahead is none that was seen: it begins anew.
    fn until_due(&self, rotation: &mut Rotation) -> anyhow::Result<f64> {
        let (since, now) = (rotation.record.settled_since(&rotation.ring)?, clock::now());
        if since > now {
            let kid = rotation.ring.signer()?.kid().to_owned();
            rotation.record.settled = Some(Settled { kid, since: now });
        }
        Ok(since.min(now) + self.every.as_secs_f64() - now)
    }

    fn remember(&self, record: &mut Record) -> anyhow::Result<()> {
        if self.dry_run { Ok(()) } else { record.save() }
    }

    fn act(
        &self,
        rotation: &mut Rotation,
        next: Next,
        requirement: &Requirement,
        rows: Vec<Row>,
    ) -> anyhow::Result<Outlook> {
        let (step, because) = (requirement.step, requirement.because);
        if rows.iter().any(|row| row.standing != Standing::Ready) {
            return Ok(Outlook::Held { step, because, rows });
        }
        if self.dry_run {
            return Ok(Outlook::Would { step, rows });
        }
        let mut done = match next {
            Next::Stage => stage::apply(rotation, &stage::new_key(rotation, self.key_type)?, &self.fleet)?,
            Next::Promote(kid) => promote::apply(rotation, kid, &self.fleet)?,
            Next::Retire(old) => self.retire(rotation, &old)?,
        };
        done.next = match step {
            "stage" => "promote, when every proxy has published the new key for long enough".to_owned(),
            "promote" => "retire, when the last assertion of the old key has expired".to_owned(),
            _ => format!("stage, in {}", clock::span(self.until_due(rotation)?)),
        };
        Ok(Outlook::Done(done))
    }

    /// The time of the promotion stays on record: the next key is due so long after it.
    fn retire(&self, rotation: &mut Rotation, old: &[String]) -> anyhow::Result<Done> {
        let (done, _saved) = retire::apply(rotation, old)?;
        rotation.record.settled_since(&rotation.ring)?;
        rotation.forget_older_rotations();
        rotation.record.proxies.clear();
        rotation.record.save()?;
        Ok(done)
    }
}
