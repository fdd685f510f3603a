//! What the Envoy of `--envoy-version` cannot do.

use attestation_filter::identity::IdentitySource;
use attestation_filter::keys::feed::KeySource;
use attestation_filter::keys::signer::SignerChoice;

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::node::Node;

pub(super) fn version(context: &Context<'_>, found: &mut Findings) {
    let (Some(version), ours) = (context.version, context.ours) else { return };
    let mut needs = |minor: u32, what: &str, node: &Node, cure: &str| {
        if version < (1, minor) {
            let message = format!("{what} needs Envoy 1.{minor}, and this is {}.{}", version.0, version.1);
            found.add(Id::EnvoyTooOld, node, message, cure);
        }
    };
    let entry = ours.filter.entry;
    if ours.is_wasm() {
        needs(36, "the Wasm module", entry, "Envoy 1.36 or later");
    } else {
        needs(37, "the native module", entry, "the Wasm module, or a later Envoy");
        if ours.settings.is_some() {
            let cure = "\"@type\": type.googleapis.com/google.protobuf.StringValue, with the same as JSON";
            needs(38, "a Struct as filter_config", entry, cure);
        }
    }
    let Ok(config) = &ours.config else { return };
    if config.signer == SignerChoice::Host {
        needs(37, "signer: host", ours.setting("signer"), "signer: auto");
    }
    if matches!(config.key_source, KeySource::Secret(_)) {
        needs(40, "signing_key_secret", ours.setting("signing_key_secret"), "signing_key_file");
    }
    let reads_metadata = config.identity_sources.iter().any(|it| matches!(it, IdentitySource::Metadata { .. }));
    if !ours.is_wasm() && reads_metadata {
        let cure = "{filter_state: attestation.identity}, written by set_filter_state";
        needs(38, "a metadata source of the native module", ours.setting("identity_sources"), cure);
    }
}
