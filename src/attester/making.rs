//! From an understood request to its assertion.

use super::request::{self, Request};
use super::{Attester, Keys, refusal};
use crate::actor::OnUnverifiable;
use crate::attester::cache::Assertion;
use crate::claims::{Payload, RequestLine, Shed};
use crate::config::Binding;
use crate::host::metrics::{Counter, Histogram};
use crate::host::{Host, Level};
use crate::http::authority::Authority;
use crate::http::endpoint::Response;
use crate::keys::jws;
use crate::keys::ring::Keyring;
use crate::keys::signer::SignedBy;

impl Attester {
    /// Finds out what else the claims are made of, as far as the configuration asks for it.
    pub(super) fn complete<H: Host>(&self, request: &mut Request<'_, H>) -> Result<(), Response> {
        if !self.config.claims.bind.is_empty() {
            request.line = self.bound_line(request)?;
        }
        if request.route.plan.needs_host() {
            let authority = Authority::parse(request.headers.first(":authority"));
            request.authority = Some(authority.ok_or_else(|| refusal::bad_host(request.host))?);
        }
        request.actor = self.actor(request)?;
        Ok(())
    }

    /// What assertions can be bound to, with all that they are to be bound to.
    fn bound_line<'a, H: Host>(&self, request: &Request<'a, H>) -> Result<RequestLine<'a>, Response> {
        let line = request::line(request.headers);
        let lacks = |binding: &Binding| match binding {
            Binding::Method => line.method.is_empty(),
            Binding::Path => line.path.is_empty(),
            Binding::RequestId => line.request_id.is_empty(),
            Binding::Authority => false,
        };
        if self.config.claims.bind.iter().any(lacks) { Err(refusal::unbound(request.host)) } else { Ok(line) }
    }

    /// The `act` claim that an incoming assertion makes, where actors are configured.
    fn actor<H: Host>(&self, request: &Request<'_, H>) -> Result<Option<String>, Response> {
        let Some(actors) = &self.config.claims.actors else { return Ok(None) };
        let mut incoming = request.headers.values(self.config.assertion_header.as_str());
        let Some(value) = incoming.next() else { return Ok(None) };
        let prefix = self.config.assertion_prefix.as_bytes();
        // Two values contradict each other: then neither can be verified.
        let token = value.strip_prefix(prefix).filter(|_| incoming.next().is_none()).unwrap_or_default();
        let audience = Authority::parse(request.headers.first(":authority"));
        let audience = audience.as_ref().map_or("", Authority::host);
        match actors.act(token, audience, request.host.now().as_secs()) {
            Ok(act) => Ok(Some(act)),
            Err(reason) if actors.on_unverifiable == OnUnverifiable::Deny => {
                Err(refusal::bad_actor(request.host, reason))
            }
            Err(reason) => {
                if request.host.logs_debug() {
                    request.host.log(Level::Debug, &format!("dropped an incoming assertion: {reason}"));
                }
                Ok(None)
            }
        }
    }

    /// An assertion for the request, of at most so many bytes with its prefix: one that is kept, or a new one.
    pub(super) fn assertion<H: Host>(
        &self,
        request: &Request<'_, H>,
        keys: &Keys,
        max_bytes: Option<usize>,
    ) -> Result<Assertion, Response> {
        // Without a limit nothing is shed, so a whole assertion never stands in for one that is kept for its shortness.
        let Some(kept) = keys.kept.as_ref().filter(|_| max_bytes == self.config.max_assertion_bytes) else {
            return self.new_assertion(request, &keys.keyring, max_bytes);
        };
        let now = request.host.now();
        let claims = request.route.plan.payload(&request.facts(&Assertion::default())).json;
        if let Some(assertion) = kept.get(&claims, now) {
            request.host.add(Counter::Reused, 1);
            return Ok(assertion);
        }
        let assertion = self.new_assertion(request, &keys.keyring, max_bytes)?;
        kept.put(claims, assertion.clone(), now, request.identity());
        Ok(assertion)
    }

    fn new_assertion<H: Host>(
        &self,
        request: &Request<'_, H>,
        keyring: &Keyring,
        max_bytes: Option<usize>,
    ) -> Result<Assertion, Response> {
        let host = request.host;
        let token_id = self.random.uuid_v4(host).ok_or_else(|| refusal::no_randomness(host))?;
        let issued_at = host.now().as_secs();
        let expires_at = issued_at.saturating_add(self.config.token_lifetime);
        let mut assertion = Assertion { token: String::new(), token_id, issued_at, expires_at, shed: Shed::default() };
        let payload = self.payload_within(request, keyring, &mut assertion, max_bytes)?;
        if payload.groups_removed > 0 {
            host.add(Counter::GroupsRemoved, u64::try_from(payload.groups_removed).unwrap_or_default());
        }
        assertion.token = sign(host, keyring, &payload.json)?;
        Ok(assertion)
    }

    /// The claims, without as many of those that can be shed as it takes to stay within the limit.
    fn payload_within<H: Host>(
        &self,
        request: &Request<'_, H>,
        keyring: &Keyring,
        assertion: &mut Assertion,
        max_bytes: Option<usize>,
    ) -> Result<Payload, Response> {
        loop {
            let payload = request.route.plan.payload(&request.facts(assertion));
            let Some(max) = max_bytes else { return Ok(payload) };
            let length = self.config.assertion_prefix.len() + keyring.signer().token_bytes(payload.json.len());
            if length <= max {
                return Ok(payload);
            }
            let shed = request.route.plan.shed_more(&request.facts(assertion), self.config.claims.shed.len());
            assertion.shed = shed.ok_or_else(|| refusal::too_long(request.host, length, max))?;
        }
    }
}

/// The compact token over this payload.
fn sign(host: &impl Host, keyring: &Keyring, payload: &[u8]) -> Result<String, Response> {
    let signer = keyring.signer();
    let input = signer.header().signing_input(payload);
    let before = host.now();
    let (signature, signed_by) =
        signer.sign(host, input.as_bytes()).map_err(|error| refusal::not_signed(host, &error))?;
    let took = host.now().saturating_sub(before);
    host.record(Histogram::SignDuration, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    host.count_signed_by(signer.kid());
    host.add(if signed_by == SignedBy::Host { Counter::SignedByHost } else { Counter::SignedInWasm }, 1);
    if signed_by == SignedBy::Fallback {
        host.add(Counter::SignFallbacks, 1);
    }
    Ok(jws::compact(input, &signature))
}
