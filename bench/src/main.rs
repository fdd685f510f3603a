//! What the attestation filter costs, measured on a real Envoy beside everything that could be in its place.
//!
//! All variants of a comparison are alive at once and loaded in short slices in random order. Only ratios and
//! differences inside one comparison mean anything.

mod added;
mod bootstrap;
mod comparison;
mod envoy;
mod exchange;
mod filters;
mod http_message;
mod identity;
mod keys;
mod load;
mod machine;
mod plans;
mod reload;
mod report;
mod results;
mod signature;
mod startup;
mod statistics;
mod upstream;
mod usage;
mod variant;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};

use bootstrap::Parts;
use envoy::Setup;
use keys::Keys;
use results::{Results, Settings};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Where the results are.
    #[arg(long, default_value = "bench/results/latest.json")]
    results: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures; about eleven minutes.
    Run(Run),
    /// Writes docs/performance.md and its charts from the results.
    Report {
        /// The directory to write to.
        #[arg(long, default_value = "docs")]
        to: PathBuf,
    },
}

#[derive(clap::Args)]
struct Run {
    #[arg(long, env = "ENVOY")]
    envoy: PathBuf,
    /// The attestation filter's Wasm module.
    #[arg(long)]
    module: PathBuf,
    /// Its native module, `libattestation.so`.
    #[arg(long)]
    native: PathBuf,
    /// The module of bench/probe.
    #[arg(long)]
    probe: PathBuf,
    /// Only these of comparison, groups, settings, workers, startup and reload; the rest is kept from the last run.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    #[arg(long, default_value_t = 250)]
    slice_ms: u64,
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Command::Run(run) => measure(run, &arguments.results),
        Command::Report { to } => report::write(&Results::read(&arguments.results)?, to),
    }
}

fn measure(run: &Run, path: &Path) -> anyhow::Result<()> {
    let watch = machine::Watch::start()?;
    let keys = Keys::generate()?;
    let setup = setup(run, &keys)?;
    let settings = Settings { rounds: run.rounds, slice_ms: run.slice_ms, connections: run.connections };
    let wanted = |name: &str| run.only.is_empty() || run.only.iter().any(|only| only == name);
    let (mut comparisons, mut signature) = (BTreeMap::new(), None);
    for plan in plans::plans().iter().filter(|plan| wanted(plan.name)) {
        let (measured, bare) = comparison::run(plan, &setup, &settings)?;
        comparisons.insert(plan.name.to_owned(), measured);
        signature = signature.or(bare);
    }
    let startups = if wanted("startup") { startup::run(&setup, run.rounds + 2)? } else { Vec::new() };
    let reloads = if wanted("reload") { reload::run(&setup, run.rounds)? } else { Vec::new() };
    let machine = watch.machine(&setup.envoy, &setup.parts)?;
    let results = Results { machine, settings, comparisons, signature, startups, reloads };
    let results = if run.only.is_empty() { results } else { results.over(Results::read(path).ok()) };
    results.write(path)
}

fn setup<'a>(run: &Run, keys: &'a Keys) -> anyhow::Result<Setup<'a>> {
    let existing = |path: &Path| path.canonicalize().with_context(|| format!("no {}", path.display()));
    let authz = std::env::current_exe()?.with_file_name("authz");
    ensure!(authz.is_file(), "no {}; build both programs of this package", authz.display());
    let native = existing(&run.native)?;
    ensure!(native.ends_with("libattestation.so"), "Envoy will not find {}", native.display());
    let parts = Parts {
        keys,
        module: existing(&run.module)?,
        native,
        probe: existing(&run.probe)?,
        upstream: upstream::start()?,
    };
    Ok(Setup { envoy: existing(&run.envoy)?, authz, kid: keys.kid(), parts })
}
