//! Where a native filter's keys come from: a file that the module reads itself, or a secret that Envoy has by SDS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use attestation_filter::host::{Counter, Level, ProcessHost};
use attestation_filter::keys::active::ActiveKeyring;
use attestation_filter::keys::feed::{KeyFeed, Secret};
use attestation_filter::keys::signer::SignerChoice;

use crate::ffi::{MainThread, SecretId};
use crate::key_file::{Content, KeyFile, Look};

/// How soon to look again while there are no keys at all.
const RETRY: Duration = Duration::from_millis(100);
/// How often to look at the most. A change is taken when two looks have seen it, within twice this.
const MAX_PERIOD: Duration = Duration::from_millis(500);

/// Keys in a place, and what has become of them.
pub(crate) struct Loader {
    /// What the log calls the place.
    place: String,
    active: Option<Arc<Content>>,
    failure: Option<String>,
}

/// The last good content of each place that a configuration of this process signs with. A configuration that comes while
/// the place is empty or its content unusable goes on with it.
static LAST_GOOD: Mutex<BTreeMap<String, Weak<Content>>> = Mutex::new(BTreeMap::new());

impl Loader {
    /// A place that has not been looked at.
    pub(crate) fn new(place: String) -> Self {
        Self { place, active: None, failure: None }
    }

    /// Whether there are keys.
    pub(crate) fn has_keys(&self) -> bool {
        self.active.is_some()
    }

    /// Takes new content. Returns its keys if they can be used.
    pub(crate) fn take(&mut self, host: &impl ProcessHost, content: Content) -> Option<ActiveKeyring> {
        match ActiveKeyring::from_text(&content, SignerChoice::Auto, host) {
            Ok(keyring) => {
                host.add(Counter::KeyLoads, 1);
                keyring.announce(&self.place, host);
                self.failure = None;
                self.keep(Arc::new(content));
                Some(keyring)
            }
            Err(error) => {
                self.fail(host, &error.to_string());
                None
            }
        }
    }

    /// Counts a failure, and tells of it if it is another than the one before.
    pub(crate) fn fail(&mut self, host: &impl ProcessHost, error: &str) {
        host.add(Counter::KeyLoadFailures, 1);
        if self.failure.as_deref() == Some(error) {
            return;
        }
        let consequence = match self.active {
            Some(_) => "the last good keys stay in use",
            None => "requests are held, then answered 503, until there are keys",
        };
        host.log(Level::Error, &format!("{}: {error}; {consequence}", self.place));
        self.failure = Some(error.to_owned());
    }

    /// Counts that what is there still cannot be used, if that is so: a count that stands still looks like all is well.
    pub(crate) fn look_again(&self, host: &impl ProcessHost) {
        if self.failure.is_some() {
            host.add(Counter::KeyLoadFailures, 1);
        }
    }

    /// Keys that another configuration uses, if there are none yet.
    pub(crate) fn adopt(&mut self, host: &impl ProcessHost) -> Option<ActiveKeyring> {
        if self.has_keys() {
            return None;
        }
        let content = last_good().get(&self.place)?.upgrade()?;
        let keyring = ActiveKeyring::from_text(&content, SignerChoice::Auto, host).ok()?;
        self.active = Some(content);
        Some(keyring)
    }

    fn keep(&mut self, content: Arc<Content>) {
        let mut places = last_good();
        places.retain(|_, content| content.strong_count() > 0);
        places.insert(self.place.clone(), Arc::downgrade(&content));
        drop(places);
        self.active = Some(content);
    }
}

fn last_good() -> std::sync::MutexGuard<'static, BTreeMap<String, Weak<Content>>> {
    LAST_GOOD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keys in a file.
pub(crate) struct FileFeed {
    file: KeyFile,
    loader: Loader,
    refresh: Duration,
}

impl FileFeed {
    /// A file that has not been looked at; `refresh` is how soon a change is wanted.
    pub(crate) fn new(path: &str, refresh: Duration) -> Self {
        Self { file: KeyFile::new(path), loader: Loader::new(format!("key file {path}")), refresh }
    }

    /// The first look. Where another configuration of this process has keys from the file, they are taken, and other content
    /// than theirs only once it has settled: it may be half written.
    pub(crate) fn start(&mut self, host: &impl ProcessHost) -> Option<ActiveKeyring> {
        let adopted = self.loader.adopt(host);
        if let Some(content) = &self.loader.active {
            self.file.assume(Content::clone(content));
        }
        self.look(host).or(adopted)
    }
}

impl<H: ProcessHost> KeyFeed<H> for FileFeed {
    fn look(&mut self, host: &H) -> Option<ActiveKeyring> {
        match self.file.look() {
            Look::Nothing => {
                self.loader.look_again(host);
                None
            }
            Look::Changed(content) => self.loader.take(host, content),
            Look::Failed(error) => {
                self.file.forget();
                self.loader.fail(host, &format!("cannot read it: {error}"));
                None
            }
        }
    }

    fn period(&self) -> Duration {
        let period = self.refresh.min(2 * MAX_PERIOD) / 2;
        if self.loader.has_keys() { period } else { period.min(RETRY) }
    }
}

/// The keys in a secret. The main thread looks at it.
pub(crate) struct SecretFeed {
    id: SecretId,
    loader: Loader,
    seen: Option<Content>,
}

impl SecretFeed {
    /// How often the main thread is asked to look.
    pub(crate) const PERIOD: Duration = MAX_PERIOD;

    /// Subscribes to a secret; none if Envoy refuses, which it logs.
    pub(crate) fn subscribe(main: &MainThread<'_>, secret: &Secret) -> Option<Self> {
        let id = main.subscribe(&secret.name, secret.source.as_deref().map(str::as_bytes))?;
        Some(Self { id, loader: Loader::new(format!("secret {}", secret.name)), seen: None })
    }

    /// The first look, with the keys of another configuration if there is nothing usable.
    pub(crate) fn start(&mut self, main: &MainThread<'_>, host: &impl ProcessHost) -> Option<ActiveKeyring> {
        self.look(main, host).or_else(|| self.loader.adopt(host))
    }

    /// Looks at the secret; some if there are other keys in it than before. It is empty until it has come.
    pub(crate) fn look(&mut self, main: &MainThread<'_>, host: &impl ProcessHost) -> Option<ActiveKeyring> {
        let content = main.secret(self.id);
        if content.is_empty() || self.seen.as_ref().is_some_and(|seen| seen.as_slice() == content) {
            self.loader.look_again(host);
            return None;
        }
        let content = Content::new(content.to_vec());
        self.seen = Some(content.clone());
        self.loader.take(host, content)
    }
}
