//! A key file: looks whether there is other content than before, and reads it.
//!
//! A rename, or the swap of a symbolic link as Kubernetes does with a Secret, shows a whole file at once. A file that is
//! written in place, or removed and written again, may still be incomplete, and an incomplete key file can look like a
//! complete one with fewer keys. So other content than before is taken once two looks have seen the same of it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

/// A hundred RSA keys fit in several times.
const MAX_BYTES: u64 = 1024 * 1024;
/// Not to wait for a writer where somebody put a pipe. Of Linux.
const O_NONBLOCK: i32 = 0o4000;
/// A change within a file system's resolution of time shows in no time stamp: a file that has only just been changed is
/// read again.
const FRESH: Duration = Duration::from_secs(2);

/// A file's content, wiped when it is dropped.
pub(crate) type Content = Zeroizing<Vec<u8>>;

/// What a look has shown.
#[derive(Debug)]
pub(crate) enum Look {
    /// The same as before, or something that may still be incomplete.
    Nothing,
    /// Other content than before.
    Changed(Content),
    /// The file cannot be read. Said at each look.
    Failed(io::Error),
}

/// A file that is looked at again and again.
pub(crate) struct KeyFile {
    path: PathBuf,
    seen: Option<Seen>,
    taken: Option<Content>,
}

/// The file and its content at the last look.
struct Seen {
    stamp: Stamp,
    is_fresh: bool,
    content: Content,
}

/// What tells one state of one file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl KeyFile {
    /// A file that nobody has looked at yet.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), seen: None, taken: None }
    }

    /// Takes this for the content that was taken last.
    pub(crate) fn assume(&mut self, content: Content) {
        self.taken = Some(content);
    }

    /// Looks at the file. The first content is taken as it is: there is nothing to lose.
    pub(crate) fn look(&mut self) -> Look {
        match self.read() {
            Ok(Some(seen)) => self.judge(seen),
            Ok(None) => Look::Nothing,
            Err(error) => {
                self.seen = None;
                Look::Failed(error)
            }
        }
    }

    fn judge(&mut self, now: Seen) -> Look {
        let is_settled = match &self.seen {
            Some(before) => before.content == now.content,
            None => self.taken.is_none(),
        };
        let content = now.content.clone();
        self.seen = Some(now);
        if !is_settled || self.taken.as_ref() == Some(&content) {
            return Look::Nothing;
        }
        self.taken = Some(content.clone());
        Look::Changed(content)
    }

    /// Takes the content again that was taken last, if it is still there at the next look.
    pub(crate) fn forget(&mut self) {
        self.taken = None;
    }

    /// The file and its content; none if it is as at the last look, or changes while it is read.
    fn read(&self) -> io::Result<Option<Seen>> {
        let mut file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&self.path)?;
        let metadata = file.metadata()?;
        check(&metadata)?;
        let stamp = Stamp::of(&metadata);
        if let Some(seen) = &self.seen
            && seen.stamp == stamp
            && !seen.is_fresh
            && self.taken.as_ref() == Some(&seen.content)
        {
            return Ok(None);
        }
        let content = read_whole(&mut file, metadata.size())?;
        let is_whole = Stamp::of(&file.metadata()?) == stamp;
        Ok(is_whole.then(|| Seen { stamp, is_fresh: is_fresh(&metadata), content }))
    }
}

fn check(metadata: &Metadata) -> io::Result<()> {
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    if metadata.size() > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(())
}

/// Reads into room that is large enough, as a vector that grows leaves unwiped copies behind.
fn read_whole(file: &mut File, size: u64) -> io::Result<Content> {
    let room = usize::try_from(size).unwrap_or_default().saturating_add(1);
    let mut content = Zeroizing::new(vec![0; room]);
    let mut length = 0;
    while let Some(rest) = content.get_mut(length..)
        && !rest.is_empty()
    {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(length);
    Ok(content)
}

fn is_fresh(metadata: &Metadata) -> bool {
    let changed = u64::try_from(metadata.ctime()).map(Duration::from_secs).unwrap_or_default();
    SystemTime::UNIX_EPOCH.elapsed().is_ok_and(|now| now.saturating_sub(changed) <= FRESH)
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn changed(file: &mut KeyFile) -> Option<String> {
        match file.look() {
            Look::Changed(content) => Some(String::from_utf8(content.to_vec()).unwrap()),
            Look::Nothing => None,
            Look::Failed(error) => panic!("{error}"),
        }
    }

    fn put(path: &Path, content: &str) {
        fs::write(path, content).unwrap();
    }

    #[test]
    fn first_content_is_taken_at_once_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let mut file = KeyFile::new(&path);
        assert!(matches!(file.look(), Look::Failed(_)));
        assert!(matches!(file.look(), Look::Failed(_)));
        put(&path, "a");
        assert_eq!(changed(&mut file).as_deref(), Some("a"));
        assert_eq!(changed(&mut file), None);
    }

    #[test]
    fn file_that_differs_from_what_is_assumed_must_settle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        put(&path, "a");
        let mut file = KeyFile::new(&path);
        file.assume(Content::new(b"ab".to_vec()));
        assert_eq!(changed(&mut file), None);
        assert_eq!(changed(&mut file).as_deref(), Some("a"));
    }

    #[test]
    fn renamed_file_is_taken_once_it_is_seen_twice() {
        let directory = tempfile::tempdir().unwrap();
        let (path, next) = (directory.path().join("key"), directory.path().join("next"));
        put(&path, "a");
        let mut file = KeyFile::new(&path);
        assert_eq!(changed(&mut file).as_deref(), Some("a"));
        put(&next, "b");
        fs::rename(&next, &path).unwrap();
        assert_eq!(changed(&mut file), None);
        assert_eq!(changed(&mut file).as_deref(), Some("b"));
        assert_eq!(changed(&mut file), None);
    }

    #[test]
    fn swapped_link_of_a_secret_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        for (version, content) in [("..1", "a"), ("..2", "b")] {
            fs::create_dir(place(version)).unwrap();
            put(&place(version).join("key"), content);
        }
        symlink("..1", place("..data")).unwrap();
        symlink("..data/key", place("key")).unwrap();
        let mut file = KeyFile::new(place("key"));
        assert_eq!(changed(&mut file).as_deref(), Some("a"));
        symlink("..2", place("..data_tmp")).unwrap();
        fs::rename(place("..data_tmp"), place("..data")).unwrap();
        assert_eq!(changed(&mut file), None);
        assert_eq!(changed(&mut file).as_deref(), Some("b"));
    }

    #[test]
    fn write_in_place_is_taken_once_it_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        put(&path, "a");
        let mut file = KeyFile::new(&path);
        assert_eq!(changed(&mut file).as_deref(), Some("a"));
        put(&path, "b");
        assert_eq!(changed(&mut file), None);
        put(&path, "bc");
        assert_eq!(changed(&mut file), None);
        assert_eq!(changed(&mut file).as_deref(), Some("bc"));
        assert_eq!(changed(&mut file), None);
    }

    #[test]
    fn write_of_the_same_length_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let mut file = KeyFile::new(&path);
        for round in 0..50 {
            let content = if round % 2 == 0 { "a" } else { "b" };
            put(&path, content);
            let looks = [changed(&mut file), changed(&mut file)];
            assert!(looks.contains(&Some(content.into())), "{round}: {looks:?}");
        }
    }

    #[test]
    fn content_that_comes_back_is_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, next) = (directory.path().join("key"), directory.path().join("next"));
        put(&path, "a");
        let mut file = KeyFile::new(&path);
        for content in ["a", "b", "a"] {
            put(&next, content);
            fs::rename(&next, &path).unwrap();
            let looks = [changed(&mut file), changed(&mut file)];
            assert!(looks.contains(&Some(content.into())), "{content}: {looks:?}");
        }
    }

    #[test]
    fn content_that_is_back_after_a_failure_is_taken_if_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        put(&path, "a");
        let mut file = KeyFile::new(&path);
        assert_eq!(changed(&mut file).as_deref(), Some("a"));
        fs::remove_file(&path).unwrap();
        assert!(matches!(file.look(), Look::Failed(_)));
        put(&path, "a");
        assert_eq!(changed(&mut file), None);
        file.forget();
        assert_eq!(changed(&mut file).as_deref(), Some("a"));
    }

    #[test]
    fn what_is_no_file_fails_and_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(KeyFile::new(directory.path()).look(), Look::Failed(_)));
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(KeyFile::new(pipe).look(), Look::Failed(_)));
        let large = directory.path().join("large");
        File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(KeyFile::new(large).look(), Look::Failed(_)));
    }
}
