//! Claims that are required of an identity, and that no identity can have.

use attestation_filter::claims::{ClaimRule, Settings};

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::node::Node;

/// A constant is no evidence of anybody. `base` are settings under which it has been said already.
pub(super) fn constants(
    context: &Context<'_>,
    node: &Node,
    settings: &Settings,
    base: Option<&Settings>,
    found: &mut Findings,
) {
    let Ok(config) = &context.ours.config else { return };
    if config.identity_sources.is_empty() {
        return;
    }
    for required in &config.claims.required {
        let is_new = !base.is_some_and(|base| is_constant(required, base));
        if is_new && is_constant(required, settings) {
            let node = node.at(&["claims", required]).unwrap_or(node);
            let message = format!("required_claims asks for {required}, which is a constant here");
            let cure = format!("{required}: {{from: …}}; or leave {required} out of required_claims");
            found.add(Id::RequiredConstant, node, message, cure);
        }
    }
}

/// Whether nothing of an identity makes the claim. Of `sub` and `user`, one fills the other.
fn is_constant(claim: &str, settings: &Settings) -> bool {
    let is_value = |claim: &str| matches!(settings.rule(claim), Some(ClaimRule::Value(_)));
    match claim {
        "sub" | "user" => is_value("sub") && is_value("user"),
        other => is_value(other),
    }
}
