//! Assertions as a verifier meets them: taken apart, checked, and judged in words.

mod check;
mod fault;
mod parts;

pub(crate) use check::{Expected, check};
pub(crate) use fault::Fault;
pub(crate) use parts::{Part, Token};

/// What is known of a token after all checks.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The decoded token; none if it is no JWS at all.
    pub(crate) token: Option<Token>,
    /// Everything that is wrong with it. None at all: it is good.
    pub(crate) faults: Vec<Fault>,
}

impl Verdict {
    /// Whether the assertion may be believed.
    pub(crate) fn is_good(&self) -> bool {
        self.token.is_some() && self.faults.is_empty()
    }

    /// Whether the signature was not checked at all, for want of a keyset.
    pub(crate) fn is_without_keyset(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault, Fault::NoKeyset { .. }))
    }

    /// Whether the signature is right, so that the claims are at least those which the key's owner signed.
    pub(crate) fn is_signed(&self) -> bool {
        self.token.is_some() && self.faults.iter().all(Fault::is_of_claims)
    }
}
