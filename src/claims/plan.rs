use std::borrow::Cow;

use super::resolved::{Constant, Resolved, scalar_text, write_text};
use crate::authority::Authority;
use crate::config::{Audience, Binding, ClaimRule, IssuerFormat, PluginClaims, Settings};
use crate::header::{HeaderName, is_field_value};
use crate::identity::{Claim, Identity, IdentitySource};
use crate::protobuf::Value;

/// What only the request knows.
pub struct Facts<'a> {
    /// The user; none if anonymous.
    pub identity: Option<&'a Identity<'a>>,
    /// The host; may only be missing where [`Plan::needs_host`] is false.
    pub authority: Option<&'a Authority>,
    /// `jti`.
    pub token_id: &'a str,
    /// `iat`, in seconds since the epoch.
    pub issued_at: u64,
    /// `exp`, in seconds since the epoch.
    pub expires_at: u64,
    /// Where the identity is from.
    pub source: Option<&'a IdentitySource>,
    /// What the assertion can be bound to.
    pub request: RequestLine<'a>,
    /// `act`, as JSON.
    pub actor: Option<&'a str>,
    /// How many of the claims that can be shed are left out.
    pub shed: usize,
}

/// The parts of a request that an assertion can be bound to; empty where there is none, or no text.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The value of `x-request-id`.
    pub request_id: &'a str,
}

/// The claims of one assertion.
#[derive(Debug, PartialEq, Eq)]
pub struct Payload {
    /// A JSON object, its members sorted.
    pub json: Vec<u8>,
    /// How many groups the filter took out.
    pub groups_removed: usize,
}

/// Which claims there are, and where each comes from.
#[derive(Debug)]
pub struct Plan {
    members: Vec<Member>,
    headers: Vec<(HeaderName, Source)>,
}

#[derive(Debug)]
struct Member {
    /// The name as JSON, with its colon.
    name: Vec<u8>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Constant(Constant),
    Host,
    HostUri,
    TokenId,
    IssuedAt,
    ExpiresAt,
    /// The first of these that is a text, else the empty text.
    Text(Vec<TextSource>),
    Groups {
        from: GroupsSource,
        filter: Option<Vec<String>>,
    },
    /// Left out where the identity does not have it.
    Claim(Vec<String>),
    Method,
    Uri {
        authority: bool,
        path: bool,
    },
    RequestId,
    Provenance,
    Actor,
    /// Left out, or empty for groups, once this many claims have to be.
    Shed(usize, Box<Source>),
    /// True once this many claims are shed.
    Truncated(usize),
}

#[derive(Debug, Clone)]
enum TextSource {
    Claim(Vec<String>),
    Constant(String),
}

#[derive(Debug)]
enum GroupsSource {
    Claim(Vec<String>),
    Constant(Vec<String>),
}

impl Plan {
    /// The plan for these settings.
    #[must_use]
    pub fn new(settings: &Settings, plugin: &PluginClaims) -> Self {
        let mut names: Vec<String> = BASE_CLAIMS.map(str::to_owned).into();
        names.extend(settings.claims.iter().map(|(name, _)| name.clone()));
        names.extend(plugin.headers.iter().map(|header| header.claim.clone()));
        names.sort_unstable();
        names.dedup();
        let mut sources: Vec<(String, Source)> = names
            .into_iter()
            .filter(|name| !is_plugins(name, plugin))
            .map(|name| (name.clone(), sheddable(&name, source(&name, settings), plugin)))
            .collect();
        sources.extend(plugin_sources(plugin));
        sources.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        let members = sources.into_iter().map(|(name, source)| Member { name: json_name(&name), source });
        let headers = plugin.headers.iter().map(|header| {
            let own = plugin_sources(plugin).into_iter().find(|(name, _)| *name == header.claim);
            let source = own.map_or_else(|| source(&header.claim, settings), |(_, source)| source);
            (header.header.clone(), source)
        });
        Self { members: members.collect(), headers: headers.collect() }
    }

    /// Whether a claim is made from the request's host.
    #[must_use]
    pub fn needs_host(&self) -> bool {
        self.members.iter().any(|member| member.source.needs_host())
    }

    /// The `iss` of an assertion for this host.
    #[must_use]
    pub fn issuer(&self, authority: &Authority) -> serde_json::Value {
        let issuer = self.members.iter().find(|member| member.name == b"\"iss\":").map(|member| &member.source);
        match issuer {
            Some(Source::Constant(constant)) => constant.text().into(),
            Some(Source::HostUri) => issuer_uri(authority).into(),
            _ => authority.host().into(),
        }
    }

    /// The claims for a request.
    #[must_use]
    pub fn payload(&self, facts: &Facts<'_>) -> Payload {
        let mut payload = Payload { json: Vec::with_capacity(512), groups_removed: 0 };
        payload.json.push(b'{');
        for member in &self.members {
            let Some(value) = member.source.resolve(facts, &mut payload.groups_removed) else { continue };
            let before = payload.json.len();
            if before > 1 {
                payload.json.push(b',');
            }
            payload.json.extend_from_slice(&member.name);
            if value.write_json(&mut payload.json).is_err() {
                payload.json.truncate(before);
            }
        }
        payload.json.push(b'}');
        payload
    }

    /// The unsigned claim headers for a request; a claim that is missing makes an empty one, and one that no header
    /// can hold makes none.
    pub fn headers(&self, facts: &Facts<'_>) -> impl Iterator<Item = (&HeaderName, String)> {
        self.headers.iter().filter_map(|(header, source)| {
            let text = match source.resolve(facts, &mut 0) {
                Some(value) => value.header_text().ok()?,
                None => String::new(),
            };
            is_field_value(text.as_bytes()).then_some((header, text))
        })
    }
}

fn json_name(name: &str) -> Vec<u8> {
    let mut json = Vec::new();
    write_text(name, &mut json);
    json.push(b':');
    json
}

/// Claims that opt-in features make; a configuration that turns one on cannot have the name for something else.
fn plugin_sources(plugin: &PluginClaims) -> Vec<(String, Source)> {
    let binds = |binding| plugin.bind.contains(&binding);
    let (authority, path) = (binds(Binding::Authority), binds(Binding::Path));
    let features = [
        ("htm", binds(Binding::Method), Source::Method),
        ("htu", authority || path, Source::Uri { authority, path }),
        ("request_id", binds(Binding::RequestId), Source::RequestId),
        ("idsrc", plugin.provenance, Source::Provenance),
        ("act", plugin.actors.is_some(), Source::Actor),
    ];
    let on = features.into_iter().filter(|(_, on, _)| *on).map(|(name, _, source)| (name.to_owned(), source));
    let shed = plugin.shed.iter().enumerate();
    on.chain(shed.map(|(index, name)| (format!("{name}_truncated"), Source::Truncated(index)))).collect()
}

fn is_plugins(name: &str, plugin: &PluginClaims) -> bool {
    plugin_sources(plugin).iter().any(|(own, _)| own == name)
}

fn sheddable(name: &str, source: Source, plugin: &PluginClaims) -> Source {
    match plugin.shed.iter().position(|shed| shed == name) {
        Some(index) => Source::Shed(index, Box::new(source)),
        None => source,
    }
}

/// The claims of every assertion.
const BASE_CLAIMS: [&str; 11] = ["aud", "email", "exp", "groups", "iat", "iss", "jti", "name", "sid", "sub", "user"];

fn source(claim: &str, settings: &Settings) -> Source {
    match claim {
        "iss" => issuer(settings),
        "aud" => audience(settings),
        "jti" => Source::TokenId,
        "iat" => Source::IssuedAt,
        "exp" => Source::ExpiresAt,
        "sub" => Source::Text(vec![text_source("sub", settings), text_source("user", settings)]),
        "user" => Source::Text(vec![text_source("user", settings), text_source("sub", settings)]),
        "email" | "name" | "sid" => Source::Text(vec![text_source(claim, settings)]),
        "groups" => Source::Groups { from: groups_source(settings), filter: settings.groups_filter.clone() },
        other => match settings.rule(other) {
            Some(ClaimRule::Value(value)) => Source::Constant(Constant::new(value)),
            Some(ClaimRule::From(path)) => Source::Claim(path.clone()),
            None => Source::Claim(vec![other.to_owned()]),
        },
    }
}

fn issuer(settings: &Settings) -> Source {
    match (&settings.issuer, settings.issuer_format) {
        (Some(issuer), _) => Source::Constant(Constant::new(&issuer.as_str().into())),
        (None, IssuerFormat::HostOnly) => Source::Host,
        (None, IssuerFormat::Uri) => Source::HostUri,
    }
}

fn audience(settings: &Settings) -> Source {
    match &settings.audience {
        None => Source::Host,
        Some(Audience::One(name)) => Source::Constant(Constant::new(&name.as_str().into())),
        Some(Audience::Many(names)) => Source::Constant(Constant::new(&names.as_slice().into())),
    }
}

fn text_source(claim: &str, settings: &Settings) -> TextSource {
    match settings.rule(claim) {
        Some(ClaimRule::Value(value)) => TextSource::Constant(value.as_str().unwrap_or_default().to_owned()),
        Some(ClaimRule::From(path)) => TextSource::Claim(path.clone()),
        None => TextSource::Claim(vec![claim.to_owned()]),
    }
}

fn groups_source(settings: &Settings) -> GroupsSource {
    match settings.rule("groups") {
        Some(ClaimRule::Value(value)) => {
            let groups = value.as_array().into_iter().flatten();
            GroupsSource::Constant(groups.filter_map(|group| group.as_str().map(str::to_owned)).collect())
        }
        Some(ClaimRule::From(path)) => GroupsSource::Claim(path.clone()),
        None => GroupsSource::Claim(vec!["groups".to_owned()]),
    }
}

impl Source {
    fn needs_host(&self) -> bool {
        matches!(self, Self::Host | Self::HostUri | Self::Uri { authority: true, .. })
    }

    fn resolve<'a>(&'a self, facts: &Facts<'a>, groups_removed: &mut usize) -> Option<Resolved<'a>> {
        Some(match self {
            Self::Constant(constant) => Resolved::Constant(constant),
            Self::Host => Resolved::Text(facts.authority?.host().into()),
            Self::HostUri => Resolved::Text(issuer_uri(facts.authority?).into()),
            Self::TokenId => Resolved::Text(facts.token_id.into()),
            Self::IssuedAt => Resolved::Integer(facts.issued_at),
            Self::ExpiresAt => Resolved::Integer(facts.expires_at),
            Self::Text(sources) => {
                let mut texts = sources.iter().filter_map(|source| source.resolve(facts.identity));
                Resolved::Text(texts.find(|text| !text.is_empty()).unwrap_or_default())
            }
            Self::Groups { from, filter } => {
                let mut groups = from.resolve(facts.identity);
                let before = groups.len();
                if let Some(allowed) = filter {
                    groups.retain(|group| allowed.binary_search_by(|allowed| allowed.as_str().cmp(group)).is_ok());
                }
                *groups_removed += before - groups.len();
                Resolved::Texts(groups)
            }
            Self::Claim(path) => Resolved::Claim(facts.identity?.claim(path)?),
            Self::Method => Resolved::Text(facts.request.method.into()),
            Self::Uri { authority, path } => {
                let host = facts.authority.filter(|_| *authority);
                let origin = host.map(|host| format!("{}://{}", facts.request.scheme, host.as_str()));
                let path = if *path { facts.request.path } else { "" };
                Resolved::Text(format!("{}{path}", origin.unwrap_or_default()).into())
            }
            Self::RequestId => Resolved::Text(facts.request.request_id.into()),
            Self::Provenance => Resolved::Text(facts.source?.label()),
            Self::Actor => Resolved::Json(facts.actor?),
            Self::Shed(index, source) if facts.shed > *index => match **source {
                Self::Groups { .. } => Resolved::Texts(Vec::new()),
                _ => return None,
            },
            Self::Shed(_, source) => return source.resolve(facts, groups_removed),
            Self::Truncated(index) if facts.shed > *index => Resolved::Json("true"),
            Self::Truncated(_) => return None,
        })
    }
}

/// `https://host/`.
fn issuer_uri(authority: &Authority) -> String {
    format!("https://{}/", authority.uri_host())
}

impl TextSource {
    fn resolve<'a>(&'a self, identity: Option<&'a Identity<'a>>) -> Option<Cow<'a, str>> {
        match self {
            Self::Constant(text) => Some(Cow::Borrowed(text)),
            Self::Claim(path) => match identity?.claim(path)? {
                Claim::Value(value) => scalar_text(value),
                Claim::Text(text) => Some(Cow::Borrowed(text)),
                Claim::Texts(_) => None,
            },
        }
    }
}

impl GroupsSource {
    fn resolve<'a>(&'a self, identity: Option<&'a Identity<'a>>) -> Vec<Cow<'a, str>> {
        let path = match self {
            Self::Constant(groups) => return groups.iter().map(|group| group.as_str().into()).collect(),
            Self::Claim(path) => path,
        };
        match identity.and_then(|identity| identity.claim(path)) {
            Some(Claim::Value(Value::List(list))) => list.items().filter_map(scalar_text).collect(),
            Some(Claim::Value(value)) => scalar_text(value).into_iter().collect(),
            Some(Claim::Text(text)) => vec![text.into()],
            Some(Claim::Texts(texts)) => texts.iter().map(|text| (*text).into()).collect(),
            None => Vec::new(),
        }
    }
}
