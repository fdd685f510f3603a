//! `attest`: the filter's companion on a terminal. It makes and rotates signing keys, verifies assertions, and
//! runs a small service to look at them. Nothing of it is part of the module that Envoy loads.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod assertion;
mod clock;
mod completions;
mod jwks;
mod key_file;
mod keygen;
mod keyset;
mod new_key;
mod private_file;
mod rotate;
mod terminal;
mod upstream;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const ABOUT: &str = "Keys, rotations and verification for signed identity behind Envoy.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done; for verify: the assertion is good
  1  refused or failed; for verify: the assertion is not good
  2  the command line is wrong";

/// Keys, rotations and verification for signed identity behind Envoy.
#[derive(Parser)]
#[command(name = "attest", version, about = ABOUT, after_help = EXIT_CODES, max_term_width = 100)]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    /// Print JSON on standard output, for scripts; errors too, as {"error": "…"}
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Keygen(keygen::Args),
    Jwks(jwks::Args),
    Rotate(rotate::Args),
    Verify(verify::Args),
    Upstream(upstream::Args),
    Completions(completions::Args),
}

/// How a command that ran to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// What was asked for is done, or is so.
    Done,
    /// It is not, and the command has said why.
    Refused,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Err(error) => report(&error, json),
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Keygen(args) => keygen::run(&args, cli.json),
        Command::Jwks(args) => jwks::run(&args),
        Command::Rotate(args) => rotate::run(&args, cli.json),
        Command::Verify(args) => verify::run(&args, cli.json),
        Command::Upstream(args) => upstream::run(args, cli.json),
        Command::Completions(args) => completions::run(&args),
    }
}

/// Tells the user what went wrong. A reader that went away (`attest … | head`) is no failure worth a word.
fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        let _ = usage.print();
        return ExitCode::from(2);
    }
    let broken_pipe = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<std::io::Error>().is_some_and(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    if json {
        let _ = terminal::print_json(&serde_json::json!({ "error": format!("{error:#}") }));
    } else {
        terminal::remark(&format!("{} {error:#}", terminal::Stream::Stderr.bad("error:")));
    }
    ExitCode::from(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
