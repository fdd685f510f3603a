//! What differs between the hosts on the way to what a test asks for: Envoy's messages, where settings and identities
//! are looked for, and what arrives.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::bootstrap::Bootstrap;
use super::capability::Capability;
use super::envoy::Envoy;
use super::host::Host;
use super::log::the_refusal;

const DYNAMIC_MODULES: &str = "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3";
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";
/// Where a dynamic module looks for an identity unless it is told otherwise.
const IDENTITY: &str = "attestation.identity";

/// Whether a test goes on that holds for one host only, because of `why`.
pub fn only_on(host: Host, why: &str) -> bool {
    let is_there = Host::under_test() == host;
    if !is_there {
        println!("{}: only on {host:?}: {why}", thread::current().name().unwrap_or_default());
    }
    is_there
}

impl Host {
    /// The one that `$HOST` names.
    pub fn under_test() -> Self {
        Self::from_environment().unwrap_or_else(|e| panic!("{e}"))
    }

    /// What arrives of a header that is set to nothing. Envoy drops it where a dynamic module sets it.
    pub fn empty_header(self) -> Option<String> {
        (self == Self::Wasm).then(String::new)
    }

    /// What only the lines of a log have that the filter wrote.
    pub fn log_marks() -> [&'static str; 2] {
        ["wasm log", "[dynamic_modules]"]
    }

    /// Whether wrong settings of a route are an error of its requests; else Envoy refuses them when it loads them.
    pub fn takes_wrong_routes(self) -> bool {
        self == Self::Wasm
    }

    /// The type of the filter's configuration.
    pub(super) fn filter_type(self) -> String {
        match self {
            Self::Wasm => WASM.into(),
            Self::Native => format!("{DYNAMIC_MODULES}.DynamicModuleFilter"),
        }
    }

    /// Whether Envoy serves the key file to the filter, which cannot read it by itself.
    pub(super) fn needs_key_listener(self) -> bool {
        self == Self::Wasm
    }

    /// Settings that name the things of a test as this host finds them: the key file, which Wasm finds under any path,
    /// and an identity that is nested in metadata, which a dynamic module finds in filter state.
    pub(super) fn settings(self, mut settings: Value, key_file: Option<&Path>, filters: &[Value]) -> Value {
        if self == Self::Wasm {
            return settings;
        }
        if let Some(file) = key_file
            && settings["signing_key_file"].is_string()
        {
            settings["signing_key_file"] = file.display().to_string().into();
        }
        let sources = settings.get_mut("identity_sources").and_then(Value::as_array_mut);
        for source in sources.into_iter().flatten() {
            match Nested::of_source(source, filters) {
                Some(nested) => *source = json!({"filter_state": nested.key()}),
                None if source["metadata"] == json!({"namespace": JWT_AUTHN}) => {
                    *source = json!({"filter_state": IDENTITY});
                }
                None => without_empty_path(source),
            }
        }
        settings
    }

    /// The filters in front of ours. A dynamic module does not see nested metadata, as `jwt_authn` writes it; the last
    /// of them puts it into filter state.
    pub(super) fn filters(self, filters: &[Value], settings: &Value) -> Vec<Value> {
        let mut filters = filters.to_vec();
        if self == Self::Native {
            let nested = nested_identities(&filters, settings);
            filters.extend((!nested.is_empty()).then(|| filter_state(&nested)));
        }
        filters
    }

    /// A route whose settings for the filter are where it looks for them: in metadata, or in a configuration of its own.
    /// It has a name where that alone tells the filter that there is a route.
    pub fn route(self, mut route: Value) -> Value {
        if !Capability::NamelessRoutes.is_there() && route["name"].is_null() {
            route["name"] = "a route".into();
        }
        let Some(metadata) = route.pointer_mut("/metadata/filter_metadata").and_then(Value::as_object_mut) else {
            return route;
        };
        if self == Self::Native
            && let Some(settings) = metadata.remove("attestation")
        {
            route["typed_per_filter_config"]["attestation"] = json!({
                "@type": format!("{DYNAMIC_MODULES}.DynamicModuleFilterPerRoute"),
                "dynamic_module_config": {"name": "attestation"},
                "filter_config": text(&settings.to_string()),
            });
        }
        route
    }
}

impl Bootstrap {
    /// Adds a route with wrong settings, if this host [takes](Host::takes_wrong_routes) it. If not, leaves it out once
    /// it has seen that Envoy refuses it, and that a line of the filter has this word.
    ///
    /// # Panics
    /// If Envoy starts with it, or the line does not have the word.
    pub fn wrong_route(self, route: Value, word: &str) -> Self {
        if Host::under_test().takes_wrong_routes() {
            return self.route(route);
        }
        let refused = self.clone().route(route).start_refused();
        assert!(!refused.status.success(), "{}", refused.status);
        let line = the_refusal(&refused.log);
        assert!(line.contains(word), "the line says {word}: {line}");
        self
    }
}

impl Envoy {
    /// What Prometheus has once it has named a native module's metrics as those of a Wasm module are called, by the rules
    /// in docs/operations.md.
    pub fn prometheus(&self) -> String {
        let text = self.admin().get("/stats/prometheus").text();
        text.lines().map(|line| format!("{}\n", renamed(line))).collect()
    }
}

/// A line with what the rules make of a name of the native module.
fn renamed(line: &str) -> String {
    const PREFIX: &str = "envoy_dynamicmodulescustom_";
    const BY_KID: &str = "attestation{signed_by_kid=\"";
    let plain = line.strip_prefix(PREFIX).unwrap_or(line);
    match plain.strip_prefix(BY_KID).and_then(|rest| rest.split_once('"')) {
        Some((kid, rest)) => {
            let name = format!("attestation_signed_by_kid_{kid}");
            let labels = format!("{{signed_by_kid=\"{kid}\"{rest}");
            format!("# TYPE {name} counter\n{name}{labels}")
        }
        None => line.replace(&format!("{PREFIX}attestation_"), "attestation_"),
    }
}

/// The filter as Envoy's `DynamicModuleFilter` message, with this configuration.
pub(super) fn native_filter(configuration: Option<Value>) -> Value {
    let mut filter = json!({
        "@type": Host::Native.filter_type(),
        "dynamic_module_config": {"name": "attestation"},
        "filter_name": "attestation",
    });
    if let Some(configuration) = configuration {
        filter["filter_config"] = configuration;
    }
    filter
}

fn text(text: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text})
}

/// The whole of a namespace has no path here.
fn without_empty_path(source: &mut Value) {
    let metadata = source.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata
        && metadata.get("path").is_some_and(|path| path.as_array().is_some_and(Vec::is_empty))
    {
        metadata.remove("path");
    }
}

/// An object in dynamic metadata that is not the whole of a namespace.
struct Nested {
    namespace: String,
    path: Vec<String>,
}

impl Nested {
    /// What a source of identities names, with the path that it has or that a filter in front writes to.
    fn of_source(source: &Value, filters: &[Value]) -> Option<Self> {
        let source = source.get("metadata")?;
        let namespace = source["namespace"].as_str()?;
        let path: Vec<String> = match source["path"].as_array() {
            Some(path) => path.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
            None => vec![filters.iter().find_map(|filter| object_member(filter, namespace))?],
        };
        (!path.is_empty()).then(|| Self { namespace: namespace.into(), path })
    }

    fn key(&self) -> String {
        format!("{}:{}", self.namespace, self.path.join(":"))
    }

    /// As `set_filter_state` puts it under a key.
    fn state(&self, key: &str) -> Value {
        json!({
            "object_key": key,
            "factory_key": "envoy.string",
            "format_string": {
                "text_format_source": {"inline_string": format!("%DYNAMIC_METADATA({})%", self.key())},
                "omit_empty_values": true,
            },
            "skip_if_empty": true,
        })
    }
}

/// Every one that these settings name or other settings could, and that of `jwt_authn`, by default the only source. By
/// their keys.
fn nested_identities(filters: &[Value], settings: &Value) -> BTreeMap<String, Nested> {
    let of_namespace = |namespace: &str| Nested::of_source(&json!({"metadata": {"namespace": namespace}}), filters);
    let default = of_namespace(JWT_AUTHN).map(|nested| (IDENTITY.to_owned(), nested));
    let sources = settings["identity_sources"].as_array().into_iter().flatten();
    let named = sources.filter_map(|source| Nested::of_source(source, filters));
    let written = filters.iter().filter_map(|filter| filter["typed_config"]["metadata"].as_array()).flatten();
    let written = written.filter_map(|entry| of_namespace(entry["metadata_namespace"].as_str()?));
    named.chain(written).map(|nested| (nested.key(), nested)).chain(default).collect()
}

fn filter_state(nested: &BTreeMap<String, Nested>) -> Value {
    json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": nested.iter().map(|(key, nested)| nested.state(key)).collect::<Vec<_>>(),
        },
    })
}

/// The member of a namespace to which this filter writes an object.
fn object_member(filter: &Value, namespace: &str) -> Option<String> {
    let config = &filter["typed_config"];
    if namespace == JWT_AUTHN
        && let Some(providers) = config["providers"].as_object()
    {
        return providers.values().find_map(|provider| Some(provider["payload_in_metadata"].as_str()?.to_owned()));
    }
    let written = config["metadata"].as_array()?.iter().find(|entry| entry["metadata_namespace"] == namespace)?;
    let mut members = written["value"].as_object()?.iter();
    members.find(|(_, value)| value.is_object()).map(|(name, _)| name.clone())
}
