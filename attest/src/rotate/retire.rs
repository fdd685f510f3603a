//! `attest rotate retire`: the old key goes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;

use super::fleet::{FleetArgs, Requirement, WaitArgs, quoted};
use super::record::Phase;
use super::ring::Saved;
use super::standing::Need;
use super::{Done, Rotation};
use crate::clock;

/// Step 3: remove the old key
///
/// Every proxy must have signed with the new key for a token's lifetime and for as long as
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

    /// Do it without a look at any proxy
    #[arg(long, conflicts_with_all = ["jwks_urls", "wait"])]
    now: bool,

    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    let mut rotation = Rotation::open(&args.file)?;
    let (old, since) = chosen(args, &rotation)?;
    args.fleet.must_be_named(args.now)?;
    let requirement = requirement(&rotation, since, args.token_lifetime)?;
    args.fleet.ensure(&requirement, &args.wait, &mut rotation, json)?;
    let warning = args.fleet.warning(&requirement);
    let (mut done, _saved) = apply(&mut rotation, &old)?;
    rotation.record.remove()?;
    done.next = format!("nothing; the next rotation begins with: attest rotate stage {}", quoted(&done.file));
    done.notes.extend(warning);
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

/// Does the step. The record is left to the caller, and what was saved stays locked until it is written.
pub(super) fn apply(rotation: &mut Rotation, old: &[String]) -> anyhow::Result<(Done, Saved)> {
    rotation.ring.remove(old);
    let saved = rotation.ring.save()?;
    let done = Done {
        step: "retire",
        kid: old.join(", "),
        kids: rotation.ring.kids(),
        file: rotation.shown(),
        summary: "retired: the old key is gone".to_owned(),
        next: String::new(),
        notes: saved.notes(),
    };
    Ok((done, saved))
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
