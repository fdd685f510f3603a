//! What the filter is told of claims, groups and the issuer.

use serde_json::{Value as Json, json};

use super::Host;
use super::left::{Kind, Lefts};
use super::options::Options;
use super::target::set;
use crate::check::node::Node;

/// The filter's settings.
pub(super) fn settings(options: &Options, node: &Node, lefts: &mut Lefts) -> Json {
    let mut settings = json!({
        "signing_key_file": options.key_file,
        "on_missing_identity": "deny",
        "pass_identity_headers": options.pass_identity_headers,
    });
    let cluster = (options.host == Host::Wasm).then(|| "signing_key".into());
    set(&mut settings, "signing_key_cluster", cluster);
    if let Some(headers) = node.get("jwt_claims_headers") {
        set(&mut settings, "jwt_claims_headers", Some(headers.json()));
        // Pomerium's claims are texts.
        set(&mut settings, "claim_values", Some("text".into()));
    }
    of_any_place(&mut settings, node, lefts);
    let endpoint = node.get("runtime_flags").is_some_and(|flags| flags.is_true("pomerium_jwt_endpoint"));
    set(&mut settings, "user_endpoints", endpoint.then_some(Json::Bool(true)));
    settings
}

/// The names of the headers with claims, in lower case.
pub(super) fn headers(node: &Node) -> Vec<String> {
    let Some(headers) = node.get("jwt_claims_headers") else { return Vec::new() };
    let of_claim = |claim: &str| format!("x-pomerium-claim-{}", claim.to_ascii_lowercase());
    let listed = headers.items().iter().filter_map(Node::text).map(of_claim);
    let named = headers.members().iter().map(|member| member.name.to_ascii_lowercase());
    let words = headers.text().unwrap_or_default().split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
    named.chain(listed).chain(words.map(of_claim)).collect()
}

/// The filter's settings of a route.
pub(super) fn of_route(route: &Node, has_assertion: bool, is_public: bool, lefts: &mut Lefts) -> Json {
    let mut settings = json!({});
    let passes = route.get("pass_identity_headers").map(|_| route.is_true("pass_identity_headers"));
    let passes = if has_assertion { Some(true) } else { passes };
    set(&mut settings, "pass_identity_headers", passes.map(Json::Bool));
    of_any_place(&mut settings, route, lefts);
    set(&mut settings, "on_missing_identity", is_public.then(|| "skip".into()));
    settings
}

fn of_any_place(settings: &mut Json, node: &Node, lefts: &mut Lefts) {
    set(settings, "jwt_issuer_format", issuer_format(node, lefts));
    let filter = node.get("jwt_groups_filter").map(names).filter(|names| !names.is_empty());
    set(settings, "jwt_groups_filter", filter.map(Json::from));
}

fn issuer_format(node: &Node, lefts: &mut Lefts) -> Option<Json> {
    let format = node.get("jwt_issuer_format")?;
    match format.text().unwrap_or_default().to_ascii_lowercase().as_str() {
        "uri" | "issueruri" => Some("uri".into()),
        "hostonly" | "issuerhostonly" => Some("hostOnly".into()),
        "" | "unset" => None,
        _ => {
            let reason = "jwt_issuer_format is neither hostOnly nor uri; it is hostOnly here";
            lefts.add(Kind::Differs, &format.place, reason, "write one of the two");
            None
        }
    }
}

/// A list of texts, also as one text with commas.
fn names(node: &Node) -> Vec<String> {
    let split = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    let all = match node.text() {
        Some(text) => split(text),
        None => node.items().iter().filter_map(Node::text).map(str::to_owned).collect(),
    };
    all.into_iter().filter(|name| !name.is_empty()).collect()
}
