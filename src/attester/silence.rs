//! Sources that never yield anything: what writes them may be missing, or come after the filter.

use std::cell::Cell;

use super::told::Told;
use crate::host::{Level, ProcessHost};
use crate::identity::IdentitySource;

/// After so many requests of a worker without anything in a source, an operator is told.
const PATIENCE: u8 = 100;
/// The source has had something, or has been told of.
const SETTLED: u8 = u8::MAX;

/// How many requests in a row each source has been silent in, from the first request on.
#[derive(Debug)]
pub(super) struct Silence(Vec<Cell<u8>>);

impl Silence {
    pub(super) fn new(sources: usize) -> Self {
        Self(vec![Cell::new(0); sources])
    }

    /// Takes note of a source that was looked at. Only what another filter writes for every user can be missing.
    pub(super) fn note(
        &self,
        place: usize,
        (source, has_something): (&IdentitySource, bool),
        told: &Told,
        (host, configuration): (&impl ProcessHost, &str),
    ) {
        let Some(count) = self.0.get(place).filter(|count| count.get() != SETTLED) else { return };
        let Some(look_at) = writer(source) else { return count.set(SETTLED) };
        if !has_something && count.get() < PATIENCE - 1 {
            return count.set(count.get() + 1);
        }
        count.set(SETTLED);
        let message = format!(
            "{} (identity_sources, number {}) had nothing in the first {PATIENCE} requests; if some were of users, look \
             at {look_at}, and whether that filter comes before this one",
            source.label(),
            place + 1
        );
        if has_something {
            // The other workers need not wonder.
            told.settle(host, configuration, &message);
        } else {
            told.once(host, configuration, Level::Warn, &message);
        }
    }
}

/// What to look at where a source stays empty; nothing for what may well be empty.
fn writer(source: &IdentitySource) -> Option<&'static str> {
    match source {
        IdentitySource::Metadata { .. } => {
            Some("payload_in_metadata of jwt_authn, or what else writes this namespace, at namespace and path")
        }
        IdentitySource::FilterState(_) => {
            Some("the object_key of a set_filter_state filter, at what its format_string names")
        }
        IdentitySource::Headers(_) | IdentitySource::ClientCertificate(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    fn note(silence: &Silence, told: &Told, host: &FakeHost, source: &IdentitySource, has_something: bool) {
        silence.note(0, (source, has_something), told, (host, "configuration"));
    }

    #[test]
    fn a_silent_source_is_told_of_once() {
        for source in [IdentitySource::jwt_authn(), IdentitySource::FilterState("who".into())] {
            let host = FakeHost::default();
            let workers = [(); 2].map(|()| (Silence::new(1), Told::default()));
            for (silence, told) in &workers {
                (0..99).for_each(|_| note(silence, told, &host, &source, false));
            }
            assert!(host.log.borrow().is_empty());
            for (silence, told) in &workers {
                (0..1000).for_each(|_| note(silence, told, &host, &source, false));
            }
            assert_eq!(host.log.borrow().len(), 1, "{source:?}");
            assert!(host.log.borrow()[0].contains(&*source.label()));
        }
    }

    #[test]
    fn a_source_that_once_had_something_is_not_told_of() {
        let (host, source) = (FakeHost::default(), IdentitySource::jwt_authn());
        let workers = [(); 2].map(|()| (Silence::new(1), Told::default()));
        note(&workers[0].0, &workers[0].1, &host, &source, true);
        for (silence, told) in &workers {
            (0..1000).for_each(|_| note(silence, told, &host, &source, false));
        }
        assert!(host.log.borrow().is_empty(), "{:?}", host.log);
    }

    #[test]
    fn headers_may_well_be_missing() {
        let (host, source) = (FakeHost::default(), IdentitySource::Headers(Vec::new()));
        let (silence, told) = (Silence::new(1), Told::default());
        (0..1000).for_each(|_| note(&silence, &told, &host, &source, false));
        assert!(host.log.borrow().is_empty());
    }
}
