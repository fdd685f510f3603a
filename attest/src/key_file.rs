//! Key files as the commands read them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use attestation_filter::keys::{KeyText, Keyring};
use zeroize::Zeroizing;

/// More than any hundred keys; what is longer is no key file.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a key file.
///
/// # Errors
/// When it cannot be read, or is too big to be one.
pub(crate) fn read(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let shown = path.display();
    let metadata = fs::metadata(path)
        .map_err(|error| anyhow!("cannot read {shown}: {error}; a new key is made with: attest keygen -o {shown}"))?;
    if metadata.is_dir() {
        bail!("{shown} is a directory; name the key file in it");
    }
    if metadata.len() > MAX_BYTES {
        bail!("{shown} has {} bytes; a key file has at most {MAX_BYTES}", metadata.len());
    }
    let text =
        fs::read(path).map_err(|error| anyhow!("cannot read {shown}: {error}; run this as its owner or as root"))?;
    Ok(Zeroizing::new(text))
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
    format!("{} is no key file that the filter takes", path.display())
}
