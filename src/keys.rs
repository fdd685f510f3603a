//! Keys: from a PEM text to signatures, and to the keyset that verifiers fetch.

mod error;
pub mod feed;
pub mod jws;
mod private;
pub mod public;
pub mod ring;
pub mod signer;
mod text;

pub use error::{BlockError, KeyError};
pub use private::{MAX_BLOCKS, P256Key, RsaKey, RsaPublicKey, SigningKey, SigningKeys};
