//! The keys of a keyring's text, in their order, each with every byte that is about it.

use anyhow::{Context as _, bail, ensure};
use attestation_filter::keys::{Block, Key, KeyText, Keyring, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::piece::{self, Piece};
use crate::new_key::KeyType;

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

/// The keys of a text.
pub(super) struct Ring {
    entries: Vec<Entry>,
    tail: Zeroizing<Vec<u8>>,
    packing: Packing,
}

/// How the PEM text is written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Pem,
    Base64,
    WrappedBase64,
}

impl Ring {
    /// Reads a text.
    ///
    /// # Errors
    /// When the filter would not take it; never a byte of the text.
    pub(super) fn read(original: &[u8]) -> anyhow::Result<Self> {
        let text = KeyText::read(original)?;
        Keyring::from_blocks(text.blocks())?;
        let (entries, tail) = read_entries(&text)?;
        Ok(Self { entries, tail, packing: Packing::of(&text, original) })
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

    /// The text of the keys as they are now.
    ///
    /// # Errors
    /// When the filter would not take it.
    pub(super) fn checked_text(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let text = self.text();
        let keyring = Keyring::parse(&text).context("the new text would be no key file")?;
        let kids: Vec<&str> = keyring.keyset().keys().iter().map(PublicKey::kid).collect();
        ensure!(kids == self.kids(), "the new text would hold other keys than it should; please report this");
        Ok(text)
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

fn published(entries: &[Entry]) -> Vec<String> {
    let mut kids: Vec<String> = Vec::new();
    for entry in entries {
        if !kids.iter().any(|kid| kid == entry.kid()) {
            kids.push(entry.kid().to_owned());
        }
    }
    kids
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
