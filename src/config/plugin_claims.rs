//! What the plugin, and no route, decides about claims.

use serde_json::Value as Json;

use super::field::{Field, Kind, Members};
use super::{ConfigError, OWN_CLAIMS};
use crate::actor::{Actors, OnUnverifiable, Peer};
use crate::claims::{Binding, CAN_BE_REQUIRED, ClaimHeader, PluginClaims, Shed};
use crate::http::header_name::HeaderName;
use crate::keys::PublicKey;

/// Claims that every assertion has, so that none of them can be shed but the groups.
const NEVER_SHED: [&str; 5] = ["sub", "user", "email", "name", "sid"];

pub(super) fn read(members: &mut Members) -> Result<PluginClaims, ConfigError> {
    Ok(PluginClaims {
        required: match members.take("required_claims") {
            Some(field) => field.items()?.into_iter().map(required).collect::<Result<_, _>>()?,
            None => vec!["sub"],
        },
        as_text: members.take("claim_values").map(claim_values).transpose()?.unwrap_or(false),
        headers: members.take("jwt_claims_headers").map(claim_headers).transpose()?.unwrap_or_default(),
        bind: members.take("bind").map(bindings).transpose()?.unwrap_or_default(),
        provenance: members.take("provenance").map(|field| field.bool()).transpose()?.unwrap_or(false),
        shed: members.take("shed").map(shed).transpose()?.unwrap_or_default(),
        actors: members.take("actor").map(actors).transpose()?,
    })
}

fn required(field: Field) -> Result<&'static str, ConfigError> {
    field.one_of(&CAN_BE_REQUIRED.map(|claim| (claim, claim)))
}

fn claim_values(field: Field) -> Result<bool, ConfigError> {
    field.one_of(&[("json", false), ("text", true)])
}

fn bindings(field: Field) -> Result<Vec<Binding>, ConfigError> {
    let binding = |field: Field| {
        field.one_of(&[
            ("method", Binding::Method),
            ("authority", Binding::Authority),
            ("path", Binding::Path),
            ("request_id", Binding::RequestId),
        ])
    };
    field.items()?.into_iter().map(binding).collect()
}

fn shed(field: Field) -> Result<Vec<String>, ConfigError> {
    let name = |field: Field| {
        let (error, name) = field.text_or("groups, or an extra claim")?;
        let fixed = name.is_empty() || NEVER_SHED.contains(&name.as_str()) || OWN_CLAIMS.contains(&name.as_str());
        if fixed { Err(error) } else { Ok(name) }
    };
    let error = field.error("a list of at most 64 claims");
    match field.items()? {
        names if names.len() > Shed::MAX => Err(error),
        names => names.into_iter().map(name).collect(),
    }
}

fn actors(field: Field) -> Result<Actors, ConfigError> {
    let mut members = field.members()?;
    let trusted = members.required("trusted", "a list of peers")?.items()?;
    let on_unverifiable = members.take("on_unverifiable").map(on_unverifiable).transpose()?.unwrap_or_default();
    let max_depth = members.take("max_depth").map(Field::size).transpose()?.unwrap_or(4);
    members.finish()?;
    let peers = trusted.into_iter().map(peer).collect::<Result<_, _>>()?;
    Ok(Actors { peers, on_unverifiable, max_depth })
}

fn on_unverifiable(field: Field) -> Result<OnUnverifiable, ConfigError> {
    field.one_of(&[("drop", OnUnverifiable::Drop), ("deny", OnUnverifiable::Deny)])
}

fn peer(field: Field) -> Result<Peer, ConfigError> {
    let mut members = field.members()?;
    let issuer = members.required("issuer", "the iss of the peer's assertions")?.non_empty_text()?;
    let mut jwks = members.required("jwks", "the peer's keyset, {keys: […]}")?.members()?;
    members.finish()?;
    let keys = jwks.required("keys", "a list of JWKs")?;
    jwks.finish()?;
    let keys = match keys.kind() {
        Kind::List => keys.items()?.into_iter().map(peer_key).collect::<Result<_, _>>()?,
        _ => return Err(keys.error("a list of JWKs")),
    };
    Ok(Peer { issuer, keys })
}

fn peer_key(field: Field) -> Result<PublicKey, ConfigError> {
    let error = field.error("a public JWK with kid, P-256 or RSA of 2048 to 4096 bits");
    let jwk: Json = field.as_json().clone();
    let key = PublicKey::from_jwk(&jwk).filter(|_| jwk.get("d").is_none()).ok_or(error)?;
    let mut members = field.members()?;
    must_be(members.take("use"), "sig")?;
    must_be(members.take("alg"), key.alg())?;
    must_list(members.take("key_ops"), "verify")?;
    Ok(key)
}

/// What a peer says of its own key, if it says anything (RFC 7517, sections 4.2 to 4.4).
fn must_be(member: Option<Field>, wanted: &str) -> Result<(), ConfigError> {
    match member {
        Some(field) if !field.is_text(wanted) => Err(field.error(&format!("{wanted:?}, or nothing"))),
        _ => Ok(()),
    }
}

fn must_list(member: Option<Field>, wanted: &str) -> Result<(), ConfigError> {
    let Some(field) = member else { return Ok(()) };
    let error = field.error(&format!("a list with {wanted:?} in it, or nothing"));
    if field.items()?.iter().any(|item| item.is_text(wanted)) { Ok(()) } else { Err(error) }
}

/// The three forms: a map of header to claim, a list of claims, and such a list as one string.
fn claim_headers(field: Field) -> Result<Vec<ClaimHeader>, ConfigError> {
    match field.kind() {
        Kind::Object => {
            let named = field.entries()?.into_iter().map(|(name, claim)| {
                let allowed = "header names as HTTP allows them, each with the name of a claim";
                let header = HeaderName::parse(&name).ok_or_else(|| claim.named_error(&name, allowed))?;
                Ok(ClaimHeader { header, claim: claim.non_empty_text()? })
            });
            named.collect()
        }
        Kind::List => claim_list(field.items()?),
        Kind::Other => {
            let allowed = "a map of header to claim, a list of claims, or claims with commas or white space between";
            claim_list(field.parts(allowed)?)
        }
    }
}

/// A claim that is named again is there once.
fn claim_list(fields: Vec<Field>) -> Result<Vec<ClaimHeader>, ConfigError> {
    let mut headers: Vec<ClaimHeader> = Vec::new();
    for field in fields {
        let header = claim_header(field)?;
        if !headers.contains(&header) {
            headers.push(header);
        }
    }
    Ok(headers)
}

fn claim_header(field: Field) -> Result<ClaimHeader, ConfigError> {
    let (error, claim) = field.text_or("a claim whose name can end a header name; the map form takes any claim")?;
    match HeaderName::for_claim(&claim) {
        Some(header) => Ok(ClaimHeader { header, claim }),
        None => Err(error),
    }
}
