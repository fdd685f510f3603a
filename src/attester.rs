//! One request in, one decision out.

use std::cell::RefCell;
use std::rc::Rc;

use crate::assertion::{Assertion, Kept};
use crate::authority::Authority;
use crate::claims::Facts;
use crate::config::{Config, ConfigError, KeySource, OnMissingIdentity};
use crate::endpoint::{self, Endpoint, Response};
use crate::header::OwnHeaders;
use crate::host::{Headers, Host, Level};
use crate::identity::{Evidence, Identity};
use crate::jws;
use crate::key_file::KeyFileWatch;
use crate::keyring::{Keyring, KeyringError};
use crate::metrics::{Counter, Histogram};
use crate::random::RandomPool;
use crate::route::{Route, Routes};
use crate::signer::SignedBy;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes on, with these changes.
    Forward(Changes),
    /// It is answered here.
    Respond(Response),
}

/// Changes of the request's header fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names to remove, with all their values, before anything is set.
    pub remove: Vec<String>,
    /// Names and values to set.
    pub set: Vec<(String, String)>,
}

/// The filter's logic: one for each VM.
pub struct Attester {
    config: Config,
    routes: Routes,
    own_headers: OwnHeaders,
    keyring: RefCell<Option<Rc<InUse>>>,
    random: RandomPool,
}

/// A keyring, and the assertions that its key has signed.
struct InUse {
    keyring: Keyring,
    kept: Option<Kept>,
}

/// A request as far as it has been understood.
struct Request<'a, H> {
    host: &'a H,
    headers: &'a Headers,
    keys: &'a InUse,
    route: &'a Route,
    identity: Option<Identity<'a>>,
}

impl Attester {
    /// The logic for a configuration. Inline and ephemeral keys are ready at once; those of a file come later, by
    /// [`Attester::use_keys`].
    ///
    /// # Errors
    /// A [`ConfigError`] if the keys cannot be used as configured.
    pub fn new(config: Config, host: &impl Host) -> Result<Self, ConfigError> {
        let mut names = vec![config.assertion_header.clone()];
        names.extend(config.claim_headers.iter().map(|claim| claim.header.clone()));
        let keyring = keyring_at_start(&config, host)?;
        let attester = Self {
            routes: Routes::new(config.settings.clone(), config.claim_headers.clone()),
            own_headers: OwnHeaders::new(names),
            keyring: RefCell::default(),
            random: RandomPool::default(),
            config,
        };
        if let Some(keyring) = keyring {
            attester.use_keys(keyring);
        }
        Ok(attester)
    }

    /// The watch for the key file, if keys come from one.
    #[must_use]
    pub fn key_file_watch(&self, host: &impl Host) -> Option<KeyFileWatch> {
        match &self.config.key_source {
            KeySource::File(file) => Some(KeyFileWatch::new(file.clone(), self.config.signer, host.now())),
            KeySource::Text { .. } | KeySource::Ephemeral => None,
        }
    }

    /// From now on signs with and publishes these keys. What the old key signed is not used again.
    pub fn use_keys(&self, keyring: Keyring) {
        let kept = self.config.reuse.map(Kept::new);
        self.keyring.replace(Some(Rc::new(InUse { keyring, kept })));
    }

    /// Decides on the current request.
    pub fn on_request(&self, host: &impl Host) -> Decision {
        let Some(keys) = self.keyring.borrow().clone() else {
            host.add(Counter::RefusedNoKey, 1);
            return Decision::Respond(
                Response::refusal(503, "no signing key has been loaded yet").with("retry-after", "1"),
            );
        };
        let headers = host.request_headers();
        let endpoint = Endpoint::at(headers.first(":path"), &self.config.jwks_path, self.config.user_endpoints);
        let answer = match endpoint {
            Some(endpoint) => self.answer(endpoint, host, &headers, &keys).map(Decision::Respond),
            None => self.forward(host, &headers, &keys).map(Decision::Forward),
        };
        answer.unwrap_or_else(Decision::Respond)
    }

    /// The names of a request's trailers that must not go on.
    pub fn spoofed<'a>(&self, trailers: &'a Headers, host: &impl Host) -> Vec<&'a str> {
        let names: Vec<&str> = trailers
            .names()
            .filter(|name| self.own_headers.include(name))
            .filter_map(|name| str::from_utf8(name).ok())
            .collect();
        if !names.is_empty() {
            host.add(Counter::SpoofsStripped, u64::try_from(names.len()).unwrap_or_default());
        }
        names
    }

    /// The changes for a request that goes on, or the refusal.
    fn forward<H: Host>(&self, host: &H, headers: &Headers, keys: &InUse) -> Result<Changes, Response> {
        let route = self.route(host)?;
        let remove = self.spoofed(headers, host).into_iter().map(str::to_owned).collect();
        let mut changes = Changes { remove, set: Vec::new() };
        if !route.pass_identity_headers && route.on_missing_identity != OnMissingIdentity::Deny {
            return Ok(changes);
        }
        let evidence = Evidence::new(host, headers);
        let request = Request { host, headers, keys, route: &route, identity: self.identity(&evidence, host) };
        match (&request.identity, route.on_missing_identity) {
            (None, OnMissingIdentity::Deny) => return Err(missing_identity(host)),
            (None, OnMissingIdentity::Skip) => host.add(Counter::Skipped, 1),
            _ if !route.pass_identity_headers => {}
            _ => changes.set = self.assertion_headers(&request)?,
        }
        Ok(changes)
    }

    /// The assertion header and the claim headers beside it.
    fn assertion_headers<H: Host>(&self, request: &Request<'_, H>) -> Result<Vec<(String, String)>, Response> {
        let authority = self.authority(request)?;
        let assertion = self.assertion(request, authority.as_ref())?;
        let value = format!("{}{}", self.config.assertion_prefix, assertion.token);
        if self.config.max_assertion_bytes.is_some_and(|max| value.len() > max) {
            return Err(self.too_long(value.len(), request.host));
        }
        let mut set = vec![(self.config.assertion_header.as_str().to_owned(), value)];
        let facts = facts(request, authority.as_ref(), &assertion);
        set.extend(request.route.plan.headers(&facts).map(|(header, text)| (header.as_str().to_owned(), text)));
        request.host.set_filter_state("attestation.jti", &assertion.token_id);
        request.host.set_filter_state("attestation.kid", request.keys.keyring.signer().kid());
        Ok(set)
    }

    /// Answers one of the filter's own paths.
    fn answer<H: Host>(
        &self,
        endpoint: Endpoint,
        host: &H,
        headers: &Headers,
        keys: &InUse,
    ) -> Result<Response, Response> {
        match endpoint {
            Endpoint::Jwks => {
                host.add(Counter::JwksServed, 1);
                Ok(keys.keyring.jwks().answer(headers, self.config.jwks_max_age))
            }
            Endpoint::Discovery => self.discovery(host, headers),
            Endpoint::Jwt | Endpoint::User => self.user_endpoint(endpoint, host, headers, keys),
        }
    }

    fn discovery<H: Host>(&self, host: &H, headers: &Headers) -> Result<Response, Response> {
        let route = self.route(host)?;
        let authority = Authority::parse(headers.first(":authority")).ok_or_else(|| bad_host(host))?;
        let scheme = if headers.first(":scheme").eq_ignore_ascii_case(b"http") { "http" } else { "https" };
        let issuer = route.plan.issuer(&authority);
        let document = endpoint::discovery(&issuer, scheme, authority.as_str(), &self.config.jwks_path);
        Ok(document.answer(headers, self.config.jwks_max_age))
    }

    fn user_endpoint<H: Host>(
        &self,
        endpoint: Endpoint,
        host: &H,
        headers: &Headers,
        keys: &InUse,
    ) -> Result<Response, Response> {
        if !matches!(headers.first(":method"), b"GET" | b"HEAD") {
            return Ok(endpoint::method_not_allowed("GET, HEAD"));
        }
        let route = self.route(host)?;
        let evidence = Evidence::new(host, headers);
        let identity = self.identity(&evidence, host).ok_or_else(|| missing_identity(host))?;
        let request = Request { host, headers, keys, route: &route, identity: Some(identity) };
        let authority = self.authority(&request)?;
        let assertion = self.assertion(&request, authority.as_ref())?;
        let (content_type, body) = match endpoint {
            Endpoint::User => {
                ("application/json", route.plan.payload(&facts(&request, authority.as_ref(), &assertion)).json)
            }
            _ => ("application/jwt", assertion.token.into_bytes()),
        };
        Ok(Response { status: 200, headers: Vec::new(), body }
            .with("content-type", content_type)
            .with("cache-control", "no-store")
            .with("x-content-type-options", "nosniff"))
    }

    fn route(&self, host: &impl Host) -> Result<Rc<Route>, Response> {
        self.routes.current(host).map_err(|_| {
            host.add(Counter::RefusedBadRoute, 1);
            Response::refusal(500, "the metadata of this route is not valid")
        })
    }

    fn identity<'e, H: Host>(&'e self, evidence: &'e Evidence<'_, H>, host: &H) -> Option<Identity<'e>> {
        let found = evidence.identity(&self.config.identity_sources);
        if host.logs_debug() {
            let source = found.as_ref().map_or("no source: anonymous", |(_, source)| source.kind());
            host.log(Level::Debug, &format!("identity from {source}"));
        }
        found.map(|(identity, _)| identity)
    }

    /// The request's host where a claim needs it.
    fn authority<H: Host>(&self, request: &Request<'_, H>) -> Result<Option<Authority>, Response> {
        if !request.route.plan.needs_host() {
            return Ok(None);
        }
        Authority::parse(request.headers.first(":authority")).map(Some).ok_or_else(|| bad_host(request.host))
    }

    /// An assertion for the request: one that is kept, or a new one.
    fn assertion<H: Host>(
        &self,
        request: &Request<'_, H>,
        authority: Option<&Authority>,
    ) -> Result<Assertion, Response> {
        let Some(kept) = &request.keys.kept else { return self.new_assertion(request, authority) };
        let now = request.host.now();
        let identity = request.identity.as_ref();
        let key = Kept::key(request.route.id, authority.map_or("", Authority::uri_host), identity);
        if let Some(assertion) = key.as_deref().and_then(|key| kept.get(key, now)) {
            request.host.add(Counter::Reused, 1);
            return Ok(assertion);
        }
        let assertion = self.new_assertion(request, authority)?;
        if let Some(key) = key {
            kept.put(key, assertion.clone(), now, identity);
        }
        Ok(assertion)
    }

    fn new_assertion<H: Host>(
        &self,
        request: &Request<'_, H>,
        authority: Option<&Authority>,
    ) -> Result<Assertion, Response> {
        let host = request.host;
        let token_id = self.random.uuid_v4(host).ok_or_else(|| not_signed(host, "the host gives no randomness"))?;
        let issued_at = host.now().as_secs();
        let expires_at = issued_at.saturating_add(self.config.token_lifetime);
        let mut assertion = Assertion { token: String::new(), token_id, issued_at, expires_at };
        let payload = request.route.plan.payload(&facts(request, authority, &assertion));
        if payload.groups_removed > 0 {
            host.add(Counter::GroupsRemoved, u64::try_from(payload.groups_removed).unwrap_or_default());
        }
        assertion.token = sign(host, &request.keys.keyring, &payload.json)?;
        Ok(assertion)
    }

    fn too_long(&self, length: usize, host: &impl Host) -> Response {
        host.add(Counter::RefusedTooLong, 1);
        let max = self.config.max_assertion_bytes.unwrap_or_default();
        host.log(
            Level::Warn,
            &format!("refused a request: its assertion has {length} bytes, max_assertion_bytes is {max}"),
        );
        Response::refusal(431, "the assertion for this request is too long")
    }
}

fn keyring_at_start(config: &Config, host: &impl Host) -> Result<Option<Keyring>, ConfigError> {
    match &config.key_source {
        KeySource::File(_) => Ok(None),
        KeySource::Ephemeral => {
            Keyring::ephemeral(config.signer, host).map(Some).map_err(|error| keyring_error("signing_key", error))
        }
        KeySource::Text { field, text } => Keyring::from_text(text.as_bytes(), config.signer, host)
            .map(Some)
            .map_err(|error| keyring_error(field, error)),
    }
}

fn keyring_error(field: &'static str, error: KeyringError) -> ConfigError {
    match error {
        KeyringError::Key(error) => ConfigError::Key { field, error },
        KeyringError::Signer(error) => ConfigError::Signer { field: "signer", reason: error.to_string() },
        KeyringError::NoEphemeralKey => ConfigError::Signer { field, reason: error.to_string() },
    }
}

fn facts<'a, H>(request: &'a Request<'_, H>, authority: Option<&'a Authority>, assertion: &'a Assertion) -> Facts<'a> {
    Facts {
        identity: request.identity.as_ref(),
        authority,
        token_id: &assertion.token_id,
        issued_at: assertion.issued_at,
        expires_at: assertion.expires_at,
    }
}

/// The compact token over this payload.
fn sign(host: &impl Host, keyring: &Keyring, payload: &[u8]) -> Result<String, Response> {
    let signer = keyring.signer();
    let input = signer.header().signing_input(payload);
    let before = host.now();
    let (signature, signed_by) =
        signer.sign(host, input.as_bytes()).map_err(|error| not_signed(host, &error.to_string()))?;
    let took = host.now().saturating_sub(before);
    host.record(Histogram::SignDuration, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    host.count_signed_by(signer.kid());
    match signed_by {
        SignedBy::Host => host.add(Counter::SignedByHost, 1),
        SignedBy::Wasm => host.add(Counter::SignedInWasm, 1),
        SignedBy::Fallback => {
            host.add(Counter::SignedInWasm, 1);
            host.add(Counter::SignFallbacks, 1);
        }
    }
    Ok(jws::compact(input, &signature))
}

fn not_signed(host: &impl Host, reason: &str) -> Response {
    host.add(Counter::RefusedNotSigned, 1);
    host.log(Level::Error, &format!("refused a request: no assertion could be made: {reason}"));
    Response::refusal(500, "no assertion could be made")
}

fn missing_identity(host: &impl Host) -> Response {
    host.add(Counter::RefusedMissingIdentity, 1);
    Response::refusal(401, "no identity").with("www-authenticate", "Bearer")
}

fn bad_host(host: &impl Host) -> Response {
    host.add(Counter::RefusedBadHost, 1);
    Response::refusal(400, "the host of this request is not valid")
}

#[cfg(test)]
mod tests;
