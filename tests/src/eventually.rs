use super::process::{PATIENCE, PAUSE, wait};

/// Asks `probe` until it has an answer.
///
/// # Panics
/// After 30 seconds without one, naming `what` was awaited.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    wait(what, PATIENCE, PAUSE, || probe().map(Ok)).unwrap_or_else(|e| panic!("{e}"))
}
