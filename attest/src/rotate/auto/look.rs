//! One look at a rotation, and the one step that is due.

use std::time::Duration;

use crate::clock::{self, Clock};
use crate::new_key::KeyType;
use crate::rotate::ask::Answer;
use crate::rotate::done::Done;
use crate::rotate::fleet::{FleetArgs, Requirement};
use crate::rotate::hold::Row;
use crate::rotate::outlook::{Outlook, Report};
use crate::rotate::record::{Phase, Settled};
use crate::rotate::rotation::Rotation;
use crate::rotate::standing::Standing;
use crate::rotate::store::{Busy, Place};
use crate::rotate::{promote, retire, stage};

/// What a look is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// How long a key signs before the next one is staged.
    pub(super) every: Duration,
    pub(super) token_lifetime: Duration,
    /// None: the type that signs now.
    pub(super) key_type: Option<KeyType>,
    /// Change nothing.
    pub(super) dry_run: bool,
    /// Ask the proxies also while nothing is due, to say how they are.
    pub(super) always_ask: bool,
}

/// What is looked at, and by what.
pub(super) struct Look<'a> {
    pub(super) place: &'a dyn Place,
    pub(super) fleet: &'a FleetArgs,
    pub(super) settings: Settings,
    pub(super) clock: &'static dyn Clock,
    /// Asks every proxy once.
    pub(super) ask: &'a dyn Fn() -> Vec<Answer>,
}

/// The step that comes next, if it is not too early for it.
enum Next {
    Stage,
    Promote(String),
    Retire(Vec<String>),
}

impl Look<'_> {
    /// Looks once, and takes the step that is due. Where somebody else works on the keyring, that is the outlook.
    ///
    /// # Errors
    /// When the keyring or its record cannot be read or written.
    pub(super) fn once(&self) -> anyhow::Result<Report> {
        self.look().or_else(|error| match error.downcast::<Busy>() {
            Ok(busy) => Ok(Report::busy(busy.to_string())),
            Err(error) => Err(error),
        })
    }

    fn look(&self) -> anyhow::Result<Report> {
        let mut rotation = Rotation::open(self.place, self.clock)?;
        let (next, requirement) = match rotation.phase()? {
            Phase::Settled => {
                let seconds_left = self.until_due(&mut rotation)?;
                if seconds_left > 0.0 {
                    return self.not_due(rotation, seconds_left);
                }
                rotation.record.forget_older_rotations();
                (Next::Stage, stage::requirement(&rotation)?)
            }
            Phase::Staged { kids, since } => {
                let kid = promote::the_only(&kids)?;
                let requirement = promote::requirement(&kid, since);
                (Next::Promote(kid), requirement)
            }
            Phase::Promoted { old, since } => {
                let requirement = retire::requirement(&rotation, since, self.settings.token_lifetime)?;
                (Next::Retire(old), requirement)
            }
        };
        let rows = self.judge(&mut rotation, &requirement);
        self.remember(&mut rotation)?;
        let outlook = self.act(&mut rotation, next, &requirement, rows)?;
        Ok(Report::new(&rotation, outlook))
    }

    fn not_due(&self, mut rotation: Rotation, seconds_left: f64) -> anyhow::Result<Report> {
        let rows = if self.settings.always_ask {
            let requirement = stage::requirement(&rotation)?;
            self.judge(&mut rotation, &requirement)
        } else {
            Vec::new()
        };
        self.remember(&mut rotation)?;
        Ok(Report::new(&rotation, Outlook::NotDue { step: "stage", seconds_left, rows }))
    }

    /// How every proxy stands towards a step. What is seen goes into the record.
    fn judge(&self, rotation: &mut Rotation, requirement: &Requirement) -> Vec<Row> {
        let answers = (self.ask)();
        self.fleet.judge(answers, requirement, &mut rotation.record, self.clock.now())
    }

    /// Seconds until the next key is due. A time that lies ahead is none that was seen: it begins anew.
    fn until_due(&self, rotation: &mut Rotation) -> anyhow::Result<f64> {
        let (since, now) = (rotation.settled_since()?, self.clock.now());
        if since > now {
            let kid = rotation.ring.signer()?.kid().to_owned();
            rotation.record.settled = Some(Settled { kid, since: now });
        }
        Ok(since.min(now) + self.settings.every.as_secs_f64() - now)
    }

    fn remember(&self, rotation: &mut Rotation) -> anyhow::Result<()> {
        if self.settings.dry_run { Ok(()) } else { rotation.remember() }
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
        if self.settings.dry_run {
            return Ok(Outlook::Would { step, rows });
        }
        let mut done = match next {
            Next::Stage => stage::apply(rotation, &stage::new_key(rotation, self.settings.key_type)?, self.fleet)?,
            Next::Promote(kid) => promote::apply(rotation, kid, self.fleet)?,
            Next::Retire(old) => {
                let cache_note = self.fleet.cache_note(&rotation.record);
                let mut done = retire(rotation, &old)?;
                done.notes.extend(cache_note);
                done
            }
        };
        done.next = match step {
            "stage" => "promote, when every proxy has published the new key for long enough".to_owned(),
            "promote" => "retire, when the last assertion of the old key has expired".to_owned(),
            _ => format!("stage, in {}", clock::span(self.until_due(rotation)?)),
        };
        Ok(Outlook::Done(done))
    }
}

/// The time of the promotion stays on record: the next key is due so long after it.
fn retire(rotation: &mut Rotation, old: &[String]) -> anyhow::Result<Done> {
    rotation.ring.remove(old);
    rotation.settled_since()?;
    rotation.record.forget_older_rotations();
    rotation.record.proxies.clear();
    let notes = rotation.save()?;
    Ok(retire::done(rotation, old, notes))
}
