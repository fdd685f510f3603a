//! A request as far as it is understood.

use super::Worker;
use super::earlier::Earlier;
use super::refusal::Refusal;
use super::route::Route;
use crate::actor::OnUnverifiable;
use crate::claims::{Binding, Facts, RequestLine, Stamp};
use crate::config::Config;
use crate::host::{Counter, Level, ProcessHost as _, RequestHost};
use crate::http::authority::Authority;
use crate::http::fields::Fields;
use crate::identity::{self, Identity, IdentitySource};

/// A request with its identity, and what else its claims are made of.
pub(super) struct Request<'a, H> {
    pub(super) host: &'a H,
    pub(super) route: &'a Route,
    headers: &'a Fields<'a>,
    identity: Option<(Identity<'a>, &'a IdentitySource)>,
    line: RequestLine<'a>,
    authority: Option<Authority>,
    actor: Option<String>,
}

impl<'a, H: RequestHost> Request<'a, H> {
    /// The request with its identity; [`Request::complete`] finds out the rest.
    pub(super) fn new(
        host: &'a H,
        headers: &'a Fields<'a>,
        route: &'a Route,
        config: &'a Config,
        worker: &Worker,
    ) -> Self {
        let (process, fingerprint) = (host.process(), config.fingerprint.as_str());
        let notice = |place, source: &_, has_something| {
            worker.silence.note(place, (source, has_something), &worker.told, (process, fingerprint));
        };
        let found = identity::search(host, headers, &config.identity_sources, &route.plan, notice);
        if found.incomplete > 0 {
            process.add(Counter::IncompleteIdentities, u64::try_from(found.incomplete).unwrap_or_default());
        }
        if let Some(source) = found.ambiguous {
            let message = format!("{} holds several objects and yields no identity: set path", source.label());
            worker.told.once(process, fingerprint, Level::Warn, &message);
        }
        process.debug(|| {
            let source = found.identity.as_ref().map_or("no source, anonymous".into(), |(_, source)| source.label());
            format!("identity from {source}")
        });
        let identity = found.identity;
        Self { host, route, headers, identity, line: RequestLine::default(), authority: None, actor: None }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.identity.is_none()
    }

    pub(super) fn identity(&self) -> Option<&Identity<'a>> {
        self.identity.as_ref().map(|(identity, _)| identity)
    }

    /// Finds out what else the claims are made of, as far as the configuration asks for it. An incoming assertion is
    /// looked at unless the filter itself has put it there, and then it knows who acts.
    pub(super) fn complete(mut self, config: &Config, earlier: Option<Earlier>) -> Result<Self, Refusal> {
        if !config.claims.bind.is_empty() {
            self.line = bound_line(self.headers, self.host.is_tls(), &config.claims.bind)?;
        }
        if self.route.plan.needs_host() {
            let authority = Authority::parse(self.headers.first(":authority"));
            self.authority = Some(authority.ok_or(Refusal::BadHost)?);
        }
        self.actor = match earlier {
            Some(earlier) => earlier.act,
            None => self.incoming_actor(config)?,
        };
        Ok(self)
    }

    /// The `act` claim that an incoming assertion makes, where actors are configured.
    fn incoming_actor(&self, config: &Config) -> Result<Option<String>, Refusal> {
        let Some(actors) = &config.claims.actors else { return Ok(None) };
        let mut incoming = self.headers.values(config.assertion_header.as_str());
        let Some(value) = incoming.next() else { return Ok(None) };
        let prefix = config.assertion_prefix.as_bytes();
        // Two values contradict each other: then neither can be verified.
        let token = value.strip_prefix(prefix).filter(|_| incoming.next().is_none()).unwrap_or_default();
        let host = self.host.process();
        match actors.act(token, self.route.plan.audiences(self.authority.as_ref()), host.now().as_secs()) {
            Ok(act) => Ok(Some(act)),
            Err(reason) if actors.on_unverifiable == OnUnverifiable::Deny => Err(Refusal::BadActor(reason)),
            Err(reason) => {
                host.debug(|| format!("dropped an incoming assertion: {reason}"));
                Ok(None)
            }
        }
    }

    /// All that an assertion's claims are made of.
    pub(super) fn facts<'s>(&'s self, stamp: &'s Stamp) -> Facts<'s> {
        Facts {
            identity: self.identity(),
            authority: self.authority.as_ref(),
            stamp,
            source: self.identity.as_ref().map(|(_, source)| *source),
            request: self.line,
            actor: self.actor.as_deref(),
        }
    }
}

/// What assertions can be bound to, with all that they are to be bound to.
fn bound_line<'a>(headers: &Fields<'a>, is_tls: bool, bind: &[Binding]) -> Result<RequestLine<'a>, Refusal> {
    let line = line(headers, is_tls);
    let lacks = |binding: &Binding| match binding {
        Binding::Method => line.method.is_empty(),
        Binding::Path => line.path.is_empty(),
        Binding::RequestId => line.request_id.is_empty(),
        Binding::Authority => false,
    };
    if bind.iter().any(lacks) { Err(Refusal::Unbound) } else { Ok(line) }
}

/// The parts of a request that its assertion can be bound to.
fn line<'a>(headers: &Fields<'a>, is_tls: bool) -> RequestLine<'a> {
    let text = |name| str::from_utf8(headers.first(name)).unwrap_or_default();
    let path = text(":path");
    RequestLine {
        method: text(":method"),
        scheme: scheme(headers, is_tls),
        path: path.split_once('?').map_or(path, |(path, _)| path),
        request_id: text("x-request-id"),
    }
}

/// `https` on an encrypted connection, whatever the client says; else the scheme that Envoy believes: that of a trusted
/// proxy before it. An HTTP/2 client's own `:scheme` is none of that.
pub(super) fn scheme(headers: &Fields<'_>, is_tls: bool) -> &'static str {
    let is = |name, scheme: &[u8]| headers.first(name).eq_ignore_ascii_case(scheme);
    let is_believed = |scheme| is("x-forwarded-proto", scheme);
    let is_clear = is_believed(b"http") || (!is_believed(b"https") && is(":scheme", b"http"));
    if !is_tls && is_clear { "http" } else { "https" }
}
