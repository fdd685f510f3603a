//! The key file itself, where it is on this machine.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use attestation_filter::keys::Keyring;

use super::super::catalog::Id;
use super::super::finding::Findings;
use super::super::node::Node;
use super::key;
use crate::input::{self, InputError};

/// Looks at the file's mode, length and content. Nothing of the content is ever shown.
pub(super) fn check(node: &Node, path: &str, limit: Option<u64>, found: &mut Findings) {
    let file = Path::new(path);
    let text = match input::read_regular(file) {
        Ok(text) => text,
        Err(InputError::Missing) => {
            let cure = "run attest check where Envoy runs";
            return found.add(Id::KeyFileNotChecked, node, format!("{path} is not on this machine"), cure);
        }
        Err(error) => {
            let cure = format!("run attest check as the user that Envoy runs as; it must be able to read {path}");
            return found.add(Id::KeyFileRefused, node, format!("{path}: {error}"), cure);
        }
    };
    if std::fs::metadata(file).is_ok_and(|metadata| metadata.mode() & 0o004 != 0) {
        found.add(Id::KeyFileOpen, node, format!("everybody can read {path}"), format!("chmod 0600 {path}"));
    }
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if let Some(limit) = limit.filter(|limit| length > *limit) {
        let message = format!("{path} has {length} bytes, and the answer can have {limit}");
        found.add(Id::KeyBodyLimit, node, message, "in the route_config: max_direct_response_body_size_bytes: 65536");
    }
    match Keyring::parse(&text) {
        Ok(keys) => key::demo_key(node, &keys, found),
        Err(error) => found.add(Id::KeyFileRefused, node, format!("{path}: {error}"), format!("attest jwks {path}")),
    }
}
