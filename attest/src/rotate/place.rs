//! Which keyring a command is about.

use std::path::PathBuf;

use super::rotation::Rotation;
use super::store::{KeyFile, Place, SecretKey, SecretName, SecretPlace};
use crate::clock::SystemClock;

/// The keyring of a rotation.
#[derive(clap::Args)]
pub(super) struct PlaceArgs {
    /// The key file
    #[arg(required_unless_present = "secret")]
    file: Option<PathBuf>,

    /// Rotate the keyring of this Kubernetes Secret, through the API, instead of a file
    ///
    /// The credentials are those of the file that KUBECONFIG names, or of the pod, or of ~/.kube/config. They need
    /// the verbs get and update on this one Secret.
    #[arg(long, value_name = "NAMESPACE/NAME", conflicts_with = "file")]
    secret: Option<SecretName>,

    /// The key of the Secret that holds the keyring
    #[arg(long, value_name = "KEY", default_value = "signing-key.pem", conflicts_with = "file")]
    secret_key: SecretKey,
}

impl PlaceArgs {
    /// The place that is named.
    ///
    /// # Errors
    /// When the system has no resources for it.
    pub(super) fn place(&self) -> anyhow::Result<Box<dyn Place>> {
        Ok(match &self.secret {
            Some(name) => Box::new(SecretPlace::new(name.clone(), self.secret_key.clone())?),
            None => Box::new(KeyFile(self.file.clone().unwrap_or_default())),
        })
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`Rotation::open`].
    pub(super) fn open(&self) -> anyhow::Result<Rotation> {
        Rotation::open(self.place()?.as_ref(), &SystemClock)
    }
}
