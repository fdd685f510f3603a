//! What the filter does on request and Pomerium does not: assertions that are tied to their request, that name who acts
//! on behalf of the user, and that keep within a size. (Where an identity is from is in `authorities`.)

/// A peer's incoming assertion as the `act` claim, and nothing unverified in it.
mod actor;
/// Assertions that are tied to their request.
mod bind;
/// Assertions that keep within a size.
mod shed;
