//! How a request goes on to the upstream: time, upgrades, path and host.

use serde_json::{Value as Json, json};

use super::super::left::{Kind, Lefts};
use super::super::options::{self, Options};
use super::super::target::{Target, set};
use super::some;
use crate::check::node::Node;

/// The action of a route.
pub(super) fn action(node: &Node, cluster: &str, target: &Target, options: &Options, lefts: &mut Lefts) -> Json {
    let websockets = node.is_true("allow_websockets");
    let waits = |given: Option<String>, default: Option<&str>| {
        given.or_else(|| if websockets { Some("0s".into()) } else { default.map(str::to_owned) })
    };
    let mut route = json!({ "cluster": cluster });
    let timeout = options::span(node, "timeout", lefts);
    set(&mut route, "timeout", waits(timeout, Some(&options.timeout)).map(Json::from));
    let idle = options::span(node, "idle_timeout", lefts);
    set(&mut route, "idle_timeout", waits(idle, None).map(Json::from));
    let upgrades = [("allow_websockets", "websocket"), ("allow_spdy", "spdy/3.1")];
    let upgrades = upgrades.iter().filter(|(name, _)| node.is_true(name));
    let upgrades: Vec<Json> = upgrades.map(|(_, upgrade)| json!({ "upgrade_type": upgrade })).collect();
    set(&mut route, "upgrade_configs", some(upgrades));
    rewrite_path(&mut route, node, target);
    rewrite_host(&mut route, node, lefts);
    route
}

fn rewrite_path(route: &mut Json, node: &Node, target: &Target) {
    let regex = |pattern: &str, substitution: &str| {
        json!({
            "pattern": {"regex": node.text_at(&[pattern])?},
            "substitution": node.text_at(&[substitution]).unwrap_or_default(),
        })
        .into()
    };
    let prefix = node.text_at(&["prefix_rewrite"]).filter(|text| !text.is_empty());
    let pattern: Option<Json> = regex("regex_rewrite_pattern", "regex_rewrite_substitution");
    match (prefix, pattern) {
        (Some(prefix), _) => set(route, "prefix_rewrite", Some(prefix.into())),
        (None, Some(regex)) => set(route, "regex_rewrite", Some(regex)),
        (None, None) => set(route, "prefix_rewrite", target.path().map(Json::from)),
    }
}

fn rewrite_host(route: &mut Json, node: &Node, lefts: &mut Lefts) {
    let text = |name: &str| node.text_at(&[name]).filter(|text| !text.is_empty());
    let pattern = text("host_path_regex_rewrite_pattern").map(|pattern| {
        let substitution = text("host_path_regex_rewrite_substitution").unwrap_or_default();
        json!({"pattern": {"regex": pattern}, "substitution": substitution})
    });
    let (name, value) = match (text("host_rewrite"), text("host_rewrite_header"), pattern) {
        (Some(host), _, _) => ("host_rewrite_literal", host.into()),
        (None, Some(header), _) => ("host_rewrite_header", header.into()),
        (None, None, Some(pattern)) => ("host_rewrite_path_regex", pattern),
        (None, None, None) => ("auto_host_rewrite", (!keeps_host(node, lefts)).into()),
    };
    set(route, name, Some(value));
}

/// Whether the upstream sees the host that the client asked for.
fn keeps_host(node: &Node, lefts: &mut Lefts) -> bool {
    let Some(header) = node.get("host_rewrite_header").filter(|_| node.is_true("host_rewrite_header")) else {
        return node.is_true("preserve_host_header");
    };
    let reason = "host_rewrite_header names no header; Pomerium leaves the host as it is then, and so does Envoy";
    lefts.add(Kind::Differs, &header.place, reason, "nothing: write preserve_host_header: true if you keep the file");
    true
}
