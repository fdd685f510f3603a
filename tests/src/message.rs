//! The parts of an HTTP/1.1 message, kept as the bytes they were.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{self, BufRead, Read};

/// Header lines in their order: name and value as sent.
pub type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads a start line; `None` when the peer closed instead.
pub fn read_start_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let line = read_line(reader)?;
    Ok((!line.is_empty()).then_some(line))
}

/// Reads header or trailer lines up to and including the empty one.
pub fn read_lines(reader: &mut impl BufRead) -> io::Result<Lines> {
    let mut lines = Lines::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(split_line(&line));
    }
}

/// Reads a chunked body and the trailers after it (RFC 9112, section 7.1).
pub fn read_chunked(reader: &mut impl BufRead) -> io::Result<(Vec<u8>, Lines)> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let size = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| io::Error::other(format!("odd chunk size {size:?}")))?;
        if size == 0 {
            return Ok((body, read_lines(reader)?));
        }
        body.append(&mut read_sized(reader, size)?);
        read_line(reader)?;
    }
}

/// Reads a body of known length.
pub fn read_sized(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// The first value of a header, by name in any case.
pub fn find<'a>(lines: &'a Lines, name: &str) -> Option<&'a [u8]> {
    lines.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value.as_slice())
}

/// Whether the body comes in chunks.
pub fn is_chunked(lines: &Lines) -> bool {
    find(lines, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case(b"chunked"))
}

/// The announced length of the body.
pub fn content_length(lines: &Lines) -> Option<usize> {
    std::str::from_utf8(find(lines, "content-length")?).ok()?.parse().ok()
}

/// Each byte as the character of the same number, so that any bytes fit a JSON string and back.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// A name as the server reads it that folds most: lighttpd for CGI takes each byte that is no letter or digit for one.
pub fn folded(name: &str) -> String {
    name.to_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    while matches!(line.last(), Some(b'\r' | b'\n')) {
        line.pop();
    }
    Ok(line)
}

fn split_line(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
    let (name, rest) = line.split_at(colon);
    let value = rest.get(1..).unwrap_or_default();
    (name.to_vec(), value.strip_prefix(b" ").unwrap_or(value).to_vec())
}
