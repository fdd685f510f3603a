//! Where keys come from.
//!
//! A key file that Envoy serves is fetched again and again, shared among the workers, and never lost once loaded. A VM that
//! has not read the file yet takes what another one has shared, so that it has keys before its first request. Then it
//! reads the file itself, through Envoy's internal listener, and believes nothing else: every module with the same `vm_id`
//! can write shared data. The VM of Envoy's main thread can never reach that listener,
//! and does not know that it is that VM: so a VM that has never reached it and has never seen a request keeps quiet about
//! it, as long as others do reach it.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::active::{ActiveKeyring, KeyringError};
use super::signer::SignerChoice;
use crate::host::{Counter, Expected, Level, ProcessHost};

/// Where the signing keys come from.
pub enum KeySource {
    /// PEM text, or base64 of it, and the field or environment variable that held it.
    Text {
        /// Named in errors.
        field: &'static str,
        /// The keys.
        text: Zeroizing<String>,
    },
    /// A file that Envoy serves through an internal listener, or that a native module reads itself.
    File(KeyFile),
    /// A secret that Envoy hands to a native module.
    Secret(Secret),
    /// A key that the filter makes itself.
    Ephemeral,
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text { field, .. } => f.debug_struct("Text").field("field", field).finish_non_exhaustive(),
            Self::File(file) => file.fmt(f),
            Self::Secret(secret) => secret.fmt(f),
            Self::Ephemeral => f.write_str("Ephemeral"),
        }
    }
}

/// A key file that Envoy reads and watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The file's path, which is the path of the request too.
    pub path: String,
    /// The cluster of the internal listener that serves it.
    pub cluster: String,
    /// How often each worker looks again.
    pub refresh: Duration,
}

/// A generic secret of Envoy's (SDS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Where Envoy has it from, an `envoy.config.core.v3.ConfigSource` as JSON; none for a static one.
    pub source: Option<String>,
}

/// Brings keys, and newer ones when there are some.
pub trait KeyFeed<H> {
    /// Looks for keys; some if they are others than those in use.
    fn look(&mut self, host: &H) -> Option<ActiveKeyring>;

    /// How long to wait before the next look.
    fn period(&self) -> Duration;
}

/// A host that fetches.
pub trait Fetch {
    /// Starts a `GET` to a cluster, unless that is impossible; its end is told to [`ListenerFeed::answered`].
    #[must_use]
    fn fetch(&self, cluster: &str, path: &str, timeout: Duration) -> bool;
}

/// The answer to a fetch.
#[derive(Debug)]
pub struct Answer {
    /// The status code; none if there was no answer.
    pub status: Option<u32>,
    /// The body, which may hold keys.
    pub body: Zeroizing<Vec<u8>>,
}

/// How soon to look again while there are no keys at all.
const RETRY: Duration = Duration::from_millis(100);
/// How long the listener may be out of reach at start without a word about it.
const START_GRACE: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a fetch brought no keys.
#[derive(Debug, Error, PartialEq, Eq)]
enum FetchError {
    #[error("the cluster {0:?} does not answer; it must lead to the internal listener that serves the file")]
    Unreachable(String),
    #[error("its internal listener answers with status {0}; allowed is 200 with the file")]
    Status(u32),
    #[error(transparent)]
    Unusable(#[from] KeyringError),
}

/// The digest of a file's content, to tell one from the other.
type Fingerprint = [u8; 32];

/// The key file as an internal listener serves it, and what a VM knows of it.
pub struct ListenerFeed {
    file: KeyFile,
    choice: SignerChoice,
    started: Duration,
    in_flight: bool,
    reached: bool,
    serves_requests: bool,
    has_read: bool,
    fetched: Option<Fingerprint>,
    active: Option<Fingerprint>,
    /// Shared keys that were others than the file's when it was last read.
    foreign: Option<Fingerprint>,
}

impl<H: ProcessHost + Fetch> KeyFeed<H> for ListenerFeed {
    /// Takes what another worker has shared, and asks for the file unless an answer is still due.
    fn look(&mut self, host: &H) -> Option<ActiveKeyring> {
        let adopted = self.adopt(host);
        if !self.in_flight {
            self.in_flight = host.fetch(&self.file.cluster, &self.file.path, TIMEOUT);
            if !self.in_flight {
                self.unreachable(host);
            }
        }
        adopted
    }

    fn period(&self) -> Duration {
        if self.active.is_some() { self.file.refresh } else { RETRY.min(self.file.refresh) }
    }
}

impl ListenerFeed {
    /// A feed that has not looked yet.
    #[must_use]
    pub fn new(file: KeyFile, choice: SignerChoice, now: Duration) -> Self {
        Self {
            file,
            choice,
            started: now,
            in_flight: false,
            reached: false,
            serves_requests: false,
            has_read: false,
            fetched: None,
            active: None,
            foreign: None,
        }
    }

    /// Notes that this VM sees requests, so that it is none of the main thread.
    pub fn serves_requests(&mut self) {
        self.serves_requests = true;
    }

    /// Keys that another worker has shared, if they are others than those in use and the file has not been read.
    pub fn adopt(&mut self, host: &impl ProcessHost) -> Option<ActiveKeyring> {
        if self.has_read {
            return None;
        }
        let (text, _) = host.shared_data(&self.shared("keys"))?;
        let text = Zeroizing::new(text);
        let fingerprint = fingerprint(&text);
        if self.active == Some(fingerprint) {
            return None;
        }
        let keyring = ActiveKeyring::from_text(&text, self.choice, host).ok()?;
        self.active = Some(fingerprint);
        Some(keyring)
    }

    /// Takes the answer to a fetch. Returns keys if there are new ones.
    pub fn answered(&mut self, host: &impl ProcessHost, answer: &Answer) -> Option<ActiveKeyring> {
        self.in_flight = false;
        if !matches!(answer.status, None | Some(503)) {
            self.reached = true;
            host.set_shared_data(&self.shared("reached"), b"", Expected::Absent);
        }
        match answer.status {
            Some(200) => self.loaded(host, &answer.body),
            None | Some(503) => {
                self.unreachable(host);
                None
            }
            Some(other) => {
                self.failed(host, &FetchError::Status(other));
                None
            }
        }
    }

    fn loaded(&mut self, host: &impl ProcessHost, text: &[u8]) -> Option<ActiveKeyring> {
        let fingerprint = fingerprint(text);
        if self.fetched == Some(fingerprint) {
            self.defend(host, text, fingerprint);
            return None;
        }
        match ActiveKeyring::from_text(text, self.choice, host) {
            Ok(keyring) => {
                self.fetched = Some(fingerprint);
                self.has_read = true;
                self.share(host, text, &keyring);
                let is_new = self.active != Some(fingerprint);
                self.active = Some(fingerprint);
                is_new.then_some(keyring)
            }
            Err(error) => {
                self.failed(host, &error.into());
                None
            }
        }
    }

    /// Shares keys. The worker that is first to share them tells of them.
    fn share(&self, host: &impl ProcessHost, text: &[u8], keyring: &ActiveKeyring) {
        let was_failing = self.change_state(host, b"");
        let expected = match host.shared_data(&self.shared("keys")) {
            Some((shared, _)) if shared == text && !was_failing => return,
            Some((_, version)) => Expected::Version(version),
            None => Expected::Absent,
        };
        if host.set_shared_data(&self.shared("keys"), text, expected) {
            host.add(Counter::KeyLoads, 1);
            keyring.announce(&format!("key file {}", self.file.path), host);
        }
    }

    /// Puts the file's keys back where shared data has had others since the last look. Another worker may have read a newer
    /// file first: then this one reads it, too, at the next look.
    fn defend(&mut self, host: &impl ProcessHost, text: &[u8], own: Fingerprint) {
        let Some((shared, version)) = host.shared_data(&self.shared("keys")) else { return };
        let foreign = Some(fingerprint(&Zeroizing::new(shared))).filter(|shared| *shared != own);
        if foreign.is_none() || foreign != self.foreign {
            self.foreign = foreign;
            return;
        }
        self.foreign = None;
        if host.set_shared_data(&self.shared("keys"), text, Expected::Version(version)) {
            host.add(Counter::SharedKeysReplaced, 1);
            let path = &self.file.path;
            host.log(
                Level::Warn,
                &format!("key file {path}: something else wrote shared data; the file's keys are back"),
            );
        }
    }

    fn unreachable(&mut self, host: &impl ProcessHost) {
        let others_reach = host.shared_data(&self.shared("reached")).is_some();
        let overdue = host.now().saturating_sub(self.started) > START_GRACE;
        if self.reached || if others_reach { self.serves_requests } else { overdue } {
            let cluster = self.file.cluster.clone();
            self.failed(host, &FetchError::Unreachable(cluster));
        }
    }

    /// Counts a failure, and tells of it if it is another than the one before.
    fn failed(&mut self, host: &impl ProcessHost, error: &FetchError) {
        self.fetched = None;
        host.add(Counter::KeyLoadFailures, 1);
        let error = error.to_string();
        if self.change_state(host, error.as_bytes()) {
            let consequence = match self.active {
                Some(_) => "the last good keys stay in use",
                None => "requests are answered 503 until there are keys",
            };
            host.log(Level::Error, &format!("key file {}: {error}; {consequence}", self.file.path));
        }
    }

    /// Notes for all workers what is wrong with the file, nothing if it is empty; true if this changes anything.
    fn change_state(&self, host: &impl ProcessHost, state: &[u8]) -> bool {
        let key = self.shared("state");
        match host.shared_data(&key) {
            Some((shared, _)) if shared == state => false,
            Some((_, version)) => host.set_shared_data(&key, state, Expected::Version(version)),
            None if state.is_empty() => false,
            None => host.set_shared_data(&key, state, Expected::Absent),
        }
    }

    /// The name of what all workers share about this file.
    fn shared(&self, what: &str) -> String {
        format!("attestation.key_file.{what}.{}.{}", self.file.cluster, self.file.path)
    }
}

fn fingerprint(text: &[u8]) -> Fingerprint {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests;
