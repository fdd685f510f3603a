use super::facts::{Facts, Payload, Shed};
use super::settings::{Binding, PluginClaims, Settings};
use super::source::{Source, issuer_uri, source};
use super::value::write_text;
use crate::http::authority::Authority;
use crate::http::header_name::{HeaderName, is_field_value};

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

    /// What to do without next, the first of so many that is not yet left out and is there at all.
    #[must_use]
    pub fn shed_more(&self, facts: &Facts<'_>, places: usize) -> Option<Shed> {
        let place = (0..places).find(|place| {
            !facts.shed.has(*place) && self.members.iter().any(|member| member.source.can_shed(*place, facts))
        })?;
        Some(facts.shed.with(place))
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
