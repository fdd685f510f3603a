//! Where a claim comes from, and what it is for one request.

use std::borrow::Cow;

use super::facts::Facts;
use super::settings::{Audience, ClaimRule, IssuerFormat, PluginClaims, Settings};
use super::value::{Constant, Resolved, text};
use crate::http::authority::Authority;
use crate::identity::{ClaimPath, Identity, Step};
use crate::value::Value;

#[derive(Debug, PartialEq)]
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
    Claim(Places),
    /// The same, as one text.
    ClaimText(Places),
    Method,
    Uri {
        authority: bool,
        path: bool,
    },
    RequestId,
    Provenance,
    Actor,
}

/// Places in the identity, the first of which that has something counts.
type Places = Vec<ClaimPath>;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TextSource {
    Claim {
        places: Places,
        /// Whether the items of a list are joined.
        joins: bool,
    },
    Constant(String),
}

#[derive(Debug, PartialEq)]
pub(super) enum GroupsSource {
    Claim(Places),
    Constant(Vec<String>),
}

/// What was noticed while a claim was made.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Noticed {
    /// How many groups the filter took out.
    pub(super) groups_removed: usize,
    /// Whether something cannot be represented.
    pub(super) left_out: bool,
}

/// The source of a claim under these settings.
pub(super) fn source(claim: &str, settings: &Settings, plugin: &PluginClaims) -> Source {
    match claim {
        "iss" => issuer(settings),
        "aud" => audience(settings),
        "jti" => Source::TokenId,
        "iat" => Source::IssuedAt,
        "exp" => Source::ExpiresAt,
        "sub" | "user" | "email" | "name" | "sid" => Source::Text(text_sources(claim, settings)),
        "groups" => Source::Groups { from: groups_source(settings), filter: settings.groups_filter.clone() },
        other => match settings.rule(other) {
            Some(ClaimRule::Value(value)) if plugin.as_text => Source::Constant(Constant::text_of(value)),
            Some(ClaimRule::Value(value)) => Source::Constant(Constant::new(value)),
            Some(ClaimRule::First(places)) => extra(places.clone(), plugin),
            None => extra(vec![ClaimPath::Name(other.to_owned())], plugin),
        },
    }
}

fn extra(places: Places, plugin: &PluginClaims) -> Source {
    if plugin.as_text { Source::ClaimText(places) } else { Source::Claim(places) }
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

/// The sources of a claim that is a text: of `sub` and `user`, one fills the other.
pub(super) fn text_sources(claim: &str, settings: &Settings) -> Vec<TextSource> {
    let claims: &[&str] = match claim {
        "sub" => &["sub", "user"],
        "user" => &["user", "sub"],
        other => &[other],
    };
    claims.iter().map(|claim| text_source(claim, settings)).collect()
}

fn text_source(claim: &str, settings: &Settings) -> TextSource {
    let joins = claim == "name";
    match settings.rule(claim) {
        Some(ClaimRule::Value(value)) => TextSource::Constant(value.as_str().unwrap_or_default().to_owned()),
        Some(ClaimRule::First(places)) => TextSource::Claim { places: places.clone(), joins },
        None => TextSource::Claim { places: vec![ClaimPath::Name(claim.to_owned())], joins },
    }
}

pub(super) fn groups_source(settings: &Settings) -> GroupsSource {
    match settings.rule("groups") {
        Some(ClaimRule::Value(value)) => {
            let groups = value.as_array().into_iter().flatten();
            GroupsSource::Constant(groups.filter_map(|group| group.as_str().map(str::to_owned)).collect())
        }
        Some(ClaimRule::First(places)) => GroupsSource::Claim(places.clone()),
        None => GroupsSource::Claim(vec![ClaimPath::Name("groups".to_owned())]),
    }
}

impl Source {
    pub(super) fn needs_host(&self) -> bool {
        matches!(self, Self::Host | Self::HostUri | Self::Uri { authority: true, .. })
    }

    /// Whether it looks at this member of an identity.
    pub(super) fn reads(&self, member: &[u8]) -> bool {
        let begin_with = |places: &Places| places.iter().any(|place| place.begins_with(member));
        match self {
            Self::Text(sources) => sources.iter().any(|source| match source {
                TextSource::Claim { places, .. } => begin_with(places),
                TextSource::Constant(_) => false,
            }),
            Self::Groups { from: GroupsSource::Claim(places), .. } | Self::Claim(places) | Self::ClaimText(places) => {
                begin_with(places)
            }
            _ => false,
        }
    }

    /// The claim for a request; none where it is left out.
    pub(super) fn resolve<'a>(&'a self, facts: &Facts<'a>, noticed: &mut Noticed) -> Option<Resolved<'a>> {
        Some(match self {
            Self::Constant(constant) => Resolved::Constant(constant),
            Self::Host => Resolved::Text(facts.authority?.host().into()),
            Self::HostUri => Resolved::Text(issuer_uri(facts.authority?).into()),
            Self::TokenId => Resolved::Text(facts.stamp.token_id.as_str().into()),
            Self::IssuedAt => Resolved::Integer(facts.stamp.issued_at),
            Self::ExpiresAt => Resolved::Integer(facts.stamp.expires_at),
            Self::Text(sources) => {
                let mut texts = sources.iter().filter_map(|source| source.resolve(facts.identity, noticed));
                Resolved::Text(texts.find(|text| !text.is_empty()).unwrap_or_default())
            }
            Self::Groups { from, filter } => {
                let mut groups = from.resolve(facts.identity, noticed);
                let before = groups.len();
                if let Some(allowed) = filter {
                    groups.retain(|group| allowed.binary_search_by(|allowed| allowed.as_str().cmp(group)).is_ok());
                }
                noticed.groups_removed += before - groups.len();
                Resolved::Texts(groups)
            }
            Self::Claim(places) => Resolved::Value(first(facts.identity?, places)?),
            Self::ClaimText(places) => Resolved::ValueText(first(facts.identity?, places)?),
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
        })
    }
}

/// `https://host/`.
pub(super) fn issuer_uri(authority: &Authority) -> String {
    format!("https://{}/", authority.uri_host())
}

/// What is at the only place, or at the first of several that has something.
fn first<'a>(identity: &'a Identity<'a>, places: &[ClaimPath]) -> Option<Value<'a>> {
    match places {
        [only] => identity.claim(only),
        _ => places.iter().find_map(|place| identity.claim(place).filter(|value| !value.is_empty())),
    }
}

impl TextSource {
    pub(super) fn resolve<'a>(
        &'a self,
        identity: Option<&'a Identity<'a>>,
        noticed: &mut Noticed,
    ) -> Option<Cow<'a, str>> {
        let (places, joins) = match self {
            Self::Constant(constant) => return Some(Cow::Borrowed(constant)),
            Self::Claim { places, joins } => (places, *joins),
        };
        let found = match first(identity?, places)? {
            Value::List(list) if joins => {
                let texts: Vec<_> = list.items().filter_map(text).collect();
                Some(Cow::Owned(texts.join(","))).filter(|_| texts.len() == list.items().count())
            }
            Value::Null => return None,
            value => text(value),
        };
        noticed.left_out |= found.is_none();
        found
    }

    /// Whether the identity itself says who it is here; a constant is no evidence.
    pub(super) fn is_evident(&self, identity: &Identity<'_>) -> bool {
        let found = match self {
            Self::Constant(_) => None,
            Self::Claim { .. } => self.resolve(Some(identity), &mut Noticed::default()),
        };
        found.is_some_and(|text| !text.is_empty())
    }
}

impl GroupsSource {
    pub(super) fn resolve<'a>(
        &'a self,
        identity: Option<&'a Identity<'a>>,
        noticed: &mut Noticed,
    ) -> Vec<Cow<'a, str>> {
        let places = match self {
            Self::Constant(groups) => return groups.iter().map(|group| group.as_str().into()).collect(),
            Self::Claim(places) => places,
        };
        let mut group = |value| {
            let group = text(value);
            noticed.left_out |= group.is_none();
            group
        };
        match identity.and_then(|identity| first(identity, places)) {
            Some(Value::List(list)) => list.items().filter_map(group).collect(),
            None | Some(Value::Null) => Vec::new(),
            Some(value) => group(value).into_iter().collect(),
        }
    }

    /// Whether the identity itself names a group; a constant is no evidence.
    pub(super) fn is_evident(&self, identity: &Identity<'_>) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Claim(_) => !self.resolve(Some(identity), &mut Noticed::default()).is_empty(),
        }
    }
}

/// The members of an identity of texts that a required claim can be found in.
#[must_use]
pub fn inputs(claim: &str, settings: &Settings) -> Vec<String> {
    let places: Vec<ClaimPath> = match claim {
        "groups" => match groups_source(settings) {
            GroupsSource::Claim(places) => places,
            GroupsSource::Constant(_) => Vec::new(),
        },
        text => text_sources(text, settings)
            .into_iter()
            .flat_map(|source| match source {
                TextSource::Claim { places, .. } => places,
                TextSource::Constant(_) => Vec::new(),
            })
            .collect(),
    };
    let name = |path: ClaimPath| match path {
        ClaimPath::Name(name) => Some(name),
        ClaimPath::Steps(steps) => match <[Step; 1]>::try_from(steps) {
            Ok([Step::Member(name)]) => Some(name),
            _ => None,
        },
    };
    places.into_iter().filter_map(name).collect()
}
