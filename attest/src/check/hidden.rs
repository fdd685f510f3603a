//! Private keys that stand in a configuration: no finding repeats a part of one.

use attestation_filter::keys::holds_private_key;

use super::finding::Finding;
use super::node::Node;

/// A run of base64 of this length in a text with a key is taken for a part of the key.
const RUN: usize = 12;
/// A line of base64 of this length is taken for a part of a key, wherever it stands. Key IDs are in one letter case.
const LINE: usize = 40;

/// The parts of keys in a configuration, in lower case: some messages have names in lower case.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<String>);

impl Keys {
    pub(super) fn of(documents: &[Node]) -> Self {
        let mut keys = Self::default();
        for document in documents {
            document.each(&mut |node| {
                node.text().into_iter().for_each(|text| keys.add(text));
                node.members().iter().for_each(|member| keys.add(&member.name));
            });
        }
        keys.0.sort_unstable();
        keys.0.dedup();
        keys
    }

    fn add(&mut self, text: &str) {
        if text.len() >= LINE && (holds_private_key(text.as_bytes()) || text.lines().any(is_part)) {
            let runs = text.split(|byte| !is_base64(byte)).filter(|run| run.len() >= RUN);
            self.0.extend(runs.map(str::to_ascii_lowercase));
        }
    }

    /// The finding, without what it repeats of a key.
    pub(super) fn hide(&self, mut finding: Finding) -> Finding {
        if self.first_in(&finding.message).is_some() {
            "what stands here holds a private key, or a part of one".clone_into(&mut finding.message);
        }
        if self.first_in(&finding.cure).is_some() {
            "put the key into a file, name that in signing_key_file, and write here what belongs here"
                .clone_into(&mut finding.cure);
        }
        while let Some(at) = self.first_in(&finding.place.path) {
            // The name of a member: what is left is the path to the object that it is in.
            let before = finding.place.path.get(..at).unwrap_or_default();
            finding.place.path = before.rsplit_once('.').map_or("", |(parent, _)| parent).to_owned();
        }
        finding
    }

    /// Where the first part of a key is in a text.
    fn first_in(&self, text: &str) -> Option<usize> {
        let text = text.to_ascii_lowercase();
        self.0.iter().filter_map(|part| text.find(part)).min()
    }
}

fn is_base64(byte: char) -> bool {
    byte.is_ascii_alphanumeric() || byte == '+' || byte == '/'
}

/// Whether a line looks like one of base64, and like no name.
fn is_part(line: &str) -> bool {
    let line = line.trim().trim_end_matches('=');
    let has = |kind: fn(&char) -> bool| line.chars().any(|byte| kind(&byte));
    let is_path = line.starts_with('/') && line.matches('/').count() > 2;
    line.len() >= LINE
        && !is_path
        && line.chars().all(is_base64)
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_digit)
}
