//! The filters around ours.

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::filter::Filter;
use super::super::finding::Findings;

/// Filters whose business is who is calling.
const AUTHENTICATES: [&str; 6] = ["jwt_authn", "ext_authz", "oauth2", "basic_auth", "api_key_auth", "oidc"];

pub(super) fn order(context: &Context<'_>, found: &mut Findings) {
    let ours = context.ours;
    if ours.filter.entry.is_true("disabled") {
        found.add(Id::FilterDisabled, ours.filter.entry, "disabled: true", "leave `disabled` out");
    }
    if ours.chain.is_upstream {
        return;
    }
    let is_router = |filter: &Filter<'_>| filter.what() == "router";
    if ours.before().iter().any(is_router) || !ours.after().iter().any(is_router) {
        let cure = "move the filter before envoy.filters.http.router, which is the last one";
        found.add(Id::FilterAfterRouter, ours.filter.entry, "no router comes after the filter", cure);
    }
    for late in ours.after().iter().filter(|filter| AUTHENTICATES.contains(&filter.what())) {
        let message = format!("{} comes after {}", late.name, ours.filter.name);
        let cure = format!("move {} before the filter (and before the one that resolves the route)", late.name);
        found.add(Id::AuthenticationAfterFilter, late.entry, message, cure);
    }
}
