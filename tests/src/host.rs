//! What the filter runs in: Wasm or a dynamic module. A test says what Envoy is to do; what differs between the two to
//! get there is here.

use std::env;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::places;

const DYNAMIC_MODULES: &str = "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3";
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

/// What the filter runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Envoy's Wasm runtime.
    Wasm,
    /// Envoy itself, which loads `libattestation.so`.
    Native,
}

/// Whether a test goes on that holds for one host only, because of `why`.
pub fn only_on(host: Host, why: &str) -> bool {
    let is_there = Host::under_test() == host;
    if !is_there {
        println!("{}: only on {host:?}: {why}", thread::current().name().unwrap_or_default());
    }
    is_there
}

impl Host {
    /// The one that `$HOST` names, `wasm` or `native`; Wasm where it is not set.
    ///
    /// # Panics
    /// If `$HOST` is anything else.
    pub fn under_test() -> Self {
        match env::var("HOST").as_deref() {
            Err(_) | Ok("" | "wasm") => Self::Wasm,
            Ok("native") => Self::Native,
            Ok(other) => panic!("HOST is wasm or native, not {other:?}"),
        }
    }

    /// What Envoy calls one of the filter's counters or gauges, which the README names.
    pub fn statistic(self, name: &str) -> String {
        format!("{}{name}", self.statistics_prefix())
    }

    /// What all of the filter's statistics begin with.
    pub fn statistics_prefix(self) -> &'static str {
        match self {
            Self::Wasm => "wasmcustom.attestation.",
            Self::Native => "dynamicmodulescustom.attestation.",
        }
    }

    /// What only the lines of a log have that the filter wrote.
    pub fn log_marks() -> [&'static str; 2] {
        ["wasm log", "[dynamic_modules]"]
    }

    /// The type of the filter's configuration.
    pub(super) fn filter_type(self) -> String {
        match self {
            Self::Wasm => WASM.into(),
            Self::Native => format!("{DYNAMIC_MODULES}.DynamicModuleFilter"),
        }
    }

    /// What Envoy has to have in its environment.
    pub(super) fn environment(self) -> Option<(String, String)> {
        match self {
            Self::Wasm => None,
            Self::Native => {
                let module = places::native_module().unwrap_or_else(|e| panic!("{e}"));
                let directory = module.parent().expect("a directory").display().to_string();
                Some(("ENVOY_DYNAMIC_MODULES_SEARCH_PATH".into(), directory))
            }
        }
    }

    /// Whether Envoy serves the key file to the filter, which cannot read it by itself.
    pub(super) fn needs_key_listener(self) -> bool {
        self == Self::Wasm
    }

    /// Settings whose key file is at `file`. Wasm finds it under any path.
    pub(super) fn with_key_file(self, mut settings: Value, file: &Path) -> Value {
        if self == Self::Native && settings["signing_key_file"].is_string() {
            settings["signing_key_file"] = file.display().to_string().into();
        }
        settings
    }

    /// The filters in front of ours. A dynamic module does not see nested metadata, as `jwt_authn` writes it; a filter
    /// that puts it into filter state comes after each that writes it.
    pub(super) fn filters(self, filters: &[Value]) -> Vec<Value> {
        let with_state =
            |filter: &Value| [Some(filter.clone()), identity_state(filter)].into_iter().flatten().collect();
        match self {
            Self::Wasm => filters.to_vec(),
            Self::Native => filters.iter().flat_map(|filter| -> Vec<_> { with_state(filter) }).collect(),
        }
    }

    /// A route whose settings for the filter are where it looks for them: in metadata, or in a configuration of its own.
    pub(super) fn route(self, mut route: Value) -> Value {
        let Some(metadata) = route.pointer_mut("/metadata/filter_metadata").and_then(Value::as_object_mut) else {
            return route;
        };
        if self == Self::Native
            && let Some(settings) = metadata.remove("attestation")
        {
            route["typed_per_filter_config"]["attestation"] = json!({
                "@type": format!("{DYNAMIC_MODULES}.DynamicModuleFilterPerRoute"),
                "dynamic_module_config": {"name": "attestation"},
                "per_route_config_name": "attestation",
                "filter_config": text(&settings.to_string()),
            });
        }
        route
    }
}

/// The filter as Envoy's `DynamicModuleFilter` message, with this configuration.
pub(super) fn native_filter(configuration: Option<String>) -> Value {
    let mut filter = json!({
        "@type": Host::Native.filter_type(),
        "dynamic_module_config": {"name": "attestation"},
        "filter_name": "attestation",
    });
    if let Some(configuration) = configuration {
        filter["filter_config"] = text(&configuration);
    }
    filter
}

fn text(text: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text})
}

/// The filter that puts into filter state what another one has written into the metadata of `jwt_authn`, if it has.
fn identity_state(writer: &Value) -> Option<Value> {
    let member = payload_member(&writer["typed_config"])?;
    let format = json!({
        "text_format_source": {"inline_string": format!("%DYNAMIC_METADATA({JWT_AUTHN}:{member})%")},
        "omit_empty_values": true,
    });
    let state = json!({
        "object_key": "attestation.identity",
        "factory_key": "envoy.string",
        "format_string": format,
        "skip_if_empty": true,
    });
    Some(json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [state],
        },
    }))
}

/// The member of `jwt_authn`'s metadata in which the payload is.
fn payload_member(config: &Value) -> Option<&str> {
    if let Some(providers) = config["providers"].as_object() {
        return providers.values().find_map(|provider| provider["payload_in_metadata"].as_str());
    }
    let written = config["metadata"].as_array()?.iter().find(|entry| entry["metadata_namespace"] == JWT_AUTHN)?;
    let members = written["value"].as_object()?;
    members.iter().find(|(_, value)| value.is_object()).map(|(name, _)| name.as_str())
}
