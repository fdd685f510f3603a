//! `attest rotate stage`: the new key is published, and does not sign yet.

use std::path::PathBuf;

use anyhow::bail;
use attestation_filter::keys::KeyText;

use super::fleet::{FleetArgs, Requirement};
use super::record::{Phase, Promoted, Staged};
use super::standing::Need;
use super::{Done, Rotation};
use crate::new_key::KeyType;
use crate::{clock, key_file};

/// Step 1: add a new key after the one that signs
///
/// With --jwks-url, every proxy must sign with the key that is first in the file: then it is the right file, and
/// these are the right proxies.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The key file
    file: PathBuf,

    /// The kind of key to make [default: the kind that signs now]
    #[arg(long = "type", value_enum, value_name = "TYPE", conflicts_with = "key")]
    key_type: Option<KeyType>,

    /// Add the private key of this file, instead of making one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    #[command(flatten)]
    fleet: FleetArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let mut rotation = Rotation::open(&args.file)?;
    let shown = rotation.shown();
    match rotation.record.phase(&rotation.ring)? {
        Phase::Settled => {}
        Phase::Staged { kids, .. } => bail!(
            "a key is staged already: {} comes after the one that signs; next: attest rotate promote {shown}",
            kids.join(", ")
        ),
        Phase::Promoted { old, .. } => bail!(
            "the last rotation is not over: the old key {} is still in the file; next: attest rotate retire {shown}",
            old.join(", ")
        ),
    }
    let signer = rotation.ring.signer()?.kid().to_owned();
    let requirement = Requirement {
        step: "stage",
        need: Need::First(signer.clone()),
        hold: None,
        because: "every proxy must sign with the first key of this file",
        since: rotation.ring.changed()?,
    };
    rotation.forget_older_rotations();
    args.fleet.ensure(&requirement, &mut rotation.record)?;
    let kid = match &args.key {
        Some(path) => {
            let text = key_file::text(&key_file::read(path)?, path)?;
            key_file::keyring(&text, path)?;
            rotation.ring.append(&text)?
        }
        None => {
            let key_type = args.key_type.map_or_else(|| rotation.ring.signer_type(), Ok)?;
            rotation.ring.append(&KeyText::read(key_type.generate()?.as_bytes())?)?
        }
    };
    let saved = rotation.ring.save()?;
    rotation.record.staged = Some(Staged { kid: kid.clone(), signer, at: clock::now() });
    rotation.record.save()?;
    Ok(Done {
        step: "stage",
        kid,
        kids: rotation.ring.kids(),
        file: shown.clone(),
        summary: "staged: the new key is published, and does not sign yet".to_owned(),
        next: format!("attest rotate promote {shown} --wait --jwks-url …, once for each proxy"),
        notes: saved.notes(),
    })
}

impl Rotation {
    /// What a finished rotation left in the record says nothing about the next one.
    fn forget_older_rotations(&mut self) {
        self.record.staged = None::<Staged>;
        self.record.promoted = None::<Promoted>;
    }
}
