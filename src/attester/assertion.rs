//! Builds the assertion for a request.

use super::Worker;
use super::refusal::Refusal;
use super::request::Request;
use crate::claims::{Payload, Shed};
use crate::config::Config;
use crate::host::{Counter, Histogram, ProcessHost, RequestHost};
use crate::keys::jws;
use crate::keys::ring::Keyring;
use crate::keys::signer::SignedBy;

/// A signed assertion, and what is told of it beside it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Assertion {
    /// The compact token.
    pub(super) token: String,
    /// `jti`.
    pub(super) token_id: String,
    /// `iat`, in seconds since the epoch.
    pub(super) issued_at: u64,
    /// `exp`, in seconds since the epoch.
    pub(super) expires_at: u64,
    /// Which of the claims that can be shed it does without.
    pub(super) shed: Shed,
}

/// What builds the assertions of one worker with one keyring.
pub(super) struct Builder<'a> {
    pub(super) config: &'a Config,
    pub(super) worker: &'a Worker,
    pub(super) keyring: &'a Keyring,
}

impl Builder<'_> {
    /// An assertion to send upstream, within the configured limit: one that is kept, or a new one.
    pub(super) fn assertion<H: RequestHost>(&self, request: &Request<'_, H>) -> Result<Assertion, Refusal> {
        let max = self.config.max_assertion_bytes;
        let Some(cache) = &self.worker.cache else { return self.new_assertion(request, max) };
        let host = request.host.process();
        let (now, kid) = (host.now(), self.keyring.signer().kid());
        let claims = request.route.plan.payload(&request.facts(&Assertion::default())).json;
        if let Some(assertion) = cache.get(kid, &claims, now) {
            host.add(Counter::Reused, 1);
            return Ok(assertion);
        }
        let assertion = self.new_assertion(request, max)?;
        cache.put(kid, claims, assertion.clone(), now, request.identity());
        Ok(assertion)
    }

    /// A new assertion of at most so many bytes, with its prefix.
    pub(super) fn new_assertion<H: RequestHost>(
        &self,
        request: &Request<'_, H>,
        max_bytes: Option<usize>,
    ) -> Result<Assertion, Refusal> {
        let host = request.host.process();
        let token_id = self.worker.token_ids.uuid_v4(host).ok_or(Refusal::NoRandomness)?;
        let issued_at = host.now().as_secs();
        let expires_at = issued_at.saturating_add(self.config.token_lifetime);
        let mut assertion = Assertion { token: String::new(), token_id, issued_at, expires_at, shed: Shed::default() };
        let payload = self.payload_within(request, &mut assertion, max_bytes)?;
        if payload.groups_removed > 0 {
            host.add(Counter::GroupsRemoved, u64::try_from(payload.groups_removed).unwrap_or_default());
        }
        assertion.token = sign(host, self.keyring, &payload.json)?;
        Ok(assertion)
    }

    /// The claims, without as many of those that can be shed as it takes to stay within the limit.
    fn payload_within<H: RequestHost>(
        &self,
        request: &Request<'_, H>,
        assertion: &mut Assertion,
        max_bytes: Option<usize>,
    ) -> Result<Payload, Refusal> {
        loop {
            let payload = request.route.plan.payload(&request.facts(assertion));
            let Some(max) = max_bytes else { return Ok(payload) };
            let length = self.config.assertion_prefix.len() + self.keyring.signer().token_bytes(payload.json.len());
            if length <= max {
                return Ok(payload);
            }
            let shed = request.route.plan.shed_more(&request.facts(assertion), self.config.claims.shed.len());
            assertion.shed = shed.ok_or(Refusal::TooLong { length, max })?;
        }
    }
}

/// The compact token over this payload.
fn sign<P: ProcessHost>(host: &P, keyring: &Keyring, payload: &[u8]) -> Result<String, Refusal> {
    let signer = keyring.signer();
    let input = signer.header().signing_input(payload);
    let before = host.now();
    let (signature, signed_by) = signer.sign(input.as_bytes()).map_err(Refusal::NotSigned)?;
    let took = host.now().saturating_sub(before);
    host.record(Histogram::SignDuration, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    host.count_signed_by(signer.kid());
    host.add(if signed_by == SignedBy::Host { P::SIGNED_BY_HOST } else { P::SIGNED_BY_CORE }, 1);
    if signed_by == SignedBy::Fallback {
        host.add(Counter::SignFallbacks, 1);
    }
    Ok(jws::compact(input, &signature))
}
