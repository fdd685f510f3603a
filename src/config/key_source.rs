//! Where the signing keys come from.

use std::time::Duration;

use zeroize::Zeroizing;

use super::field::{Field, Kind, Members};
use super::{ConfigError, Platform};
use crate::keys::feed::{KeyFile, KeySource, Secret};

/// The first that is set of `signing_key`, `signing_key_file`, and the environment's `SIGNING_KEY` and
/// `SIGNING_KEY_FILE`.
pub(super) fn read(
    platform: Platform,
    members: &mut Members,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<KeySource, ConfigError> {
    let inline = members.take("signing_key").map(Field::secret).transpose()?;
    let path = members.take("signing_key_file").map(Field::path).transpose()?;
    let cluster = members.take("signing_key_cluster");
    if let (Platform::Native, Some(cluster)) = (platform, &cluster) {
        return Err(cluster.error("nothing: the native module reads signing_key_file itself"));
    }
    let cluster = cluster.map(Field::non_empty_text).transpose()?;
    let refresh = members.take("signing_key_refresh").map(refresh).transpose()?;
    let secret = members.take("signing_key_secret").map(|field| secret(platform, field)).transpose()?;
    let file = |path| {
        KeySource::File(KeyFile {
            path,
            cluster: cluster.unwrap_or_else(|| "signing_key".into()),
            refresh: refresh.unwrap_or(Duration::from_secs(5)),
        })
    };
    match (inline, path, secret) {
        (Some(_), Some(_), _) => Err(beside("signing_key_file", "a path beside signing_key")),
        (Some(_), None, Some(_)) => Err(beside("signing_key_secret", "a secret beside signing_key")),
        (None, Some(_), Some(_)) => Err(beside("signing_key_secret", "a secret beside signing_key_file")),
        (Some(text), None, None) => Ok(key_text("signing_key", text)),
        (None, Some(path), None) => Ok(file(path)),
        (None, None, Some(secret)) => Ok(KeySource::Secret(secret)),
        (None, None, None) => match (environment("SIGNING_KEY"), environment("SIGNING_KEY_FILE")) {
            (Some(text), _) => Ok(key_text("environment SIGNING_KEY", text)),
            (None, Some(path)) => Field::new("environment SIGNING_KEY_FILE".into(), path.into()).path().map(file),
            (None, None) => Ok(KeySource::Ephemeral),
        },
    }
}

fn beside(field: &str, got: &str) -> ConfigError {
    ConfigError::invalid(field, got, "one of the two")
}

/// The name of a static secret, or a name and where Envoy has the secret from.
fn secret(platform: Platform, field: Field) -> Result<Secret, ConfigError> {
    if platform == Platform::Wasm {
        return Err(field.error("nothing: only the native module gets secrets of SDS; write signing_key_file"));
    }
    if field.kind() != Kind::Object {
        return Ok(Secret { name: field.non_empty_text()?, source: None });
    }
    let mut members = field.members()?;
    let name = members.required("name", "the name of a secret")?.non_empty_text()?;
    let source = members.required("sds_config", "an envoy.config.core.v3.ConfigSource")?;
    if source.kind() != Kind::Object {
        return Err(source.error("an envoy.config.core.v3.ConfigSource"));
    }
    let source = Some(source.into_json().to_string());
    members.finish()?;
    Ok(Secret { name, source })
}

fn key_text(field: &'static str, text: String) -> KeySource {
    KeySource::Text { field, text: Zeroizing::new(text) }
}

fn refresh(field: Field) -> Result<Duration, ConfigError> {
    field.duration(Duration::from_millis(10)..=Duration::from_secs(24 * 3600))
}
