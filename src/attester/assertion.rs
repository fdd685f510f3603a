//! Builds the assertion for a request.

use super::Worker;
use super::refusal::Refusal;
use super::request::Request;
use crate::claims::{Payload, Shed, Stamp};
use crate::config::Config;
use crate::host::{Counter, Histogram, Level, ProcessHost, RequestHost};
use crate::identity::Identity;
use crate::keys::active::ActiveKeyring;
use crate::keys::jws;
use crate::keys::signer::SignedBy;

/// A signed assertion, and what is told of it beside it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Assertion {
    /// The compact token.
    pub(super) token: String,
    /// What it says of itself.
    pub(super) stamp: Stamp,
}

/// What builds the assertions of one worker with one keyring.
pub(super) struct Builder<'a> {
    pub(super) config: &'a Config,
    pub(super) worker: &'a Worker,
    pub(super) keyring: &'a ActiveKeyring,
}

impl Builder<'_> {
    /// An assertion to send upstream, within the configured limit: one that is kept, or a new one.
    pub(super) fn assertion<H: RequestHost>(&self, request: &Request<'_, H>) -> Result<Assertion, Refusal> {
        let max = self.config.max_assertion_bytes;
        let Some(cache) = &self.worker.cache else { return self.new_assertion(request, max) };
        let host = request.host.process();
        let (now, kid) = (host.now(), self.keyring.signer().kid());
        let claims = request.route.plan.payload(&request.facts(&Stamp::default()), Shed::default()).json;
        let end = request.identity().and_then(Identity::expires_at);
        if let Some(assertion) = cache.get(kid, &claims, now, end) {
            host.add(Counter::Reused, 1);
            return Ok(assertion);
        }
        let assertion = self.new_assertion(request, max)?;
        cache.put(kid, claims, assertion.clone(), now, end);
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
        let now = host.now().as_secs();
        let issued_at = now.saturating_sub(self.config.iat_backdate);
        let expires_at = now.saturating_add(self.config.token_lifetime);
        let stamp = Stamp { token_id, issued_at, expires_at };
        let payload = self.payload_within(request, &stamp, max_bytes)?;
        if payload.groups_removed > 0 {
            host.add(Counter::GroupsRemoved, u64::try_from(payload.groups_removed).unwrap_or_default());
        }
        self.report_left_out(host, &payload);
        let token = self.sign(host, &payload.json)?;
        Ok(Assertion { token, stamp })
    }

    /// The claims, without as many of those that can be shed as it takes to stay within the limit.
    fn payload_within<'a, H: RequestHost>(
        &self,
        request: &'a Request<'_, H>,
        stamp: &'a Stamp,
        max_bytes: Option<usize>,
    ) -> Result<Payload<'a>, Refusal> {
        let (plan, facts) = (&request.route.plan, request.facts(stamp));
        let Some(max) = max_bytes else { return Ok(plan.payload(&facts, Shed::default())) };
        let length = |payload| self.config.assertion_prefix.len() + self.keyring.signer().token_bytes(payload);
        let shed = plan.shed(&facts, |payload| length(payload) <= max);
        let shed = shed.map_err(|payload| Refusal::TooLong { length: length(payload), max })?;
        Ok(plan.payload(&facts, shed))
    }

    /// Counts the claims of which something is left out, and names each once.
    fn report_left_out(&self, host: &impl ProcessHost, payload: &Payload<'_>) {
        for claim in &payload.left_out {
            host.add(Counter::ClaimsLeftOut, 1);
            let message = format!(
                "claim {claim:?}: left out, in whole or in part, as it cannot be represented: a whole number beyond \
                 ±(2^53-1), or no text where there must be one; have the identity provider send a string"
            );
            self.worker.told.once(host, self.config.fingerprint.as_str(), Level::Warn, &message);
        }
    }

    /// The compact token over this payload.
    fn sign<P: ProcessHost>(&self, host: &P, payload: &[u8]) -> Result<String, Refusal> {
        let signer = self.keyring.signer();
        let input = signer.header().signing_input(payload);
        let before = host.now();
        let (signature, signed_by) = signer.sign(input.as_bytes()).map_err(|error| {
            self.worker.told.once(host, self.config.fingerprint.as_str(), Level::Error, &error.to_string());
            Refusal::NotSigned(error)
        })?;
        let took = host.now().saturating_sub(before);
        host.record(Histogram::SignDuration, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        host.count_signed_by(signer.kid());
        host.add(if signed_by == SignedBy::Host { P::SIGNED_BY_HOST } else { P::SIGNED_BY_CORE }, 1);
        if signed_by == SignedBy::Fallback {
            host.add(Counter::SignFallbacks, 1);
        }
        Ok(jws::compact(input, &signature))
    }
}
