//! `attest doctor`: is a running Envoy with the filter in good health, and if not, what is wrong?

mod admin;
mod sign;
mod signs;

use std::time::Duration;

use serde_json::json;

use admin::Admin;
use sign::{Sign, State};

use crate::check::{self, Finding, Levels};
use crate::keyset::TrustArgs;
use crate::terminal::{self, Stream};
use crate::{Outcome, clock};

/// Look at a running Envoy and say in words what is healthy and what is not
///
/// Asks the admin interface for the configuration and checks it as attest check does, reads the statistics of the
/// filter, and fetches the keyset through the listener. Nothing is changed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest doctor --admin http://127.0.0.1:9901
  attest doctor --admin http://127.0.0.1:9901 --listener https://app.example.com --watch

Exit codes:
  0  everything is healthy
  1  something is not
  2  the admin interface does not answer, or the command line is wrong")]
pub(crate) struct Args {
    /// The address of Envoy's admin interface
    #[arg(long, value_name = "URL")]
    admin: Admin,

    /// Where clients reach Envoy; without it, the first listener with a port
    #[arg(long, value_name = "URL|HOST")]
    listener: Option<String>,

    /// The path of the keyset, where jwks_path is set
    #[arg(long, value_name = "PATH", default_value = attestation_filter::http::endpoint::JWKS_PATH)]
    jwks_path: String,

    /// Look again and again, and print when something has changed; Ctrl-C ends it
    #[arg(long)]
    watch: bool,

    /// How often to look
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "5s", requires = "watch")]
    every: Duration,

    /// The name of the attestation filter in http_filters, where no name of it has "attestation" in it
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,

    #[command(flatten)]
    levels: Levels,

    #[command(flatten)]
    trust: TrustArgs,
}

/// What one look has seen.
struct Look {
    signs: Vec<Sign>,
    found: Vec<Finding>,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Outcome> {
    let mut before = None;
    loop {
        let (shown, state, outcome) = match look(args) {
            Ok(look) => {
                let shown = if json { line(&look, args) } else { text(&look) };
                (shown, look.state(), look.outcome(&args.levels))
            }
            Err(error) if !args.watch => return Ok(check::unreadable(&error, json)),
            Err(error) => (silent(&error, json), silent(&error, json), Outcome::Unreadable),
        };
        if before.as_ref() != Some(&state) {
            terminal::print(&shown)?;
        }
        if !args.watch {
            return Ok(outcome);
        }
        before = Some(state);
        std::thread::sleep(args.every);
    }
}

/// One that is watched may be starting anew.
fn silent(error: &anyhow::Error, json: bool) -> String {
    let text = terminal::plain(&crate::without_error_numbers(&format!("{error:#}")));
    if json { format!("{}\n", terminal::compact(&json!({ "error": text }))) } else { format!("error: {text}\n") }
}

fn look(args: &Args) -> anyhow::Result<Look> {
    let info = args.admin.server_info()?;
    let sources = args.admin.configuration()?;
    let found = args.levels.apply(check::find(&sources, info.version(), args.filter.as_deref())?);
    let listener = match &args.listener {
        Some(listener) if listener.contains("://") => Some(listener.clone()),
        Some(listener) => Some(format!("http://{listener}")),
        None => args.admin.listener()?,
    };
    let files = check::key_files(&sources, args.filter.as_deref());
    let keyset = signs::keyset(listener.as_deref(), &args.jwks_path, &args.trust, &files)?;
    // Now: a native module before Envoy 1.39 counts what happens without a request with the next one.
    let statistics = args.admin.statistics()?;
    let mut signs = vec![signs::envoy(&info)];
    signs.extend(signs::keys(&statistics, clock::now()));
    signs.extend(keyset);
    signs.extend(signs::requests(&statistics));
    Ok(Look { signs, found })
}

impl Look {
    /// What has to change for a look to be worth a word: counts and ages always do.
    fn state(&self) -> String {
        let signs = self.signs.iter().map(|sign| format!("{} {:?}\n", sign.name, sign.state));
        signs.chain(self.found.iter().map(|finding| format!("{:?} {}\n", finding.id, finding.place))).collect()
    }

    fn outcome(&self, levels: &Levels) -> Outcome {
        let is_ill = self.signs.iter().any(|sign| sign.state == State::Unhealthy);
        if is_ill || levels.fail(&self.found) { Outcome::Refused } else { Outcome::Done }
    }
}

fn line(look: &Look, args: &Args) -> String {
    let value = json!({
        "healthy": look.outcome(&args.levels) == Outcome::Done,
        "signs": look.signs.iter().map(Sign::json).collect::<Vec<_>>(),
        "findings": look.found.iter().map(Finding::json).collect::<Vec<_>>(),
    });
    if args.watch { format!("{}\n", terminal::compact(&value)) } else { format!("{}\n", terminal::pretty(&value)) }
}

fn text(look: &Look) -> String {
    let signs: String = look.signs.iter().map(Sign::text).collect();
    format!("{signs}\n{}\n{}", Stream::Stdout.strong("Configuration"), check::report(&look.found))
}
