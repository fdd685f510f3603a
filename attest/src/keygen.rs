//! `attest keygen`: a new signing key.

use std::fs::FileType;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::json;

use crate::new_key::KeyType;
use crate::terminal::{Rows, Stream};
use crate::{Outcome, input, key_file, private_file, terminal};

/// Make a new signing key
///
/// The key is PKCS#8 PEM, which the filter takes as signing_key or signing_key_file. Without --out it goes to
/// standard output, and its key ID (kid) to standard error.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  attest keygen -o signing-key.pem
  attest keygen --type rsa-2048 -o signing-key.pem
  SIGNING_KEY=\"$(attest keygen | base64 -w0)\" envoy -c envoy.yaml")]
pub(crate) struct Args {
    /// The kind of key
    #[arg(long = "type", value_enum, default_value = "p256", value_name = "TYPE")]
    key_type: KeyType,

    /// Write the key to this file, with mode 0600; an existing file is never overwritten; - is standard output
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Outcome> {
    let out = args.out.as_deref().filter(|path| !input::is_standard_input(path));
    if let Some(path) = out.filter(|path| path.symlink_metadata().is_ok()) {
        return Err(taken(path));
    }
    let pem = args.key_type.generate()?;
    let keys = key_file::parse(pem.as_bytes(), Path::new("the new key"))?;
    let key = keys.signing_key().public_key();
    match out {
        Some(path) => {
            private_file::create(path, pem.as_bytes()).map_err(|error| cannot_write(path, error))?;
            print_written(path, args.key_type, key.kid(), json)?;
        }
        None if json => {
            let answer = json!({ "kid": key.kid(), "alg": key.alg(), "pem": pem.as_str() });
            terminal::print_json(&answer)?;
        }
        None => {
            terminal::print(&pem)?;
            terminal::remark(&format!("{} {}", Stream::Stderr.label("kid"), key.kid()));
        }
    }
    Ok(Outcome::Done)
}

fn print_written(path: &Path, key_type: KeyType, kid: &str, json: bool) -> io::Result<()> {
    let shown = path.display().to_string();
    if json {
        return terminal::print_json(&json!({ "kid": kid, "file": shown, "type": key_type.description() }));
    }
    let mut rows = Rows::default();
    rows.push("kid", kid)
        .push("type", key_type.description())
        .push("file", format!("{} (mode 0600)", terminal::plain(&shown)))
        .push("next", format!("attest jwks {} shows what the filter will publish", terminal::plain(&shown)));
    terminal::print(&rows.text(Stream::Stdout))
}

fn cannot_write(path: &Path, error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return taken(path);
    }
    anyhow!(
        "cannot write {}: {}; does its directory exist, and may you write there?",
        path.display(),
        input::reason(&error)
    )
}

fn taken(path: &Path) -> anyhow::Error {
    let shown = path.display();
    let kind = path.metadata().map(|metadata| metadata.file_type());
    if kind.as_ref().is_ok_and(FileType::is_dir) {
        return anyhow!("{shown} is a directory; name a file in it that does not exist yet");
    }
    match kind.ok().and_then(input::other_than_regular) {
        Some(what) => {
            anyhow!("{shown} is {what}; name a new file, or leave it out: without -o the key goes to standard output")
        }
        None => anyhow!(
            "{shown} exists, and a key is never overwritten; choose another name, or add a key to it with: attest rotate stage {shown}"
        ),
    }
}
