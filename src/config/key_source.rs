//! Where the signing keys come from.

use std::time::Duration;

use zeroize::Zeroizing;

use super::field::{Field, Members};
use super::{ConfigError, Platform};
use crate::keys::feed::{KeyFile, KeySource};

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
    let file = |path| {
        KeySource::File(KeyFile {
            path,
            cluster: cluster.unwrap_or_else(|| "signing_key".into()),
            refresh: refresh.unwrap_or(Duration::from_secs(5)),
        })
    };
    match (inline, path) {
        (Some(_), Some(_)) => {
            Err(ConfigError::invalid("signing_key_file", "a path beside signing_key", "one of the two"))
        }
        (Some(text), None) => Ok(key_text("signing_key", text)),
        (None, Some(path)) => Ok(file(path)),
        (None, None) => match (environment("SIGNING_KEY"), environment("SIGNING_KEY_FILE")) {
            (Some(text), _) => Ok(key_text("environment SIGNING_KEY", text)),
            (None, Some(path)) => Field::new("environment SIGNING_KEY_FILE".into(), path.into()).path().map(file),
            (None, None) => Ok(KeySource::Ephemeral),
        },
    }
}

fn key_text(field: &'static str, text: String) -> KeySource {
    KeySource::Text { field, text: Zeroizing::new(text) }
}

fn refresh(field: Field) -> Result<Duration, ConfigError> {
    field.duration(Duration::from_millis(10)..=Duration::from_secs(24 * 3600))
}
