use std::time::Duration;

use zeroize::Zeroizing;

use super::ConfigError;
use super::field::{Field, Members};

/// Where the signing keys come from.
pub enum KeySource {
    /// PEM text, or base64 of it, and the field or environment variable that held it.
    Text {
        /// Named in errors.
        field: &'static str,
        /// The keys.
        text: Zeroizing<String>,
    },
    /// A file that Envoy serves through an internal listener.
    File(KeyFile),
    /// A key that the filter makes itself.
    Ephemeral,
}

/// A key file that Envoy reads and watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The file's path, which is the path of the request too.
    pub path: String,
    /// The cluster of the internal listener that serves it.
    pub cluster: String,
    /// How often each worker looks again.
    pub refresh: Duration,
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text { field, .. } => f.debug_struct("Text").field("field", field).finish_non_exhaustive(),
            Self::File(file) => file.fmt(f),
            Self::Ephemeral => f.write_str("Ephemeral"),
        }
    }
}

impl KeySource {
    /// The first that is set of `signing_key`, `signing_key_file`, and the environment's `SIGNING_KEY` and
    /// `SIGNING_KEY_FILE`.
    pub(super) fn read(
        members: &mut Members,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let inline = members.take("signing_key").map(Field::secret).transpose()?;
        let path = members.take("signing_key_file").map(Field::path).transpose()?;
        let cluster = members.take("signing_key_cluster").map(Field::non_empty_text).transpose()?;
        let refresh = members.take("signing_key_refresh").map(refresh).transpose()?;
        let file = |path| {
            Self::File(KeyFile {
                path,
                cluster: cluster.unwrap_or_else(|| "signing_key".into()),
                refresh: refresh.unwrap_or(Duration::from_secs(5)),
            })
        };
        match (inline, path) {
            (Some(_), Some(_)) => {
                Err(ConfigError::invalid("signing_key_file", "a path beside signing_key", "one of the two"))
            }
            (Some(text), None) => Ok(Self::text("signing_key", text)),
            (None, Some(path)) => Ok(file(path)),
            (None, None) => match (environment("SIGNING_KEY"), environment("SIGNING_KEY_FILE")) {
                (Some(text), _) => Ok(Self::text("environment SIGNING_KEY", text)),
                (None, Some(path)) => Field::new("environment SIGNING_KEY_FILE".into(), path.into()).path().map(file),
                (None, None) => Ok(Self::Ephemeral),
            },
        }
    }

    fn text(field: &'static str, text: String) -> Self {
        Self::Text { field, text: Zeroizing::new(text) }
    }
}

fn refresh(field: Field) -> Result<Duration, ConfigError> {
    field.duration(Duration::from_millis(10)..=Duration::from_secs(24 * 3600))
}
