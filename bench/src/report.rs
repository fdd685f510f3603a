//! Writes docs/performance.md and its charts from the results of a run.

mod chart;
mod figures;
mod operation;
mod ratios;
mod tables;
mod targets;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::results::Results;

/// The words around the numbers.
const TEMPLATE: &str = include_str!("report/performance.md");

pub(crate) fn write(results: &Results, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    for (name, svg) in figures::all(results)? {
        fs::write(directory.join(name), svg)?;
    }
    let path = directory.join("performance.md");
    fs::write(&path, fill(TEMPLATE, results)?).with_context(|| format!("cannot write {}", path.display()))
}

/// Puts a table in the place of each `{{NAME}}`.
fn fill(template: &str, results: &Results) -> anyhow::Result<String> {
    let mut text = template.to_owned();
    for (slot, content) in slots(results)? {
        let slot = format!("{{{{{slot}}}}}");
        ensure!(text.contains(&slot), "the template has no {slot}");
        text = text.replace(&slot, content.trim_end());
    }
    ensure!(!text.contains("{{"), "the template has a slot that nothing fills");
    Ok(text)
}

fn slots(results: &Results) -> anyhow::Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("summary", tables::summary(results)?),
        ("comparison", tables::comparison(results)?),
        ("split", tables::split(results)?),
        ("targets", targets::table(results)?),
        ("beside", targets::beside(results)?),
        ("groups", tables::groups(results)?),
        ("settings", tables::settings(results)?),
        ("workers", tables::workers(results)?),
        ("startup", operation::startup(results)?),
        ("reload", operation::reload(results)?),
        ("memory", operation::memory(results)?),
        ("machine", operation::machine(results)),
    ])
}
