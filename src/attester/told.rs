//! States that are logged once: however many requests run into one, the log grows by a line.

use std::cell::RefCell;
use std::collections::BTreeSet;

use base16ct::lower;
use sha2::{Digest as _, Sha256};

use crate::host::{Expected, Level, ProcessHost};

/// States beyond this many are not logged: there are as many as an operator has configured, and never so many.
const MAX_TOLD: usize = 4096;

/// What a worker has logged, or found that another one has.
#[derive(Debug, Default)]
pub(super) struct Told(RefCell<BTreeSet<[u8; 32]>>);

impl Told {
    /// Logs a state, if this is the first worker to meet it under this configuration.
    pub(super) fn once(&self, host: &impl ProcessHost, configuration: &str, level: Level, message: &str) {
        if self.settle(host, configuration, message) {
            host.log(level, message);
        }
    }

    /// Has no worker log a state under this configuration; whether none has before.
    pub(super) fn settle(&self, host: &impl ProcessHost, configuration: &str, message: &str) -> bool {
        let state: [u8; 32] = Sha256::new().chain_update(configuration).chain_update(message).finalize().into();
        let mut told = self.0.borrow_mut();
        if told.len() >= MAX_TOLD || !told.insert(state) {
            return false;
        }
        let name = format!("attestation.told.{}", lower::encode_string(&state));
        host.set_shared_data(&name, b"", Expected::Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_state_is_logged_by_the_first_worker_alone() {
        let host = FakeHost::default();
        let (first, second) = (Told::default(), Told::default());
        for told in [&first, &first, &second] {
            told.once(&host, "a", Level::Warn, "x");
        }
        first.once(&host, "a", Level::Warn, "y");
        first.once(&host, "b", Level::Warn, "x");
        assert_eq!(*host.log.borrow(), ["Warn: x", "Warn: y", "Warn: x"]);
    }
}
