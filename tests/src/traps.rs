//! The log of a worker that fell, and a module that falls.

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

/// A module whose `proxy_on_request_headers` is one `unreachable`, section by section: its three function types, its
/// functions, a page of memory, its exports, the code.
pub fn trapping_module() -> Vec<u8> {
    [
        &b"\0asm\x01\0\0\0"[..],
        b"\x01\x10\x03\x60\x03\x7f\x7f\x7f\x01\x7f\x60\x00\x00\x60\x01\x7f\x01\x7f",
        b"\x03\x04\x03\x00\x01\x02",
        b"\x05\x03\x01\x00\x01",
        b"\x07\x48\x04\x06memory\x02\x00\x18proxy_on_request_headers\x00\x00",
        b"\x17proxy_abi_version_0_2_1\x00\x01\x06malloc\x00\x02",
        b"\x0a\x0e\x03\x03\x00\x00\x0b\x02\x00\x0b\x05\x00\x41\x80\x08\x0b",
    ]
    .concat()
}
