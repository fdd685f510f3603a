use crate::attester::cache::Assertion;
use crate::attester::route::Route;
use crate::claims::{Facts, RequestLine};
use crate::host::{Host, Level};
use crate::http::authority::Authority;
use crate::http::fields::Headers;
use crate::identity::{Evidence, Identity, IdentitySource};

/// A request as far as it has been understood.
pub(super) struct Request<'a, H> {
    pub(super) host: &'a H,
    pub(super) headers: &'a Headers,
    pub(super) route: &'a Route,
    pub(super) identity: Option<(Identity<'a>, &'a IdentitySource)>,
    pub(super) line: RequestLine<'a>,
    pub(super) authority: Option<Authority>,
    pub(super) actor: Option<String>,
}

impl<'a, H: Host> Request<'a, H> {
    /// The request with its identity; the rest is found out when it is needed.
    pub(super) fn new(
        host: &'a H,
        headers: &'a Headers,
        route: &'a Route,
        evidence: &'a Evidence<'a, H>,
        sources: &'a [IdentitySource],
    ) -> Self {
        let identity = evidence.identity(sources);
        if host.logs_debug() {
            let source = identity.as_ref().map_or("no source, anonymous".into(), |(_, source)| source.label());
            host.log(Level::Debug, &format!("identity from {source}"));
        }
        Self { host, headers, route, identity, line: RequestLine::default(), authority: None, actor: None }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.identity.is_none()
    }

    pub(super) fn identity(&self) -> Option<&Identity<'a>> {
        self.identity.as_ref().map(|(identity, _)| identity)
    }

    /// All that an assertion's claims are made of.
    pub(super) fn facts<'s>(&'s self, assertion: &'s Assertion) -> Facts<'s> {
        Facts {
            identity: self.identity(),
            authority: self.authority.as_ref(),
            token_id: &assertion.token_id,
            issued_at: assertion.issued_at,
            expires_at: assertion.expires_at,
            source: self.identity.as_ref().map(|(_, source)| *source),
            request: self.line,
            actor: self.actor.as_deref(),
            shed: assertion.shed,
        }
    }
}

/// The parts of a request that its assertion can be bound to.
pub(super) fn line(headers: &Headers) -> RequestLine<'_> {
    let text = |name| str::from_utf8(headers.first(name)).unwrap_or_default();
    let path = text(":path");
    RequestLine {
        method: text(":method"),
        scheme: scheme(headers),
        path: path.split_once('?').map_or(path, |(path, _)| path),
        request_id: text("x-request-id"),
    }
}

/// The scheme as Envoy understands it: of the connection, or of a trusted proxy before it.
pub(super) fn scheme(headers: &Headers) -> &'static str {
    if headers.first(":scheme").eq_ignore_ascii_case(b"http") { "http" } else { "https" }
}
