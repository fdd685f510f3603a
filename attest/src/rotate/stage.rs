//! `attest rotate stage`: the new key is published, and does not sign yet.

use std::path::PathBuf;

use anyhow::bail;
use attestation_filter::keys::KeyText;

use super::done::Done;
use super::fleet::{FleetArgs, Requirement, WaitArgs};
use super::place::PlaceArgs;
use super::record::{Phase, Staged};
use super::rotation::Rotation;
use super::standing::Need;
use crate::key_file;
use crate::new_key::KeyType;

/// Step 1: add a new key after the one that signs
///
/// With --jwks-url, every proxy must sign with the key that is first in the file: then it is the right file, and
/// these are the right proxies.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,

    /// The kind of key to make [default: the kind that signs now]
    #[arg(long = "type", value_enum, value_name = "TYPE", conflicts_with = "key")]
    key_type: Option<KeyType>,

    /// Add the private key of this file, instead of making one; - reads it from standard input
    #[arg(long, value_name = "FILE|-")]
    key: Option<PathBuf>,

    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    let mut rotation = args.place.open()?;
    let (place, fleet) = (rotation.argument(), args.fleet.arguments());
    match rotation.phase()? {
        Phase::Settled => {}
        Phase::Staged { kids, .. } => bail!(
            "a key is staged already: {} comes after the one that signs; next: attest rotate promote {place} --wait {fleet}",
            kids.join(", ")
        ),
        Phase::Promoted { old, .. } => bail!(
            "the last rotation is not over: the old key {} is still in the file; next: attest rotate retire {place} --wait {fleet}",
            old.join(", ")
        ),
    }
    let requirement = requirement(&rotation)?;
    rotation.record.forget_older_rotations();
    args.fleet.ensure(&requirement, &args.wait, &mut rotation, json)?;
    let key = match &args.key {
        Some(path) => {
            let text = key_file::text(&key_file::read(path)?, path)?;
            key_file::keyring(&text, path)?;
            text
        }
        None => new_key(&rotation, args.key_type)?,
    };
    apply(&mut rotation, &key, &args.fleet)
}

/// What stands in the way of the step, as far as proxies can.
pub(super) fn requirement(rotation: &Rotation) -> anyhow::Result<Requirement> {
    Ok(Requirement {
        step: "stage",
        need: Need::First(rotation.ring.signer()?.kid().to_owned()),
        hold: None,
        because: "every proxy must sign with the first key of this file",
        since: rotation.changed()?,
    })
}

/// A key of the type that is asked for, or else like the one that signs.
pub(super) fn new_key(rotation: &Rotation, key_type: Option<KeyType>) -> anyhow::Result<KeyText> {
    let key_type = key_type.map_or_else(|| rotation.ring.signer_type(), Ok)?;
    Ok(KeyText::read(key_type.generate()?.as_bytes())?)
}

/// Does the step.
pub(super) fn apply(rotation: &mut Rotation, key: &KeyText, fleet: &FleetArgs) -> anyhow::Result<Done> {
    let signer = rotation.ring.signer()?.kid().to_owned();
    let kid = rotation.ring.append(key)?;
    rotation.record.staged = Some(Staged { kid: kid.clone(), signer, at: rotation.clock.now() });
    let notes = rotation.save()?;
    Ok(Done {
        step: "stage",
        kid,
        kids: rotation.ring.kids(),
        file: rotation.shown().to_owned(),
        summary: "staged: the new key is published, and does not sign yet".to_owned(),
        next: format!("attest rotate promote {} --wait {}", rotation.argument(), fleet.arguments()),
        notes,
    })
}
