//! The text of a key file, cut into pieces of one key each, so that the pieces can be moved and every byte of
//! them stays what it was.

use std::ops::Range;

use zeroize::Zeroizing;

/// A block, with the text before it that is about it, up to the end of its last line.
pub(super) struct Piece {
    text: Zeroizing<Vec<u8>>,
    /// Where in the text the block itself begins.
    block: usize,
}

impl Piece {
    /// The block alone.
    pub(super) fn without_text_before(&self) -> Self {
        Self { text: Zeroizing::new(self.text.get(self.block..).unwrap_or_default().to_vec()), block: 0 }
    }

    /// The text, comments and all.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// This piece with another before it, of which it is a part: curve parameters before their key.
    pub(super) fn after(self, before: &Piece) -> Self {
        let text = join([before.text(), self.text()]);
        Self { block: text.len() - self.text.len() + self.block, text }
    }
}

/// The pieces of a text whose blocks are in these ranges, and what follows the last of them.
pub(super) fn cut(text: &[u8], blocks: impl IntoIterator<Item = Range<usize>>) -> (Vec<Piece>, Zeroizing<Vec<u8>>) {
    let mut pieces = Vec::new();
    let mut from = 0;
    for block in blocks {
        let end = block.end + rest_of_line(text.get(block.end..).unwrap_or_default());
        let piece = Zeroizing::new(text.get(from..end).unwrap_or_default().to_vec());
        pieces.push(Piece { text: piece, block: block.start - from });
        from = end;
    }
    (pieces, Zeroizing::new(text.get(from..).unwrap_or_default().to_vec()))
}

/// Blanks and one line end.
fn rest_of_line(text: &[u8]) -> usize {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    blanks + usize::from(text.get(blanks) == Some(&b'\n'))
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

#[cfg(test)]
mod tests {
    use attestation_filter::keys::KeyText;

    use super::*;

    fn pieces(text: &str) -> (Vec<String>, String) {
        let read = KeyText::read(text.as_bytes()).ok().unwrap();
        let (pieces, tail) = cut(read.pem(), read.blocks().iter().map(attestation_filter::keys::Block::range));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (pieces.iter().map(|piece| text(piece.text())).collect(), text(&tail))
    }

    #[test]
    fn text_before_a_block_belongs_to_it() {
        let a = "# first\n-----BEGIN A-----\nAAAA\n-----END A-----\r\n";
        let b = "\n not -----BEGIN X----- \n  -----BEGIN B-----\nBBBB\n-----END B-----";
        assert_eq!(pieces(&format!("{a}{b}")), (vec![a.to_owned(), b.to_owned()], String::new()));
        assert_eq!(pieces(&format!("{a}tail")), (vec![a.to_owned()], "tail".to_owned()));
    }

    #[test]
    fn a_block_can_be_had_without_the_text_before_it() {
        let block = "-----BEGIN A-----\nAAAA\n-----END A-----\n";
        let text = format!("# about\n{block}");
        let (pieces, _) = cut(text.as_bytes(), std::iter::once(8..text.len() - 1));
        assert_eq!(pieces[0].without_text_before().text(), block.as_bytes());
    }

    #[test]
    fn joined_texts_begin_on_their_own_lines() {
        assert_eq!(*join([&b"a"[..], b"", b"b\n", b"c"]), b"a\nb\nc");
    }

    proptest::proptest! {
        #[test]
        fn no_byte_is_lost(text in "(-----BEGIN A-----\n(AAAA)?\n-----END A-----|-----END A-----|-----|\n|\r| |A|é){1,30}") {
            let Ok(read) = KeyText::read(text.as_bytes()) else { return Ok(()) };
            let (pieces, tail) = cut(read.pem(), read.blocks().iter().map(attestation_filter::keys::Block::range));
            proptest::prop_assert_eq!(pieces.len(), read.blocks().len());
            let mut whole: Vec<u8> = pieces.iter().flat_map(|piece| piece.text().to_vec()).collect();
            whole.extend_from_slice(&tail);
            proptest::prop_assert_eq!(whole, text.into_bytes());
        }
    }
}
