//! docs/rotation.md, from what was measured.

use std::fs;
use std::path::Path;

use super::{EVERY, Story, TOKEN_LIFETIME, chart};

pub(super) fn write(story: &Story, directory: &Path) {
    fs::write(directory.join("rotation.svg"), chart::svg(story)).unwrap();
    fs::write(directory.join("rotation.md"), page(story)).unwrap();
}

fn page(story: &Story) -> String {
    let template = include_str!("story.md");
    template
        .replace("{{every}}", EVERY)
        .replace("{{lifetime}}", TOKEN_LIFETIME)
        .replace("{{said}}", &said(story))
        .replace("{{metrics}}", &metrics(&story.metrics))
        .replace("{{stopped}}", &format!("{:.0}", story.stopped))
        .replace("{{continued}}", &format!("{:.0}", story.continued))
        .replace("{{clients}}", &story.verified_by.to_string())
}

/// Every line with its time, kids cut to what tells them apart, the file's directory left out.
fn said(story: &Story) -> String {
    let line = |(at, line): &(f64, String)| format!("{at:5.1}  {}\n", shortened(line));
    story.said.iter().map(line).collect()
}

fn metrics(text: &str) -> String {
    let is_told = |line: &&str| !line.starts_with("# HELP");
    text.lines().filter(is_told).map(|line| format!("{}\n", shortened(line))).collect()
}

fn shortened(line: &str) -> String {
    let mut words = String::new();
    let is_part = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    let mut rest = line;
    while let Some(begin) = rest.find(is_part) {
        let (before, from) = rest.split_at(begin);
        let (word, after) = from.split_at(from.find(|character| !is_part(character)).unwrap_or(from.len()));
        words.push_str(before);
        let is_kid = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_file = word.starts_with('/') && word.ends_with(".pem");
        match (is_kid, is_file) {
            (true, _) => words.push_str(&format!("{}…", &word[..8])),
            (_, true) => words.push_str("signing-key.pem"),
            _ => words.push_str(word),
        }
        rest = after;
    }
    words + rest
}
