//! Certificates of clients: `downstream_mtls`.

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
    let Some(mtls) = node.get("downstream_mtls").filter(|_| is_required(node)) else { return };
    let reason = "every connection needs a client's certificate, also those that fetch the keyset";
    let cure = "give apps a listener of their own for the keyset, or enforcement: policy";
    lefts.add(Kind::Differs, &mtls.place, reason, cure);
}

fn validation(node: &Node) -> Option<Json> {
    let mtls = node.get("downstream_mtls")?;
    let source = |file: &str, inline: &str| {
        let file = mtls.text_at(&[file]).map(|file| json!({ "filename": file }));
        file.or_else(|| Some(json!({"inline_bytes": without_white_space(mtls.text_at(&[inline])?)})))
    };
    let mut validation = json!({"trusted_ca": source("ca_file", "ca")?});
    set(&mut validation, "crl", source("crl_file", "crl"));
    set(&mut validation, "max_verify_depth", mtls.get("max_verify_depth").and_then(Node::number).map(Json::from));
    let names: Vec<_> = mtls.list("match_subject_alt_names").iter().flat_map(Node::members).collect();
    let names = names.into_iter().map(|name| {
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
