//! A signing key that Envoy hands to the native module as a generic secret.

use attestation_filter::keys::Keyring;
use attestation_filter::keys::feed::Secret;

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::node::Node;
use super::{key, key_file};

const FIELD: &str = "signing_key_secret";

/// Follows the secret to its content: a static one of the bootstrap, or one in a file that is read here.
pub(super) fn check(context: &Context<'_>, secret: &Secret, found: &mut Findings) {
    let node = context.ours.setting(FIELD);
    let named = context.model.secrets.iter().find(|it| it.text_at(&["name"]) == Some(&secret.name));
    let Some(named) = named else {
        if secret.source.is_none() && context.model.is_whole() {
            let message = format!("{FIELD}: no secret is called {:?}", secret.name);
            let cure = format!(
                "static_resources:\n  secrets:\n  - name: {}\n    generic_secret: {{secret: {{filename: \
                 /etc/attestation/signing-key.pem}}}}",
                secret.name
            );
            found.add(Id::ConfigurationRefused, node, message, cure);
        }
        return;
    };
    let Some(source) = named.at(&["generic_secret", "secret"]) else {
        let message = format!("{FIELD}: the secret {:?} is no generic_secret", secret.name);
        return found.add(Id::ConfigurationRefused, named, message, "generic_secret: {secret: {filename: …}}");
    };
    if let Some(file) = source.get("filename") {
        key_file::check(file, file.text().unwrap_or_default(), None, found);
    }
    if let Some(text) = source.get("inline_string") {
        inline(text, found);
    }
}

fn inline(node: &Node, found: &mut Findings) {
    let cure = "generic_secret: {secret: {filename: /etc/attestation/signing-key.pem}}";
    found.add(Id::InlineKey, node, "the secret holds a private key", cure);
    match Keyring::parse(node.text().unwrap_or_default().as_bytes()) {
        Ok(keys) => key::demo_key(node, &keys, found),
        Err(error) => found.add(Id::KeyFileRefused, node, format!("the secret: {error}"), cure),
    }
}
