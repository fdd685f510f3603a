//! Where a keyring is kept, with the record of its rotation.

mod file;
mod secret;

use thiserror::Error;
use zeroize::Zeroizing;

pub(super) use file::KeyFile;
pub(super) use secret::{SecretKey, SecretName, SecretPlace};

/// Envoy's default for `max_direct_response_body_size_bytes`, of which a key file is a case.
const ENVOY_BODY_BYTES: usize = 4096;

/// A place that can be opened again and again.
pub(super) trait Place {
    /// The place as a user names it, for errors.
    fn shown(&self) -> String;

    /// The place as an argument of a command that is suggested, ready for a shell.
    fn argument(&self) -> String;

    /// Reads what is there. Others are kept away from it until it is dropped, or are found out when it is written.
    ///
    /// # Errors
    /// [`Busy`] while another rotation works on it; else why it cannot be read.
    fn open(&self) -> anyhow::Result<Box<dyn Opened>>;
}

/// What a place held when it was opened, and how to replace that.
pub(super) trait Opened {
    /// The text of the keyring. It is wiped when dropped.
    fn text(&self) -> &Zeroizing<Vec<u8>>;

    /// The record of the rotation, if there is one.
    fn record(&self) -> Option<&str>;

    /// The record as errors name it.
    fn record_shown(&self) -> String;

    /// When the keyring was last changed, in seconds since 1970; never too early.
    ///
    /// # Errors
    /// When it is gone.
    fn changed(&self) -> anyhow::Result<f64>;

    /// Replaces the keyring, whole or not at all, and then the record; none removes it. Returns what the user should know.
    ///
    /// # Errors
    /// [`Busy`] if somebody else has changed it meanwhile; else why it cannot be written.
    fn replace(&mut self, text: &[u8], record: Option<&str>) -> anyhow::Result<Vec<String>>;

    /// Writes the record alone.
    ///
    /// # Errors
    /// As [`Opened::replace`].
    fn remember(&mut self, record: &str) -> anyhow::Result<()>;
}

/// Somebody else works on the keyring, or has just done so. Whoever looks again sees what came of it.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct Busy(pub(super) String);

/// What the user should know of a keyring of this size.
fn size_note(bytes: usize) -> Option<String> {
    let note = format!(
        "the file has {bytes} bytes; Envoy serves more than {ENVOY_BODY_BYTES} of a file only where \
         max_direct_response_body_size_bytes allows it"
    );
    (bytes > ENVOY_BODY_BYTES).then_some(note)
}
