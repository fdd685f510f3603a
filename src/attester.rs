//! One request in, one decision out.

pub mod cache;
mod making;
mod refusal;
mod request;
pub mod route;
pub mod token_id;

use std::cell::RefCell;
use std::rc::Rc;

use crate::attester::cache::Kept;
use crate::attester::route::{Route, Routes};
use crate::attester::token_id::RandomPool;
use crate::config::{Config, ConfigError, KeySource, OnMissingIdentity};
use crate::host::metrics::Counter;
use crate::host::{Host, Level};
use crate::http::authority::Authority;
use crate::http::endpoint::{self, Endpoint, Response};
use crate::http::fields::Headers;
use crate::http::header_name::OwnHeaders;
use crate::identity::Evidence;
use crate::keys::feed::KeyFileWatch;
use crate::keys::ring::{Keyring, KeyringError};
use request::Request;

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

/// The filter's logic: one for each VM and configuration.
pub struct Attester {
    config: Config,
    routes: Routes,
    own_headers: OwnHeaders,
    keys: RefCell<Option<Rc<Keys>>>,
    random: RandomPool,
}

/// A keyring, and the assertions that its key has signed.
struct Keys {
    keyring: Keyring,
    kept: Option<Kept>,
}

impl Attester {
    /// The logic for a configuration. Inline and ephemeral keys are ready at once; those of a file come later, by
    /// [`Attester::use_keys`].
    ///
    /// # Errors
    /// A [`ConfigError`] if the keys cannot be used as configured.
    pub fn new(config: Config, host: &impl Host) -> Result<Self, ConfigError> {
        let keyring = keyring_at_start(&config, host)?;
        let mut names = vec![config.assertion_header.clone()];
        names.extend(config.claims.headers.iter().map(|claim| claim.header.clone()));
        let attester = Self {
            routes: Routes::new(config.settings.clone(), Rc::clone(&config.claims)),
            own_headers: OwnHeaders::new(names),
            keys: RefCell::default(),
            random: RandomPool::default(),
            config,
        };
        if let Some(keyring) = keyring {
            host.log(Level::Info, &format!("configured: {}", keyring.summary()));
            keyring.warn_of_repeats(host);
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
        self.keys.replace(Some(Rc::new(Keys { keyring, kept })));
    }

    /// Decides on the current request.
    pub fn on_request(&self, host: &impl Host) -> Decision {
        let Some(keys) = self.keys.borrow().clone() else { return Decision::Respond(refusal::no_key(host)) };
        let headers = host.request_headers();
        let endpoint = Endpoint::at(headers.first(":path"), &self.config.jwks_path, self.config.user_endpoints);
        let decision = match endpoint {
            Some(endpoint) => self.answer(endpoint, host, &headers, &keys).map(Decision::Respond),
            None => self.forward(host, &headers, &keys).map(Decision::Forward),
        };
        decision.unwrap_or_else(Decision::Respond)
    }

    /// The names of a request's headers or trailers that must not go on.
    pub fn spoofed<'a>(&self, fields: &'a Headers, host: &impl Host) -> Vec<&'a str> {
        let spoofed = fields.names().filter(|name| self.own_headers.include(name));
        let names: Vec<&str> = spoofed.filter_map(|name| str::from_utf8(name).ok()).collect();
        if !names.is_empty() {
            host.add(Counter::SpoofsStripped, u64::try_from(names.len()).unwrap_or_default());
        }
        names
    }

    /// The changes for a request that goes on, or the refusal.
    fn forward<H: Host>(&self, host: &H, headers: &Headers, keys: &Keys) -> Result<Changes, Response> {
        let route = self.route(host)?;
        let remove = self.spoofed(headers, host).into_iter().map(str::to_owned).collect();
        let mut changes = Changes { remove, set: Vec::new() };
        if !route.pass_identity_headers && route.on_missing_identity != OnMissingIdentity::Deny {
            return Ok(changes);
        }
        let evidence = Evidence::new(host, headers);
        let request = Request::new(host, headers, &route, &evidence, &self.config.identity_sources);
        match route.on_missing_identity {
            OnMissingIdentity::Deny if request.is_anonymous() => return Err(refusal::missing_identity(host)),
            OnMissingIdentity::Skip if request.is_anonymous() => host.add(Counter::Skipped, 1),
            _ if !route.pass_identity_headers => {}
            _ => changes.set = self.assertion_headers(request, keys)?,
        }
        Ok(changes)
    }

    /// The assertion header and the claim headers beside it.
    fn assertion_headers<H: Host>(
        &self,
        mut request: Request<'_, H>,
        keys: &Keys,
    ) -> Result<Vec<(String, String)>, Response> {
        self.complete(&mut request)?;
        let assertion = self.assertion(&request, keys, self.config.max_assertion_bytes)?;
        request.host.set_filter_state("attestation.jti", &assertion.token_id);
        request.host.set_filter_state("attestation.kid", keys.keyring.signer().kid());
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
    fn answer<H: Host>(
        &self,
        endpoint: Endpoint,
        host: &H,
        headers: &Headers,
        keys: &Keys,
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
        let authority = Authority::parse(headers.first(":authority")).ok_or_else(|| refusal::bad_host(host))?;
        let issuer = route.plan.issuer(&authority);
        let document =
            endpoint::discovery(&issuer, request::scheme(headers), authority.as_str(), &self.config.jwks_path);
        Ok(document.answer(headers, self.config.jwks_max_age))
    }

    fn user_endpoint<H: Host>(
        &self,
        endpoint: Endpoint,
        host: &H,
        headers: &Headers,
        keys: &Keys,
    ) -> Result<Response, Response> {
        if !matches!(headers.first(":method"), b"GET" | b"HEAD") {
            return Ok(endpoint::method_not_allowed("GET, HEAD"));
        }
        let route = self.route(host)?;
        let evidence = Evidence::new(host, headers);
        let mut request = Request::new(host, headers, &route, &evidence, &self.config.identity_sources);
        if request.is_anonymous() {
            return Err(refusal::missing_identity(host));
        }
        self.complete(&mut request)?;
        let assertion = self.assertion(&request, keys, None)?;
        let (content_type, body) = match endpoint {
            Endpoint::User => ("application/json", route.plan.payload(&request.facts(&assertion)).json),
            _ => ("application/jwt", assertion.token.into_bytes()),
        };
        Ok(Response { status: 200, headers: Vec::new(), body }
            .with("content-type", content_type)
            .with("cache-control", "no-store")
            .with("x-content-type-options", "nosniff"))
    }

    fn route(&self, host: &impl Host) -> Result<Rc<Route>, Response> {
        self.routes.current(host).map_err(|_| refusal::bad_route(host))
    }
}

fn keyring_at_start(config: &Config, host: &impl Host) -> Result<Option<Keyring>, ConfigError> {
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
