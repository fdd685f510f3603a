//! What is looked for. Each room has the findings of one subject.

mod early;
mod filter_state;
mod format;
mod identity;
mod key;
mod key_file;
mod login;
mod order;
mod own_headers;
mod plugin;
mod required;
mod routing;
mod secret;
mod settings;
mod version;
mod writers;
mod yaml;

use super::catalog::Id;
use super::chain::Chain;
use super::context::Context;
use super::finding::{Finding, Findings};
use super::model::Model;
use super::ours::Ours;
use super::sources::Sources;

/// Applies every rule.
pub(crate) fn apply(
    sources: &Sources,
    model: &Model<'_>,
    version: Option<(u32, u32)>,
    named: Option<&str>,
) -> Vec<Finding> {
    let mut found = Findings::default();
    for (place, path) in &sources.missing {
        let message = format!("{path} is not on this machine");
        found.push(Finding::new(Id::NotRead, place, message, format!("attest check CONFIGURATION {path}")));
    }
    let chains = model.chains();
    let mut count = 0;
    for chain in &chains {
        for ours in (0..chain.filters.len()).filter_map(|index| Ours::of(chain, index, named)) {
            count += 1;
            let context = Context { model, ours: &ours, version };
            for rule in RULES {
                rule(&context, &mut found);
            }
        }
    }
    let unread = unread(&chains, &mut found);
    if count == 0 && !unread {
        missing(model, &mut found);
    }
    yaml::repeated(model, &mut found);
    found.0.sort_by(|one, other| (other.severity, &one.place).cmp(&(one.severity, &other.place)));
    found.0
}

type Rule = fn(&Context<'_>, &mut Findings);

const RULES: &[Rule] = &[
    order::order,
    identity::sources,
    login::keyset,
    early::removal,
    routing::resolved,
    routing::paths,
    routing::domains,
    routing::settings,
    own_headers::matched,
    settings::read,
    key::source,
    plugin::wasm,
    plugin::access_log,
    version::version,
    yaml::traps,
];

/// Filters that a control plane hands out under a name of ours.
fn unread(chains: &[Chain<'_>], found: &mut Findings) -> bool {
    let filters = chains.iter().flat_map(|chain| &chain.filters);
    let unread: Vec<_> =
        filters.filter(|filter| filter.config.is_none() && filter.name.contains("attestation")).collect();
    for filter in &unread {
        let message = format!("the filter {:?} comes from somewhere else (config_discovery)", filter.name);
        found.add(Id::NotRead, filter.entry, message, "curl -s ADMIN/config_dump?include_eds | attest check -");
    }
    !unread.is_empty()
}

fn missing(model: &Model<'_>, found: &mut Findings) {
    let Some(document) = model.documents.first() else { return };
    found.add(
        Id::FilterMissing,
        document,
        "no HTTP filter here loads the attestation filter",
        "put it right before envoy.filters.http.router, as envoy/envoy.yaml does; with --filter NAME if its names do \
         not have \"attestation\" in them",
    );
}
