//! Which claims there are, and where each comes from.

mod header;
mod member;

use super::facts::{Facts, Payload, Shed};
use super::settings::{Audience, Binding, PluginClaims, Settings};
use super::source::{GroupsSource, Noticed, Source, TextSource, groups_source, issuer_uri, source, text_sources};
use super::value::{Constant, Resolved};
use crate::http::authority::Authority;
use crate::http::header_name::HeaderName;
use crate::identity::{END_OF_IDENTITY, Identity, Wanted};
use header::Header;
use member::{Member, Role, Written};

/// The claims of every assertion.
const BASE_CLAIMS: [&str; 11] = ["aud", "email", "exp", "groups", "iat", "iss", "jti", "name", "sid", "sub", "user"];
/// What an assertion says of itself rather than of the user.
const OF_THE_ASSERTION: [&str; 5] = ["aud", "exp", "iat", "iss", "jti"];

/// Which claims there are, and where each comes from.
#[derive(Debug)]
pub struct Plan {
    members: Vec<Member>,
    headers: Vec<Header>,
    required: Vec<Requirement>,
    audience: Option<Audience>,
    /// How many claims can be shed.
    places: usize,
}

/// What an identity must have to be one.
#[derive(Debug)]
enum Requirement {
    Text(Vec<TextSource>),
    Groups(GroupsSource),
}

impl Requirement {
    fn new(claim: &str, settings: &Settings) -> Self {
        match claim {
            "groups" => Self::Groups(groups_source(settings)),
            text => Self::Text(text_sources(text, settings)),
        }
    }

    fn is_met(&self, identity: &Identity<'_>) -> bool {
        match self {
            Self::Text(sources) => sources.iter().any(|source| source.is_evident(identity)),
            Self::Groups(source) => source.is_evident(identity),
        }
    }
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
        let features = feature_claims(plugin);
        names.retain(|name| !features.iter().any(|(feature, ..)| feature == name));
        let mut members: Vec<Member> = names
            .into_iter()
            .map(|name| {
                let place = plugin.shed.iter().position(|shed| *shed == name);
                let source = source(&name, settings, plugin);
                Member::new(name, source, place.map_or(Role::Fixed, Role::Sheddable))
            })
            .collect();
        members.extend(features.into_iter().map(|(name, source, role)| Member::new(name, source, role)));
        members.sort_unstable_by(|left, right| left.claim.cmp(&right.claim));
        let twins = member::twins(members.iter().map(|member| &member.source));
        members.iter_mut().zip(twins).for_each(|(member, twin)| member.twin = twin);
        let headers = header::headers(settings, plugin);
        Self {
            members,
            headers,
            required: plugin.required.iter().map(|claim| Requirement::new(claim, settings)).collect(),
            audience: settings.audience.clone(),
            places: plugin.shed.len(),
        }
    }

    /// Whether a claim is made from the request's host.
    #[must_use]
    pub fn needs_host(&self) -> bool {
        self.members.iter().any(|member| member.source.needs_host())
    }

    /// The `iss` of an assertion for this host.
    #[must_use]
    pub fn issuer(&self, authority: &Authority) -> String {
        let issuer = self.members.iter().find(|member| member.claim == "iss").map(|member| &member.source);
        match issuer {
            Some(Source::Constant(constant)) => constant.text().to_owned(),
            Some(Source::HostUri) => issuer_uri(authority),
            _ => authority.host().to_owned(),
        }
    }

    /// The `aud` of an assertion for this host; nothing without one.
    pub fn audiences<'a>(&'a self, authority: Option<&'a Authority>) -> impl Iterator<Item = &'a str> {
        let configured: &[String] = match &self.audience {
            Some(Audience::One(name)) => std::slice::from_ref(name),
            Some(Audience::Many(names)) => names,
            None => &[],
        };
        let host = authority.filter(|_| self.audience.is_none()).map(Authority::host);
        configured.iter().map(String::as_str).chain(host)
    }

    /// The claims for a request, without those that are shed.
    #[must_use]
    pub fn payload<'a>(&'a self, facts: &Facts<'a>, shed: Shed) -> Payload<'a> {
        self.payload_of(|_| true, facts, shed)
    }

    /// What an assertion would say of the user.
    #[must_use]
    pub fn user<'a>(&'a self, facts: &Facts<'a>) -> Payload<'a> {
        self.payload_of(|member| !OF_THE_ASSERTION.contains(&member.claim.as_str()), facts, Shed::default())
    }

    fn payload_of<'a>(&'a self, has: fn(&Member) -> bool, facts: &Facts<'a>, shed: Shed) -> Payload<'a> {
        let mut payload = Payload { json: Vec::with_capacity(512), groups_removed: 0, left_out: Vec::new() };
        let mut written = Vec::with_capacity(self.members.len());
        payload.json.push(b'{');
        for member in &self.members {
            let before = payload.json.len();
            let mut noticed = Noticed::default();
            let outcome = if has(member) {
                if before > 1 {
                    payload.json.push(b',');
                }
                member.write(&written, facts, shed, &mut payload.json, &mut noticed)
            } else {
                Written::Not
            };
            if !matches!(outcome, Written::At(_)) {
                payload.json.truncate(before);
            }
            written.push(outcome);
            payload.groups_removed += noticed.groups_removed;
            if noticed.left_out {
                payload.left_out.push(&member.claim);
            }
        }
        payload.json.push(b'}');
        payload
    }

    /// What to shed, in the order of `shed`, so that the payload has a length that fits.
    ///
    /// Begins with everything shed, and takes back what is to be shed last first, no more than fits: what this costs is
    /// bounded by the length that is allowed, however many claims there are.
    ///
    /// # Errors
    /// The length of the payload where everything is shed, if that does not fit.
    pub fn shed(&self, facts: &Facts<'_>, fits: impl Fn(usize) -> bool) -> Result<Shed, usize> {
        let there: Vec<usize> = (0..self.places).filter(|place| self.is_there(*place, facts)).collect();
        let all = there.iter().copied().fold(Shed::default(), Shed::with);
        let least = self.payload(facts, all).json.len();
        if !fits(least) {
            return Err(least);
        }
        let (mut best, mut shed, mut length) = (all, all, least);
        let mut markers: usize = there.iter().map(|place| self.marker_bytes(*place)).sum();
        for place in there.into_iter().rev() {
            let marker = self.marker_bytes(place);
            markers -= marker;
            length = (length + self.bytes_at(place, facts)).saturating_sub(marker);
            shed = shed.without(place);
            if fits(length) {
                best = shed;
            } else if !fits(length.saturating_sub(markers)) {
                break;
            }
        }
        Ok(best)
    }

    /// How many bytes more a claim takes than where it is shed.
    fn bytes_at(&self, place: usize, facts: &Facts<'_>) -> usize {
        let written = |member: &Member, shed: Shed| {
            let mut json = Vec::new();
            match member.write(&[], facts, shed, &mut json, &mut Noticed::default()) {
                Written::At(_) => json.len() + ",".len(),
                Written::Not | Written::Failed => 0,
            }
        };
        let members = self.members.iter().filter(|member| member.role == Role::Sheddable(place));
        let without = Shed::default().with(place);
        members.map(|member| written(member, Shed::default()).saturating_sub(written(member, without))).sum()
    }

    fn marker_bytes(&self, place: usize) -> usize {
        let members = self.members.iter().filter(|member| member.role == Role::Marker(place));
        members.map(|member| member.name.len() + "true,".len()).sum()
    }

    /// Whether there is something at this place that can be left out.
    fn is_there(&self, place: usize, facts: &Facts<'_>) -> bool {
        let mut members = self.members.iter().filter(|member| member.role == Role::Sheddable(place));
        members.any(|member| match member.source.resolve(facts, &mut Noticed::default()) {
            Some(Resolved::Texts(texts)) => !texts.is_empty(),
            value => value.is_some(),
        })
    }

    /// The unsigned claim headers for a request; a claim that is missing makes an empty one, and one that no header
    /// can hold makes none.
    pub fn headers(&self, facts: &Facts<'_>) -> Vec<(&HeaderName, String)> {
        let mut texts: Vec<Option<String>> = Vec::with_capacity(self.headers.len());
        for header in &self.headers {
            texts.push(match header.twin.and_then(|twin| texts.get(twin)) {
                Some(text) => text.clone(),
                None => header.text(facts),
            });
        }
        self.headers.iter().zip(texts).filter_map(|(header, text)| Some((&header.name, text?))).collect()
    }
}

impl Wanted for Plan {
    fn names_somebody(&self, identity: &Identity<'_>) -> bool {
        self.required.iter().all(|requirement| requirement.is_met(identity))
    }

    fn reads(&self, member: &[u8]) -> bool {
        member == END_OF_IDENTITY.as_bytes()
            || self.members.iter().any(|claim| claim.source.reads(member))
            || self.headers.iter().any(|header| header.source.reads(member))
    }
}

/// Claims that opt-in features make; a configuration that turns one on cannot have the name for something else.
fn feature_claims(plugin: &PluginClaims) -> Vec<(String, Source, Role)> {
    let binds = |binding| plugin.bind.contains(&binding);
    let (authority, path) = (binds(Binding::Authority), binds(Binding::Path));
    let features = [
        ("htm", binds(Binding::Method), Source::Method),
        ("htu", authority || path, Source::Uri { authority, path }),
        ("request_id", binds(Binding::RequestId), Source::RequestId),
        ("idsrc", plugin.provenance, Source::Provenance),
        ("act", plugin.actors.is_some(), Source::Actor),
    ];
    let on = features.into_iter().filter(|(_, on, _)| *on);
    let on = on.map(|(name, _, source)| (name.to_owned(), source, Role::Fixed));
    let marker = |(place, name): (usize, &String)| {
        (format!("{name}_truncated"), Source::Constant(Constant::new(&true.into())), Role::Marker(place))
    };
    on.chain(plugin.shed.iter().enumerate().map(marker)).collect()
}
