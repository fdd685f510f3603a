//! What Envoy loads: a configuration, with what brings its keys.

use std::sync::{Arc, Mutex, PoisonError};

use attestation_filter::attester::Attester;
use attestation_filter::config::{Config, ConfigError, Platform};
use attestation_filter::host::Level;
use attestation_filter::identity::IdentitySource;
use attestation_filter::keys::feed::KeySource;
use thiserror::Error;

use crate::feed::{FileFeed, SecretFeed};
use crate::ffi::{MainThread, has_metadata, has_secrets, is_validating};
use crate::keeper::{Keeper, Task};
use crate::metadata::Kinds;
use crate::metrics::Metrics;
use crate::plugin::Plugin;
use crate::process::{Process, log_line};

/// What this module is, for whoever reads a log.
const VERSION: &str = concat!("attestation-filter ", env!("CARGO_PKG_VERSION"), ", native");

/// What Envoy owns of a configuration. Any of its threads may be the one that drops it.
pub(crate) struct Loaded {
    plugin: Arc<Plugin>,
    secret: Option<Mutex<SecretFeed>>,
    /// Its thread ends before anything else of this is dropped.
    keeper: Option<Keeper>,
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
enum LoadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "identity_sources: got metadata; this Envoy hands none to native modules (1.38 and later do); put the object into \
         filter state with a set_filter_state filter, as docs/native.md shows, and write {{filter_state: NAME}}"
    )]
    NoMetadata,
    #[error(
        "signing_key_secret: this Envoy hands no secrets to native modules (1.40 and later do); write signing_key_file"
    )]
    NoSecrets,
    #[error("signing_key_secret: Envoy has no generic secret {0:?}; see the line before this one")]
    NoSecret(String),
    #[error("cannot start the thread that watches the keys: {0}")]
    NoThread(#[from] std::io::Error),
}

impl Loaded {
    /// Reads a configuration; none if it is refused, which is logged.
    pub(crate) fn load(main: &MainThread<'_>, text: &[u8]) -> Option<Self> {
        match Self::try_load(main, text) {
            Ok(loaded) => {
                log_line(Level::Debug, VERSION);
                Some(loaded)
            }
            Err(error) => {
                log_line(Level::Error, &format!("configuration rejected: {error}"));
                None
            }
        }
    }

    fn try_load(main: &MainThread<'_>, text: &[u8]) -> Result<Self, LoadError> {
        let config = Config::read(Platform::Native, text, |name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })?;
        check_envoy(&config)?;
        let metrics = Metrics::define(main);
        let attester = Attester::new(config, &Process { metrics: &metrics, stream: None })?;
        let plugin = Plugin { attester, metrics, kinds: Kinds::default(), held: Arc::default() };
        let loaded = Self { plugin: Arc::new(plugin), secret: None, keeper: None }.with_feed(main)?;
        if let Some(kid) = loaded.plugin.attester.kid() {
            loaded.plugin.metrics.keep_signed_by(main, &kid);
        }
        loaded.plugin.metrics.flush_from_main(main);
        Ok(loaded)
    }

    /// With what brings the keys, if they are not in the configuration.
    fn with_feed(mut self, main: &MainThread<'_>) -> Result<Self, LoadError> {
        let plugin = &self.plugin;
        let task = if let Some(file) = plugin.attester.key_file() {
            let mut feed = Box::new(FileFeed::new(&file.path, file.refresh));
            plugin.use_keys(feed.start(&plugin.process()));
            Task::File(feed)
        } else if let Some(secret) = plugin.attester.secret() {
            let feed = SecretFeed::subscribe(main, secret).ok_or_else(|| LoadError::NoSecret(secret.name.clone()))?;
            let feed = self.secret.insert(Mutex::new(feed));
            let feed = feed.get_mut().unwrap_or_else(PoisonError::into_inner);
            plugin.use_keys(feed.start(main, &plugin.process()));
            Task::Secret
        } else {
            return Ok(self);
        };
        if !is_validating() {
            self.keeper = Some(Keeper::start(Arc::clone(plugin), task, main.scheduler())?);
        }
        Ok(self)
    }

    /// The main thread, when the keeper has asked for it.
    pub(crate) fn on_wake(&self, main: &MainThread<'_>) {
        if let Some(secret) = &self.secret {
            let mut secret = secret.lock().unwrap_or_else(PoisonError::into_inner);
            self.plugin.use_keys(secret.look(main, &self.plugin.process()));
        }
        self.plugin.metrics.flush_from_main(main);
    }

    pub(crate) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }
}

/// Refuses what this Envoy does not have.
fn check_envoy(config: &Config) -> Result<(), LoadError> {
    let wants_metadata = config.identity_sources.iter().any(|source| matches!(source, IdentitySource::Metadata { .. }));
    if wants_metadata && !has_metadata() {
        return Err(LoadError::NoMetadata);
    }
    if matches!(config.key_source, KeySource::Secret(_)) && !has_secrets() {
        return Err(LoadError::NoSecrets);
    }
    Ok(())
}
