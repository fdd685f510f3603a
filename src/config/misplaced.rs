//! A private key where another text belongs: from there it would get into logs, headers and tokens.

use serde_json::{Map, Value as Json};

use super::ConfigError;
use super::field::join;
use crate::keys::holds_private_key;

/// The one field for a key, where the configuration may have one.
pub(super) const KEY_FIELD: &str = "signing_key";

/// Refuses an object that has a private key anywhere but in this member of it.
pub(super) fn refuse(path: &str, members: &Map<String, Json>, except: Option<&str>) -> Result<(), ConfigError> {
    let mut others = members.iter().filter(|(name, _)| Some(name.as_str()) != except);
    others.try_for_each(|(name, value)| match holds_private_key(name.as_bytes()) {
        true => Err(error(path)),
        false => refuse_in(&join(path, name), value),
    })
}

fn refuse_in(path: &str, value: &Json) -> Result<(), ConfigError> {
    match value {
        Json::String(text) if holds_private_key(text.as_bytes()) => Err(error(path)),
        Json::Array(items) => {
            items.iter().enumerate().try_for_each(|(i, item)| refuse_in(&format!("{path}[{i}]"), item))
        }
        Json::Object(members) => refuse(path, members, None),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
    }
}

fn error(path: &str) -> ConfigError {
    let path = if path.is_empty() { "configuration" } else { path };
    let allowed = "a private key in signing_key alone; better, put it into a file and name that in signing_key_file";
    ConfigError::invalid(path, "a private key", allowed)
}
