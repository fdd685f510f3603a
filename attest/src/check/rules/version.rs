//! What the Envoy of `--envoy-version` cannot do.

use attestation_filter::identity::IdentitySource;
use attestation_filter::keys::feed::KeySource;
use attestation_filter::keys::signer::SignerChoice;

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::node::Node;
use super::super::routes::Routes;

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
    }
    let Ok(config) = &ours.config else { return };
    if config.signer == SignerChoice::Host {
        needs(37, "signer: host", ours.setting("signer"), "signer: auto");
    }
    if matches!(config.key_source, KeySource::Secret(_)) {
        needs(40, "signing_key_secret", ours.setting("signing_key_secret"), "signing_key_file");
    }
    if !ours.is_wasm() && config.user_endpoints {
        for route in ours.chain.routes.iter().flat_map(|routes| hidden(*routes, ours.filter.name)) {
            needs(38, "user_endpoints at a route without a name", route, "name: one for this route");
        }
    }
    let reads_metadata = config.identity_sources.iter().any(|it| matches!(it, IdentitySource::Metadata { .. }));
    if !ours.is_wasm() && reads_metadata {
        let cure = "{filter_state: attestation.identity}, written by set_filter_state";
        needs(38, "a metadata source of the native module", ours.setting("identity_sources"), cure);
    }
}

/// The routes that a native module knows by their cluster only, which it sees from 1.38 on.
fn hidden<'a>(routes: Routes<'a>, filter: &str) -> impl Iterator<Item = &'a Node> {
    let is_shown = |node: &Node| node.at(&["typed_per_filter_config", filter]).is_some();
    let is_named = |route: &Node| route.text_at(&["name"]).is_some_and(|name| !name.is_empty());
    let all = routes.all().into_iter();
    all.filter(move |(host, route)| !is_named(route) && !is_shown(route) && !is_shown(host)).map(|(_, route)| route)
}
