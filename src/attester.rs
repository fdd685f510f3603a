//! One request in, one decision out.

mod assertion;
mod cache;
mod refusal;
mod request;
mod route;
mod token_id;

use std::sync::{Arc, PoisonError, RwLock};

use crate::claims::OnMissingIdentity;
use crate::config::{Config, ConfigError};
use crate::host::{Counter, Level, ProcessHost, RequestHost, SharedData};
use crate::http::authority::Authority;
use crate::http::endpoint::{self, Endpoint, Response};
use crate::http::fields::Fields;
use crate::http::header_name::OwnHeaders;
use crate::keys::feed::{KeyFile, KeySource};
use crate::keys::ring::{Keyring, KeyringError};
use crate::keys::signer::SignerChoice;

use assertion::Builder;
use cache::Cache;
use refusal::Refusal;
use request::Request;
use route::{Route, RouteDefaults, SeenRoutes};
use token_id::RandomPool;

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

/// The filter's logic under one configuration. Threads share it.
pub struct Attester {
    config: Config,
    own_headers: OwnHeaders,
    default_route: Arc<Route>,
    keyring: RwLock<Option<Arc<Keyring>>>,
}

/// What one thread remembers of the requests that it has seen under one configuration.
pub struct Worker {
    seen_routes: SeenRoutes,
    cache: Option<Cache>,
    token_ids: RandomPool,
}

impl Attester {
    /// The logic for a configuration. Inline and ephemeral keys are ready at once; those of a file come later, by
    /// [`Attester::use_keys`].
    ///
    /// # Errors
    /// A [`ConfigError`] if the keys cannot be used as configured.
    pub fn new(config: Config, host: &(impl ProcessHost + SharedData)) -> Result<Self, ConfigError> {
        let keyring = keyring_at_start(&config, host)?;
        let mut names = vec![config.assertion_header.clone()];
        names.extend(config.claims.headers.iter().map(|claim| claim.header.clone()));
        let attester = Self {
            own_headers: OwnHeaders::new(names),
            default_route: Arc::new(Route::new(&config.settings, &config.claims)),
            keyring: RwLock::default(),
            config,
        };
        if let Some(keyring) = keyring {
            host.log(Level::Info, &format!("configured: {}", keyring.summary()));
            keyring.warn_of_repeats(host);
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
        }
    }

    /// The key file, if keys come from one.
    #[must_use]
    pub fn key_file(&self) -> Option<&KeyFile> {
        match &self.config.key_source {
            KeySource::File(file) => Some(file),
            KeySource::Text { .. } | KeySource::Ephemeral => None,
        }
    }

    /// Where the signature is computed.
    #[must_use]
    pub fn signer_choice(&self) -> SignerChoice {
        self.config.signer
    }

    /// From now on signs with and publishes these keys.
    pub fn use_keys(&self, keyring: Keyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keyring));
    }

    fn keyring(&self) -> Option<Arc<Keyring>> {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Decides on a request.
    pub fn on_request<H: RequestHost>(&self, worker: &Worker, host: &H) -> Decision {
        let headers = host.headers();
        self.decide(worker, host, &headers).unwrap_or_else(|refusal| Decision::Respond(refusal.answer(host.process())))
    }

    fn decide<H: RequestHost>(&self, worker: &Worker, host: &H, headers: &Fields<'_>) -> Result<Decision, Refusal> {
        let keyring = self.keyring().ok_or(Refusal::NoKey)?;
        let builder = Builder { config: &self.config, worker, keyring: &keyring };
        match Endpoint::at(headers.first(":path"), &self.config.jwks_path, self.config.user_endpoints) {
            Some(endpoint) => self.endpoint(endpoint, &builder, host, headers).map(Decision::Respond),
            None => self.forward(&builder, host, headers).map(Decision::Forward),
        }
    }

    /// The names of a request's headers or trailers that must not go on.
    pub fn spoofed<'a>(&self, fields: &Fields<'a>, host: &impl ProcessHost) -> Vec<&'a str> {
        let spoofed = fields.names().filter(|name| self.own_headers.include(name));
        let names: Vec<&str> = spoofed.filter_map(|name| str::from_utf8(name).ok()).collect();
        if !names.is_empty() {
            host.add(Counter::SpoofsStripped, u64::try_from(names.len()).unwrap_or_default());
        }
        names
    }

    /// The changes for a request that goes on.
    fn forward<H: RequestHost>(
        &self,
        builder: &Builder<'_>,
        host: &H,
        headers: &Fields<'_>,
    ) -> Result<Changes, Refusal> {
        let route = self.route(builder.worker, host)?;
        let remove = self.spoofed(headers, host.process()).into_iter().map(str::to_owned).collect();
        let mut changes = Changes { remove, set: Vec::new() };
        if !route.pass_identity_headers && route.on_missing_identity != OnMissingIdentity::Deny {
            return Ok(changes);
        }
        let request = Request::new(host, headers, &route, &self.config);
        match route.on_missing_identity {
            OnMissingIdentity::Deny if request.is_anonymous() => return Err(Refusal::MissingIdentity),
            OnMissingIdentity::Skip if request.is_anonymous() => host.process().add(Counter::Skipped, 1),
            _ if !route.pass_identity_headers => {}
            _ => changes.set = self.assertion_headers(builder, request)?,
        }
        Ok(changes)
    }

    /// The assertion header and the claim headers beside it.
    fn assertion_headers<H: RequestHost>(
        &self,
        builder: &Builder<'_>,
        request: Request<'_, H>,
    ) -> Result<Vec<(String, String)>, Refusal> {
        let request = request.complete(&self.config)?;
        let assertion = builder.assertion(&request)?;
        request.host.set_filter_state("attestation.jti", &assertion.token_id);
        request.host.set_filter_state("attestation.kid", builder.keyring.signer().kid());
        let facts = request.facts(&assertion);
        let claim_headers = request.route.plan.headers(&facts);
        let mut set: Vec<_> = claim_headers.map(|(header, text)| (header.as_str().to_owned(), text)).collect();
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
                host.process().add(Counter::JwksServed, 1);
                Ok(builder.keyring.jwks().answer(headers, self.config.jwks_max_age))
            }
            Endpoint::Discovery => self.discovery(builder.worker, host, headers),
            Endpoint::Jwt | Endpoint::User => self.user_endpoint(endpoint, builder, host, headers),
        }
    }

    fn discovery<H: RequestHost>(&self, worker: &Worker, host: &H, headers: &Fields<'_>) -> Result<Response, Refusal> {
        let route = self.route(worker, host)?;
        let authority = Authority::parse(headers.first(":authority")).ok_or(Refusal::BadHost)?;
        let issuer = route.plan.issuer(&authority);
        let document =
            endpoint::discovery(&issuer, request::scheme(headers), authority.as_str(), &self.config.jwks_path);
        Ok(document.answer(headers, self.config.jwks_max_age))
    }

    fn user_endpoint<H: RequestHost>(
        &self,
        endpoint: Endpoint,
        builder: &Builder<'_>,
        host: &H,
        headers: &Fields<'_>,
    ) -> Result<Response, Refusal> {
        if !matches!(headers.first(":method"), b"GET" | b"HEAD") {
            return Ok(endpoint::method_not_allowed("GET, HEAD"));
        }
        let route = self.route(builder.worker, host)?;
        let request = Request::new(host, headers, &route, &self.config);
        if request.is_anonymous() {
            return Err(Refusal::MissingIdentity);
        }
        let request = request.complete(&self.config)?;
        let assertion = builder.new_assertion(&request, None)?;
        let (content_type, body) = match endpoint {
            Endpoint::User => ("application/json", route.plan.payload(&request.facts(&assertion)).json),
            _ => ("application/jwt", assertion.token.into_bytes()),
        };
        Ok(Response { status: 200, headers: Vec::new(), body }
            .with("content-type", content_type)
            .with("cache-control", "no-store")
            .with("x-content-type-options", "nosniff"))
    }

    fn route(&self, worker: &Worker, host: &impl RequestHost) -> Result<Arc<Route>, Refusal> {
        let defaults =
            RouteDefaults { settings: &self.config.settings, plugin: &self.config.claims, route: &self.default_route };
        worker.seen_routes.current(&defaults, host)
    }
}

fn keyring_at_start(config: &Config, host: &(impl ProcessHost + SharedData)) -> Result<Option<Keyring>, ConfigError> {
    let (field, keyring) = match &config.key_source {
        KeySource::File(_) => return Ok(None),
        KeySource::Ephemeral => ("signing_key", Keyring::ephemeral(config.signer, host)),
        KeySource::Text { field, text } => (*field, Keyring::from_text(text.as_bytes(), config.signer, host)),
    };
    keyring.map(Some).map_err(|error| match error {
        KeyringError::Key(error) => ConfigError::Key { field, error },
        KeyringError::Signer(error) => ConfigError::Signer { field: "signer", reason: error.to_string() },
        KeyringError::NoEphemeralKey => ConfigError::Signer { field, reason: error.to_string() },
    })
}

#[cfg(test)]
mod tests;
