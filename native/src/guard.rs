//! Keeps panics out of Envoy: nothing may unwind into it, and none of its processes may end for one request.

use std::panic::{self, AssertUnwindSafe};

use crate::ffi::{LogLevel, log};

/// Runs a hook; none if it panics, which is logged.
///
/// What a panic leaves behind is looked at again only by what cannot be broken by it: the request is answered, and
/// nothing shared is left half changed, as all that is shared is replaced as a whole.
pub(crate) fn guard<T>(hook: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(hook)).ok()
}

/// Has panics logged: where they were, and not what they say, which could be anything.
pub(crate) fn install() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log(LogLevel::Error, &format!("attestation: panicked at {place}; please report it"));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_is_caught() {
        assert_eq!(guard(|| 1), Some(1));
        assert_eq!(guard(|| panic!("never mind")).map(|(): ()| 1), None);
    }
}
