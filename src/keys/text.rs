//! From a text to its PEM blocks (RFC 7468), numbered as a person would count them.
//!
//! This is the one reader of key texts. The filter takes the keys from the blocks; `attest` moves the blocks about, by
//! their byte ranges.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::accident;
use super::packed::{BEGIN, BYTE_ORDER_MARK, contains, find, unpack, without_white_space};
use super::{BlockError, KeyError};

/// The most PEM blocks that one text may have, parameters included.
pub const MAX_BLOCKS: usize = 100;

const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// A key text: its PEM text, and the blocks in it. Wiped when dropped.
pub struct KeyText {
    pem: Zeroizing<Vec<u8>>,
    base64: bool,
    blocks: Vec<Block>,
}

/// One PEM block, decoded.
pub struct Block {
    number: usize,
    label: String,
    range: Range<usize>,
    encrypted: bool,
    der: Zeroizing<Vec<u8>>,
}

impl KeyText {
    /// Reads raw PEM text, or standard base64 of it (padding and ASCII white space as one likes).
    ///
    /// # Errors
    /// A [`KeyError`] that says what the text is instead, or names the first broken block; never its content.
    pub fn read(text: &[u8]) -> Result<Self, KeyError> {
        let (pem, base64) = match unpacked(text)? {
            Some(pem) => (pem, true),
            None => (Zeroizing::new(text.to_vec()), false),
        };
        if let Some(error) = accident::around(&pem) {
            return Err(error);
        }
        let starts = block_starts(&pem);
        match starts.len() {
            0 => return Err(KeyError::NoBlock),
            count if count > MAX_BLOCKS => return Err(KeyError::TooManyBlocks(count)),
            _ => {}
        }
        let ends = starts.iter().copied().skip(1).chain([pem.len()]);
        let blocks = starts.iter().zip(ends).enumerate();
        let blocks = blocks.map(|(index, (start, limit))| Block::read(index + 1, &pem, *start..limit));
        let blocks = blocks.collect::<Result<_, _>>()?;
        Ok(Self { pem, base64, blocks })
    }

    /// The PEM text, byte for byte as it was given or was packed.
    #[must_use]
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// Whether the text was base64 of the PEM text.
    #[must_use]
    pub fn is_base64(&self) -> bool {
        self.base64
    }

    /// The blocks, in order.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }
}

impl Block {
    /// Reads the block that begins where the range does. The next one begins where the range ends.
    fn read(number: usize, pem: &[u8], range: Range<usize>) -> Result<Self, KeyError> {
        let text = pem.get(range.clone()).unwrap_or_default();
        let frame = Frame::of(text);
        let label = frame.as_ref().and_then(|frame| plain_label(frame.label));
        let label = label.or_else(|| plain_label(label_line(text)?)).unwrap_or("unreadable label").to_owned();
        let error = |label: &str, reason| KeyError::Block { number, label: label.to_owned(), reason };
        let Some(frame) = frame else { return Err(error(&label, BlockError::BrokenPem)) };
        let (headers, body) = frame.parts();
        match decoded(body) {
            Some(der) => {
                let encrypted = is_encrypted(headers);
                Ok(Self { number, label, range: range.start..range.start + frame.length, encrypted, der })
            }
            None => Err(error(&label, BlockError::BrokenPem)),
        }
    }

    /// Its place in the text, from 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// What stands in its `BEGIN` line.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where it is in the PEM text, from the first dash to the last.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Whether the block has the header lines of PEM's older encryption (RFC 1421, section 4.6.1.1).
    pub(super) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// An error that names this block.
    #[must_use]
    pub fn error(&self, reason: BlockError) -> KeyError {
        KeyError::Block { number: self.number, label: self.label.clone(), reason }
    }
}

/// DER as a PEM block with lines of 64 characters, wiped when dropped.
#[must_use]
pub fn write_block(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40));
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    for (index, character) in body.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str(&format!("\n-----END {label}-----\n"));
    pem
}

/// The PEM text that a base64 text holds; none if the text is PEM itself.
fn unpacked(text: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    if contains(text, BEGIN) {
        return Ok(None);
    }
    match unpack(text) {
        Some(pem) if contains(&pem, BEGIN) => Ok(Some(pem)),
        other => Err(accident::without_pem(text, other.as_deref().map(Vec::as_slice))),
    }
}

/// Where blocks begin: at the start of a line, as text around them may say anything, or right after another block, as
/// files are joined whose last line has no end.
fn block_starts(pem: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut from = 0;
    while let Some(found) = find(pem.get(from..).unwrap_or_default(), BEGIN) {
        let start = from + found;
        if may_begin(pem.get(..start).unwrap_or_default()) {
            starts.push(start);
        }
        from = start + BEGIN.len();
    }
    starts
}

fn may_begin(before: &[u8]) -> bool {
    let blanks = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let before = before.get(..before.len() - blanks).unwrap_or_default();
    matches!(before.last(), None | Some(b'\n' | b'\r')) || before.ends_with(BYTE_ORDER_MARK) || before.ends_with(DASHES)
}

/// The lines that begin and end a block, and what is between them.
struct Frame<'a> {
    label: &'a [u8],
    content: &'a [u8],
    /// From the first dash to the last.
    length: usize,
}

impl<'a> Frame<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let label = label_line(text)?;
        let content_start = BEGIN.len() + label.len() + DASHES.len();
        let content_end = content_start + find(text.get(content_start..)?, END)?;
        let end_label = text.get(content_end + END.len()..)?.strip_prefix(label)?;
        let length = content_end + END.len() + label.len() + DASHES.len();
        end_label.starts_with(DASHES).then_some(Self { label, content: text.get(content_start..content_end)?, length })
    }

    /// Header lines, which have a colon, and the body: an empty line is between them.
    fn parts(&self) -> (&'a [u8], &'a [u8]) {
        if !self.content.contains(&b':') {
            return (&[], self.content);
        }
        let empty_line = self.content.windows(2).position(|pair| pair == b"\n\n");
        let empty_line = empty_line.or_else(|| self.content.windows(3).position(|three| three == b"\n\r\n"));
        empty_line.and_then(|at| self.content.split_at_checked(at)).unwrap_or((&[], self.content))
    }
}

/// The label of the `BEGIN` line, if the line is whole.
fn label_line(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(BEGIN)?;
    rest.get(..find(rest, DASHES)?)
}

/// A mangled line could carry key material: only what looks like a label is repeated.
fn plain_label(label: &[u8]) -> Option<&str> {
    let is_plain = (1..=40).contains(&label.len())
        && label.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    str::from_utf8(label).ok().filter(|_| is_plain)
}

fn is_encrypted(headers: &[u8]) -> bool {
    let mut lines = headers.split(|byte| *byte == b'\n');
    lines.any(|line| line.trim_ascii_start().starts_with(b"Proc-Type") && contains(line, b"ENCRYPTED"))
}

fn decoded(body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let packed = Zeroizing::new(without_white_space(body));
    STANDARD.decode(&*packed).ok().map(Zeroizing::new)
}
