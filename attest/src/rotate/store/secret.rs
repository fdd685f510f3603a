//! A keyring in a Secret of Kubernetes, and its record in an annotation of the same Secret: both are written at once, and
//! only over the version that was read.

mod api;
mod name;
mod trouble;

use std::rc::Rc;

use anyhow::{Context as _, anyhow, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Opened, Place, size_note};
use api::Api;
pub(in crate::rotate) use name::{SecretKey, SecretName};

/// Where the record is. An annotation is no part of what is mounted into the proxies.
const RECORD: &str = "attestation-filter/rotation";

/// A key of a Secret.
pub(in crate::rotate) struct SecretPlace {
    name: SecretName,
    key: SecretKey,
    api: Rc<Api>,
}

impl SecretPlace {
    /// # Errors
    /// When the system has no resources for a connection.
    pub(in crate::rotate) fn new(name: SecretName, key: SecretKey) -> anyhow::Result<Self> {
        Ok(Self { api: Rc::new(Api::new(name.clone())?), name, key })
    }
}

impl Place for SecretPlace {
    fn shown(&self) -> String {
        format!("{} of Secret {}", self.key, self.name)
    }

    fn argument(&self) -> String {
        match self.key.is_usual() {
            true => format!("--secret {}", self.name),
            false => format!("--secret {} --secret-key {}", self.name, self.key),
        }
    }

    fn open(&self) -> anyhow::Result<Box<dyn Opened>> {
        let secret = Wiped(self.api.get()?);
        let (shown, key) = (&self.name, &self.key);
        let text = secret.0.data.as_ref().and_then(|data| data.get(key.as_str())).with_context(|| {
            let keys: Vec<&str> = secret.0.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
            let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
            format!("Secret {shown} has no key {key}; it has {keys}: name one of them with --secret-key, or add {key}")
        })?;
        let text = Zeroizing::new(text.0.clone());
        let versioned = secret.0.metadata.resource_version.as_deref().is_some_and(|version| !version.is_empty());
        ensure!(
            versioned,
            "Secret {shown} came without a resourceVersion, so nobody would notice a conflict; ask the API \
                            server itself"
        );
        Ok(Box::new(Read { secret, text, key: self.key.clone(), api: Rc::clone(&self.api), name: self.name.clone() }))
    }
}

/// A Secret as it was read; its resourceVersion says which one.
struct Read {
    secret: Wiped,
    text: Zeroizing<Vec<u8>>,
    key: SecretKey,
    api: Rc<Api>,
    name: SecretName,
}

impl Opened for Read {
    fn text(&self) -> &Zeroizing<Vec<u8>> {
        &self.text
    }

    fn record(&self) -> Option<&str> {
        self.secret.0.metadata.annotations.as_ref()?.get(RECORD).map(String::as_str)
    }

    fn record_shown(&self) -> String {
        format!("the annotation {RECORD} of Secret {}", self.name)
    }

    /// When the API server last noted a change of any part, or else when the Secret was made.
    fn changed(&self) -> anyhow::Result<f64> {
        let metadata = &self.secret.0.metadata;
        let changes = metadata.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref());
        let last = changes.chain(&metadata.creation_timestamp).map(|time| time.0.as_second()).max();
        let last = last.with_context(|| format!("Secret {} has no creationTimestamp", self.name))?;
        // Times of Kubernetes are whole seconds, rounded down.
        let last = u32::try_from(last + 1).map_err(|_| anyhow!("the times of Secret {} are wrong", self.name))?;
        Ok(f64::from(last))
    }

    fn replace(&mut self, text: &[u8], record: Option<&str>) -> anyhow::Result<Vec<String>> {
        let mut new = self.secret.copy();
        if let Some(data) = new.0.data.as_mut() {
            data.insert(self.key.as_str().to_owned(), ByteString(text.to_vec()));
        }
        set_record(&mut new.0, record);
        self.put(&new)?;
        self.text = Zeroizing::new(text.to_vec());
        Ok(size_note(text.len()).into_iter().collect())
    }

    fn remember(&mut self, record: &str) -> anyhow::Result<()> {
        if self.record() == Some(record) {
            return Ok(());
        }
        let mut new = self.secret.copy();
        set_record(&mut new.0, Some(record));
        self.put(&new)
    }
}

impl Read {
    fn put(&mut self, new: &Wiped) -> anyhow::Result<()> {
        ensure!(
            self.secret.0.immutable != Some(true),
            "Secret {} is immutable, so no key in it can be replaced; make it again without `immutable: true`",
            self.name
        );
        self.secret = Wiped(self.api.put(&new.0)?);
        Ok(())
    }
}

fn set_record(secret: &mut Secret, record: Option<&str>) {
    let annotations = secret.metadata.annotations.get_or_insert_default();
    match record {
        Some(record) => annotations.insert(RECORD.to_owned(), record.to_owned()),
        None => annotations.remove(RECORD),
    };
}

/// A Secret that is wiped when dropped.
struct Wiped(Secret);

impl Wiped {
    fn copy(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.data.iter_mut().flatten().for_each(|(_, value)| value.0.zeroize());
    }
}
