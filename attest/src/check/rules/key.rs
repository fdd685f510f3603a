//! Where the signing key comes from, and whether the filter can get it.

use attestation_filter::config::ConfigError;
use attestation_filter::keys::Keyring;
use attestation_filter::keys::feed::{KeyFile, KeySource};

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::matcher::{self, Answer};
use super::super::node::Node;
use super::super::ours::Ours;
use super::{key_file, secret, writers};

/// The `kid` of the key that is published with the source code.
const DEMO_KID: &str = "6b30af63dc84d5a15d1dbc3207e39a8fba86c0bc5ec9a3f1a59fd433c4bbd5a5";
/// The issuer whose token is published with the source code.
const DEMO_ISSUER: &str = "https://issuer.example";
/// The host that the filter asks for.
const AUTHORITY: &str = "signing-key";
/// Envoy's limit for the body of a direct response.
const DEFAULT_LIMIT: u64 = 4096;
const FIND: &str = "signing_key_file";

pub(super) fn source(context: &Context<'_>, found: &mut Findings) {
    demo_issuer(context.ours, found);
    let (ours, Ok(config)) = (context.ours, &context.ours.config) else { return };
    match &config.key_source {
        KeySource::Text { field, text } => inline(ours, field, text.as_bytes(), found),
        KeySource::File(file) => {
            let limit = if ours.is_wasm() { listener(context, file, found) } else { None };
            key_file::check(ours.setting(FIND), &file.path, limit, found);
        }
        KeySource::Ephemeral if ["SIGNING_KEY", "SIGNING_KEY_FILE"].iter().any(|name| ours.may_have_variable(name)) => {
        }
        KeySource::Ephemeral => {
            let cure = "signing_key_file: /etc/attestation/signing-key.pem, and the listener that serves it";
            found.add(Id::NoKey, ours.setting(""), "neither signing_key_file nor a variable with a key", cure);
        }
        KeySource::Secret(it) => secret::check(context, it, found),
    }
}

fn inline(ours: &Ours<'_>, field: &'static str, text: &[u8], found: &mut Findings) {
    let node = ours.setting(field);
    let cure = "signing_key_file: /etc/attestation/signing-key.pem";
    found.add(Id::InlineKey, node, format!("{field} holds a private key"), cure);
    match Keyring::parse(text) {
        Ok(keys) => demo_key(node, &keys, found),
        Err(error) => {
            let error = ConfigError::Key { field, error };
            found.add(Id::ConfigurationRefused, node, error.to_string(), cure);
        }
    }
}

pub(super) fn demo_key(node: &Node, keys: &Keyring, found: &mut Findings) {
    if keys.keyset().keys().iter().any(|key| key.kid() == DEMO_KID) {
        let cure = "attest keygen -o signing-key.pem";
        found.add(Id::DemoKey, node, "this key is envoy/secrets/signing-key.pem of the source code", cure);
    }
}

/// Whether the configuration is that of a demonstration.
pub(super) fn trusts_demo(ours: &Ours<'_>) -> bool {
    demo_providers(ours).next().is_some()
}

fn demo_providers<'a>(ours: &Ours<'a>) -> impl Iterator<Item = &'a Node> {
    let filters = ours.before().iter().filter(|filter| filter.what() == "jwt_authn");
    let issuers = filters.flat_map(|filter| writers::providers(filter)).filter_map(|(_, it)| it.get("issuer"));
    issuers.filter(|issuer| issuer.text() == Some(DEMO_ISSUER))
}

fn demo_issuer(ours: &Ours<'_>, found: &mut Findings) {
    for issuer in demo_providers(ours) {
        found.add(Id::DemoIssuer, issuer, format!("issuer: {DEMO_ISSUER}"), "issuer and remote_jwks of your provider");
    }
}

/// Follows the way of the key: cluster, internal listener, route. Returns how long the answer can be.
fn listener(context: &Context<'_>, file: &KeyFile, found: &mut Findings) -> Option<u64> {
    let (model, node) = (context.model, context.ours.setting(FIND));
    let Some(cluster) = model.cluster(&file.cluster) else {
        if model.is_whole() {
            let message = format!("no cluster is called {:?}", file.cluster);
            found.add(Id::KeyClusterMissing, node, message, cluster_lines(&file.cluster));
        }
        return None;
    };
    let mut name = None;
    cluster.each(&mut |node| name = name.or_else(|| node.text_at(&["envoy_internal_address", "server_listener_name"])));
    let listener = name.and_then(|name| model.listener(name)).filter(|it| it.get("internal_listener").is_some());
    let Some(listener) = listener else {
        if model.is_whole() {
            let message = format!("the cluster {:?} leads to no internal listener of this configuration", file.cluster);
            found.add(
                Id::KeyListenerMissing,
                cluster,
                message,
                "a listener with internal_listener: {}, as envoy/envoy.yaml has it",
            );
        }
        return None;
    };
    if model.has_extension("envoy.bootstrap.internal_listener") == Some(false) {
        let cure = "bootstrap_extensions:\n- name: envoy.bootstrap.internal_listener\n  typed_config: {\"@type\": \
                    type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener}";
        found.add(Id::InternalListenersOff, listener, "no bootstrap extension for internal listeners", cure);
    }
    answer(context, listener, file, found)
}

/// The route that answers with the file.
fn answer(context: &Context<'_>, listener: &Node, file: &KeyFile, found: &mut Findings) -> Option<u64> {
    let chains = context.model.chains();
    let chain = chains.iter().find(|chain| chain.listener.is_some_and(|it| std::ptr::eq(it, listener)))?;
    let routes = chain.routes.first()?;
    let answers = routes.all().into_iter().filter(|(_, route)| route.get("direct_response").is_some());
    let fitting = answers.clone().find(|(_, route)| {
        let by = route.get("match");
        by.is_some_and(|by| matcher::route(by, &file.path) != Answer::No)
    });
    let Some((host, route)) = fitting else {
        let node = answers.map(|(_, route)| route).next().unwrap_or(listener);
        let message = format!("no route here answers {}", file.path);
        found.add(Id::KeyPathDiffers, node, message, format!("match: {{path: {}}}", file.path));
        return None;
    };
    domains(host, found);
    watched(route, found);
    let limit = routes
        .0
        .get("max_direct_response_body_size_bytes")
        .and_then(|limit| limit.number().or_else(|| limit.get("value").and_then(Node::number)));
    Some(limit.unwrap_or(DEFAULT_LIMIT))
}

fn domains(host: &Node, found: &mut Findings) {
    let domains: Vec<_> = host.list("domains").iter().filter_map(Node::text).collect();
    if domains != [AUTHORITY] {
        let node = host.get("domains").unwrap_or(host);
        let message = format!("domains: [{}]", domains.join(", "));
        found.add(Id::KeyDomains, node, message, format!("domains: [{AUTHORITY}]"));
    }
}

fn watched(route: &Node, found: &mut Findings) {
    let Some(body) = route.at(&["direct_response", "body"]) else { return };
    if body.get("inline_string").or_else(|| body.get("inline_bytes")).is_some() {
        let cure = "body: {filename: …, watched_directory: {path: …}}";
        return found.add(Id::InlineKey, body, "the answer holds the key itself", cure);
    }
    let Some(filename) = body.text_at(&["filename"]) else { return };
    let directory = filename.rsplit_once('/').map_or("", |(directory, _)| directory);
    let watched = body.text_at(&["watched_directory", "path"]);
    if watched.map(|path| path.trim_end_matches('/')) != Some(directory) {
        let message = match watched {
            Some(other) => format!("{other} is watched, and the file is in {directory}"),
            None => "no watched_directory".into(),
        };
        found.add(Id::KeyNotWatched, body, message, format!("watched_directory: {{path: {directory}}}"));
    }
}

fn cluster_lines(name: &str) -> String {
    format!(
        "- name: {name}\n  load_assignment:\n    cluster_name: {name}\n    endpoints:\n    - lb_endpoints:\n      - \
         endpoint: {{address: {{envoy_internal_address: {{server_listener_name: {name}}}}}}}"
    )
}
