//! `attest rotate auto`: whichever step is due, or none.

mod look;
mod stay;

use std::time::Duration;

use anyhow::ensure;

use super::fleet::FleetArgs;
use super::interrupt;
use super::place::PlaceArgs;
use crate::clock::{self, SystemClock};
use crate::new_key::KeyType;
use look::{Look, Settings};

/// Take the step that is due, or none
///
/// A new key is staged when the one that signs has done so for --every; promoted when every proxy has published it for as
/// long as clients keep a keyset; and the old key is retired when its last assertion has expired. One step is taken in
/// each run, and only if all proxies agree. Run it again and again, from a timer or with --stay: at any time, two at
/// once, and after it was killed. The exit code is 0 also where nothing is due, or where a proxy is in the way.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest rotate auto signing-key.pem --every 30d --jwks-url http://10.0.0.1:8080/.well-known/pomerium/jwks.json
  attest rotate auto signing-key.pem --every 30d --dry-run --jwks-url ...")]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,

    /// How long a key signs before the next one is staged
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    every: Duration,

    /// The filter's token_lifetime: how long an assertion of the old key may still be used
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "300s")]
    token_lifetime: Duration,

    /// The kind of key to make [default: the kind that signs now]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    key_type: Option<KeyType>,

    /// Go on until stopped, and take each step when it is due
    #[arg(long)]
    stay: bool,

    /// Say what would be done, and when, and change nothing
    #[arg(long, conflicts_with = "stay")]
    dry_run: bool,

    #[command(flatten)]
    fleet: FleetArgs,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<()> {
    ensure!(
        args.fleet.is_named(),
        "nobody watches: name every proxy with --jwks-url URL, so that a step is taken only when it is safe"
    );
    if args.stay {
        interrupt::listen();
    }
    let (place, fetcher) = (args.place.place(), args.fleet.fetcher()?);
    let look = Look {
        place: place.as_ref(),
        fleet: &args.fleet,
        settings: args.settings(),
        clock: &SystemClock,
        ask: &|| args.fleet.ask(&fetcher),
    };
    let report = look.once()?;
    report.print(json)?;
    if args.stay { stay::stay(&look, report, json) } else { Ok(()) }
}

impl Args {
    fn settings(&self) -> Settings {
        Settings {
            every: self.every,
            token_lifetime: self.token_lifetime,
            key_type: self.key_type,
            dry_run: self.dry_run,
            always_ask: self.stay,
        }
    }
}
