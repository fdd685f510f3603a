//! `attest completions`: scripts for the shell.

use clap::CommandFactory as _;

use crate::{Cli, Outcome, terminal};

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest completions bash > /etc/bash_completion.d/attest
  attest completions zsh  > \"${fpath[1]}/_attest\"
  attest completions fish > ~/.config/fish/completions/attest.fish
  attest completions powershell >> $PROFILE")]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "attest", &mut script);
    terminal::print(&String::from_utf8_lossy(&script))?;
    Ok(Outcome::Done)
}
