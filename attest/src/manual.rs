//! `attest man`: manual pages, from the same source as `--help`.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::{Cli, Outcome, input, terminal};

/// Print the manual page, or write one for each command
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest man | man -l -
  attest man --out /usr/local/share/man/man1")]
pub(crate) struct Args {
    /// Write attest.1, attest-rotate.1 and so on into this directory; - prints the page of attest itself
    #[arg(short, long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    match args.out.as_ref().filter(|directory| !input::is_standard_input(directory)) {
        Some(directory) => {
            let written = clap_mangen::generate_to(command, directory);
            written.map_err(|error| anyhow!("cannot write to {}: {}", directory.display(), input::reason(&error)))?;
        }
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            terminal::print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Outcome::Done)
}
