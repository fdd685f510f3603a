use serde_json::Value as Json;

use super::field::{Field, Kind, Members};
use super::{ConfigError, OWN_CLAIMS};
use crate::value::protobuf::Struct;

/// The shape of `iss` where it comes from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IssuerFormat {
    /// `app.example.com`
    #[default]
    HostOnly,
    /// `https://app.example.com/`
    Uri,
}

/// The audience of an assertion, in the shape that was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// A single string.
    One(String),
    /// A list of at least one.
    Many(Vec<String>),
}

/// What happens to a request of nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissingIdentity {
    /// It gets an assertion with empty claims.
    #[default]
    Sign,
    /// It goes on without one.
    Skip,
    /// It is answered 401.
    Deny,
}

/// Where an extra or re-mapped claim comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimRule {
    /// Member names to walk down the identity, at least one.
    From(Vec<String>),
    /// A constant.
    Value(Json),
}

/// What a route's metadata can override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether an assertion is injected at all.
    pub pass_identity_headers: bool,
    /// `iss`, if it does not come from the host.
    pub issuer: Option<String>,
    /// The shape of `iss` if it does.
    pub issuer_format: IssuerFormat,
    /// `aud`, if it is not the host.
    pub audience: Option<Audience>,
    /// The groups that may be named, sorted, if not all.
    pub groups_filter: Option<Vec<String>>,
    /// What happens to a request of nobody.
    pub on_missing_identity: OnMissingIdentity,
    /// Extra and re-mapped claims; of two with the same name the later counts.
    pub claims: Vec<(String, ClaimRule)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pass_identity_headers: true,
            issuer: None,
            issuer_format: IssuerFormat::default(),
            audience: None,
            groups_filter: None,
            on_missing_identity: OnMissingIdentity::default(),
            claims: Vec::new(),
        }
    }
}

impl Settings {
    /// These settings with what a route's `filter_metadata.attestation` overrides.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the member; then none of it must be used.
    pub fn for_route(&self, metadata: Struct<'_>) -> Result<Self, ConfigError> {
        const PLACE: &str = "metadata attestation";
        let object = super::field::to_json(metadata).filter(|_| metadata.is_well_formed());
        let object = object.ok_or_else(|| ConfigError::invalid(PLACE, "something else", "an object"))?;
        let mut members = Members::new(PLACE.into(), object);
        let mut settings = self.clone();
        settings.apply(&mut members)?;
        members.finish()?;
        Ok(settings)
    }

    /// The rule for a claim.
    #[must_use]
    pub fn rule(&self, claim: &str) -> Option<&ClaimRule> {
        self.claims.iter().rev().find(|(name, _)| name == claim).map(|(_, rule)| rule)
    }

    /// Takes what is set among the members.
    pub(super) fn apply(&mut self, members: &mut Members) -> Result<(), ConfigError> {
        set(members, "pass_identity_headers", |field| field.bool(), &mut self.pass_identity_headers)?;
        set(members, "issuer", |field| field.non_empty_text().map(Some), &mut self.issuer)?;
        set(members, "jwt_issuer_format", issuer_format, &mut self.issuer_format)?;
        set(members, "audience", |field| audience(field).map(Some), &mut self.audience)?;
        set(members, "jwt_groups_filter", |field| groups(field).map(Some), &mut self.groups_filter)?;
        set(members, "on_missing_identity", on_missing_identity, &mut self.on_missing_identity)?;
        if let Some(field) = members.take("claims") {
            self.claims.extend(claims(field)?);
        }
        Ok(())
    }
}

fn set<T>(
    members: &mut Members,
    name: &str,
    read: impl Fn(Field) -> Result<T, ConfigError>,
    target: &mut T,
) -> Result<(), ConfigError> {
    if let Some(field) = members.take(name) {
        *target = read(field)?;
    }
    Ok(())
}

fn issuer_format(field: Field) -> Result<IssuerFormat, ConfigError> {
    field.one_of(&[("hostOnly", IssuerFormat::HostOnly), ("uri", IssuerFormat::Uri)])
}

fn on_missing_identity(field: Field) -> Result<OnMissingIdentity, ConfigError> {
    field.one_of(&[
        ("sign", OnMissingIdentity::Sign),
        ("skip", OnMissingIdentity::Skip),
        ("deny", OnMissingIdentity::Deny),
    ])
}

fn audience(field: Field) -> Result<Audience, ConfigError> {
    let many = field.kind() == Kind::List;
    let mut names = field.one_or_more()?;
    match names.pop() {
        Some(only) if !many => Ok(Audience::One(only)),
        last => Ok(Audience::Many(names.into_iter().chain(last).collect())),
    }
}

fn groups(field: Field) -> Result<Vec<String>, ConfigError> {
    let mut groups = field.texts()?;
    groups.sort_unstable();
    Ok(groups)
}

fn claims(field: Field) -> Result<Vec<(String, ClaimRule)>, ConfigError> {
    field.entries()?.into_iter().map(|(name, field)| Ok((name.clone(), claim(&name, field)?))).collect()
}

fn claim(name: &str, field: Field) -> Result<ClaimRule, ConfigError> {
    if name.is_empty() || OWN_CLAIMS.contains(&name) {
        let allowed = format!("any claim but {}, which are the filter's own", OWN_CLAIMS.join(", "));
        return Err(field.named_error(name, &allowed));
    }
    let (kind, source) = field.only_member(&["from", "value"])?;
    match kind.as_str() {
        "from" => source.one_or_more().map(ClaimRule::From),
        _ => constant(name, source).map(ClaimRule::Value),
    }
}

/// A constant of the type that the claim has.
fn constant(name: &str, field: Field) -> Result<Json, ConfigError> {
    match name {
        "sub" | "user" | "email" | "name" | "sid" => field.text_or("a string").map(|(_, text)| text.into()),
        "groups" if field.kind() == Kind::List => field.texts().map(Json::from),
        "groups" => field.non_empty_text().map(|group| vec![group].into()),
        _ if field.is_null() => Err(field.error("any value but null")),
        _ => Ok(field.into_json()),
    }
}
