//! Certificates of clients: `downstream_mtls`, and what it was called before.

use serde_json::{Value as Json, json};

use super::left::{Kind, Lefts};
use super::options::without_white_space;
use super::target::set;
use crate::check::node::Node;

/// Whether clients without a good certificate are refused.
pub(super) fn is_required(node: &Node) -> bool {
    validation(node).is_some() && node.text_at(&["downstream_mtls", "enforcement"]) != Some("policy")
}

/// Adds what clients are asked for to a `DownstreamTlsContext`.
pub(super) fn ask(context: &mut Json, common: &mut Json, node: &Node, lefts: &mut Lefts) {
    let Some(validation) = validation(node) else { return };
    set(common, "validation_context", Some(validation));
    set(context, "require_client_certificate", Some(is_required(node).into()));
    let names = ["downstream_mtls", "client_ca_file", "client_ca"];
    let Some(mtls) = names.iter().find_map(|name| node.get(name)).filter(|_| is_required(node)) else { return };
    let reason = "every connection needs a client's certificate, also those that fetch the keyset";
    let cure = "give apps a listener of their own for the keyset, or enforcement: policy";
    lefts.add(Kind::Differs, &mtls.place, reason, cure);
}

fn validation(node: &Node) -> Option<Json> {
    let text = |name: &str| {
        let before = format!("client_{name}");
        node.text_at(&["downstream_mtls", name]).or_else(|| node.text_at(&[&before]))
    };
    let source = |file: &str, inline: &str| {
        let file = text(file).map(|file| json!({ "filename": file }));
        file.or_else(|| Some(json!({"inline_bytes": without_white_space(text(inline)?)})))
    };
    let mut validation = json!({"trusted_ca": source("ca_file", "ca")?});
    set(&mut validation, "crl", source("crl_file", "crl"));
    let depth = node.at(&["downstream_mtls", "max_verify_depth"]).and_then(Node::number);
    set(&mut validation, "max_verify_depth", depth.map(Json::from));
    let names = node.get("downstream_mtls").map(|mtls| mtls.list("match_subject_alt_names")).unwrap_or_default();
    let names = names.iter().flat_map(Node::members).map(|name| {
        let kind = match &*name.name {
            "dns" => "DNS",
            "email" => "EMAIL",
            "ip_address" => "IP_ADDRESS",
            "uri" => "URI",
            // Nothing has a name of this kind: nobody fits.
            _ => "OTHER_NAME",
        };
        json!({"san_type": kind, "matcher": {"safe_regex": {"regex": name.value.text().unwrap_or_default()}}})
    });
    let names: Vec<_> = names.collect();
    set(&mut validation, "match_typed_subject_alt_names", (!names.is_empty()).then(|| names.into()));
    Some(validation)
}
