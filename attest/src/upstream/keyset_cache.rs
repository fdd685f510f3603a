//! The keyset, fetched when it is needed and kept as long as the proxy allows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::keyset::{Fetcher, Keyset, Source, SourceError};

/// For a source that does not say how long: the filter's own default.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);
/// Unknown key IDs cost nothing to invent; they cause one fetch in this time, and no more.
const PAUSE: Duration = Duration::from_secs(1);

/// A cache of one keyset. Requests that need the same fetch wait for it together.
pub(super) struct KeysetCache {
    fetcher: Fetcher,
    source: Source,
    read_once: bool,
    cached: Mutex<Option<Cached>>,
}

/// A fetched keyset, and when.
#[derive(Clone)]
pub(super) struct Cached {
    pub(super) keyset: Arc<Keyset>,
    pub(super) fetched: Instant,
    max_age: Duration,
}

impl Cached {
    fn serves(&self, kid: Option<&str>) -> bool {
        let age = self.fetched.elapsed();
        let known = kid.is_none_or(|kid| self.keyset.key(kid).is_some());
        age < PAUSE || (known && age < self.max_age)
    }
}

impl KeysetCache {
    pub(super) fn new(fetcher: Fetcher, source: Source) -> Self {
        let read_once = source.is_read_once();
        Self { fetcher, source, read_once, cached: Mutex::new(None) }
    }

    /// Where the keyset comes from.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The keyset, fresh enough for an assertion with this key ID.
    ///
    /// # Errors
    /// When it has to be fetched and that fails. An old keyset is not used in its place: a key may have been
    /// taken out of it for a reason. What comes through a pipe stays: it never says anything else.
    pub(super) async fn get(&self, kid: Option<&str>) -> Result<Cached, SourceError> {
        let mut cached = self.cached.lock().await;
        if let Some(known) = cached.as_ref().filter(|known| self.read_once || known.serves(kid)) {
            return Ok(known.clone());
        }
        let fresh = self.fetch().await?;
        *cached = Some(fresh.clone());
        Ok(fresh)
    }

    async fn fetch(&self) -> Result<Cached, SourceError> {
        let (fetcher, source) = (self.fetcher.clone(), self.source.clone());
        let fetched = tokio::task::spawn_blocking(move || fetcher.fetch(&source)).await;
        let fetched = fetched.map_err(|_| SourceError::new(format!("cannot fetch {}", self.source), "try again"))??;
        Ok(Cached {
            keyset: Arc::new(fetched.keyset),
            fetched: Instant::now(),
            max_age: fetched.max_age.unwrap_or(DEFAULT_MAX_AGE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyset::TrustArgs;

    #[test]
    fn what_is_read_once_is_kept() {
        let keyset = Arc::new(Keyset::parse(br#"{"keys":[]}"#).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keyset.json");
        std::fs::write(&file, "changed").unwrap();
        for (path, is_kept) in [("/dev/null".into(), true), (file, false)] {
            let fetcher = Fetcher::new(&TrustArgs::default(), false).unwrap();
            let cache = KeysetCache::new(fetcher, Source::File(path));
            let fetched = Instant::now().checked_sub(PAUSE).unwrap();
            let old = Cached { keyset: Arc::clone(&keyset), fetched, max_age: Duration::ZERO };
            *cache.cached.try_lock().unwrap() = Some(old);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            assert_eq!(runtime.block_on(cache.get(Some("new"))).is_ok(), is_kept);
        }
    }
}
