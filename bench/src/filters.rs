//! The filters of the variants, as Envoy is configured with them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bootstrap::Parts;
use crate::identity;
use crate::variant::{Filter, Sends, Signer, Source, Variant};

pub(crate) const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";
/// How long the signing input of the token with five groups is, for the probe.
const SIGNING_INPUT: usize = 657;

/// What goes before the filter: what brings the identity to where the filter looks for it.
pub(crate) fn identity_filters(variant: &Variant) -> Vec<Value> {
    match variant.source {
        Source::Headers => Vec::new(),
        Source::Metadata => vec![set_metadata(variant.groups)],
        Source::FilterState => vec![set_metadata(variant.groups), set_filter_state()],
    }
}

/// In place of jwt_authn, which would check a signature in each variant: nothing that is measured depends on it.
fn set_metadata(groups: usize) -> Value {
    named(
        "envoy.filters.http.set_metadata",
        json!({
            "@type": format!("{FILTERS}.http.set_metadata.v3.Config"),
            "metadata": [{
                "metadata_namespace": identity::NAMESPACE,
                "value": {"payload": identity::payload(groups)},
            }],
        }),
    )
}

/// As in the shipped configuration: the native module cannot see into an object of metadata.
fn set_filter_state() -> Value {
    named(
        "envoy.filters.http.set_filter_state",
        json!({
            "@type": format!("{FILTERS}.http.set_filter_state.v3.Config"),
            "on_request_headers": [{
                "object_key": "attestation.identity",
                "factory_key": "envoy.string",
                "format_string": {
                    "text_format_source": {
                        "inline_string": format!("%DYNAMIC_METADATA({}:payload)%", identity::NAMESPACE),
                    },
                    "omit_empty_values": true,
                },
                "skip_if_empty": true,
            }],
        }),
    )
}

pub(crate) fn filter(variant: &Variant, parts: &Parts) -> Option<Value> {
    match variant.filter {
        Filter::None => None,
        Filter::EmptyWasm => Some(named("probe", wasm(&parts.probe, None))),
        Filter::SignOnly => Some(named(
            "probe",
            wasm(
                &parts.probe,
                Some(&json!({
                    "@type": "type.googleapis.com/google.protobuf.BytesValue",
                    "value": STANDARD.encode(parts.keys.sign_request(SIGNING_INPUT)),
                })),
            ),
        )),
        Filter::Attestation { .. } | Filter::Native { .. } => {
            Some(named("attestation", attestation(variant, &parts.module, &settings(variant, parts))))
        }
        Filter::ExtAuthz { sends, .. } => Some(ext_authz(sends)),
    }
}

/// The attestation filter in its host, with these settings; as Wasm, from this module.
pub(crate) fn attestation(variant: &Variant, module: &Path, settings: &Value) -> Value {
    let settings = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": settings});
    match variant.filter {
        Filter::Native { .. } => json!({
            "@type": attestation_type(variant),
            "dynamic_module_config": {"name": "attestation"},
            "filter_name": "attestation",
            "filter_config": settings,
        }),
        _ => wasm(module, Some(&settings)),
    }
}

/// What Envoy calls the configuration of its host.
fn attestation_type(variant: &Variant) -> String {
    match variant.filter {
        Filter::Native { .. } => format!("{FILTERS}.http.dynamic_modules.v3.DynamicModuleFilter"),
        _ => format!("{FILTERS}.http.wasm.v3.Wasm"),
    }
}

/// Its settings: the same for both hosts, but for who signs.
pub(crate) fn settings(variant: &Variant, parts: &Parts) -> Value {
    let mut settings = json!({"signing_key": parts.keys.pem(variant.keys)});
    if let Filter::Attestation { signer, .. } = variant.filter {
        settings["signer"] = if signer == Signer::Host { "host" } else { "wasm" }.into();
    }
    if let Filter::Attestation { reuse: true, .. } | Filter::Native { reuse: true } = variant.filter {
        settings["reuse"] = "60s".into();
    }
    if variant.source == Source::Headers {
        settings["identity_sources"] = json!([identity::header_source()]);
    }
    settings
}

fn wasm(module: &Path, configuration: Option<&Value>) -> Value {
    let mut config = json!({
        "name": "wasm",
        "failure_policy": "FAIL_RELOAD",
        "vm_config": {
            "vm_id": "bench",
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module}},
        },
    });
    if let Some(configuration) = configuration {
        config["configuration"] = configuration.clone();
    }
    json!({"@type": format!("{FILTERS}.http.wasm.v3.Wasm"), "config": config})
}

fn ext_authz(sends: Sends) -> Value {
    let mut config = json!({
        "@type": format!("{FILTERS}.http.ext_authz.v3.ExtAuthz"),
        "transport_api_version": "V3",
        "grpc_service": {"envoy_grpc": {"cluster_name": "authz"}, "timeout": "5s"},
        "metadata_context_namespaces": [identity::NAMESPACE],
    });
    if sends == Sends::NoHeaders {
        // An empty list would mean all: this is one that no request has.
        config["allowed_headers"] = json!({"patterns": [{"exact": "x-none"}]});
    }
    named("envoy.filters.http.ext_authz", config)
}

/// The attestation filter, from a file.
pub(crate) fn discovered(variant: &Variant, path: &Path) -> Value {
    json!({
        "name": "attestation",
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {"path": path, "watched_directory": {"path": path.parent()}},
            },
            "type_urls": [attestation_type(variant)],
        },
    })
}

pub(crate) fn named(name: &str, typed_config: Value) -> Value {
    json!({"name": name, "typed_config": typed_config})
}
