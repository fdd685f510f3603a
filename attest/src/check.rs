//! `attest check`: what does Envoy accept in this configuration that does not do what it looks like?

mod catalog;
mod chain;
mod context;
pub(crate) mod document;
mod filter;
mod finding;
mod hidden;
mod levels;
mod matcher;
mod model;
pub(crate) mod node;
mod ours;
pub(crate) mod place;
mod report;
mod routes;
mod rules;
mod sarif;
pub(crate) mod scalar;
mod sources;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::anyhow;

pub(crate) use finding::Finding;
pub(crate) use levels::Levels;
pub(crate) use report::text as report;
pub(crate) use sources::Sources;

use crate::{Outcome, terminal};

/// Find what Envoy accepts in a configuration and what is then silently wrong
///
/// Reads a bootstrap, a listener, an answer of xDS or what /config_dump prints, in YAML or JSON, and the files that
/// it names with path_config_source. A named file that is not at its path is looked for beside the file that names it
/// and among the files given here. What Envoy itself refuses is left to envoy --mode validate.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest check envoy.yaml
  attest check bootstrap.yaml attestation.yaml --envoy-version 1.38
  curl -s http://127.0.0.1:9901/config_dump?include_eds | attest check - --json

Exit codes:
  0  nothing from the level of --fail-on on was found
  1  something was found, or the attestation filter is not in the configuration
  2  the configuration cannot be read, or the command line is wrong")]
pub(crate) struct Args {
    /// Envoy configurations in YAML or JSON; - reads one from standard input
    #[arg(value_name = "FILE|-", required = true)]
    files: Vec<PathBuf>,

    /// The Envoy that will read it, 1.38 for instance: what that version cannot do is found as well
    #[arg(long, value_name = "VERSION", value_parser = version)]
    envoy_version: Option<(u32, u32)>,

    /// The name of the attestation filter in http_filters, where no name of it has "attestation" in it
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,

    /// Print SARIF 2.1.0 for code hosts on standard output
    #[arg(long, conflicts_with = "json")]
    sarif: bool,

    #[command(flatten)]
    levels: Levels,
}

/// The exit code is the command's own: 2 says that nothing was checked.
pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Outcome> {
    let found = match look(args) {
        Ok(found) => args.levels.apply(found),
        Err(error) => return Ok(unreadable(&error, json)),
    };
    let shown = match (args.sarif, json) {
        (true, _) => format!("{}\n", terminal::pretty(&sarif::log(&found))),
        (false, true) => format!("{}\n", terminal::pretty(&report::json(&found, &args.levels))),
        (false, false) => report(&found),
    };
    terminal::print(&shown)?;
    Ok(if args.levels.fail(&found) { Outcome::Refused } else { Outcome::Done })
}

fn look(args: &Args) -> anyhow::Result<Vec<Finding>> {
    let sources = Sources::read(&args.files)?;
    find(&sources, args.envoy_version, args.filter.as_deref())
}

/// Everything that is found in a configuration, the worst first. Nothing of it repeats a private key.
///
/// # Errors
/// Where a document is no Envoy configuration.
pub(crate) fn find(
    sources: &Sources,
    version: Option<(u32, u32)>,
    filter: Option<&str>,
) -> anyhow::Result<Vec<Finding>> {
    let model = model::Model::of(&sources.documents).map_err(|error| anyhow!(error))?;
    let keys = hidden::Keys::of(&sources.documents);
    Ok(rules::apply(sources, &model, version, filter).into_iter().map(|finding| keys.hide(finding)).collect())
}

pub(crate) fn unreadable(error: &anyhow::Error, json: bool) -> Outcome {
    let text = terminal::plain(&crate::without_error_numbers(&format!("{error:#}")));
    if json {
        let _ = terminal::print_json(&serde_json::json!({ "error": text }));
    } else {
        terminal::remark(&format!("{} {text}", terminal::Stream::Stderr.bad("error:")));
    }
    Outcome::Unreadable
}

/// The key files that the filter is told to sign with.
pub(crate) fn key_files(sources: &Sources, filter: Option<&str>) -> Vec<String> {
    let Ok(model) = model::Model::of(&sources.documents) else { return Vec::new() };
    let mut files = Vec::new();
    for chain in model.chains() {
        for ours in (0..chain.filters.len()).filter_map(|index| ours::Ours::of(&chain, index, filter)) {
            files.extend(ours.key_file().map(str::to_owned));
        }
    }
    files.dedup();
    files
}

/// `1.38` or `1.38.2`, also with a `v` before it.
pub(crate) fn version(text: &str) -> Result<(u32, u32), String> {
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err("allowed is a version such as 1.38 or 1.38.2".into()),
    }
}
