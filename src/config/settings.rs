//! What a route can override.

use serde_json::{Map, Value as Json};

use super::field::{Field, Kind, Members};
use super::{ConfigError, OWN_CLAIMS, misplaced};
use crate::claims::{Audience, ClaimRule, IssuerFormat, OnMissingIdentity, Settings, is_safe};
use crate::identity::{ClaimPath, Step};
use crate::value::Object;

/// The settings with what a route's metadata overrides.
///
/// # Errors
/// A [`ConfigError`] that names the member; then none of it must be used.
pub fn for_route(settings: &Settings, members: Object<'_>) -> Result<Settings, ConfigError> {
    const PLACE: &str = "metadata attestation";
    let object = super::field::to_json(members);
    let object = object.ok_or_else(|| ConfigError::invalid(PLACE, "something else", "an object"))?;
    overridden(settings, PLACE, object)
}

/// What a route of the native module has as its configuration, in the forms that the plugin's can have.
///
/// # Errors
/// A [`ConfigError`] that names the member, for whatever [`for_route`] would refuse.
pub fn route_members(bytes: &[u8]) -> Result<Map<String, Json>, ConfigError> {
    let object = super::object(bytes)?;
    overridden(&Settings::default(), "", object.clone())?;
    Ok(object)
}

fn overridden(settings: &Settings, path: &str, object: Map<String, Json>) -> Result<Settings, ConfigError> {
    misplaced::refuse(path, &object, None)?;
    let (mut settings, mut members) = (settings.clone(), Members::new(path.to_owned(), object));
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
    if let Some(field) = members.take("jwt_groups_filter") {
        // A route's groups add to the plugin's, as in Pomerium.
        let filter = settings.groups_filter.get_or_insert_default();
        filter.extend(
            field.items_not_empty("groups")?.into_iter().map(Field::non_empty_text).collect::<Result<Vec<_>, _>>()?,
        );
        filter.sort_unstable();
        filter.dedup();
    }
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

/// In any letter case, and as Pomerium calls them.
fn issuer_format(field: Field) -> Result<IssuerFormat, ConfigError> {
    let (error, text) = field.text_or("hostOnly or uri, or IssuerHostOnly, IssuerURI or empty as Pomerium has it")?;
    match text.to_ascii_lowercase().as_str() {
        "" | "hostonly" | "issuerhostonly" => Ok(IssuerFormat::HostOnly),
        "uri" | "issueruri" => Ok(IssuerFormat::Uri),
        _ => Err(error),
    }
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

fn claims(field: Field) -> Result<Vec<(String, ClaimRule)>, ConfigError> {
    field.entries()?.into_iter().map(|(name, field)| Ok((name.clone(), claim(&name, field)?))).collect()
}

fn claim(name: &str, field: Field) -> Result<ClaimRule, ConfigError> {
    if name.is_empty() || OWN_CLAIMS.contains(&name) {
        let allowed = format!("any claim but {}, which are the filter's own", OWN_CLAIMS.join(", "));
        return Err(field.named_error(name, &allowed));
    }
    let (kind, source) = field.only_member(&["from", "first_of", "value"])?;
    match kind.as_str() {
        "from" => path(source).map(|path| ClaimRule::First(vec![path])),
        "first_of" => {
            let places = source.items_not_empty("places to look at")?;
            places.into_iter().map(path).collect::<Result<_, _>>().map(ClaimRule::First)
        }
        _ => constant(name, source).map(ClaimRule::Value),
    }
}

/// A name, or a list of names and of places in lists.
fn path(field: Field) -> Result<ClaimPath, ConfigError> {
    const ALLOWED: &str =
        "a name that is not empty, or a list that begins with one and goes on with names and places in lists";
    if field.kind() != Kind::List {
        let (error, name) = field.text_or(ALLOWED)?;
        return if name.is_empty() { Err(error) } else { Ok(ClaimPath::Name(name)) };
    }
    let error = field.error(ALLOWED);
    let steps: Vec<Step> = field.items()?.into_iter().map(step).collect::<Result<_, _>>()?;
    match steps.first() {
        Some(Step::Member(_)) => Ok(ClaimPath::Steps(steps)),
        _ => Err(error),
    }
}

fn step(field: Field) -> Result<Step, ConfigError> {
    let place = field.as_json().as_u64().and_then(|place| usize::try_from(place).ok());
    match place {
        Some(place) => Ok(Step::Item(place)),
        None => match field.text_or("a name that is not empty, or a place in a list, counted from 0")? {
            (error, name) if name.is_empty() => Err(error),
            (_, name) => Ok(Step::Member(name)),
        },
    }
}

/// A constant of the type that the claim has.
fn constant(name: &str, field: Field) -> Result<Json, ConfigError> {
    match name {
        "sub" | "user" | "email" | "name" | "sid" => field.text_or("a string").map(|(_, text)| text.into()),
        "groups" if field.kind() == Kind::List => field.texts().map(Json::from),
        "groups" => field.non_empty_text().map(|group| vec![group].into()),
        _ if field.is_null() => Err(field.error("any value but null")),
        _ if has_unsafe_number(field.as_json()) => {
            Err(field.error("numbers that a double holds exactly, from -(2^53-1) to 2^53-1; write another as a string"))
        }
        _ => Ok(field.into_json()),
    }
}

fn has_unsafe_number(json: &Json) -> bool {
    match json {
        Json::Number(number) => !is_safe(number),
        Json::Array(items) => items.iter().any(has_unsafe_number),
        Json::Object(members) => members.values().any(has_unsafe_number),
        Json::Null | Json::Bool(_) | Json::String(_) => false,
    }
}
