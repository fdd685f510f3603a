//! Whether what `identity_sources` names is ever written, and who else could write it.

use attestation_filter::claims::ClaimHeader;
use attestation_filter::identity::{ClaimHeaderValue, IdentitySource, ListFormat};

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::filter::Filter;
use super::super::finding::Findings;
use super::super::matcher::Answer;
use super::super::node::Node;
use super::super::routes::Routes;
use super::early;
use super::filter_state;
use super::writers::{self, JWT_AUTHN};

pub(super) fn sources(context: &Context<'_>, found: &mut Findings) {
    let Ok(config) = &context.ours.config else { return };
    if context.ours.chain.is_upstream {
        return; // The filters that authenticate are in another chain.
    }
    for (place, source) in config.identity_sources.iter().enumerate() {
        let node = context.ours.setting(&format!("identity_sources[{place}]"));
        match source {
            IdentitySource::Metadata { namespace, path } => metadata(context, node, namespace, path.as_deref(), found),
            IdentitySource::FilterState(name) => filter_state::written(context, node, name, found),
            IdentitySource::Headers(claims) => {
                let names = claims.iter().map(|(_, header)| header.name.as_str());
                names.for_each(|name| header(context, context.ours.index, node, name, found));
                if context.ours.chain.routes.iter().any(follows_redirects) {
                    read_back(claims, &config.claims.headers, node, found);
                }
            }
            IdentitySource::ClientCertificate(_) => certificate(context, node, found),
        }
    }
    failure_modes(context, &config.identity_sources, found);
}

/// Whether one of the filters does, or may.
pub(super) fn any(context: &Context<'_>, does: impl Fn(&Filter<'_>) -> Answer) -> bool {
    context.ours.before().iter().any(|filter| does(filter) != Answer::No)
}

fn metadata(context: &Context<'_>, node: &Node, namespace: &str, path: Option<&[String]>, found: &mut Findings) {
    let before = context.ours.before();
    let jwt = before.iter().filter(|filter| namespace == JWT_AUTHN && filter.what() == "jwt_authn");
    let mut silent = false;
    for filter in jwt {
        silent |= payloads(filter, found);
    }
    if !any(context, |filter| writers::metadata(filter, namespace)) {
        if !silent {
            let message = format!("no filter before {} writes {namespace}", context.ours.filter.name);
            let cure = "name the namespace that a filter before ours writes: identity_sources: [{metadata: {namespace: \
                        envoy.filters.http.jwt_authn}}]";
            found.add(Id::MetadataNotWritten, node, message, cure);
        }
        return;
    }
    match path {
        Some([first, ..]) if !any(context, |filter| writers::member(filter, namespace, first)) => {
            let written: Vec<_> = before.iter().flat_map(writers::jwt_members).collect();
            let message = format!("nothing writes {first:?} in {namespace}");
            let name = written.first().copied().unwrap_or("identity");
            found.add(Id::PathNotWritten, node, message, format!("path: [{name}], as payload_in_metadata has it"));
        }
        Some(_) => {}
        None if namespace == JWT_AUTHN => ambiguous(before, node, found),
        None => {}
    }
}

/// Whether a provider hands nothing on.
pub(super) fn payloads(filter: &Filter<'_>, found: &mut Findings) -> bool {
    let silent = writers::providers(filter).filter(|(_, it)| it.text_at(&["payload_in_metadata"]).is_none());
    let mut count = 0;
    for (name, provider) in silent {
        count += 1;
        let message = format!("the provider {name:?} has no payload_in_metadata");
        found.add(Id::NoPayloadInMetadata, provider, message, "payload_in_metadata: identity");
    }
    count > 0
}

/// Several objects come of one provider that writes more than its payload.
fn ambiguous(before: &[Filter<'_>], node: &Node, found: &mut Findings) {
    let more = ["header_in_metadata", "failed_status_in_metadata"];
    for (name, provider) in before.iter().flat_map(writers::providers) {
        let payload = provider.text_at(&["payload_in_metadata"]);
        let other = more.into_iter().find(|name| provider.get(name).is_some());
        if let (Some(payload), Some(other)) = (payload, other) {
            let message = format!("the provider {name:?} writes its payload and {other}, and this source has no path");
            found.add(Id::MetadataAmbiguous, node, message, format!("path: [{payload}]"));
        }
    }
}

/// A header that the filter at this place of the chain reads.
pub(super) fn header(context: &Context<'_>, index: usize, node: &Node, name: &str, found: &mut Findings) {
    let (manager, filters) = (context.ours.chain.manager, context.ours.chain.filters.as_slice());
    if name.eq_ignore_ascii_case("x-forwarded-client-cert") || early::writes(manager, name) {
        return;
    }
    let mut before = filters.iter().take(index);
    if before.all(|filter| writers::header(filter, name) == Answer::No) {
        let reader = filters.get(index).map_or("", |filter| filter.name);
        let message = format!("no filter before {reader} sets {name}");
        let cure =
            "a filter before ours that authenticates and sets the header, ext_authz for instance; or another source";
        found.add(Id::HeaderNotWritten, node, message, cure);
    } else if !early::removes(manager, name) {
        let message = format!("{name} is not removed early");
        let cure = format!("under the mutations of early_header_mutation_extensions: - remove: {name}");
        found.add(Id::HeaderNotRemoved, node, message, cure);
    }
}

fn follows_redirects(routes: &Routes<'_>) -> bool {
    let policy = ["route", "internal_redirect_policy"];
    routes.all().iter().any(|(host, route)| route.at(&policy).or_else(|| host.at(&policy[1..])).is_some())
}

/// A header that is read after the filter has written it, and then says something else.
fn read_back(read: &[(String, ClaimHeaderValue)], written: &[ClaimHeader], node: &Node, found: &mut Findings) {
    let comma = ListFormat::Separated(",".into());
    for (claim, header) in read {
        let Some(back) = written.iter().find(|written| written.header == header.name) else { continue };
        if back.claim != *claim || header.list.as_ref().is_some_and(|format| *format != comma) {
            let message = format!("{} is {claim} here, and {} in jwt_claims_headers", header.name.as_str(), back.claim);
            found.add(Id::HeaderReadBack, node, message, "another name for one of the two, x-auth-… for what is read");
        }
    }
}

fn certificate(context: &Context<'_>, node: &Node, found: &mut Findings) {
    let chain = context.ours.chain;
    let Some(end) = chain.end else { return };
    let tls = end.at(&["transport_socket", "typed_config"]);
    let common = tls.and_then(|tls| tls.get("common_tls_context"));
    let contexts = ["validation_context", "validation_context_sds_secret_config", "combined_validation_context"];
    if !common.is_some_and(|common| contexts.iter().any(|name| common.get(name).is_some())) {
        let cure = "in the listener's transport_socket: require_client_certificate: true, common_tls_context: \
                    {validation_context: {trusted_ca: {filename: /etc/envoy/clients-ca.pem}}}";
        return found.add(Id::CertificateNotAsked, node, "the listener verifies no client certificate", cure);
    }
    common.into_iter().for_each(|common| {
        common.each(&mut |it| {
            if it.text_at(&["trust_chain_verification"]) == Some("ACCEPT_UNTRUSTED") {
                let cure = "leave trust_chain_verification out";
                found.add(Id::CertificateNotVerified, it, "trust_chain_verification: ACCEPT_UNTRUSTED", cure);
            }
        });
    });
}

fn failure_modes(context: &Context<'_>, sources: &[IdentitySource], found: &mut Findings) {
    let by_header = sources.iter().any(|source| matches!(source, IdentitySource::Headers(_)));
    for filter in context.ours.before().iter().filter(|filter| filter.what() == "ext_authz" && by_header) {
        let Some(config) = filter.config.filter(|config| config.is_true("failure_mode_allow")) else { continue };
        let node = config.get("failure_mode_allow").unwrap_or(config);
        found.add(Id::FailureModeAllow, node, "failure_mode_allow: true", "failure_mode_allow: false");
    }
}
