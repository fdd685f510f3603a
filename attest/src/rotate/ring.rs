//! The keys of a key file, in their order, and the file's safe replacement.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail, ensure};
use attestation_filter::keys::{Block, Key, KeyText, Keyring, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use super::piece::{self, Piece};
use crate::new_key::KeyType;
use crate::private_file::Replaced;
use crate::{input, key_file, private_file};

/// Envoy's default for `max_direct_response_body_size_bytes`, of which a key file is a case.
const ENVOY_BODY_BYTES: usize = 4096;
/// What `base64 key.pem` prints in a line.
const BASE64_LINE: usize = 76;

/// One key of the file.
pub(super) struct Entry {
    key: PublicKey,
    private: bool,
    piece: Piece,
}

impl Entry {
    pub(super) fn kid(&self) -> &str {
        self.key.kid()
    }

    /// Whether the private half is there, so that the key could sign.
    pub(super) fn is_private(&self) -> bool {
        self.private
    }
}

/// A key file, locked against other rotations until it is dropped.
pub(super) struct Ring {
    path: PathBuf,
    original: Zeroizing<Vec<u8>>,
    entries: Vec<Entry>,
    tail: Zeroizing<Vec<u8>>,
    packing: Packing,
    _lock: File,
}

/// How the PEM text is written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Pem,
    Base64,
    WrappedBase64,
}

impl Ring {
    /// Opens, locks and reads a key file. A link is followed: what it points to is rotated.
    ///
    /// # Errors
    /// When the file cannot be read or locked, or the filter would not take it.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        ensure!(!input::is_standard_input(file), "a rotation needs a file that it can replace, not standard input");
        let path = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        // Read once before the lock: its errors say what is wrong with the file.
        key_file::read(&path)?;
        let lock = lock(&path)?;
        let original = key_file::read(&path)?;
        let text = key_file::text(&original, &path)?;
        key_file::keyring(&text, &path)?;
        let packing = Packing::of(&text, &original);
        let (entries, tail) = read_entries(&text)?;
        Ok(Self { path, original, entries, tail, packing, _lock: lock })
    }

    /// The file itself, after links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The key that signs.
    ///
    /// # Errors
    /// None in practice: a file without a key is refused when it is read.
    pub(super) fn signer(&self) -> anyhow::Result<&Entry> {
        self.entries.first().context("the file has no key")
    }

    /// All keys, in order; one that is there twice is listed twice.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The key IDs, in the order in which the filter publishes them.
    pub(super) fn kids(&self) -> Vec<String> {
        published(&self.entries)
    }

    /// Whether a key is in the file.
    pub(super) fn has(&self, kid: &str) -> bool {
        self.entries.iter().any(|entry| entry.kid() == kid)
    }

    /// The type of the key that signs, for a successor like it.
    pub(super) fn signer_type(&self) -> anyhow::Result<KeyType> {
        Ok(match self.signer()?.key.signature_bytes() {
            64 => KeyType::P256,
            ..=256 => KeyType::Rsa2048,
            257..=384 => KeyType::Rsa3072,
            _ => KeyType::Rsa4096,
        })
    }

    /// When the file was last changed, in seconds since 1970. The later of the times of content and inode, so that
    /// a copied file which kept its old date does not count as old.
    ///
    /// # Errors
    /// When the file is gone.
    pub(super) fn changed(&self) -> io::Result<f64> {
        let metadata = fs::metadata(&self.path)?;
        let content = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = metadata.ctime().try_into().unwrap_or_default();
        let inode = Duration::new(seconds, metadata.ctime_nsec().try_into().unwrap_or_default());
        Ok(content.max(inode).as_secs_f64())
    }

    /// Adds a private key at the end.
    ///
    /// # Errors
    /// When the text is not exactly one private key, or the key is there already.
    pub(super) fn append(&mut self, text: &KeyText) -> anyhow::Result<String> {
        let (mut entries, _) = read_entries(text)?;
        let (Some(entry), true) = (entries.pop().filter(Entry::is_private), entries.is_empty()) else {
            bail!("the key to stage must come alone; give a file with that one key");
        };
        let kid = entry.kid().to_owned();
        ensure!(!self.has(&kid), "kid {kid} is in the file already; stage a new key");
        self.entries.push(Entry { piece: entry.piece.without_text_before(), ..entry });
        Ok(kid)
    }

    /// Puts a private key first.
    ///
    /// # Errors
    /// When there is no such key.
    pub(super) fn put_first(&mut self, kid: &str) -> anyhow::Result<()> {
        let place = self.entries.iter().position(|entry| entry.kid() == kid && entry.private);
        let entry = self.entries.remove(place.with_context(|| format!("no private key with kid {kid} in the file"))?);
        self.entries.insert(0, entry);
        Ok(())
    }

    /// Removes keys, every copy of them.
    pub(super) fn remove(&mut self, kids: &[String]) {
        self.entries.retain(|entry| !kids.iter().any(|kid| kid == entry.kid()));
    }

    /// Replaces the file by the keys as they are now: whole or not at all, whatever happens meanwhile.
    ///
    /// # Errors
    /// When the filter would not take the new text, the file was changed by somebody else, or it cannot be
    /// written. The file is as it was then.
    pub(super) fn save(&self) -> anyhow::Result<Saved> {
        let text = self.text();
        let keyring = Keyring::parse(&text).context("the new text would be no key file")?;
        let kids: Vec<&str> = keyring.keyset().keys().iter().map(PublicKey::kid).collect();
        ensure!(kids == self.kids(), "the new text would hold other keys than it should; please report this");
        let shown = self.path.display();
        let unchanged = fs::read(&self.path).map(Zeroizing::new).is_ok_and(|current| *current == *self.original);
        ensure!(unchanged, "{shown} was changed by something else meanwhile; look at it, and run this again");
        let replaced =
            private_file::replace(&self.path, &text).map_err(|error| anyhow!("cannot replace {shown}: {error}"))?;
        Ok(Saved { bytes: text.len(), replaced })
    }

    fn text(&self) -> Zeroizing<Vec<u8>> {
        let pieces = self.entries.iter().map(|entry| entry.piece.text());
        let pem = piece::join(pieces.chain([self.tail.as_slice()]));
        match self.packing {
            Packing::Pem => pem,
            Packing::Base64 => pack(&pem, usize::MAX),
            Packing::WrappedBase64 => pack(&pem, BASE64_LINE),
        }
    }
}

/// What was written. The new file stays locked until this is dropped: keep it until the record is written too.
pub(super) struct Saved {
    bytes: usize,
    replaced: Replaced,
}

impl Saved {
    /// What the user should know about the new file.
    pub(super) fn notes(&self) -> Vec<String> {
        let size = format!(
            "the file has {} bytes; Envoy serves more than {ENVOY_BODY_BYTES} of a file only where \
             max_direct_response_body_size_bytes allows it",
            self.bytes
        );
        let size = (self.bytes > ENVOY_BODY_BYTES).then_some(size);
        self.replaced.note.clone().into_iter().chain(size).collect()
    }
}

fn published(entries: &[Entry]) -> Vec<String> {
    let mut kids: Vec<String> = Vec::new();
    for entry in entries {
        if !kids.iter().any(|kid| kid == entry.kid()) {
            kids.push(entry.kid().to_owned());
        }
    }
    kids
}

/// Another rotation works on the file.
#[derive(Debug, Error)]
#[error("another attest rotate works on {0}; wait until it is done")]
pub(super) struct Locked(String);

/// A lock on the very file that has this name now; a rotation that just ended may have put a new one there.
fn lock(path: &Path) -> anyhow::Result<File> {
    for _attempt in 0..5 {
        let file =
            File::open(path).map_err(|error| anyhow!("cannot open {}: {}", path.display(), input::reason(&error)))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Locked(path.display().to_string()).into());
            }
            // Some network file systems have no locks; the check for changes before writing still holds there.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
        if file.metadata()?.ino() == fs::metadata(path)?.ino() {
            return Ok(file);
        }
    }
    bail!("{} is being replaced over and over; find out by what, and run this again", path.display())
}

impl Packing {
    fn of(text: &KeyText, file: &[u8]) -> Self {
        match (text.is_base64(), file.trim_ascii().contains(&b'\n')) {
            (false, _) => Self::Pem,
            (true, false) => Self::Base64,
            (true, true) => Self::WrappedBase64,
        }
    }
}

fn pack(pem: &[u8], width: usize) -> Zeroizing<Vec<u8>> {
    let encoded = Zeroizing::new(STANDARD.encode(pem));
    let mut lines = Zeroizing::new(Vec::with_capacity(encoded.len() + encoded.len() / width.max(1) + 2));
    for line in encoded.as_bytes().chunks(width) {
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    lines
}

/// The keys of a text, each with its piece of it, and what follows the last.
fn read_entries(text: &KeyText) -> anyhow::Result<(Vec<Entry>, Zeroizing<Vec<u8>>)> {
    let (pieces, tail) = piece::cut(text.pem(), text.blocks().iter().map(Block::range));
    let mut entries = Vec::new();
    let mut parameters: Option<Piece> = None;
    for (block, piece) in text.blocks().iter().zip(pieces) {
        let piece = match parameters.take() {
            Some(before) => piece.after(&before),
            None => piece,
        };
        match Key::of(block).map_err(|reason| block.error(reason))? {
            Some(key) => entries.push(Entry { key: key.public_key().clone(), private: key.is_private(), piece }),
            None => parameters = Some(piece),
        }
    }
    let tail = piece::join(parameters.iter().map(Piece::text).chain([tail.as_slice()]));
    Ok((entries, tail))
}

#[cfg(test)]
mod tests;
