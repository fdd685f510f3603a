//! The files of a configuration: those that are named, and those that they name.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use super::document;
use super::node::Node;
use super::place::Place;
use crate::input;

/// More than the `/config_dump` of a large fleet.
const MAX_BYTES: u64 = 256 << 20;
/// A file can name a file that names a file; this many are followed.
const MAX_FILES: usize = 1000;

/// The documents of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) documents: Vec<Node>,
    /// Files that are named and not here.
    pub(crate) missing: Vec<(Place, String)>,
    read: Vec<PathBuf>,
}

impl Sources {
    /// Reads these files and what they name. A named file that is not at its path is looked for among the given ones and
    /// beside the file that names it: a configuration is often checked on another machine than Envoy's.
    ///
    /// # Errors
    /// Where a given file cannot be read, or a file is neither YAML nor JSON.
    pub(crate) fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut sources = Self::default();
        for file in files {
            sources.add(file)?;
        }
        sources.follow(files)?;
        Ok(sources)
    }

    /// A configuration that came from somewhere else than a file.
    ///
    /// # Errors
    /// Where it is neither YAML nor JSON.
    pub(crate) fn of_text(text: &str, name: &str) -> anyhow::Result<Self> {
        Ok(Self { documents: document::read(text, name)?, ..Self::default() })
    }

    fn add(&mut self, file: &Path) -> anyhow::Result<()> {
        let text = text(file)?;
        self.documents.extend(document::read(&text, &input::shown(file))?);
        self.read.push(file.to_owned());
        Ok(())
    }

    fn follow(&mut self, given: &[PathBuf]) -> anyhow::Result<()> {
        let mut next = 0;
        while let Some(document) = self.documents.get(next) {
            for (place, named) in named_files(document) {
                match find(&place, &named, given) {
                    Some(found) if self.read.contains(&found) => {}
                    Some(found) if self.read.len() < MAX_FILES => self.add(&found)?,
                    _ => self.missing.push((place, named)),
                }
            }
            next += 1;
        }
        Ok(())
    }
}

fn text(file: &Path) -> anyhow::Result<String> {
    let shown = input::shown(file);
    let mut bytes = Vec::new();
    let result = if input::is_standard_input(file) {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    result.map_err(|error| {
        anyhow!("cannot read {shown}: {}; name a file with an Envoy configuration", input::reason(&error))
    })?;
    anyhow::ensure!(
        u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_BYTES),
        "{shown} has more than {MAX_BYTES} bytes; that is no Envoy configuration"
    );
    String::from_utf8(bytes)
        .with_context(|| format!("{shown} is no UTF-8 text; name an Envoy configuration in YAML or JSON"))
}

/// The files that a document has its resources from.
fn named_files(document: &Node) -> Vec<(Place, String)> {
    let mut named = Vec::new();
    document.each(&mut |node| {
        let source = node.get("path_config_source").and_then(|source| source.get("path"));
        if let Some(path) = source {
            named.extend(path.text().map(|text| (path.place.clone(), text.to_owned())));
        }
    });
    named
}

fn find(place: &Place, named: &str, given: &[PathBuf]) -> Option<PathBuf> {
    let path = Path::new(named);
    let name = path.file_name()?;
    let beside = Path::new(&*place.file).parent().map(|directory| directory.join(name));
    let same_name = given.iter().find(|file| file.file_name() == Some(name)).cloned();
    same_name.or_else(|| path.is_file().then(|| path.to_owned())).or(beside.filter(|path| path.is_file()))
}
