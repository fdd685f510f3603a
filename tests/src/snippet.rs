//! The configurations that the documents show: a test runs what stands there, so that it works as it stands.

use std::fs;

use serde_json::Value;

use super::places;

/// The YAML of a code block in a document of the repository, found by the comment above it: `<!-- tested: NAME -->`.
///
/// # Panics
/// If there is no such block, or no YAML in it.
pub fn snippet(document: &str, name: &str) -> Value {
    let text = block(document, name, "yaml");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{document}, {name}: {error}"))
}

/// The same for a block in another language, as text.
///
/// # Panics
/// If there is no such block.
pub fn block(document: &str, name: &str, language: &str) -> String {
    let text =
        fs::read_to_string(places::repository().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    let start = format!("<!-- tested: {name} -->\n```{language}\n");
    let (_, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{document} has no block after {start}"));
    let (block, _) = rest.split_once("\n```").unwrap_or_else(|| panic!("{document}: {name} has no end"));
    block.to_owned()
}

/// The names of all such blocks in a document.
pub fn names(document: &str) -> Vec<String> {
    let text =
        fs::read_to_string(places::repository().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    let lines = text.lines().filter_map(|line| line.strip_prefix("<!-- tested: ")?.strip_suffix(" -->"));
    lines.map(str::to_owned).collect()
}
