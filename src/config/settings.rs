//! What a route can override.

use serde_json::Value as Json;

use super::field::{Field, Kind, Members};
use super::{ConfigError, OWN_CLAIMS};
use crate::claims::{Audience, ClaimRule, IssuerFormat, OnMissingIdentity, Settings};
use crate::value::Object;

/// The settings with what a route's metadata overrides.
///
/// # Errors
/// A [`ConfigError`] that names the member; then none of it must be used.
pub fn for_route(settings: &Settings, members: Object<'_>) -> Result<Settings, ConfigError> {
    const PLACE: &str = "metadata attestation";
    let object = super::field::to_json(members);
    let object = object.ok_or_else(|| ConfigError::invalid(PLACE, "something else", "an object"))?;
    let mut members = Members::new(PLACE.into(), object);
    let mut settings = settings.clone();
    apply(&mut settings, &mut members)?;
    members.finish()?;
    Ok(settings)
}

/// Takes what is set among the members.
pub(super) fn apply(settings: &mut Settings, members: &mut Members) -> Result<(), ConfigError> {
    set(members, "pass_identity_headers", |field| field.bool(), &mut settings.pass_identity_headers)?;
    set(members, "issuer", |field| field.non_empty_text().map(Some), &mut settings.issuer)?;
    set(members, "jwt_issuer_format", issuer_format, &mut settings.issuer_format)?;
    set(members, "audience", |field| audience(field).map(Some), &mut settings.audience)?;
    set(members, "jwt_groups_filter", |field| groups(field).map(Some), &mut settings.groups_filter)?;
    set(members, "on_missing_identity", on_missing_identity, &mut settings.on_missing_identity)?;
    if let Some(field) = members.take("claims") {
        settings.claims.extend(claims(field)?);
    }
    Ok(())
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
