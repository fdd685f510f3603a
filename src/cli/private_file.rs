//! Files that only their owner may read, written so that no crash leaves half of one.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Readable and writable by the owner alone.
pub(crate) const OWNER_ONLY: u32 = 0o600;

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

/// A temporary file beside its target, with this content and mode 0600. It is removed when dropped.
pub(crate) fn prepare(directory: &Path, target: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut temporary = tempfile::Builder::new()
        .prefix(&temporary_prefix(target))
        .suffix(".tmp")
        .permissions(Permissions::from_mode(OWNER_ONLY))
        .tempfile_in(directory)?;
    // The mode above is cut by the process's umask; this one is not.
    temporary.as_file().set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    temporary.write_all(content)?;
    Ok(temporary)
}

/// What the names of a target's temporary files begin with.
pub(crate) fn temporary_prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.attest-")
}

/// The directory that holds a file.
pub(crate) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes a rename durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
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
}
