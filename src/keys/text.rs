//! From a text to its PEM blocks (RFC 7468), numbered as a person would count them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::{BlockError, KeyError, MAX_BLOCKS};

/// Some editors put it first.
const BYTE_ORDER_MARK: char = '\u{feff}';
const BEGIN: &str = "-----BEGIN ";

/// Standard alphabet, padding or none: `base64`, `openssl base64` and secrets managers differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One PEM block, decoded.
pub(super) struct Block {
    number: usize,
    label: String,
    encrypted: bool,
    der: Zeroizing<Vec<u8>>,
}

impl Block {
    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Whether the block has the header lines of PEM's older encryption (RFC 1421, section 4.6.1.1).
    pub(super) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn error(&self, reason: BlockError) -> KeyError {
        block_error(self.number, &self.label, reason)
    }
}

/// The blocks of a PEM text, or of the PEM text that a base64 text holds.
pub(super) fn read(text: &[u8]) -> Result<Vec<Block>, KeyError> {
    let pem = pem_text(text)?;
    let starts = block_starts(&pem);
    match starts.len() {
        0 => return Err(KeyError::NoBlock),
        count if count > MAX_BLOCKS => return Err(KeyError::TooManyBlocks(count)),
        _ => {}
    }
    let ends = starts.iter().copied().skip(1).chain([pem.len()]);
    starts
        .iter()
        .zip(ends)
        .enumerate()
        .map(|(index, (start, end))| read_block(index + 1, pem.get(*start..end).unwrap_or_default()))
        .collect()
}

fn pem_text(text: &[u8]) -> Result<Zeroizing<String>, KeyError> {
    let text = String::from_utf8_lossy(text);
    if text.trim().is_empty() {
        return Err(KeyError::NoBlock);
    }
    if text.contains(BEGIN) {
        return Ok(Zeroizing::new(text.into_owned()));
    }
    let packed: Zeroizing<Vec<u8>> = Zeroizing::new(text.bytes().filter(|byte| !is_white_space(*byte)).collect());
    let decoded = Zeroizing::new(BASE64.decode(&*packed).map_err(|_| KeyError::NotBase64)?);
    Ok(Zeroizing::new(String::from_utf8_lossy(&decoded).into_owned()))
}

/// ASCII's white space, with the vertical tab that Rust's definition leaves out.
fn is_white_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Where blocks begin: at the start of a line, as text around them may say anything, or right after another block, as
/// files are joined whose last line has no end.
fn block_starts(pem: &str) -> Vec<usize> {
    pem.match_indices(BEGIN).map(|(start, _)| start).filter(|start| may_begin(pem, *start)).collect()
}

fn may_begin(pem: &str, index: usize) -> bool {
    let before = pem.get(..index).unwrap_or_default();
    let before = before.trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(['\n', '\r', BYTE_ORDER_MARK]) || before.ends_with("-----")
}

fn read_block(number: usize, text: &str) -> Result<Block, KeyError> {
    let label = label(text);
    let block = ::pem::parse(text).map_err(|_| block_error(number, &label, BlockError::BrokenPem))?;
    let encrypted = block.headers().get("Proc-Type").is_some_and(|value| value.contains("ENCRYPTED"));
    Ok(Block { number, label: label.into_owned(), encrypted, der: Zeroizing::new(block.into_contents()) })
}

/// The label of the `BEGIN` line. A mangled line could carry key material: only what looks like a label is repeated.
fn label(text: &str) -> Cow<'_, str> {
    let label = text.strip_prefix(BEGIN).and_then(|rest| rest.split_once("-----")).map(|(label, _)| label);
    match label {
        Some(label) if is_plain(label) => Cow::Borrowed(label),
        _ => Cow::Borrowed("unreadable label"),
    }
}

fn is_plain(label: &str) -> bool {
    (1..=40).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ')
}

fn block_error(number: usize, label: &str, reason: BlockError) -> KeyError {
    KeyError::Block { number, label: label.to_owned(), reason }
}
