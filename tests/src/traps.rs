//! The log of a worker that fell.

/// What Envoy, its V8 and Rust's runtime print when a module traps, runs out of memory or returns nonsense.
///
/// A refused configuration prints `Wasm VM failed Failed to configure` too; that is no trap.
const SIGNS: [&str; 8] = [
    "panicked at",
    "in-VM backtrace",
    "Uncaught RuntimeError",
    "failed: Uncaught",
    "memory allocation of",
    "Wasm VM failed Failed to initialize",
    "Wasm VM failed Failed to start",
    "Failed to load Wasm",
];

/// The lines of a log that tell of a trap.
pub fn find(log: &str) -> Vec<&str> {
    log.lines().filter(|line| SIGNS.iter().any(|sign| line.contains(sign))).collect()
}

/// # Panics
/// If the log tells of a trap.
pub fn assert_none(log: &str) {
    let traps = find(log);
    assert!(traps.is_empty(), "a worker fell:\n{}\n--- the log ---\n{log}", traps.join("\n"));
}
