//! What all configurations of this process share.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use attestation_filter::host::{Expected, SharedData};
use zeroize::Zeroizing;

/// Values by name, with their versions. Wiped when they are replaced.
pub(crate) struct Shared(Mutex<BTreeMap<String, Versioned>>);

/// A value and its version.
type Versioned = (Zeroizing<Vec<u8>>, u32);

/// The values of this process.
pub(crate) static SHARED: Shared = Shared(Mutex::new(BTreeMap::new()));

impl SharedData for Shared {
    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.get(key).map(|(value, version)| (value.to_vec(), *version))
    }

    fn set_shared_data(&self, key: &str, value: &[u8], expected: Expected) -> bool {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = match (values.get(key), expected) {
            (None, Expected::Absent) => 1,
            (Some((_, version)), Expected::Version(expected)) if *version == expected => version.wrapping_add(1),
            _ => return false,
        };
        values.insert(key.to_owned(), (Zeroizing::new(value.to_vec()), version));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_set_only_as_expected() {
        let shared = Shared(Mutex::default());
        assert!(!shared.set_shared_data("a", b"1", Expected::Version(1)));
        assert!(shared.set_shared_data("a", b"1", Expected::Absent));
        assert!(!shared.set_shared_data("a", b"2", Expected::Absent));
        let (value, version) = shared.shared_data("a").unwrap();
        assert_eq!(value, b"1");
        assert!(shared.set_shared_data("a", b"2", Expected::Version(version)));
        assert!(!shared.set_shared_data("a", b"3", Expected::Version(version)));
        assert_eq!(shared.shared_data("a").unwrap().0, b"2");
        assert_eq!(shared.shared_data("b"), None);
    }
}
