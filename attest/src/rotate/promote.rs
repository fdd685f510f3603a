//! `attest rotate promote`: the new key signs, and the old one is still published.

use std::time::Duration;

use anyhow::bail;

use super::done::Done;
use super::fleet::{FleetArgs, Requirement, WaitArgs};
use super::place::PlaceArgs;
use super::record::{Phase, Promoted, Staged};
use super::rotation::Rotation;
use super::standing::Need;

/// Step 2: let the staged key sign
///
/// Every proxy must have published the staged key for as long as clients keep a keyset: only then does every client
/// know the key when the first assertion signed with it arrives.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,

    /// Which key, by its ID; needed only where more than one could be meant, or to go back to the old key
    #[arg(long, value_name = "KID")]
    kid: Option<String>,

    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    let mut rotation = args.place.open()?;
    let phase = rotation.phase()?;
    let since = match &phase {
        Phase::Staged { since, .. } | Phase::Promoted { since, .. } => *since,
        Phase::Settled => rotation.changed()?,
    };
    let kid = chosen(args, &rotation, &phase)?;
    args.fleet.must_be_named(&args.wait)?;
    let requirement = requirement(&kid, since);
    args.fleet.ensure(&requirement, &args.wait, &mut rotation, json)?;
    let warning = args.fleet.warning(&requirement, rotation.clock.now());
    let mut done = apply(&mut rotation, kid, &args.fleet)?;
    done.notes.extend(warning);
    Ok(done)
}

/// What stands in the way of the step.
pub(super) fn requirement(kid: &str, since: f64) -> Requirement {
    Requirement {
        step: "promote",
        need: Need::Published(kid.to_owned()),
        hold: Some(Duration::ZERO),
        because: "every proxy must have published the new key for as long as clients keep a keyset",
        since,
    }
}

/// Does the step.
pub(super) fn apply(rotation: &mut Rotation, kid: String, fleet: &FleetArgs) -> anyhow::Result<Done> {
    let old = rotation.ring.signer()?.kid().to_owned();
    let staged = rotation.record.staged.as_ref();
    if staged.is_none_or(|staged| staged.kid != kid || staged.signer != old) {
        // Killed after the keyring is written and before the record is, the next run must know which of the two keys is old.
        rotation.record.staged = Some(Staged { kid: kid.clone(), signer: old.clone(), at: rotation.clock.now() });
        rotation.remember()?;
    }
    rotation.ring.put_first(&kid)?;
    rotation.record.staged = None;
    rotation.record.promoted = Some(Promoted { kid: kid.clone(), old: vec![old], at: rotation.clock.now() });
    let mut notes = rotation.save()?;
    notes.extend(fleet.cache_note(&rotation.record));
    Ok(Done {
        step: "promote",
        kid,
        kids: rotation.ring.kids(),
        file: rotation.shown().to_owned(),
        summary: "promoted: the new key signs, and the old one is still published".to_owned(),
        next: format!("attest rotate retire {} --wait {}", rotation.argument(), fleet.arguments()),
        notes,
    })
}

/// The key to promote: the one that was asked for, or else the one that is staged.
fn chosen(args: &Args, rotation: &Rotation, phase: &Phase) -> anyhow::Result<String> {
    let (shown, place, fleet) = (rotation.shown(), rotation.argument(), args.fleet.arguments());
    let signer = rotation.ring.signer()?.kid().to_owned();
    if let Some(kid) = &args.kid {
        let there = rotation.ring.entries().iter().any(|entry| entry.kid() == kid && entry.is_private());
        return match there {
            _ if *kid == signer => bail!("kid {kid} signs already; nothing to promote"),
            true => Ok(kid.clone()),
            false => bail!("{shown} has no private key with kid {kid}; it has {}", rotation.ring.kids().join(", ")),
        };
    }
    match phase {
        Phase::Staged { kids, .. } => the_only(kids),
        Phase::Promoted { .. } => {
            bail!(
                "nothing is staged: {signer} has been promoted already; next: attest rotate retire {place} --wait {fleet}"
            )
        }
        Phase::Settled => {
            bail!("nothing is staged: {shown} has one private key; first: attest rotate stage {place} {fleet}")
        }
    }
}

/// The staged key, where there is one.
pub(super) fn the_only(kids: &[String]) -> anyhow::Result<String> {
    match kids {
        [kid] => Ok(kid.clone()),
        _ => bail!("more than one key could be meant; say which with rotate promote --kid: {}", kids.join(", ")),
    }
}
