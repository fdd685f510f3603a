//! `docs/troubleshooting.md` knows every message of ours, and `docs/README.md` every document.

use std::fs;
use std::path::{Path, PathBuf};

use harness::places;

const PAGE: &str = "docs/troubleshooting.md";
/// Whose errors are looked up: all of the modules', and those of `attest` that are about what somebody else has made.
const ERRORS: [&str; 7] = [
    "src",
    "native/src",
    "attest/src/assertion",
    "attest/src/input.rs",
    "attest/src/private_file.rs",
    "attest/src/check/document.rs",
    "attest/src/rotate/hold.rs",
];
/// Where the texts of statements to the log are.
const LOGGED: [&str; 9] = [
    "src/attester/assertion.rs",
    "src/attester/refusal.rs",
    "src/attester/request.rs",
    "src/attester/route.rs",
    "src/attester/silence.rs",
    "src/keys/active.rs",
    "src/keys/feed.rs",
    "src/proxy/plugin.rs",
    "native/src/feed.rs",
];
const KEYSET: &str = "attest/src/keyset/trouble.rs";

/// The sources below a path, without their tests.
fn sources(path: &str) -> Vec<String> {
    let mut files = Vec::new();
    collect(&places::repository().join(path), &mut files);
    let text = |file: PathBuf| fs::read_to_string(file).unwrap();
    files.into_iter().map(text).map(|text| text.split("#[cfg(test)]").next().unwrap().to_owned()).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        return files.push(path.to_owned());
    }
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        if entry.is_dir() || entry.extension().is_some_and(|it| it == "rs") && !entry.ends_with("tests.rs") {
            collect(&entry, files);
        }
    }
}

/// The text of the first string literal, as the compiler reads it.
fn literal(source: &str) -> Option<String> {
    let (mut text, mut rest) = (String::new(), source.split_once('"')?.1.chars().peekable());
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => match rest.next()? {
                '\n' => while rest.next_if(|it| it.is_whitespace()).is_some() {},
                escaped => text.push(escaped),
            },
            other => text.push(other),
        }
    }
}

/// The literals that follow a marker.
fn literals(source: &str, marker: &str) -> Vec<String> {
    source.split(marker).skip(1).filter_map(literal).collect()
}

/// The longest text without values in what a message says before it says what to do; nothing if it is all values.
fn told(message: &str) -> Option<&str> {
    let before = message.split("; ").next().unwrap_or_default();
    let pieces = before.split('{').flat_map(|piece| piece.rsplit_once('}').map_or(piece, |(_, text)| text).split('\n'));
    let trimmed = pieces.map(|piece| piece.trim_matches([' ', ',', ':', '(', ')']));
    let longest = trimmed.max_by_key(|piece| piece.len())?;
    longest.contains(' ').then_some(longest)
}

fn page() -> String {
    fs::read_to_string(places::repository().join(PAGE)).unwrap()
}

fn missing(messages: &[String]) -> Vec<&str> {
    let page = page();
    messages.iter().filter_map(|message| told(message)).filter(|text| !page.contains(text)).collect()
}

#[test]
fn every_error_is_in_the_page() {
    let messages: Vec<_> =
        ERRORS.iter().flat_map(|path| sources(path)).flat_map(|source| literals(&source, "#[error(")).collect();
    assert!(messages.len() > 60, "{messages:?}");
    assert_eq!(missing(&messages), Vec::<&str>::new());
}

#[test]
fn every_log_line_is_in_the_page() {
    let messages: Vec<_> = LOGGED
        .iter()
        .flat_map(|path| sources(path))
        .flat_map(|source| {
            let of = [
                "Level::Warn,",
                "Level::Error,",
                "Level::Info,",
                "let message =",
                "=> form(",
                "write_str(",
                "write!(f,",
            ];
            of.into_iter().flat_map(|marker| literals(&source, marker)).collect::<Vec<_>>()
        })
        .collect();
    assert!(messages.len() > 25, "{messages:?}");
    assert_eq!(missing(&messages), Vec::<&str>::new());
}

#[test]
fn every_trouble_with_a_keyset_is_in_the_page() {
    let [source] = &sources(KEYSET)[..] else { panic!("{KEYSET}") };
    let odd = source.split('"').skip(1).step_by(2);
    let messages: Vec<_> = odd.filter(|text| text.starts_with("it") && text.contains(' ')).map(str::to_owned).collect();
    assert!(messages.len() > 15, "{messages:?}");
    assert_eq!(missing(&messages), Vec::<&str>::new());
}

#[test]
fn the_index_links_every_document() {
    let docs = places::repository().join("docs");
    let index = fs::read_to_string(docs.join("README.md")).unwrap();
    for entry in fs::read_dir(&docs).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && name != "README.md" {
            assert!(index.contains(&format!("]({name}")), "{name}");
        }
    }
}
