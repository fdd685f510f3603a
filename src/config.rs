//! Raw bytes in, a configuration that cannot be invalid out.
//!
//! After this, nothing on the request path can fail for a reason of configuration, but what a route's metadata says.

mod error;
mod field;
mod key_source;
mod plugin_claims;
mod settings;

use std::sync::Arc;
use std::time::Duration;

pub use error::ConfigError;
pub use settings::for_route;

use crate::claims::{ClaimHeader, PluginClaims, Settings};
use crate::host::CertificateField;
use crate::http::header_name::HeaderName;
use crate::identity::IdentitySource;
use crate::keys::feed::KeySource;
use crate::keys::signer::SignerChoice;
use crate::value::Object;
use crate::value::protobuf::Struct;
use error::show;
use field::{Field, Members};

/// Claims that are the filter's own; a configuration cannot re-map them.
const OWN_CLAIMS: [&str; 5] = ["aud", "exp", "iat", "iss", "jti"];
const DISCOVERY_PATH: &str = "/.well-known/pomerium";
const HOUR: Duration = Duration::from_secs(3600);

/// The plugin's configuration.
#[derive(Debug)]
pub struct Config {
    /// Where the signing keys come from.
    pub key_source: KeySource,
    /// Where the signature is computed.
    pub signer: SignerChoice,
    /// The header that carries the assertion.
    pub assertion_header: HeaderName,
    /// What stands before the token in it.
    pub assertion_prefix: String,
    /// `exp − iat`, in whole seconds.
    pub token_lifetime: u64,
    /// How long an assertion may be used again.
    pub reuse: Option<Duration>,
    /// Where an identity is looked for, in order.
    pub identity_sources: Vec<IdentitySource>,
    /// What no route decides about claims.
    pub claims: Arc<PluginClaims>,
    /// The longest value of the assertion header that is forwarded, in bytes.
    pub max_assertion_bytes: Option<usize>,
    /// The path of the keyset.
    pub jwks_path: String,
    /// How long clients may keep the keyset, in whole seconds.
    pub jwks_max_age: u64,
    /// Whether `/.pomerium/jwt` and `/.pomerium/user` are answered.
    pub user_endpoints: bool,
    /// What a route can override.
    pub settings: Settings,
}

impl Config {
    /// Reads a plugin configuration: empty, JSON, or a serialised `google.protobuf.Struct`.
    /// `environment` looks up a variable of the module's environment.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the field, what it got and what is allowed; never a key.
    pub fn read(bytes: &[u8], environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut members = Members::new(String::new(), object(bytes)?);
        let config = Self::from_members(&mut members, environment)?;
        members.finish()?;
        config.checked()
    }

    fn from_members(members: &mut Members, environment: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        settings::apply(&mut settings, members)?;
        Ok(Self {
            key_source: key_source::read(members, environment)?,
            signer: members.take("signer").map(signer).transpose()?.unwrap_or_default(),
            assertion_header: match members.take("assertion_header") {
                Some(field) => header_name(field)?,
                None => HeaderName::assertion(),
            },
            assertion_prefix: members.take("assertion_prefix").map(prefix).transpose()?.unwrap_or_default(),
            token_lifetime: seconds(members.take("token_lifetime"), 300, 1, 24 * HOUR.as_secs())?,
            reuse: members.take("reuse").map(reuse).transpose()?,
            identity_sources: match members.take("identity_sources") {
                Some(field) => field.items()?.into_iter().map(identity_source).collect::<Result<_, _>>()?,
                None => vec![IdentitySource::jwt_authn()],
            },
            claims: Arc::new(plugin_claims::read(members)?),
            max_assertion_bytes: members.take("max_assertion_bytes").map(|field| field.size()).transpose()?,
            jwks_path: match members.take("jwks_path") {
                Some(field) => field.path()?,
                None => format!("{DISCOVERY_PATH}/jwks.json"),
            },
            jwks_max_age: seconds(members.take("jwks_max_age"), 60, 0, 365 * 24 * HOUR.as_secs())?,
            user_endpoints: members.take("user_endpoints").map(|field| field.bool()).transpose()?.unwrap_or(false),
            settings,
        })
    }

    /// What concerns more than one field.
    fn checked(self) -> Result<Self, ConfigError> {
        self.check_reuse()?;
        self.check_claim_headers()?;
        if [DISCOVERY_PATH, "/.pomerium/jwt", "/.pomerium/user"].contains(&self.jwks_path.as_str()) {
            let allowed = "a path that the filter does not answer with something else";
            return Err(ConfigError::invalid("jwks_path", show(&self.jwks_path), allowed));
        }
        if !self.claims.shed.is_empty() && self.max_assertion_bytes.is_none() {
            return Err(ConfigError::invalid("shed", "a list", "nothing without max_assertion_bytes"));
        }
        Ok(self)
    }

    fn check_reuse(&self) -> Result<(), ConfigError> {
        let Some(reuse) = self.reuse else { return Ok(()) };
        let got = field::show_duration(reuse);
        if reuse > Duration::from_secs(self.token_lifetime) / 2 {
            let got = format!("\"{got}\" with token_lifetime \"{}s\"", self.token_lifetime);
            return Err(ConfigError::invalid("reuse", got, "at most half of token_lifetime"));
        }
        if !self.claims.bind.is_empty() {
            let got = format!("\"{got}\" beside bind");
            return Err(ConfigError::invalid("reuse", got, "nothing where assertions are bound to their request"));
        }
        Ok(())
    }

    fn check_claim_headers(&self) -> Result<(), ConfigError> {
        let mut taken = vec![&self.assertion_header];
        for ClaimHeader { header, .. } in &self.claims.headers {
            if taken.iter().any(|other| other.is_alias_of(header.as_str())) {
                let allowed =
                    "headers that differ from the assertion header and from each other, also with _ or . read as -";
                return Err(ConfigError::invalid("jwt_claims_headers", show(header.as_str()), allowed));
            }
            taken.push(header);
        }
        Ok(())
    }
}

/// The configuration as an object: nothing, JSON, or a `Struct`. A `Struct` can begin like JSON (its first bytes are
/// a tag that is a line feed, and a length that may be `{`), but never be JSON to its end.
fn object(bytes: &[u8]) -> Result<serde_json::Map<String, serde_json::Value>, ConfigError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(serde_json::Map::new());
    }
    let not_json = match serde_json::from_slice(bytes) {
        Ok(serde_json::Value::Object(members)) => {
            return Ok(members.into_iter().map(|(name, value)| (name, field::normalised(value))).collect());
        }
        Ok(other) => return Err(ConfigError::invalid("configuration", field::kind(&other), "an object")),
        Err(error) => error,
    };
    field::to_json(Object::Struct(Struct::new(bytes)))
        .ok_or(ConfigError::NotJson { line: not_json.line(), column: not_json.column() })
}

fn signer(field: Field) -> Result<SignerChoice, ConfigError> {
    field.one_of(&[("auto", SignerChoice::Auto), ("host", SignerChoice::Host), ("wasm", SignerChoice::Wasm)])
}

fn header_name(field: Field) -> Result<HeaderName, ConfigError> {
    let (error, name) = field.text_or("a header name as HTTP allows it, and none that steers the connection")?;
    HeaderName::parse(&name).ok_or(error)
}

/// Visible ASCII, with blanks inside and at the end (RFC 9110, section 5.5).
fn prefix(field: Field) -> Result<String, ConfigError> {
    let (error, prefix) = field.text_or("visible ASCII characters and spaces, not beginning with a space")?;
    let allowed = prefix.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && !prefix.starts_with(' ');
    if allowed { Ok(prefix) } else { Err(error) }
}

fn reuse(field: Field) -> Result<Duration, ConfigError> {
    field.duration(Duration::from_millis(1)..=12 * HOUR)
}

fn seconds(field: Option<Field>, default: u64, min: u64, max: u64) -> Result<u64, ConfigError> {
    field.map_or(Ok(default), |field| field.seconds(min..=max))
}

fn identity_source(field: Field) -> Result<IdentitySource, ConfigError> {
    let (kind, source) = field.only_member(&["metadata", "headers", "client_certificate"])?;
    match kind.as_str() {
        "metadata" => metadata_source(source),
        "headers" => Ok(IdentitySource::Headers(source.named(header_name)?)),
        _ => Ok(IdentitySource::ClientCertificate(source.named(certificate_field)?)),
    }
}

fn metadata_source(field: Field) -> Result<IdentitySource, ConfigError> {
    let mut members = field.members()?;
    let namespace = members.required("namespace", "the name of a metadata namespace")?.non_empty_text()?;
    let path = members.take("path").map(|path| path.texts()).transpose()?;
    members.finish()?;
    Ok(IdentitySource::Metadata { namespace, path })
}

fn certificate_field(field: Field) -> Result<CertificateField, ConfigError> {
    field.one_of(&[
        ("uri_san", CertificateField::UriSan),
        ("dns_san", CertificateField::DnsSan),
        ("subject", CertificateField::Subject),
        ("sha256_fingerprint", CertificateField::Sha256Fingerprint),
    ])
}

#[cfg(test)]
mod tests;
