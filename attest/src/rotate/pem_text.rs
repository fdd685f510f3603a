//! The text of a key file, cut into pieces of one key each, so that the pieces can be moved and every byte of
//! them stays what it was.

use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// A block, with the text before it that is about it, up to the end of its last line.
pub(super) struct Piece {
    text: Zeroizing<Vec<u8>>,
    /// Where in the text the block itself begins.
    block: usize,
}

impl Piece {
    /// A block with nothing before it.
    pub(super) fn new(block: &[u8]) -> Self {
        Self { text: Zeroizing::new(block.to_vec()), block: 0 }
    }

    /// The text, comments and all.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The block alone.
    pub(super) fn block(&self) -> &[u8] {
        self.text.get(self.block..).unwrap_or_default()
    }

    /// This piece with another before it, of which it is a part: curve parameters before their key.
    pub(super) fn after(self, before: &Piece) -> Self {
        let text = join([before.text(), self.text()]);
        Self { block: text.len() - self.block().len(), text }
    }
}

/// The pieces of a text, and what follows the last of them.
pub(super) fn cut(text: &[u8]) -> (Vec<Piece>, Zeroizing<Vec<u8>>) {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = block_start(rest) {
        let end = start + block_length(rest.get(start..).unwrap_or_default());
        let (piece, after) = rest.split_at(end.min(rest.len()));
        pieces.push(Piece { text: Zeroizing::new(piece.to_vec()), block: start });
        rest = after;
    }
    (pieces, Zeroizing::new(rest.to_vec()))
}

/// Texts one after the other, each beginning on a line of its own.
pub(super) fn join<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Zeroizing<Vec<u8>> {
    let texts: Vec<&[u8]> = texts.into_iter().collect();
    // Room for everything at once: a vector that grows leaves copies of keys behind.
    let room = texts.iter().map(|text| text.len() + 1).sum();
    let mut joined = Zeroizing::new(Vec::with_capacity(room));
    for text in texts {
        if !text.is_empty() && joined.last().is_some_and(|last| !matches!(last, b'\n' | b'\r')) {
            joined.push(b'\n');
        }
        joined.extend_from_slice(text);
    }
    joined
}

/// Blocks begin at the start of a line only, as they do for the filter.
fn block_start(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = find(text.get(from..).unwrap_or_default(), BEGIN) {
        let start = from + found;
        let before = text.get(..start).unwrap_or_default();
        let last = before.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t'));
        if last.is_none_or(|last| matches!(last, b'\n' | b'\r')) {
            return Some(start);
        }
        from = start + BEGIN.len();
    }
    None
}

/// Up to the end of the line that ends the block.
fn block_length(text: &[u8]) -> usize {
    let Some(end) = find(text, END).map(|end| end + END.len()) else { return text.len() };
    let Some(dashes) = find(text.get(end..).unwrap_or_default(), DASHES) else { return text.len() };
    let mut length = end + dashes + DASHES.len();
    while matches!(text.get(length), Some(b' ' | b'\t' | b'\r')) {
        length += 1;
    }
    if text.get(length) == Some(&b'\n') {
        length += 1;
    }
    length
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> (Vec<String>, String) {
        let (pieces, tail) = cut(text.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (pieces.iter().map(|piece| text(piece.text())).collect(), text(&tail))
    }

    #[test]
    fn text_before_a_block_belongs_to_it() {
        let a = "# first\n-----BEGIN A-----\nAA\n-----END A-----\r\n";
        let b = "\n not -----BEGIN X----- \n  -----BEGIN B-----\nBB\n-----END B-----";
        assert_eq!(pieces(&format!("{a}{b}")), (vec![a.to_owned(), b.to_owned()], String::new()));
        assert_eq!(pieces(&format!("{a}tail")), (vec![a.to_owned()], "tail".to_owned()));
        assert_eq!(pieces("no block"), (vec![], "no block".to_owned()));
        let (cut, _) = cut(b.as_bytes());
        assert!(cut[0].block().starts_with(b"-----BEGIN B-----"));
    }

    #[test]
    fn joined_texts_begin_on_their_own_lines() {
        assert_eq!(*join([&b"a"[..], b"", b"b\n", b"c"]), b"a\nb\nc");
    }

    proptest::proptest! {
        #[test]
        fn no_byte_is_lost(text in "(-----BEGIN A-----|-----END A-----|-----|\n|\r| |A|é){0,30}") {
            let (pieces, tail) = cut(text.as_bytes());
            let mut whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.text().to_vec()).collect();
            whole.extend_from_slice(&tail);
            proptest::prop_assert_eq!(whole, text.into_bytes());
        }
    }
}
