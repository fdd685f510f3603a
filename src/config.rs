//! Raw bytes in, a configuration that cannot be invalid out.
//!
//! After this, nothing on the request path can fail for a reason of configuration, but what a route's metadata says.

mod error;
mod field;
mod identity_sources;
mod key_source;
mod misplaced;
mod plugin_claims;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use base16ct::lower;
use sha2::{Digest as _, Sha256};

pub use error::ConfigError;
pub use settings::{for_route, route_members};

use crate::claims::{ClaimHeader, IssuerFormat, PluginClaims, Settings};
use crate::http::endpoint;
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
/// How long a request is held while no key has been loaded, unless configured otherwise.
const DEFAULT_KEY_WAIT: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_secs(3600);

/// Which host reads the configuration: some fields mean something to one of them only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// The Wasm module.
    Wasm,
    /// The native module.
    Native,
}

/// The plugin's configuration.
#[derive(Debug)]
pub struct Config {
    /// Tells this configuration from others.
    pub fingerprint: Fingerprint,
    /// Where the signing keys come from.
    pub key_source: KeySource,
    /// How long a request is held while no key has been loaded.
    pub signing_key_wait: Duration,
    /// Where the signature is computed.
    pub signer: SignerChoice,
    /// The header that carries the assertion.
    pub assertion_header: HeaderName,
    /// What stands before the token in it.
    pub assertion_prefix: String,
    /// `exp` − now, in whole seconds.
    pub token_lifetime: u64,
    /// Now − `iat`, in whole seconds.
    pub iat_backdate: u64,
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
    /// Whether a CORS preflight without an identity goes on.
    pub cors_allow_preflight: bool,
    /// Whether `/.well-known/openid-configuration` is answered.
    pub openid_configuration: bool,
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
    pub fn read(
        platform: Platform,
        bytes: &[u8],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let object = object(bytes)?;
        misplaced::refuse("", &object, Some(misplaced::KEY_FIELD))?;
        let fingerprint = Fingerprint::of(&object);
        let mut members = Members::new(String::new(), object);
        let config = Self::from_members(platform, &mut members, environment)?;
        members.finish()?;
        Self { fingerprint, ..config }.checked()
    }

    fn from_members(
        platform: Platform,
        members: &mut Members,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        settings::apply(&mut settings, members)?;
        Ok(Self {
            fingerprint: Fingerprint::default(),
            key_source: key_source::read(platform, members, environment)?,
            signing_key_wait: members.take("signing_key_wait").map(key_wait).transpose()?.unwrap_or(DEFAULT_KEY_WAIT),
            signer: members.take("signer").map(|field| signer(platform, field)).transpose()?.unwrap_or_default(),
            assertion_header: match members.take("assertion_header") {
                Some(field) => header_name(field)?,
                None => HeaderName::assertion(),
            },
            assertion_prefix: members.take("assertion_prefix").map(prefix).transpose()?.unwrap_or_default(),
            token_lifetime: seconds(members.take("token_lifetime"), 300, 1, 24 * HOUR.as_secs())?,
            iat_backdate: seconds(members.take("iat_backdate"), 0, 0, 60)?,
            reuse: members.take("reuse").map(reuse).transpose()?,
            identity_sources: identity_sources::read(platform, members.take("identity_sources"))?,
            claims: Arc::new(plugin_claims::read(members)?),
            max_assertion_bytes: members.take("max_assertion_bytes").map(|field| field.size()).transpose()?,
            jwks_path: match members.take("jwks_path") {
                Some(field) => field.path()?,
                None => endpoint::JWKS_PATH.into(),
            },
            jwks_max_age: seconds(members.take("jwks_max_age"), 60, 0, 365 * 24 * HOUR.as_secs())?,
            cors_allow_preflight: flag(members, "cors_allow_preflight")?,
            openid_configuration: flag(members, "openid_configuration")?,
            user_endpoints: flag(members, "user_endpoints")?,
            settings,
        })
    }

    /// What concerns more than one field.
    fn checked(self) -> Result<Self, ConfigError> {
        self.check_reuse()?;
        self.check_claim_headers()?;
        self.check_openid()?;
        identity_sources::check(&self.identity_sources, &self.settings, &self.claims)?;
        if endpoint::OTHER_PATHS.contains(&self.jwks_path.as_str()) {
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

    fn check_openid(&self) -> Result<(), ConfigError> {
        let issuer = self.settings.issuer.as_deref();
        let is_url = match issuer {
            Some(issuer) => endpoint::is_discoverable(issuer),
            None => self.settings.issuer_format == IssuerFormat::Uri,
        };
        if !self.openid_configuration || is_url {
            return Ok(());
        }
        let got = issuer.map_or("true with jwt_issuer_format \"hostOnly\"".into(), |issuer| {
            format!("true with issuer {}", show(issuer))
        });
        let allowed = "true where iss is a URL: with jwt_issuer_format \"uri\", or an issuer that begins with https://";
        Err(ConfigError::invalid("openid_configuration", got, allowed))
    }

    fn check_claim_headers(&self) -> Result<(), ConfigError> {
        let mut taken = vec![&self.assertion_header];
        for ClaimHeader { header, .. } in &self.claims.headers {
            if taken.iter().any(|other| other.is_alias_of(header.as_str())) {
                let allowed = "headers that differ from the assertion header and from each other, also where what is no letter or digit is read as -";
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

/// A digest of a configuration, the same for either form of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    fn of(object: &serde_json::Map<String, serde_json::Value>) -> Self {
        Self(lower::encode_string(&Sha256::digest(serde_json::to_vec(object).unwrap_or_default())))
    }

    /// Lowercase hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// It is of a key, too, if the configuration holds one.
impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint")
    }
}

fn flag(members: &mut Members, name: &str) -> Result<bool, ConfigError> {
    members.take(name).map(|field| field.bool()).transpose().map(Option::unwrap_or_default)
}

fn key_wait(field: Field) -> Result<Duration, ConfigError> {
    field.duration(Duration::ZERO..=Duration::from_secs(60))
}

fn signer(platform: Platform, field: Field) -> Result<SignerChoice, ConfigError> {
    let choices = [("auto", SignerChoice::Auto), ("host", SignerChoice::Host), ("wasm", SignerChoice::Wasm)];
    match platform {
        Platform::Wasm => field.one_of(&choices),
        Platform::Native => field.one_of(&choices[..1]),
    }
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

#[cfg(test)]
mod tests;
