//! `attest jwks`: what the filter publishes for a key file.

use std::path::PathBuf;

use crate::terminal::Stream;
use crate::{Outcome, key_file, terminal};

/// Print the keyset that the filter would publish for a key file
///
/// The output is a JWK Set (RFC 7517), byte for byte what a proxy with this key file answers at
/// /.well-known/pomerium/jwks.json. It holds public keys only. The first key is the one that signs.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest jwks signing-key.pem
  attest jwks signing-key.pem > keyset.json && attest verify \"$TOKEN\" --jwks keyset.json")]
pub(crate) struct Args {
    /// PEM text, or base64 of it; one key or several; - reads it from standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let keys = key_file::parse(&key_file::read(&args.file)?, &args.file)?;
    for block in keys.repeated() {
        let note = format!("block {block} repeats an earlier key and is left out");
        terminal::remark(&format!("{} {note}", Stream::Stderr.warn("note:")));
    }
    terminal::print(&format!("{}\n", keys.keyset().json()))?;
    Ok(Outcome::Done)
}
