//! Keys: from a PEM text to signatures, and to the keyset that verifiers fetch.

mod accident;
pub mod active;
mod algorithm;
mod error;
pub mod feed;
pub mod jws;
mod packed;
mod private;
pub mod public;
mod ring;
pub mod signer;
mod text;

pub use accident::holds_private_key;
pub use error::{BlockError, KeyError};
pub use private::{P256Key, RsaKey, SigningKey};
pub use public::{Keyset, PublicKey};
pub use ring::{Key, Keyring};
pub use text::{Block, KeyText, MAX_BLOCKS, write_block};

#[cfg(test)]
mod tests;
