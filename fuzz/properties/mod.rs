//! What is true of the filter whatever bytes it is given: one function for each reader of bytes from outside.
//!
//! The fuzz targets and the replay of the corpus call the same functions. Each of them panics if what it states is
//! not so.
#![allow(missing_docs, unreachable_pub, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod actor;
mod attester;
mod authority;
mod claims;
mod configuration;
mod endpoint;
mod headers;
mod host;
mod keys;
#[path = "../../tests/src/members.rs"]
mod members;
mod own_headers;
mod sign_answer;

pub use actor::actor;
pub use attester::attester;
pub use authority::authority;
pub use claims::claims;
pub use configuration::configuration;
pub use endpoint::endpoint;
pub use headers::headers;
pub use keys::{key_der, key_text};
pub use own_headers::own_headers;
pub use sign_answer::sign_answer;

/// A function of bytes that panics if its property does not hold.
pub type Property = fn(&[u8]);

/// Every property, by the name of its fuzz target and its corpus.
pub const ALL: [(&str, Property); 11] = [
    ("actor", actor),
    ("attester", attester),
    ("authority", authority),
    ("claims", claims),
    ("configuration", configuration),
    ("endpoint", endpoint),
    ("headers", headers),
    ("key_der", key_der),
    ("key_text", key_text),
    ("own_headers", own_headers),
    ("sign_answer", sign_answer),
];

/// A P-256 key that signs in the tests.
const KEY: &str = include_str!("../../tests/vectors/signing-key-a.b64");

/// The first lines of an input; empty where it has fewer.
fn lines<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut lines = bytes.splitn(N, |byte| *byte == b'\n');
    std::array::from_fn(|_| lines.next().unwrap_or_default())
}

/// The parts of an input between lines of three hyphens, which no message has by chance.
fn parts<const N: usize>(mut bytes: &[u8]) -> [&[u8]; N] {
    const BETWEEN: &[u8] = b"\n---\n";
    std::array::from_fn(|_| {
        let end = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        bytes = end.map_or(&[], |end| &bytes[end + BETWEEN.len()..]);
        part
    })
}
