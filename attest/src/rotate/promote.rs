//! `attest rotate promote`: the new key signs, and the old one is still published.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;

use super::fleet::{FleetArgs, Requirement};
use super::record::{Phase, Promoted};
use super::standing::Need;
use super::{Done, Rotation};
use crate::clock;

/// Step 2: let the staged key sign
///
/// With --jwks-url, every proxy must have published the staged key for as long as clients keep a keyset: only
/// then does every client know the key when the first assertion signed with it arrives.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The key file
    file: PathBuf,

    /// Which key, by its ID; needed only where more than one could be meant, or to go back to the old key
    #[arg(long, value_name = "KID")]
    kid: Option<String>,

    #[command(flatten)]
    fleet: FleetArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let mut rotation = Rotation::open(&args.file)?;
    let shown = rotation.shown();
    let phase = rotation.record.phase(&rotation.ring)?;
    let since = match &phase {
        Phase::Staged { since, .. } | Phase::Promoted { since, .. } => *since,
        Phase::Settled => rotation.ring.changed()?,
    };
    let kid = chosen(args, &rotation, &phase)?;
    let old = rotation.ring.signer()?.kid().to_owned();
    let requirement = Requirement {
        step: "promote",
        need: Need::Published(kid.clone()),
        hold: Some(Duration::ZERO),
        because: "every proxy must have published the new key for as long as clients keep a keyset",
        since,
    };
    args.fleet.ensure(&requirement, &mut rotation.record)?;
    let warning = args.fleet.warning(&requirement);
    rotation.ring.put_first(&kid)?;
    let saved = rotation.ring.save()?;
    rotation.record.staged = None;
    rotation.record.promoted = Some(Promoted { kid: kid.clone(), old: vec![old], at: clock::now() });
    rotation.record.save()?;
    Ok(Done {
        step: "promote",
        kid,
        kids: rotation.ring.kids(),
        file: shown.clone(),
        summary: "promoted: the new key signs, and the old one is still published".to_owned(),
        next: format!("attest rotate retire {shown} --wait --jwks-url …, once for each proxy"),
        notes: saved.notes().into_iter().chain(warning).collect(),
    })
}

/// The key to promote: the one that was asked for, or else the one that is staged.
fn chosen(args: &Args, rotation: &Rotation, phase: &Phase) -> anyhow::Result<String> {
    let (shown, signer) = (rotation.shown(), rotation.ring.signer()?.kid().to_owned());
    if let Some(kid) = &args.kid {
        let there = rotation.ring.entries().iter().any(|entry| entry.kid() == kid && entry.is_private());
        return match there {
            _ if *kid == signer => bail!("kid {kid} signs already; nothing to promote"),
            true => Ok(kid.clone()),
            false => bail!("{shown} has no private key with kid {kid}; it has {}", rotation.ring.kids().join(", ")),
        };
    }
    match phase {
        Phase::Staged { kids, .. } => match kids.as_slice() {
            [kid] => Ok(kid.clone()),
            _ => bail!("more than one key could be meant; say which with --kid: {}", kids.join(", ")),
        },
        Phase::Promoted { .. } => {
            bail!("nothing is staged: {signer} has been promoted already; next: attest rotate retire {shown}")
        }
        Phase::Settled => bail!("nothing is staged: {shown} has one private key; first: attest rotate stage {shown}"),
    }
}
