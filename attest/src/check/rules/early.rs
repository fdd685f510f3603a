//! Headers that are removed before a route is chosen.

use attestation_filter::http::header_name::HeaderName;

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::matcher::{self, Answer};
use super::super::node::Node;

/// Bytes that a header's name can have besides letters and digits (RFC 9110, section 5.6.2): a server may take each of
/// them for a `-`.
const OTHER_BYTES: &str = "-_!#$%&'*+.^`|~";
/// One header of each kind that the filter always strips.
const STRIPPED: [&str; 2] = ["x-pomerium-jwt-assertion-for", "x-pomerium-claim-groups"];

pub(super) fn removal(context: &Context<'_>, found: &mut Findings) {
    let (ours, Ok(config)) = (context.ours, &context.ours.config) else { return };
    if ours.chain.is_upstream {
        return;
    }
    let manager = ours.chain.manager;
    if mutations(manager).is_empty() {
        let cure = format!(
            "early_header_mutation_extensions with remove_on_match of {}",
            expression(config.assertion_header.as_str())
        );
        return found.add(Id::NoEarlyRemoval, manager, "no early_header_mutation_extensions", cure);
    }
    let claims = config.claims.headers.iter().map(|header| header.header.as_str());
    for name in std::iter::once(config.assertion_header.as_str()).chain(STRIPPED).chain(claims) {
        let missed = OTHER_BYTES.chars().map(|byte| name.replace('-', &byte.to_string()));
        let Some(missed) = missed.into_iter().find(|spelling| !removes(manager, spelling)) else { continue };
        let node = manager.get("early_header_mutation_extensions").unwrap_or(manager);
        let cure = format!("- remove_on_match: {{key_matcher: {{safe_regex: {{regex: \"{}\"}}}}}}", expression(name));
        found.add(Id::EarlyRemovalMisses, node, format!("{missed} is not removed"), cure);
    }
}

/// The expression for a header and its aliases.
fn expression(name: &str) -> String {
    match name.strip_prefix("x-pomerium-claim-") {
        Some(_) => "x[^a-z0-9]pomerium[^a-z0-9]claim[^a-z0-9].*".into(),
        None => name.replace('-', "[^a-z0-9]"),
    }
}

/// Whether a header of this name is removed. A name of a header is in lower case by then.
pub(super) fn removes(manager: &Node, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    mutations(manager).iter().any(|mutation| {
        let exact = mutation.text_at(&["remove"]).is_some_and(|removed| removed.eq_ignore_ascii_case(&name));
        let matcher = mutation.at(&["remove_on_match", "key_matcher"]);
        exact || matcher.is_some_and(|matcher| matcher::string(matcher, &name) == Answer::Yes)
    })
}

/// Whether a header is set there, whatever the client sent.
pub(super) fn writes(manager: &Node, name: &str) -> bool {
    let Some(name) = HeaderName::parse(name) else { return false };
    mutations(manager).iter().any(|mutation| {
        let key = mutation.text_at(&["append", "header", "key"]);
        let overwrites = mutation.text_at(&["append", "append_action"]) == Some("OVERWRITE_IF_EXISTS_OR_ADD");
        overwrites && key.is_some_and(|key| key.eq_ignore_ascii_case(name.as_str()))
    })
}

fn mutations(manager: &Node) -> Vec<&Node> {
    let extensions = manager.list("early_header_mutation_extensions").iter();
    let configs = extensions.filter_map(|extension| extension.get("typed_config")).map(|config| config.unwrapped().1);
    configs.flat_map(|config| config.list("mutations")).collect()
}
