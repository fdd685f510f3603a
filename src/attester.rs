//! One request in, one decision out.

mod assertion;
mod cache;
mod earlier;
mod refusal;
mod request;
mod route;
mod silence;
mod token_id;
mod told;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::claims::{OnMissingIdentity, Stamp};
use crate::config::{Config, ConfigError};
use crate::host::{Counter, ProcessHost, RequestHost};
use crate::http::authority::Authority;
use crate::http::endpoint::{self, Endpoint, Paths, Response};
use crate::http::fields::Fields;
use crate::http::header_name::OwnHeaders;
use crate::keys::active::{ActiveKeyring, KeyringError};
use crate::keys::feed::{KeyFile, KeySource, Secret};
use crate::keys::jws;
use crate::keys::signer::SignerChoice;

use assertion::Builder;
use cache::Cache;
use earlier::Earlier;
use refusal::Refusal;
use request::Request;
use route::{Route, RouteDefaults, SeenRoutes};
use silence::Silence;
use token_id::RandomPool;
use told::Told;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes on, with these changes.
    Forward(Changes),
    /// It is answered here.
    Respond(Response),
    /// It waits for a key: the host decides again once there is one, or after [`Attester::key_wait`] has it answered as
    /// [`Attester::give_up`] says.
    Wait,
}

/// The name of an assertion's `jti` in the filter state, to which Envoy adds `wasm.` in front.
pub const JTI: &str = "attestation.jti";
/// The same of its `kid`.
pub const KID: &str = "attestation.kid";
/// How many requests of one worker wait for a key at the same time.
pub const MAX_WAITING: usize = 1024;

/// Changes of the request's header fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names to remove, with all their values, before anything is set.
    pub remove: Vec<String>,
    /// Names and values to set.
    pub set: Vec<(String, String)>,
}

/// The filter's logic under one configuration. Threads share it.
pub struct Attester {
    config: Config,
    own_headers: OwnHeaders,
    default_route: Arc<Route>,
    kept_as: String,
    keyring: RwLock<Option<Arc<ActiveKeyring>>>,
}

/// What one thread remembers of the requests that it has seen under one configuration.
pub struct Worker {
    seen_routes: SeenRoutes,
    cache: Option<Cache>,
    token_ids: RandomPool,
    told: Told,
    silence: Silence,
}

impl Attester {
    /// The logic for a configuration. Inline and ephemeral keys are ready at once; those of a file come later, by
    /// [`Attester::use_keys`].
    ///
    /// # Errors
    /// A [`ConfigError`] if the keys cannot be used as configured.
    pub fn new(config: Config, host: &impl ProcessHost) -> Result<Self, ConfigError> {
        let keyring = keyring_at_start(&config, host)?;
        let mut names = vec![config.assertion_header.clone()];
        names.extend(config.claims.headers.iter().map(|claim| claim.header.clone()));
        let attester = Self {
            own_headers: OwnHeaders::new(names),
            default_route: Arc::new(Route::new(&config.settings, &config.claims)),
            kept_as: earlier::name(&config.assertion_header),
            keyring: RwLock::default(),
            config,
        };
        if let Some(keyring) = keyring {
            keyring.announce("configured", host);
            attester.use_keys(keyring);
        }
        Ok(attester)
    }

    /// What a thread needs beside this to serve requests.
    #[must_use]
    pub fn worker(&self) -> Worker {
        Worker {
            seen_routes: SeenRoutes::default(),
            cache: self.config.reuse.map(Cache::new),
            token_ids: RandomPool::default(),
            told: Told::default(),
            silence: Silence::new(self.config.identity_sources.len()),
        }
    }

    /// The key file, if keys come from one.
    #[must_use]
    pub fn key_file(&self) -> Option<&KeyFile> {
        match &self.config.key_source {
            KeySource::File(file) => Some(file),
            KeySource::Text { .. } | KeySource::Secret(_) | KeySource::Ephemeral => None,
        }
    }

    /// The secret, if keys come from one.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        match &self.config.key_source {
            KeySource::Secret(secret) => Some(secret),
            KeySource::Text { .. } | KeySource::File(_) | KeySource::Ephemeral => None,
        }
    }

    /// Whether there are keys.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The ID of the key that signs, if there are keys.
    #[must_use]
    pub fn kid(&self) -> Option<String> {
        self.keyring().map(|keyring| keyring.signer().kid().to_owned())
    }

    /// Where the signature is computed.
    #[must_use]
    pub fn signer_choice(&self) -> SignerChoice {
        self.config.signer
    }

    /// From now on signs with and publishes these keys.
    pub fn use_keys(&self, keyring: ActiveKeyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keyring));
    }

    fn keyring(&self) -> Option<Arc<ActiveKeyring>> {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The name of what a host keeps for when Envoy runs the filter again for a request.
    #[must_use]
    pub fn kept_as(&self) -> &str {
        &self.kept_as
    }

    /// How long a request is held while no key has been loaded.
    #[must_use]
    pub fn key_wait(&self) -> Duration {
        self.config.signing_key_wait
    }

    /// The answer to a request for which there is no key.
    pub fn give_up(&self, host: &impl ProcessHost) -> Response {
        Refusal::NoKey.answer(host)
    }

    /// Decides on a request.
    pub fn on_request<H: RequestHost>(&self, worker: &Worker, host: &H) -> Decision {
        let Some(keyring) = self.keyring() else {
            return if self.key_wait().is_zero() {
                Decision::Respond(self.give_up(host.process()))
            } else {
                Decision::Wait
            };
        };
        let headers = host.headers();
        let builder = Builder { config: &self.config, worker, keyring: &keyring };
        let decision = match Endpoint::at(headers.first(":path"), self.paths()) {
            Some(_) if endpoint::is_grpc(&headers) => Err(Refusal::Grpc),
            Some(endpoint) => self.endpoint(endpoint, &builder, host, &headers).map(Decision::Respond),
            None => self.forward(&builder, host, &headers).map(Decision::Forward),
        };
        decision.unwrap_or_else(|refusal| Decision::Respond(refusal.answer(host.process())))
    }

    fn paths(&self) -> Paths<'_> {
        Paths {
            jwks: &self.config.jwks_path,
            openid: self.config.openid_configuration,
            user: self.config.user_endpoints,
        }
    }

    /// The names of a request's trailers that must not go on.
    pub fn spoofed_trailers<'a>(&self, trailers: &Fields<'a>, host: &impl ProcessHost) -> Vec<&'a str> {
        let spoofed = self.own_names(trailers);
        count_spoofs(host, spoofed.len());
        spoofed
    }

    fn own_names<'a>(&self, fields: &Fields<'a>) -> Vec<&'a str> {
        let own = fields.names().filter(|name| self.own_headers.include(name));
        own.filter_map(|name| str::from_utf8(name).ok()).collect()
    }

    /// The request's assertion, if this very filter has put it there before Envoy ran its filters again: the host keeps no
    /// `jti` that a client sends.
    fn signed_before(&self, host: &impl RequestHost, headers: &Fields<'_>) -> Option<Earlier> {
        let mut assertions = headers.values(self.config.assertion_header.as_str());
        let (Some(value), None) = (assertions.next(), assertions.next()) else { return None };
        let token_id = jws::token_id(value.strip_prefix(self.config.assertion_prefix.as_bytes())?)?;
        Earlier::kept(host, &self.kept_as).filter(|earlier| earlier.token_id == token_id)
    }

    /// The changes for a request that goes on.
    fn forward<H: RequestHost>(
        &self,
        builder: &Builder<'_>,
        host: &H,
        headers: &Fields<'_>,
    ) -> Result<Changes, Refusal> {
        let route = self.route(builder.worker, host)?;
        let earlier = self.signed_before(host, headers);
        let mut changes = self.cleaned(host.process(), headers, earlier.is_some());
        if !route.pass_identity_headers && route.on_missing_identity != OnMissingIdentity::Deny {
            return Ok(changes);
        }
        let request = Request::new(host, headers, &route, &self.config, builder.worker);
        let may_be_nobody = self.config.cors_allow_preflight && endpoint::is_cors_preflight(headers);
        match route.on_missing_identity {
            _ if request.is_anonymous() && may_be_nobody => host.process().add(Counter::Skipped, 1),
            OnMissingIdentity::Deny if request.is_anonymous() => return Err(Refusal::MissingIdentity),
            OnMissingIdentity::Skip if request.is_anonymous() => host.process().add(Counter::Skipped, 1),
            _ if !route.pass_identity_headers => {}
            _ => {
                let request = request.complete(&self.config, earlier)?;
                changes.set.extend(self.assertion_headers(builder, &request)?);
            }
        }
        Ok(changes)
    }

    /// The changes that leave nothing of what only the filter may send.
    fn cleaned(&self, host: &impl ProcessHost, headers: &Fields<'_>, is_signed_before: bool) -> Changes {
        let own = self.own_names(headers);
        let is_spoof = |name: &&&str| !(is_signed_before && self.own_headers.has(name));
        count_spoofs(host, own.iter().filter(is_spoof).count());
        let remove = own.into_iter().map(str::to_owned).collect();
        let mut changes = Changes { remove, set: Vec::new() };
        // Only an upgrade still has the field here. It must not have a proxy behind drop what the filter sends.
        match self.own_headers.connection_without_them(headers) {
            Some(connection) if connection.is_empty() => changes.remove.push("connection".into()),
            Some(connection) => changes.set.push(("connection".into(), connection)),
            None => {}
        }
        changes
    }

    /// The assertion header and the claim headers beside it.
    fn assertion_headers<H: RequestHost>(
        &self,
        builder: &Builder<'_>,
        request: &Request<'_, H>,
    ) -> Result<Vec<(String, String)>, Refusal> {
        let assertion = builder.assertion(request)?;
        if request.is_anonymous() {
            request.host.process().add(Counter::Anonymous, 1);
        }
        tell_access_log(request.host, &assertion.stamp, builder.keyring);
        let facts = request.facts(&assertion.stamp);
        Earlier::keep(request.host, &self.kept_as, &assertion.stamp.token_id, facts.actor);
        let claim_headers = request.route.plan.headers(&facts);
        let mut set: Vec<_> =
            claim_headers.into_iter().map(|(header, text)| (header.as_str().to_owned(), text)).collect();
        let value = match self.config.assertion_prefix.as_str() {
            "" => assertion.token,
            prefix => format!("{prefix}{}", assertion.token),
        };
        set.push((self.config.assertion_header.as_str().to_owned(), value));
        Ok(set)
    }

    /// Answers one of the filter's own paths.
    fn endpoint<H: RequestHost>(
        &self,
        endpoint: Endpoint,
        builder: &Builder<'_>,
        host: &H,
        headers: &Fields<'_>,
    ) -> Result<Response, Refusal> {
        match endpoint {
            Endpoint::Jwks => {
                let answer = builder.keyring.jwks().answer(headers, self.config.jwks_max_age, "attestation_jwks");
                host.process().add(Counter::JwksServed, u64::from(matches!(answer.status, 200 | 304)));
                Ok(answer)
            }
            Endpoint::Discovery | Endpoint::OpenId => self.discovery(endpoint, builder, host, headers),
            Endpoint::Authorize => Ok(Response::refusal(404, "attestation_no_authorization", "nobody logs in here")),
            Endpoint::Jwt | Endpoint::User => self.user_endpoint(endpoint, builder, host, headers),
        }
    }

    fn discovery<H: RequestHost>(
        &self,
        endpoint: Endpoint,
        builder: &Builder<'_>,
        host: &H,
        headers: &Fields<'_>,
    ) -> Result<Response, Refusal> {
        let route = self.route(builder.worker, host)?;
        let authority = Authority::parse(headers.first(":authority")).ok_or(Refusal::BadHost)?;
        let issuer = route.plan.issuer(&authority);
        let scheme = request::scheme(headers, host.is_tls());
        let jwks_uri = format!("{scheme}://{}{}", authority.as_str(), self.config.jwks_path);
        let document = match endpoint {
            // A route's issuer can be another than the plugin's.
            Endpoint::OpenId if !endpoint::is_discoverable(&issuer) => {
                return Ok(Response::refusal(404, "attestation_no_openid", "the issuer of this route is no URL"));
            }
            Endpoint::OpenId => {
                endpoint::openid_configuration(&issuer, &jwks_uri, &authority, builder.keyring.algorithms())
            }
            _ => endpoint::discovery(&issuer, &jwks_uri),
        };
        Ok(document.answer(headers, self.config.jwks_max_age, "attestation_discovery"))
    }

    fn user_endpoint<H: RequestHost>(
        &self,
        endpoint: Endpoint,
        builder: &Builder<'_>,
        host: &H,
        headers: &Fields<'_>,
    ) -> Result<Response, Refusal> {
        if !host.has_route() {
            return Err(Refusal::NoRoute);
        }
        if !matches!(headers.first(":method"), b"GET" | b"HEAD") {
            return Ok(endpoint::method_not_allowed("GET, HEAD"));
        }
        let route = self.route(builder.worker, host)?;
        let request = Request::new(host, headers, &route, &self.config, builder.worker);
        if request.is_anonymous() {
            return Err(Refusal::MissingIdentity);
        }
        let request = request.complete(&self.config, None)?;
        let (content_type, details, body) = match endpoint {
            Endpoint::User => {
                let stamp = Stamp::default();
                let user = route.plan.user(&request.facts(&stamp));
                ("application/json", "attestation_user", user.json)
            }
            _ => {
                let assertion = builder.new_assertion(&request, None)?;
                tell_access_log(host, &assertion.stamp, builder.keyring);
                ("application/jwt", "attestation_jwt", assertion.token.into_bytes())
            }
        };
        Ok(Response::new(200, details, body)
            .with("content-type", content_type)
            .with("cache-control", "no-store")
            .with("x-content-type-options", "nosniff"))
    }

    fn route(&self, worker: &Worker, host: &impl RequestHost) -> Result<Arc<Route>, Refusal> {
        let defaults = RouteDefaults { config: &self.config, route: &self.default_route, told: &worker.told };
        worker.seen_routes.current(&defaults, host)
    }
}

/// Has access logs find an assertion.
fn tell_access_log(host: &impl RequestHost, stamp: &Stamp, keyring: &ActiveKeyring) {
    host.set_filter_state(JTI, &stamp.token_id);
    host.set_filter_state(KID, keyring.signer().kid());
}

fn count_spoofs(host: &impl ProcessHost, number: usize) {
    if number > 0 {
        host.add(Counter::SpoofsStripped, u64::try_from(number).unwrap_or_default());
    }
}

fn keyring_at_start(config: &Config, host: &impl ProcessHost) -> Result<Option<ActiveKeyring>, ConfigError> {
    let (field, keyring) = match &config.key_source {
        KeySource::File(_) | KeySource::Secret(_) => return Ok(None),
        KeySource::Ephemeral => ("signing_key", ActiveKeyring::ephemeral(config.signer, host)),
        KeySource::Text { field, text } => (*field, ActiveKeyring::from_text(text.as_bytes(), config.signer, host)),
    };
    keyring.map(Some).map_err(|error| match error {
        KeyringError::Key(error) => ConfigError::Key { field, error },
        KeyringError::Signer(error) => ConfigError::Signer { field: "signer", reason: error.to_string() },
        KeyringError::NoEphemeralKey => ConfigError::Signer { field, reason: error.to_string() },
    })
}

#[cfg(test)]
mod tests;
