//! Where a claim comes from, and what it is for one request.

use std::borrow::Cow;

use super::facts::Facts;
use super::settings::{Audience, ClaimRule, IssuerFormat, Settings};
use super::value::{Constant, Resolved, scalar_text};
use crate::http::authority::Authority;
use crate::identity::{Claim, Identity};
use crate::value::Value;

#[derive(Debug)]
pub(super) enum Source {
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
    /// Left out, or empty for groups, where this place is shed.
    Shed(usize, Box<Source>),
    /// True where this place is shed.
    Truncated(usize),
}

#[derive(Debug, Clone)]
pub(super) enum TextSource {
    Claim(Vec<String>),
    Constant(String),
}

#[derive(Debug)]
pub(super) enum GroupsSource {
    Claim(Vec<String>),
    Constant(Vec<String>),
}

/// The source of a claim under these settings.
pub(super) fn source(claim: &str, settings: &Settings) -> Source {
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
    pub(super) fn needs_host(&self) -> bool {
        matches!(self, Self::Host | Self::HostUri | Self::Uri { authority: true, .. })
    }

    /// Whether this is the claim of that place, and has something that can be left out.
    pub(super) fn can_shed(&self, place: usize, facts: &Facts<'_>) -> bool {
        match self {
            Self::Shed(own, source) if *own == place => match source.resolve(facts, &mut 0) {
                Some(Resolved::Texts(texts)) => !texts.is_empty(),
                value => value.is_some(),
            },
            _ => false,
        }
    }

    /// The claim for a request; none where it is left out.
    pub(super) fn resolve<'a>(&'a self, facts: &Facts<'a>, groups_removed: &mut usize) -> Option<Resolved<'a>> {
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
            Self::Shed(place, source) if facts.shed.has(*place) => match **source {
                Self::Groups { .. } => Resolved::Texts(Vec::new()),
                _ => return None,
            },
            Self::Shed(_, source) => return source.resolve(facts, groups_removed),
            Self::Truncated(place) if facts.shed.has(*place) => Resolved::Json("true"),
            Self::Truncated(_) => return None,
        })
    }
}

/// `https://host/`.
pub(super) fn issuer_uri(authority: &Authority) -> String {
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
