//! Files that only their owner may read, written so that no crash leaves half of one.

mod access;

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use crate::input;

/// Readable and writable by the owner alone.
const OWNER_ONLY: u32 = 0o600;
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Writes a file that must not exist yet, with mode 0600.
///
/// # Errors
/// `AlreadyExists` if anything has that name, even a dangling link; else what the file system says.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    let temporary = prepare(&directory, path, content)?;
    temporary.as_file().sync_all()?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    sync_directory(&directory)
}

/// Writes a file of this program's own, new or not, with mode 0600: whole or not at all.
///
/// # Errors
/// What the file system says; the file is as it was then.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    remove_leftovers(&directory, path);
    commit(prepare(&directory, path, content)?, &directory, path)?;
    Ok(())
}

/// A file that was replaced, locked if the old one was.
pub(crate) struct Replaced {
    /// What the user should know about its permissions.
    pub(crate) note: Option<String>,
    _lock: File,
}

/// Why a file was not replaced. It is as it was then.
#[derive(Debug, Error)]
pub(crate) enum ReplaceError {
    #[error("{}; run this as its owner or as root", input::reason(.0))]
    Io(#[from] io::Error),
    #[error(
        "its owner cannot be kept ({}), and another one might lock the proxy out; run this as its owner or as root",
        input::reason(.0)
    )]
    Owner(io::Error),
    #[error(
        "its group cannot be kept ({}), and another one might lock the proxy out; run this as a member of that group or \
         as root",
        input::reason(.0)
    )]
    Group(io::Error),
    #[error(
        "its {0} cannot be kept ({1}), and without it others could read the file, or the proxy could not; run this as \
         its owner or as root, or take the {0} away"
    )]
    Access(&'static str, String),
}

/// Replaces a user's file: whole or not at all. It keeps its owner, its mode and its access control list. The new file
/// is locked before it gets the name, so that no other rotation comes in between.
///
/// # Errors
/// A [`ReplaceError`].
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<Replaced, ReplaceError> {
    let old = File::open(path)?;
    let metadata = old.metadata()?;
    let directory = directory_of(path);
    remove_leftovers(&directory, path);
    let temporary = prepare(&directory, path, content)?;
    let file = temporary.as_file();
    keep_owner(file, &metadata)?;
    access::keep(&old, file)?;
    file.set_permissions(Permissions::from_mode(mode(&metadata)))?;
    access::compare(&old, file)?;
    // Where the file system has no locks, there was none on the old file either.
    let _ = file.try_lock();
    let lock = commit(temporary, &directory, path)?;
    Ok(Replaced { note: note(path, mode(&metadata)), _lock: lock })
}

fn note(path: &Path, mode: u32) -> Option<String> {
    let note = format!(
        "{} has mode {mode:04o}: everybody on this machine can read the key. Take that away with: chmod o= FILE; if the \
         proxy runs as another user, let its group read the file: chmod 0640",
        path.display()
    );
    (mode & 0o007 != 0).then_some(note)
}

fn keep_owner(file: &File, old: &fs::Metadata) -> Result<(), ReplaceError> {
    let new = file.metadata()?;
    if new.uid() != old.uid() {
        fchown(file, Some(old.uid()), None).map_err(ReplaceError::Owner)?;
    }
    if new.gid() != old.gid() {
        fchown(file, None, Some(old.gid())).map_err(ReplaceError::Group)?;
    }
    Ok(())
}

/// Temporary files of earlier commands that were killed hold keys too.
fn remove_leftovers(directory: &Path, target: &Path) {
    let prefix = temporary_prefix(target);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(TEMPORARY_SUFFIX) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Gives a finished temporary file its name.
fn commit(temporary: NamedTempFile, directory: &Path, path: &Path) -> io::Result<File> {
    temporary.as_file().sync_all()?;
    let file = temporary.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)?;
    Ok(file)
}

/// A temporary file beside its target, with this content and mode 0600. It is removed when dropped.
fn prepare(directory: &Path, target: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut temporary = tempfile::Builder::new()
        .prefix(&temporary_prefix(target))
        .suffix(TEMPORARY_SUFFIX)
        .permissions(Permissions::from_mode(OWNER_ONLY))
        .tempfile_in(directory)?;
    // The mode above is cut by the process's umask; this one is not.
    temporary.as_file().set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    temporary.write_all(content)?;
    Ok(temporary)
}

/// What the names of a target's temporary files begin with.
fn temporary_prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.attest-")
}

/// The directory that holds a file.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes a rename durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The permission bits of a file.
pub(crate) fn mode(metadata: &fs::Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_private_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        create(&path, b"content").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(mode(&fs::metadata(&path).unwrap()), 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_exists_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        fs::write(&path, "old").unwrap();
        assert_eq!(create(&path, b"new").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let dangling = directory.path().join("link.pem");
        std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
        assert_eq!(create(&dangling, b"new").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        for (before, noted) in [(0o600, false), (0o400, false), (0o640, false), (0o660, false), (0o644, true)] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
            let replaced = replace(&path, b"new").unwrap();
            assert_eq!(mode(&fs::metadata(&path).unwrap()), before, "{before:o}");
            assert_eq!(replaced.note.is_some(), noted);
            assert_eq!(fs::read(&path).unwrap(), b"new");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_a_killed_command_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        fs::write(&path, "old").unwrap();
        fs::write(directory.path().join(".key.pem.attest-AbC.tmp"), "half a key").unwrap();
        fs::write(directory.path().join(".other.pem.attest-AbC.tmp"), "not ours").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
