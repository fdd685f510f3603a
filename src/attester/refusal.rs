//! Requests that are answered instead of forwarded, each counted by its reason.

use crate::actor::Unverifiable;
use crate::host::metrics::Counter;
use crate::host::{Host, Level};
use crate::http::endpoint::Response;
use crate::keys::signer::NotSigned;

fn refuse(host: &impl Host, counter: Counter, status: u32, reason: &str) -> Response {
    host.add(counter, 1);
    Response::refusal(status, reason)
}

pub(super) fn no_key(host: &impl Host) -> Response {
    refuse(host, Counter::RefusedNoKey, 503, "no signing key has been loaded yet").with("retry-after", "1")
}

pub(super) fn missing_identity(host: &impl Host) -> Response {
    refuse(host, Counter::RefusedMissingIdentity, 401, "no identity").with("www-authenticate", "Bearer")
}

pub(super) fn bad_actor(host: &impl Host, reason: Unverifiable) -> Response {
    host.log(Level::Warn, &format!("refused a request: its incoming assertion cannot be verified: {reason}"));
    refuse(host, Counter::RefusedBadActor, 401, "the incoming assertion cannot be verified")
        .with("www-authenticate", "Bearer error=\"invalid_token\"")
}

pub(super) fn bad_host(host: &impl Host) -> Response {
    refuse(host, Counter::RefusedBadHost, 400, "the host of this request is not valid")
}

pub(super) fn unbound(host: &impl Host) -> Response {
    refuse(host, Counter::RefusedUnbound, 400, "this request lacks what its assertion would be bound to")
}

pub(super) fn bad_route(host: &impl Host) -> Response {
    refuse(host, Counter::RefusedBadRoute, 500, "the metadata of this route is not valid")
}

pub(super) fn too_long(host: &impl Host, length: usize, max: usize) -> Response {
    let message =
        format!("refused a request: its assertion would have {length} bytes, max_assertion_bytes allows {max}");
    host.log(Level::Warn, &message);
    refuse(host, Counter::RefusedTooLong, 431, "the assertion for this request is too long")
}

pub(super) fn no_randomness(host: &impl Host) -> Response {
    host.log(Level::Error, "refused a request: the host gives no randomness for its assertion");
    refuse(host, Counter::RefusedNotSigned, 500, "no assertion could be made")
}

pub(super) fn not_signed(host: &impl Host, error: &NotSigned) -> Response {
    host.log(Level::Error, &format!("refused a request: {error}"));
    refuse(host, Counter::RefusedNotSigned, 500, "no assertion could be made")
}
