//! `attest rotate retire`: the old key goes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;

use super::fleet::{FleetArgs, Requirement};
use super::record::Phase;
use super::standing::Need;
use super::{Done, Rotation};
use crate::clock;

/// Step 3: remove the old key
///
/// With --jwks-url, every proxy must have signed with the new key for a token's lifetime and for as long as
/// clients keep a keyset: only then has the last assertion of the old key expired. A proxy signs with the first
/// key that it publishes.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The key file
    file: PathBuf,

    /// Which key, by its ID; needed only where a key was put first by hand, and so nothing is on record
    #[arg(long, value_name = "KID")]
    kid: Vec<String>,

    /// The filter's token_lifetime: how long an assertion of the old key may still be used
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "300s")]
    token_lifetime: Duration,

    #[command(flatten)]
    fleet: FleetArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let mut rotation = Rotation::open(&args.file)?;
    let shown = rotation.shown();
    let (old, since) = chosen(args, &rotation)?;
    let signer = rotation.ring.signer()?.kid().to_owned();
    let requirement = Requirement {
        step: "retire",
        need: Need::First(signer.clone()),
        hold: Some(args.token_lifetime),
        because: "every proxy must have signed with the new key until the last assertion of the old one expired",
        since,
    };
    args.fleet.ensure(&requirement, &mut rotation.record)?;
    let warning = args.fleet.warning(&requirement);
    rotation.ring.remove(&old);
    let saved = rotation.ring.save()?;
    rotation.record.remove()?;
    Ok(Done {
        step: "retire",
        kid: old.join(", "),
        kids: rotation.ring.kids(),
        file: shown.clone(),
        summary: "retired: the old key is gone".to_owned(),
        next: format!("nothing; the next rotation begins with: attest rotate stage {shown}"),
        notes: saved.notes().into_iter().chain(warning).collect(),
    })
}

/// The keys to remove, and since when they do not sign any more.
fn chosen(args: &Args, rotation: &Rotation) -> anyhow::Result<(Vec<String>, f64)> {
    let (shown, signer) = (rotation.shown(), rotation.ring.signer()?.kid().to_owned());
    for kid in &args.kid {
        if *kid == signer {
            bail!("kid {kid} signs; put another key first before you retire it: attest rotate promote {shown}");
        }
        if !rotation.ring.has(kid) {
            bail!("{shown} has no key with kid {kid}; it has {}", rotation.ring.kids().join(", "));
        }
    }
    match rotation.record.phase(&rotation.ring)? {
        Phase::Promoted { since, .. } if !args.kid.is_empty() => Ok((args.kid.clone(), since)),
        _ if !args.kid.is_empty() => Ok((args.kid.clone(), rotation.ring.changed()?)),
        Phase::Promoted { old, since } => Ok((old, since)),
        Phase::Staged { kids, .. } => bail!(
            "no promotion is on record: {signer} signs, and {} does not sign yet; first: attest rotate promote \
             {shown}. If you changed the order by hand, name the old key: attest rotate retire {shown} --kid KID",
            kids.join(", ")
        ),
        Phase::Settled => bail!("nothing to retire: {shown} has one private key, which signs"),
    }
}
