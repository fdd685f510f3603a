//! A keyring that is being rotated, and what is known of its rotation so far.

use anyhow::Context as _;

use super::record::{Phase, Record};
use super::ring::Ring;
use super::store::{Opened, Place};
use crate::clock::Clock;

/// A keyring, opened for a step.
pub(super) struct Rotation {
    pub(super) ring: Ring,
    pub(super) record: Record,
    pub(super) clock: &'static dyn Clock,
    opened: Box<dyn Opened>,
    argument: String,
    shown: String,
}

impl Rotation {
    /// # Errors
    /// When the place cannot be read, or the filter would not take what is there.
    pub(super) fn open(place: &dyn Place, clock: &'static dyn Clock) -> anyhow::Result<Self> {
        let opened = place.open()?;
        let shown = place.shown();
        let ring =
            Ring::read(opened.text()).with_context(|| format!("{shown} is no key file that the filter takes"))?;
        let record = Record::read(opened.record(), &opened.record_shown(), clock)?;
        Ok(Self { ring, record, clock, opened, argument: place.argument(), shown })
    }

    /// The place as the user named it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The place as an argument of a command that is suggested.
    pub(super) fn argument(&self) -> &str {
        &self.argument
    }

    /// How far the rotation is.
    ///
    /// # Errors
    /// When the keyring is gone.
    pub(super) fn phase(&self) -> anyhow::Result<Phase> {
        self.record.phase(&self.ring, self.changed()?)
    }

    /// When the keyring was last changed, in seconds since 1970.
    ///
    /// # Errors
    /// When the keyring is gone.
    pub(super) fn changed(&self) -> anyhow::Result<f64> {
        self.opened.changed()
    }

    /// Since when the key that signs has been the only private one.
    ///
    /// # Errors
    /// When the keyring is gone.
    pub(super) fn settled_since(&mut self) -> anyhow::Result<f64> {
        let changed = self.changed()?;
        self.record.settled_since(&self.ring, changed)
    }

    /// Writes the keyring and the record. Returns what the user should know.
    ///
    /// # Errors
    /// When the filter would not take the keyring, somebody else has changed it, or it cannot be written.
    pub(super) fn save(&mut self) -> anyhow::Result<Vec<String>> {
        let text = self.ring.checked_text()?;
        self.opened.replace(&text, Some(&self.record.text()?))
    }

    /// Writes the keyring, and ends the record: the rotation is over.
    ///
    /// # Errors
    /// As [`Rotation::save`].
    pub(super) fn finish(&mut self) -> anyhow::Result<Vec<String>> {
        let text = self.ring.checked_text()?;
        self.opened.replace(&text, None)
    }

    /// Writes the record, if it is not what is written already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn remember(&mut self) -> anyhow::Result<()> {
        self.opened.remember(&self.record.text()?)
    }

    /// Which key signs, and which others there are.
    pub(super) fn state(&self) -> String {
        let (kids, shown) = (self.ring.kids(), &self.shown);
        match kids.split_first() {
            Some((signer, [])) => format!("in {shown}, {signer} signs, and there is no other key"),
            Some((signer, others)) => format!("in {shown}, {signer} signs, and {} is published too", others.join(", ")),
            None => format!("{shown} has no key"),
        }
    }
}
