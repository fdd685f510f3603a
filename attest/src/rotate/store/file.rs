//! A keyring in a file, and its record beside it in `FILE.rotation.json`.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{anyhow, bail, ensure};
use zeroize::Zeroizing;

use super::{Busy, Opened, Place, size_note};
use crate::input::{self, InputError};
use crate::private_file::{self, Replaced};
use crate::{key_file, shell, terminal};

/// A key file as the user named it.
pub(in crate::rotate) struct KeyFile(pub(in crate::rotate) PathBuf);

impl Place for KeyFile {
    fn shown(&self) -> String {
        terminal::plain(&self.0.display().to_string())
    }

    fn argument(&self) -> String {
        let shown = self.shown();
        // Else it would be read as an option.
        shell::quoted(&if shown.starts_with('-') { format!("./{shown}") } else { shown })
    }

    /// A link is followed: what it points to is rotated.
    fn open(&self) -> anyhow::Result<Box<dyn Opened>> {
        ensure!(!input::is_standard_input(&self.0), "a rotation needs a file that it can replace, not standard input");
        let path = fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone());
        // Read once before the lock: its errors say what is wrong with the file.
        key_file::read_replaceable(&path)?;
        let lock = lock(&path)?;
        let text = key_file::read_replaceable(&path)?;
        let record_path = record_path(&path);
        let record = read_record(&record_path)?;
        Ok(Box::new(Locked { path, record_path, text, record, _lock: lock, _replaced: None }))
    }
}

/// A key file, locked against other rotations until it is dropped.
struct Locked {
    path: PathBuf,
    record_path: PathBuf,
    text: Zeroizing<Vec<u8>>,
    record: Option<String>,
    _lock: File,
    /// The new file, locked like the old one.
    _replaced: Option<Replaced>,
}

impl Opened for Locked {
    fn text(&self) -> &Zeroizing<Vec<u8>> {
        &self.text
    }

    fn record(&self) -> Option<&str> {
        self.record.as_deref()
    }

    fn record_shown(&self) -> String {
        self.record_path.display().to_string()
    }

    /// The later of the times of content and inode, so that a copied file which kept its old date does not count as old.
    fn changed(&self) -> anyhow::Result<f64> {
        let metadata = fs::metadata(&self.path)
            .map_err(|error| anyhow!("cannot look at {}: {}", self.path.display(), input::reason(&error)))?;
        let content = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = metadata.ctime().try_into().unwrap_or_default();
        let inode = Duration::new(seconds, metadata.ctime_nsec().try_into().unwrap_or_default());
        Ok(content.max(inode).as_secs_f64())
    }

    fn replace(&mut self, text: &[u8], record: Option<&str>) -> anyhow::Result<Vec<String>> {
        let shown = self.path.display();
        let unchanged = fs::read(&self.path).map(Zeroizing::new).is_ok_and(|current| *current == *self.text);
        ensure!(unchanged, "{shown} was changed by something else meanwhile; look at it, and run this again");
        let replaced =
            private_file::replace(&self.path, text).map_err(|error| anyhow!("cannot replace {shown}: {error}"))?;
        let notes = replaced.note.clone().into_iter().chain(size_note(text.len())).collect();
        self.text = Zeroizing::new(text.to_vec());
        self._replaced = Some(replaced);
        match record {
            Some(record) => self.remember(record)?,
            None => self.forget()?,
        }
        Ok(notes)
    }

    fn remember(&mut self, record: &str) -> anyhow::Result<()> {
        if self.record.as_deref() != Some(record) {
            private_file::write(&self.record_path, record.as_bytes())
                .map_err(|error| anyhow!("cannot write {}: {}", self.record_path.display(), input::reason(&error)))?;
            self.record = Some(record.to_owned());
        }
        Ok(())
    }
}

impl Locked {
    fn forget(&mut self) -> anyhow::Result<()> {
        self.record = None;
        let shown = self.record_path.display();
        match fs::remove_file(&self.record_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(anyhow!("cannot remove {shown}: {}; remove it yourself", input::reason(&error)))
            }
            _ => Ok(()),
        }
    }
}

fn record_path(key_file: &Path) -> PathBuf {
    let mut name = key_file.file_name().unwrap_or_default().to_owned();
    name.push(".rotation.json");
    key_file.with_file_name(name)
}

fn read_record(path: &Path) -> anyhow::Result<Option<String>> {
    match input::read_regular(path) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).into_owned())),
        Err(InputError::Missing) => Ok(None),
        Err(InputError::NotRegular(what)) => bail!("{} is {what}, not the record of a rotation", path.display()),
        Err(error) => bail!("cannot read {}: {error}; run this as its owner or as root", path.display()),
    }
}

/// A lock on the very file that has this name now; a rotation that just ended may have put a new one there.
fn lock(path: &Path) -> anyhow::Result<File> {
    let shown = path.display();
    for _attempt in 0..5 {
        let file = File::open(path).map_err(|error| anyhow!("cannot open {shown}: {}", input::reason(&error)))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Busy(format!("another attest rotate works on {shown}; wait until it is done")).into());
            }
            // Some network file systems have no locks; the check for changes before writing still holds there.
            Err(TryLockError::Error(_)) => return Ok(file),
        }
        if file.metadata()?.ino() == fs::metadata(path)?.ino() {
            return Ok(file);
        }
    }
    bail!("{shown} is being replaced over and over; find out by what, and run this again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        private_file::write(&path, content.as_bytes()).unwrap();
        (directory, path)
    }

    fn open(path: &Path) -> anyhow::Result<Box<dyn Opened>> {
        KeyFile(path.to_owned()).open()
    }

    #[test]
    fn a_link_stays_a_link() {
        let (directory, path) = key_file("old");
        let link = directory.path().join("link.pem");
        std::os::unix::fs::symlink("key.pem", &link).unwrap();
        open(&link).unwrap().replace(b"new", Some("record")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_to_string(directory.path().join("key.pem.rotation.json")).unwrap(), "record");
    }

    #[test]
    fn two_rotations_at_once_are_refused() {
        let (_directory, path) = key_file("old");
        let is_busy = || open(&path).err().is_some_and(|error| error.is::<Busy>());
        let mut opened = open(&path).unwrap();
        assert!(is_busy());
        opened.replace(b"new", None).unwrap();
        assert!(is_busy(), "the new file is locked too");
        drop(opened);
        assert!(!is_busy());
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let (_directory, path) = key_file("old");
        let mut opened = open(&path).unwrap();
        fs::write(&path, "another").unwrap();
        let error = opened.replace(b"new", None).unwrap_err().to_string();
        assert!(error.contains("changed by something else"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "another");
    }

    #[test]
    fn a_record_is_private_and_can_be_removed() {
        let (directory, path) = key_file("old");
        let record = directory.path().join("key.pem.rotation.json");
        let mut opened = open(&path).unwrap();
        opened.remember("record").unwrap();
        assert_eq!(private_file::mode(&fs::metadata(&record).unwrap()), 0o600);
        drop(opened);
        let mut opened = open(&path).unwrap();
        assert_eq!(opened.record(), Some("record"));
        opened.replace(b"new", None).unwrap();
        assert!(!record.exists());
    }

    #[test]
    fn a_name_like_an_option_is_suggested_as_a_file() {
        assert_eq!(KeyFile("-x.pem".into()).argument(), "./-x.pem");
    }
}
