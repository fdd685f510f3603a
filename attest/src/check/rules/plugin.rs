//! How the module is loaded, and what is logged of it.

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::node::Node;

pub(super) fn wasm(context: &Context<'_>, found: &mut Findings) {
    let ours = context.ours;
    if !ours.is_wasm() {
        return;
    }
    let plugin = ours.plugin;
    if plugin.text_at(&["failure_policy"]) == Some("FAIL_OPEN") || plugin.is_true("fail_open") {
        let node = plugin.get("failure_policy").unwrap_or(plugin);
        found.add(Id::FailOpen, node, "the filter is left out after a fault", "failure_policy: FAIL_RELOAD");
    } else if plugin.text_at(&["failure_policy"]) != Some("FAIL_RELOAD") {
        let message = "failure_policy is not FAIL_RELOAD";
        found.add(Id::NoFailReload, plugin, message, "failure_policy: FAIL_RELOAD");
    }
    if plugin.text_at(&["name"]).is_none_or(str::is_empty) {
        found.add(Id::NoPluginName, plugin, "config has no name", "name: attestation");
    }
    match plugin.text_at(&["vm_config", "vm_id"]).filter(|id| !id.is_empty()) {
        None => found.add(Id::NoVmId, plugin, "vm_config has no vm_id", "vm_id: attestation"),
        Some(id) => shared(context, id, found),
    }
    let runtime = plugin.at(&["vm_config", "runtime"]);
    if let Some(runtime) = runtime.filter(|runtime| runtime.text() != Some("envoy.wasm.runtime.v8")) {
        let message = format!("runtime: {}", runtime.text().unwrap_or_default());
        found.add(Id::RuntimeUnavailable, runtime, message, "runtime: envoy.wasm.runtime.v8");
    }
}

/// Two filters of ours may share a VM; another module must not.
fn shared(context: &Context<'_>, id: &str, found: &mut Findings) {
    let code = |plugin: &Node| plugin.at(&["vm_config", "code"]).map(Node::json);
    for document in &context.model.documents {
        document.each(&mut |node| {
            let is_same = node.text_at(&["vm_config", "vm_id"]) == Some(id);
            if is_same && code(node) != code(context.ours.plugin) {
                let message = format!("this module has the vm_id {id:?} of the attestation filter");
                found.add(Id::VmIdShared, node, message, "a vm_id of its own");
            }
        });
    }
}

/// Both hosts put them where proxy-wasm puts what a module sets.
pub(super) fn access_log(context: &Context<'_>, found: &mut Findings) {
    let Some(log) = context.ours.chain.manager.get("access_log") else { return };
    log.each(&mut |node| {
        let wrong = ["jti", "kid"]
            .into_iter()
            .find(|name| node.text().is_some_and(|text| text.contains(&format!("%FILTER_STATE(attestation.{name}"))));
        if let Some(name) = wrong {
            let cure = format!("%FILTER_STATE(wasm.attestation.{name}:PLAIN)%");
            found.add(Id::AccessLogName, node, format!("attestation.{name} is no filter state"), cure);
        }
    });
}
