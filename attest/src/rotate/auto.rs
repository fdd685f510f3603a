//! `attest rotate auto`: whichever step is due, or none.

mod look;
mod metrics;
mod port;
mod status;
mod stay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::fleet::FleetArgs;
use super::interrupt;
use super::place::PlaceArgs;
use crate::clock::{self, SystemClock};
use crate::new_key::KeyType;
use crate::terminal::{self, Rows, Stream};
use look::{Look, Settings};
use status::Status;

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
  attest rotate auto signing-key.pem --every 30d --dry-run --jwks-url ...
  attest rotate auto signing-key.pem --every 30d --stay --listen 127.0.0.1:9464 --jwks-url ...")]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,

    /// How long a key signs before the next one is staged: 30d, 12h, 1h30m
    #[arg(long, value_name = "DURATION", value_parser = clock::duration_with_unit)]
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

    /// With --stay: answer /metrics (for Prometheus), /healthz and /readyz at this address
    ///
    /// /healthz is 503 when no look has ended for 10 minutes, /readyz while the last look has failed, and says why.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "stay", value_parser = address)]
    listen: Option<SocketAddr>,

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
    let (place, fetcher) = (args.place.place()?, args.fleet.fetcher()?);
    let look = Look {
        place: place.as_ref(),
        fleet: &args.fleet,
        settings: args.settings(),
        clock: &SystemClock,
        ask: &|| args.fleet.ask(&fetcher),
    };
    let report = look.once()?;
    report.print(json)?;
    if !args.stay {
        return Ok(());
    }
    let status = Arc::new(Status::default());
    status.note(&report, look.clock.now());
    if let Some(address) = args.listen {
        announce(port::open(address, Arc::clone(&status))?, json)?;
    }
    stay::stay(&look, &status, report, json)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write ADDRESS:PORT, like 127.0.0.1:9464 or [::]:9464".to_owned())
}

fn announce(address: SocketAddr, json: bool) -> std::io::Result<()> {
    let url = format!("http://{address}");
    if json {
        return terminal::print(&format!("{}\n", json!({ "listening": url })));
    }
    let mut rows = Rows::default();
    rows.push("listening", url);
    terminal::print(&rows.text(Stream::Stdout))
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

#[cfg(test)]
mod tests;
