//! Files that a user names, read with a limit; `-` is standard input.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use thiserror::Error;
use zeroize::Zeroizing;

/// More than any key file, keyset or list of authorities that is meant.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// Why an input cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum InputError {
    #[error("there is no such file")]
    Missing,
    #[error("it is a directory")]
    Directory,
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    #[error("it has more than {MAX_BYTES} bytes")]
    TooBig,
    #[error("{0}")]
    Other(String),
}

/// The whole input. It may be a key, so it is wiped when dropped.
///
/// # Errors
/// An [`InputError`].
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, InputError> {
    if is_standard_input(path) {
        return read_all(io::stdin().lock());
    }
    read_named(path)
}

/// The whole of a regular file. Anything else is not even opened: to open a FIFO waits for somebody who writes to it.
///
/// # Errors
/// An [`InputError`].
pub(crate) fn read_regular(path: &Path) -> Result<Zeroizing<Vec<u8>>, InputError> {
    let kind = fs::metadata(path).map_err(|error| InputError::of(&error))?.file_type();
    match other_than_regular(kind) {
        Some(what) => Err(InputError::NotRegular(what)),
        None => read_named(path),
    }
}

/// What something is that is neither a regular file nor a directory.
pub(crate) fn other_than_regular(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_file() || kind.is_dir() => None,
        kind if kind.is_fifo() => Some("a FIFO"),
        kind if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

fn read_named(path: &Path) -> Result<Zeroizing<Vec<u8>>, InputError> {
    let file = File::open(path).map_err(|error| InputError::of(&error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(InputError::Directory);
    }
    read_all(file)
}

/// Whether a path stands for standard input or output.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether an input has nothing more to say once it has been read.
pub(crate) fn is_read_once(path: &Path) -> bool {
    let kind = path.metadata().map(|metadata| metadata.file_type());
    is_standard_input(path) || kind.ok().and_then(other_than_regular).is_some()
}

/// The path as errors name it.
pub(crate) fn shown(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// What the system says of an error, without the number that Rust adds.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    let first = characters.next().map(char::to_lowercase);
    first.into_iter().flatten().chain(characters).collect()
}

fn read_all(input: impl Read) -> Result<Zeroizing<Vec<u8>>, InputError> {
    // Room for everything at once: a vector that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(64 * 1024));
    input.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| InputError::of(&error))?;
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if length > MAX_BYTES { Err(InputError::TooBig) } else { Ok(text) }
}

impl InputError {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Directory,
            _ => Self::Other(reason(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_refused() {
        assert_eq!(read(Path::new("/dev/zero")), Err(InputError::TooBig));
    }

    #[test]
    fn reasons_have_no_error_numbers() {
        assert_eq!(reason(&io::Error::from_raw_os_error(13)), "permission denied");
    }

    #[test]
    fn what_is_not_there_is_told_from_a_directory() {
        assert_eq!(read(Path::new("/nonexistent/file")), Err(InputError::Missing));
        assert_eq!(read(Path::new("/")), Err(InputError::Directory));
    }
}
