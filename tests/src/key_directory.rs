//! The directory of a key file, which Envoy watches, and how an operator or Kubernetes replaces the file in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::replaced::replace_file;

const FILE: &str = "signing-key.pem";
const CURRENT: &str = "..data";

/// How the file lies in its directory.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    /// As a file, replaced by a rename.
    Plain,
    /// As in the volume of a Kubernetes Secret: the file is a link through `..data`, which is a link to a directory of
    /// one moment. All files are replaced at once by turning `..data` to another such directory.
    Volume,
}

/// The directory of a key file.
pub struct KeyDirectory {
    layout: Layout,
    path: PathBuf,
}

impl KeyDirectory {
    /// Makes the directory, still without the file.
    pub fn create(layout: Layout, path: &Path) -> Self {
        fs::create_dir_all(path).expect("make the key directory");
        if let Layout::Volume = layout {
            symlink(Path::new(CURRENT).join(FILE), path.join(FILE)).expect("link the file");
        }
        Self::at(layout, path)
    }

    /// A directory that is there.
    pub fn at(layout: Layout, path: &Path) -> Self {
        Self { layout, path: path.to_owned() }
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Replaces the file in one step.
    pub fn replace(&self, content: &[u8]) {
        match self.layout {
            Layout::Plain => replace_file(&self.file(), content),
            Layout::Volume => self.turn_to(content),
        }
    }

    fn turn_to(&self, content: &[u8]) {
        let current = self.path.join(CURRENT);
        let old = fs::read_link(&current).ok();
        let moment = self.next_moment();
        fs::create_dir(self.path.join(&moment)).expect("make the directory of this moment");
        fs::write(self.path.join(&moment).join(FILE), content).expect("write the file");
        let staged = self.path.join("..data_tmp");
        symlink(&moment, &staged).expect("link the directory of this moment");
        fs::rename(&staged, &current).expect("turn to it");
        if let Some(old) = old {
            fs::remove_dir_all(self.path.join(old)).expect("remove the old directory");
        }
    }

    /// A name that was not used before, in the form that Kubernetes uses.
    fn next_moment(&self) -> String {
        let current = fs::read_link(self.path.join(CURRENT)).unwrap_or_default();
        let number: u32 = current.extension().and_then(|n| n.to_str()?.parse().ok()).unwrap_or_default();
        format!("..2024_01_01_00_00_00.{}", number + 1)
    }
}
