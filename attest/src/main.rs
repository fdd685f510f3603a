//! `attest`: the filter's companion on a terminal. It makes and rotates signing keys, verifies assertions, and
//! runs a small service to look at them. Nothing of it is part of the module that Envoy loads.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod assertion;
mod check;
mod clock;
mod completions;
mod doctor;
mod from_pomerium;
mod input;
mod jwks;
mod key_file;
mod keygen;
mod keyset;
mod manual;
mod new_key;
mod private_file;
mod rotate;
mod shell;
mod terminal;
mod upstream;
mod verify;

use std::process::ExitCode;

use attestation_filter::keys::holds_private_key;
use clap::{CommandFactory as _, Parser, Subcommand};

const ABOUT: &str = "Keys, rotations and verification for signed identity behind Envoy.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done; for verify: the assertion is good; for check: nothing is wrong
  1  refused or failed; for verify: the assertion is not good; for check: something is wrong
  2  the command line is wrong; for check: the configuration cannot be read";

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
    Check(check::Args),
    Doctor(doctor::Args),
    FromPomerium(from_pomerium::Args),
    Upstream(upstream::Args),
    Completions(completions::Args),
    Man(manual::Args),
}

/// How a command that ran to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// What was asked for is done, or is so.
    Done,
    /// It is not, and the command has said why.
    Refused,
    /// There was nothing that could be looked at, and the command has said why.
    Unreadable,
}

fn main() -> ExitCode {
    let cli = match without_keys().and_then(|()| Cli::try_parse()) {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error, std::env::args_os().any(|argument| argument == "--json")),
    };
    let json = cli.json;
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Ok(Outcome::Unreadable) => ExitCode::from(2),
        Err(error) => report(&error, json),
    }
}

/// Errors repeat arguments, and every account of the machine can see them. So a key that is one gets no further.
fn without_keys() -> Result<(), clap::Error> {
    let is_key = |argument: &std::ffi::OsString| holds_private_key(argument.as_encoded_bytes());
    match std::env::args_os().skip(1).position(|argument| is_key(&argument)) {
        None => Ok(()),
        Some(place) => Err(Cli::command().error(
            clap::error::ErrorKind::InvalidValue,
            format!(
                "argument {} is a private key; give the file that holds it, or - and the key on standard input",
                place + 1
            ),
        )),
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Keygen(args) => keygen::run(&args, cli.json),
        Command::Jwks(args) => jwks::run(&args),
        Command::Rotate(args) => rotate::run(&args, cli.json),
        Command::Verify(args) => verify::run(&args, cli.json),
        Command::Check(args) => check::run(&args, cli.json),
        Command::Doctor(args) => doctor::run(&args, cli.json),
        Command::FromPomerium(args) => from_pomerium::run(&args, cli.json),
        Command::Upstream(args) => upstream::run(args, cli.json),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => manual::run(&args),
    }
}

/// Tells the user what went wrong. A reader that went away (`attest … | head`) is no failure worth a word.
fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        return report_usage(usage, json);
    }
    let broken_pipe = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<std::io::Error>().is_some_and(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    let text = without_error_numbers(&format!("{error:#}"));
    if json {
        let _ = terminal::print_json(&serde_json::json!({ "error": text }));
    } else {
        terminal::remark(&format!("{} {text}", terminal::Stream::Stderr.bad("error:")));
    }
    ExitCode::from(1)
}

/// Without the `(os error 13)` that Rust adds to what the system says.
fn without_error_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or(part, |(_, rest)| rest))
}

/// Help that was asked for, or what is wrong with the command line.
fn report_usage(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let arguments = std::env::args_os().skip(1).filter_map(|argument| argument.into_string().ok());
        let _ = terminal::print_json(&usage_json(&error.render().to_string(), || usage(arguments)));
    } else {
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What clap says in several paragraphs, apart. It leaves the usage out where only a value is wrong.
fn usage_json(text: &str, left_out: impl FnOnce() -> String) -> serde_json::Value {
    let text = text.split_once("\n\nFor more information").map_or(text, |(text, _)| text);
    let (problem, usage) = match text.split_once("\n\nUsage:") {
        Some((problem, usage)) => (problem, usage.lines().next().unwrap_or_default().trim().to_owned()),
        None => (text, left_out()),
    };
    let on_one_line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let paragraphs = problem.strip_prefix("error: ").unwrap_or(problem).split("\n\n").map(on_one_line);
    serde_json::json!({ "error": paragraphs.collect::<Vec<_>>().join("; "), "usage": usage })
}

/// The usage of the command that these arguments name.
fn usage(arguments: impl Iterator<Item = String>) -> String {
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    for name in arguments.filter(|argument| !argument.starts_with('-')) {
        let Some(subcommand) = command.find_subcommand(name) else { break };
        command = subcommand;
    }
    let line = command.clone().render_usage().to_string();
    line.strip_prefix("Usage: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_no_error_numbers() {
        let text = "cannot read a: No such file or directory (os error 2); try b: Denied (os error 13)";
        assert_eq!(without_error_numbers(text), "cannot read a: No such file or directory; try b: Denied");
    }

    #[test]
    fn usage_errors_are_taken_apart() {
        let json = |text: &str| usage_json(text, || "attest Y".to_owned());
        let text = "error: bad\n  [possible values: a]\n\nUsage: attest X\n\nFor more information, try '--help'.\n";
        assert_eq!(json(text), serde_json::json!({ "error": "bad [possible values: a]", "usage": "attest X" }));
        let text = "error: bad\n\n  tip: better\n\nFor more information, try '--help'.\n";
        assert_eq!(json(text), serde_json::json!({ "error": "bad; tip: better", "usage": "attest Y" }));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
