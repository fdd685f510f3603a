//! Where the user's identity comes from.

use super::error::show;
use super::field::{Field, Kind};
use super::{ConfigError, Platform, header_name};
use crate::claims::{PluginClaims, Settings, inputs};
use crate::host::CertificateField;
use crate::identity::{ClaimHeaderValue, IdentitySource, ListFormat};

/// Where jwt_authn writes: below this namespace, as objects in an object.
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";
/// Where the shipped native configurations have jwt_authn's payload.
const FILTER_STATE: &str = "attestation.identity";

pub(super) fn read(platform: Platform, field: Option<Field>) -> Result<Vec<IdentitySource>, ConfigError> {
    let Some(field) = field else {
        return Ok(vec![match platform {
            Platform::Wasm => IdentitySource::jwt_authn(),
            Platform::Native => IdentitySource::FilterState(FILTER_STATE.into()),
        }]);
    };
    field.items()?.into_iter().map(|field| source(platform, field)).collect()
}

/// A source that can never have what is required is a mistake.
pub(super) fn check(sources: &[IdentitySource], settings: &Settings, plugin: &PluginClaims) -> Result<(), ConfigError> {
    for (place, source) in sources.iter().enumerate() {
        let Some(claims) = source.claims() else { continue };
        for required in &plugin.required {
            let inputs = inputs(required, settings);
            if !inputs.iter().any(|input| claims.contains(&input.as_str())) {
                let field = format!("identity_sources[{place}].{}", source.label());
                let allowed = match inputs.as_slice() {
                    [] => format!(
                        "a source without a constant for {required}; or leave {required} out of required_claims"
                    ),
                    inputs => format!(
                        "a map that has {}, as required_claims asks for {required}; or leave {required} out of \
                         required_claims",
                        inputs.join(" or ")
                    ),
                };
                return Err(ConfigError::invalid(field, show(&claims.join(", ")), allowed));
            }
        }
    }
    Ok(())
}

fn source(platform: Platform, field: Field) -> Result<IdentitySource, ConfigError> {
    let (kind, source) = field.only_member(&["metadata", "filter_state", "headers", "client_certificate"])?;
    match kind.as_str() {
        "metadata" => metadata_source(platform, source),
        "filter_state" => source.non_empty_text().map(IdentitySource::FilterState),
        "headers" => {
            source.named_fields()?.into_iter().map(header).collect::<Result<_, _>>().map(IdentitySource::Headers)
        }
        _ => Ok(IdentitySource::ClientCertificate(source.named(certificate_field)?)),
    }
}

fn metadata_source(platform: Platform, field: Field) -> Result<IdentitySource, ConfigError> {
    let mut members = field.members()?;
    let namespace = members.required("namespace", "the name of a metadata namespace")?;
    let path = members.take("path");
    if platform == Platform::Native {
        let allowed = "a namespace of texts, numbers, bools and lists of texts, without path: the native module cannot \
                       read nested metadata. Put it into the filter state with a set_filter_state filter before this one \
                       (object_key: attestation.identity, factory_key: envoy.string, format_string: \
                       \"%DYNAMIC_METADATA(NAMESPACE:PATH)%\"), and write {filter_state: attestation.identity}";
        if let Some(path) = &path {
            return Err(path.error(allowed));
        }
        if namespace.is_text(JWT_AUTHN) {
            return Err(namespace.error(allowed));
        }
    }
    let namespace = namespace.non_empty_text()?;
    let path = match platform {
        Platform::Wasm => path.map(Field::texts).transpose()?,
        // The namespace itself is the object.
        Platform::Native => Some(Vec::new()),
    };
    members.finish()?;
    Ok(IdentitySource::Metadata { namespace, path })
}

fn header((claim, field): (String, Field)) -> Result<(String, ClaimHeaderValue), ConfigError> {
    let list = claim == "groups";
    if field.kind() != Kind::Object {
        let list = list.then(|| ListFormat::Separated(",".into()));
        return Ok((claim, ClaimHeaderValue { name: header_name(field)?, list }));
    }
    if !list {
        return Err(field.error("the name of a header"));
    }
    let mut members = field.members()?;
    let name = header_name(members.required("header", "the name of a header")?)?;
    let separator = members.take("separator");
    let format = members.take("format").map(list_format).transpose()?;
    members.finish()?;
    let list = match (separator, format) {
        (Some(separator), Some(_)) => return Err(separator.error("nothing beside format")),
        (Some(separator), None) => ListFormat::Separated(separator.non_empty_text()?),
        (None, Some(format)) => format,
        (None, None) => ListFormat::Separated(",".into()),
    };
    Ok((claim, ClaimHeaderValue { name, list: Some(list) }))
}

fn list_format(field: Field) -> Result<ListFormat, ConfigError> {
    field.one_of(&[("json", ())]).map(|()| ListFormat::Json)
}

fn certificate_field(field: Field) -> Result<CertificateField, ConfigError> {
    field.one_of(&[
        ("uri_san", CertificateField::UriSan),
        ("dns_san", CertificateField::DnsSan),
        ("subject", CertificateField::Subject),
        ("sha256_fingerprint", CertificateField::Sha256Fingerprint),
    ])
}
