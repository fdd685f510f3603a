//! Which keyring a command is about.

use std::path::PathBuf;

use super::rotation::Rotation;
use super::store::{KeyFile, Place};
use crate::clock::SystemClock;

/// The keyring of a rotation.
#[derive(clap::Args)]
pub(super) struct PlaceArgs {
    /// The key file
    file: PathBuf,
}

impl PlaceArgs {
    /// The place that is named.
    pub(super) fn place(&self) -> Box<dyn Place> {
        Box::new(KeyFile(self.file.clone()))
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`Rotation::open`].
    pub(super) fn open(&self) -> anyhow::Result<Rotation> {
        Rotation::open(self.place().as_ref(), &SystemClock)
    }
}
