//! Randomness for token IDs, drawn in bulk: one call of the host serves 64 requests.

use std::cell::RefCell;

use uuid::{Builder, fmt::Hyphenated};

use crate::host::ProcessHost;

const POOL_BYTES: usize = 1024;

/// Random bytes, each given out once.
#[derive(Debug)]
pub(super) struct RandomPool(RefCell<Pool>);

#[derive(Debug)]
struct Pool {
    bytes: Box<[u8; POOL_BYTES]>,
    left: usize,
}

impl Default for RandomPool {
    fn default() -> Self {
        Self(RefCell::new(Pool { bytes: Box::new([0; POOL_BYTES]), left: 0 }))
    }
}

impl RandomPool {
    /// A random UUID (RFC 9562, section 5.4) as text; none if the host gives no randomness.
    pub(super) fn uuid_v4(&self, host: &impl ProcessHost) -> Option<String> {
        let mut pool = self.0.borrow_mut();
        if pool.left < 16 {
            if !host.fill_random(&mut *pool.bytes) {
                return None;
            }
            pool.left = POOL_BYTES;
        }
        let start = POOL_BYTES - pool.left;
        pool.left -= 16;
        let bytes = *pool.bytes.get(start..)?.first_chunk()?;
        let mut text = [0; Hyphenated::LENGTH];
        Some(Builder::from_random_bytes(bytes).into_uuid().hyphenated().encode_lower(&mut text).to_owned())
    }
}
