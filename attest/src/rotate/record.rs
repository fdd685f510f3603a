//! What is remembered of a rotation between two commands: key IDs, URLs and times.
//!
//! The keyring itself is the truth; the record only adds when things happened. Where the two disagree, somebody
//! changed the keyring by hand, or a command was killed between writing the keyring and its record: then the time of
//! the keyring's last change counts, which is never too early.

use std::collections::BTreeMap;

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

use super::ring::Ring;
use crate::clock;

/// In seconds. What a clock is corrected by all the time is less.
const CLOCK_TOLERANCE: f64 = 0.5;

/// The record of one keyring. All times are seconds since 1970.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) staged: Option<Staged>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) promoted: Option<Promoted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) settled: Option<Settled>,
    /// By URL, and by address where there are several.
    #[serde(default)]
    pub(super) proxies: BTreeMap<String, Sightings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<Clock>,
}

/// The clock by which the times of a record were taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Clock {
    boot: String,
    /// By how many seconds it was ahead of the time since that boot.
    ahead: f64,
}

/// A key was added after the one that signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Staged {
    pub(super) kid: String,
    pub(super) signer: String,
    pub(super) at: f64,
}

/// A key was put first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Promoted {
    pub(super) kid: String,
    pub(super) old: Vec<String>,
    pub(super) at: f64,
}

/// No rotation is going on; automatic rotation counts from here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Settled {
    pub(super) kid: String,
    pub(super) since: f64,
}

/// What one proxy was seen to publish.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sightings {
    /// The longest that the proxy let clients keep its keyset, in this rotation.
    #[serde(default)]
    pub(super) cache_seconds: f64,
    /// Since when each key is there without a break, as far as is known.
    #[serde(default)]
    pub(super) published: BTreeMap<String, f64>,
    /// Since when the same key is first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<(String, f64)>,
}

/// How far a rotation is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// None is going on.
    Settled,
    /// These private keys are published and do not sign. Normally it is one.
    Staged { kids: Vec<String>, since: f64 },
    /// The first key is new, and these old ones are still there.
    Promoted { old: Vec<String>, since: f64 },
}

impl Record {
    /// Reads a record, by the clock as it is now; an empty one if there is none.
    ///
    /// # Errors
    /// When there is one and it cannot be used. `shown` names it.
    pub(super) fn read(text: Option<&str>, shown: &str, clock: &dyn clock::Clock) -> anyhow::Result<Self> {
        let read = text.map_or_else(|| Ok(Self::default()), serde_json::from_str);
        let mut record = read.map_err(|_| {
            anyhow!("{shown} is no record of a rotation; if you remove it, all waiting times begin anew")
        })?;
        record.follow_clock(clock);
        Ok(record)
    }

    /// The record as it is kept.
    ///
    /// # Errors
    /// None in practice: a record is JSON.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        Ok(format!("{:#}\n", serde_json::to_value(self)?))
    }

    /// Moves all times by what the clock was set since they were taken: a clock that is set forward must not end a wait, and
    /// one that is set back not lengthen it. After a reboot this cannot be known.
    pub(super) fn follow_clock(&mut self, clock: &dyn clock::Clock) {
        let Some((boot, ahead)) = clock.ahead_of_boot() else { return };
        match &self.clock {
            Some(known) if known.boot == boot && (ahead - known.ahead).abs() < CLOCK_TOLERANCE => return,
            Some(known) if known.boot == boot => self.shift(ahead - known.ahead),
            _ => {}
        }
        self.clock = Some(Clock { boot, ahead });
    }

    fn shift(&mut self, seconds: f64) {
        for at in self.staged.iter_mut().map(|staged| &mut staged.at) {
            *at += seconds;
        }
        for at in self.promoted.iter_mut().map(|promoted| &mut promoted.at) {
            *at += seconds;
        }
        for since in self.settled.iter_mut().map(|settled| &mut settled.since) {
            *since += seconds;
        }
        for seen in self.proxies.values_mut() {
            let first = seen.first.iter_mut().map(|(_, since)| since);
            seen.published.values_mut().chain(first).for_each(|since| *since += seconds);
        }
    }

    /// Since when the key that signs has been the only private one, as far as is known; `changed` is when the keyring was
    /// last changed.
    ///
    /// # Errors
    /// None in practice: a keyring has a key.
    pub(super) fn settled_since(&mut self, ring: &Ring, changed: f64) -> anyhow::Result<f64> {
        let signer = ring.signer()?.kid();
        if let Some(settled) = self.settled.as_ref().filter(|settled| settled.kid == signer) {
            return Ok(settled.since);
        }
        let promoted = self.promoted.as_ref().filter(|promoted| promoted.kid == signer).map(|promoted| promoted.at);
        let since = promoted.unwrap_or(changed);
        self.settled = Some(Settled { kid: signer.to_owned(), since });
        Ok(since)
    }

    /// What a finished rotation left says nothing about the next one.
    pub(super) fn forget_older_rotations(&mut self) {
        self.staged = None;
        self.promoted = None;
    }

    /// How far the rotation of a keyring is, by its keys first and the record second; `changed` is when it was last
    /// changed.
    ///
    /// # Errors
    /// None in practice: a keyring has a key.
    pub(super) fn phase(&self, ring: &Ring, changed: f64) -> anyhow::Result<Phase> {
        let signer = ring.signer()?.kid();
        if let Some(promoted) = self.promoted.as_ref().filter(|promoted| promoted.kid == signer) {
            let old: Vec<String> = promoted.old.iter().filter(|kid| ring.has(kid)).cloned().collect();
            if !old.is_empty() {
                return Ok(Phase::Promoted { old, since: promoted.at });
            }
        }
        if let Some(staged) = self.staged.as_ref().filter(|staged| staged.kid == signer && ring.has(&staged.signer)) {
            return Ok(Phase::Promoted { old: vec![staged.signer.clone()], since: changed });
        }
        let mut kids: Vec<String> = Vec::new();
        for entry in ring.entries().iter().filter(|entry| entry.is_private() && entry.kid() != signer) {
            if !kids.iter().any(|kid| kid == entry.kid()) {
                kids.push(entry.kid().to_owned());
            }
        }
        let on_record = self.staged.as_ref().filter(|staged| staged.signer == signer && kids == [staged.kid.as_str()]);
        let since = on_record.map_or(changed, |staged| staged.at);
        Ok(if kids.is_empty() { Phase::Settled } else { Phase::Staged { kids, since } })
    }

    /// The sightings of a proxy.
    pub(super) fn proxy(&mut self, url: &str) -> &mut Sightings {
        self.proxies.entry(url.to_owned()).or_default()
    }
}

impl Sightings {
    /// Notes what a proxy publishes now. A key that is gone begins anew when it comes back, and so does one whose time lies
    /// ahead, of a clock that was set back while nobody looked.
    pub(super) fn note(&mut self, kids: &[String], cache_seconds: f64, now: f64) {
        self.cache_seconds = self.cache_seconds.max(cache_seconds);
        self.published.retain(|kid, since| kids.contains(kid) && *since <= now);
        for kid in kids {
            self.published.entry(kid.clone()).or_insert(now);
        }
        let still_first = self.first.take().filter(|(first, since)| kids.first() == Some(first) && *since <= now);
        self.first = still_first.or_else(|| kids.first().map(|kid| (kid.clone(), now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_goes_away_begins_anew() {
        let kids = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut seen = Sightings::default();
        seen.note(&kids(&["a"]), 60.0, 1.0);
        seen.note(&kids(&["a", "b"]), 5.0, 2.0);
        assert_eq!(seen.published, BTreeMap::from([("a".into(), 1.0), ("b".into(), 2.0)]));
        assert_eq!(seen.first, Some(("a".into(), 1.0)));
        assert_eq!(seen.cache_seconds, 60.0);
        seen.note(&kids(&["a"]), 60.0, 3.0);
        seen.note(&kids(&["b", "a"]), 60.0, 4.0);
        assert_eq!(seen.published, BTreeMap::from([("a".into(), 1.0), ("b".into(), 4.0)]));
        assert_eq!(seen.first, Some(("b".into(), 4.0)));
        seen.note(&[], 60.0, 5.0);
        assert_eq!((seen.published.len(), seen.first), (0, None));
    }

    #[test]
    fn a_time_that_lies_ahead_begins_anew() {
        let kids = ["a".to_owned()];
        let mut seen = Sightings::default();
        seen.note(&kids, 60.0, 5000.0);
        seen.note(&kids, 60.0, 10.0);
        seen.note(&kids, 60.0, 20.0);
        assert_eq!((seen.published["a"], seen.first), (10.0, Some(("a".into(), 10.0))));
    }

    /// Written and read again.
    fn reread(record: &Record) -> Record {
        Record::read(Some(&record.text().unwrap()), "the record", &clock::SystemClock).unwrap()
    }

    fn empty() -> Record {
        Record::read(None, "the record", &clock::SystemClock).unwrap()
    }

    #[test]
    fn a_clock_that_was_set_moves_every_time() {
        let mut record = empty();
        record.staged = Some(Staged { kid: "b".into(), signer: "a".into(), at: 1000.0 });
        record.promoted = Some(Promoted { kid: "b".into(), old: vec!["a".into()], at: 1001.0 });
        record.settled = Some(Settled { kid: "b".into(), since: 1002.0 });
        record.proxy("p").note(&["b".into()], 60.0, 1003.0);
        record.clock.as_mut().unwrap().ahead -= 3600.0;
        let read = reread(&record);
        let seen = &read.proxies["p"];
        let times = [
            read.staged.unwrap().at,
            read.promoted.unwrap().at,
            read.settled.unwrap().since,
            seen.published["b"],
            seen.first.as_ref().unwrap().1,
        ];
        for (time, before) in times.into_iter().zip([1000.0, 1001.0, 1002.0, 1003.0, 1003.0]) {
            assert!((time - before - 3600.0).abs() < 1.0, "{time}");
        }
    }

    #[test]
    fn times_of_another_boot_stay() {
        let mut record = empty();
        record.staged = Some(Staged { kid: "b".into(), signer: "a".into(), at: 1000.0 });
        record.clock = Some(Clock { boot: "another".into(), ahead: 0.0 });
        assert_eq!(reread(&record).staged.unwrap().at, 1000.0);
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut record = empty();
        record.staged = Some(Staged { kid: "b".into(), signer: "a".into(), at: 1.5 });
        record.proxy("http://proxy/").note(&["a".into()], 60.0, 2.0);
        let read = reread(&record);
        assert_eq!((read.staged, read.proxies), (record.staged, record.proxies));
        let error = Record::read(Some("{"), "the record", &clock::SystemClock).unwrap_err();
        assert!(error.to_string().contains("if you remove it"), "{error}");
    }
}
