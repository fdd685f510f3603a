//! Key files as the commands read them.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use attestation_filter::keys::{KeyText, Keyring};
use zeroize::Zeroizing;

use crate::input::{self, InputError};

/// The text of a key file, or of standard input.
///
/// # Errors
/// When it cannot be read, or is too big to be one.
pub(crate) fn read(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    input::read(path).map_err(|error| unreadable(path, error))
}

/// The text of a key file that will be replaced.
///
/// # Errors
/// As [`read`], and when it is no regular file.
pub(crate) fn read_replaceable(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    input::read_regular(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: InputError) -> anyhow::Error {
    let shown = input::shown(path);
    match error {
        InputError::Missing => {
            anyhow!("cannot read {shown}: {error}; a new key is made with: attest keygen -o {shown}")
        }
        InputError::Directory => anyhow!("{shown} is a directory; name the key file in it"),
        InputError::TooBig => anyhow!("{shown} is no key file: {error}"),
        InputError::NotRegular(what) => anyhow!("{shown} is {what}; a rotation needs a regular file, to replace it"),
        InputError::Other(_) => anyhow!("cannot read {shown}: {error}; run this as its owner or as root"),
    }
}

/// The blocks of a text, read as the filter reads them.
///
/// # Errors
/// What the filter would say of it; never a byte of the text.
pub(crate) fn text(text: &[u8], path: &Path) -> anyhow::Result<KeyText> {
    KeyText::read(text).with_context(|| refused(path))
}

/// The keys of the blocks, read as the filter reads them.
///
/// # Errors
/// As [`text`].
pub(crate) fn keyring(text: &KeyText, path: &Path) -> anyhow::Result<Keyring> {
    Keyring::from_blocks(text.blocks()).with_context(|| refused(path))
}

/// The keys of a text, read as the filter reads them.
///
/// # Errors
/// As [`text`].
pub(crate) fn parse(text: &[u8], path: &Path) -> anyhow::Result<Keyring> {
    Keyring::parse(text).with_context(|| refused(path))
}

fn refused(path: &Path) -> String {
    format!("{} is no key file that the filter takes", input::shown(path))
}
