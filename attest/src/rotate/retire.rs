//! `attest rotate retire`: the old key goes.

use std::time::Duration;

use anyhow::bail;

use super::done::Done;
use super::fleet::{FleetArgs, Requirement, WaitArgs};
use super::place::PlaceArgs;
use super::record::Phase;
use super::rotation::Rotation;
use super::standing::Need;
use crate::clock;

/// Step 3: remove the old key
///
/// Every proxy must have signed with the new key for a token's lifetime and for as long as
/// clients keep a keyset: only then has the last assertion of the old key expired. A proxy signs with the first
/// key that it publishes.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,

    /// Which key, by its ID; needed only where a key was put first by hand, and so nothing is on record
    #[arg(long, value_name = "KID")]
    kid: Vec<String>,

    /// The filter's token_lifetime: how long an assertion of the old key may still be used
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "300s")]
    token_lifetime: Duration,

    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    let mut rotation = args.place.open()?;
    let (old, since) = chosen(args, &rotation)?;
    args.fleet.must_be_named(&args.wait)?;
    let requirement = requirement(&rotation, since, args.token_lifetime)?;
    args.fleet.ensure(&requirement, &args.wait, &mut rotation, json)?;
    let warning = args.fleet.warning(&requirement, rotation.clock.now());
    let cache_note = args.fleet.cache_note(&rotation.record);
    rotation.ring.remove(&old);
    let notes = rotation.finish()?;
    let mut done = done(&rotation, &old, notes);
    done.next = format!("nothing; the next rotation begins with: attest rotate stage {}", rotation.argument());
    done.notes.extend(warning.into_iter().chain(cache_note));
    Ok(done)
}

/// What stands in the way of the step.
pub(super) fn requirement(rotation: &Rotation, since: f64, token_lifetime: Duration) -> anyhow::Result<Requirement> {
    Ok(Requirement {
        step: "retire",
        need: Need::First(rotation.ring.signer()?.kid().to_owned()),
        hold: Some(token_lifetime),
        because: "every proxy must have signed with the new key until the last assertion of the old one expired",
        since,
    })
}

/// The step, once it is written.
pub(super) fn done(rotation: &Rotation, old: &[String], notes: Vec<String>) -> Done {
    Done {
        step: "retire",
        kid: old.join(", "),
        kids: rotation.ring.kids(),
        file: rotation.shown().to_owned(),
        summary: "retired: the old key is gone".to_owned(),
        next: String::new(),
        notes,
    }
}

/// The keys to remove, and since when they do not sign any more.
fn chosen(args: &Args, rotation: &Rotation) -> anyhow::Result<(Vec<String>, f64)> {
    let (shown, place, fleet) = (rotation.shown(), rotation.argument(), args.fleet.arguments());
    let signer = rotation.ring.signer()?.kid().to_owned();
    for kid in &args.kid {
        if *kid == signer {
            bail!(
                "kid {kid} signs; put another key first before you retire it: attest rotate promote {place} --wait {fleet}"
            );
        }
        if !rotation.ring.has(kid) {
            bail!("{shown} has no key with kid {kid}; it has {}", rotation.ring.kids().join(", "));
        }
    }
    match rotation.phase()? {
        Phase::Promoted { since, .. } if !args.kid.is_empty() => Ok((args.kid.clone(), since)),
        _ if !args.kid.is_empty() => Ok((args.kid.clone(), rotation.changed()?)),
        Phase::Promoted { old, since } => Ok((old, since)),
        Phase::Staged { kids, .. } => bail!(
            "no promotion is on record: {signer} signs, and {} does not sign yet; first: attest rotate promote \
             {place} --wait {fleet}; if you changed the order by hand, name the old key with --kid KID",
            kids.join(", ")
        ),
        Phase::Settled => bail!("nothing to retire: {shown} has one private key, which signs"),
    }
}
