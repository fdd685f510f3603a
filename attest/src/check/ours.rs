//! The attestation filter in a configuration, and what its own code makes of its settings.

use attestation_filter::config::{Config, ConfigError, Platform};
use attestation_filter::keys::feed::KeySource;
use serde_json::Value as Json;

use super::chain::Chain;
use super::filter::Filter;
use super::node::Node;

/// The filter, in its chain.
#[derive(Debug)]
pub(crate) struct Ours<'a> {
    pub(crate) chain: &'a Chain<'a>,
    /// Its place in the chain.
    pub(crate) index: usize,
    pub(crate) filter: Filter<'a>,
    pub(crate) platform: Platform,
    /// Wasm: the `PluginConfig`. Native: the `DynamicModuleFilter`.
    pub(crate) plugin: &'a Node,
    /// The settings, where they are plain YAML.
    pub(crate) settings: Option<&'a Node>,
    pub(crate) config: Result<Config, ConfigError>,
}

impl<'a> Ours<'a> {
    /// The filter at this place of the chain, if it is ours: its module, its name or its plugin's name says so.
    pub(crate) fn of(chain: &'a Chain<'a>, index: usize, named: Option<&str>) -> Option<Self> {
        let filter = *chain.filters.get(index)?;
        let (platform, plugin, any) = match filter.what() {
            "wasm" => {
                let plugin = filter.get("config")?;
                (Platform::Wasm, plugin, plugin.get("configuration"))
            }
            "dynamic_modules" => (Platform::Native, filter.config?, filter.get("filter_config")),
            _ => return None,
        };
        let is_named = named == Some(filter.name);
        if !is_named && !names(&filter, plugin).iter().any(|name| name.contains("attestation")) {
            return None;
        }
        let (settings, bytes) = settings(any);
        let environment = |name: &str| {
            let values = plugin.at(&["vm_config", "environment_variables", "key_values"])?;
            values.text_at(&[name]).map(str::to_owned)
        };
        let config = Config::read(platform, &bytes, environment);
        Some(Self { chain, index, filter, platform, plugin, settings, config })
    }

    pub(crate) fn is_wasm(&self) -> bool {
        self.platform == Platform::Wasm
    }

    /// The key file, if the key comes from one.
    pub(crate) fn key_file(&self) -> Option<&str> {
        match &self.config.as_ref().ok()?.key_source {
            KeySource::File(file) => Some(&file.path),
            _ => None,
        }
    }

    /// The filters that run before it.
    pub(crate) fn before(&self) -> &'a [Filter<'a>] {
        self.chain.filters.get(..self.index).unwrap_or_default()
    }

    pub(crate) fn after(&self) -> &'a [Filter<'a>] {
        self.chain.filters.get(self.index + 1..).unwrap_or_default()
    }

    /// Where a setting stands, or as near to it as there is something.
    pub(crate) fn setting(&self, field: &str) -> &'a Node {
        let Some(mut node) = self.settings else { return self.plugin };
        for step in field.split(['.', '[']) {
            let next = match step.strip_suffix(']').and_then(|place| place.parse::<usize>().ok()) {
                Some(place) => node.items().get(place),
                None => node.get(step),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// Whether the module's environment can have a variable whose value is not here.
    pub(crate) fn may_have_variable(&self, name: &str) -> bool {
        let keys = self.plugin.at(&["vm_config", "environment_variables", "host_env_keys"]);
        !self.is_wasm() || keys.is_some_and(|keys| keys.items().iter().any(|key| key.text() == Some(name)))
    }
}

fn names<'a>(filter: &Filter<'a>, plugin: &'a Node) -> Vec<&'a str> {
    let texts = [
        plugin.text_at(&["name"]),
        plugin.text_at(&["root_id"]),
        plugin.text_at(&["vm_config", "code", "local", "filename"]),
        plugin.text_at(&["vm_config", "code", "remote", "http_uri", "uri"]),
        plugin.text_at(&["dynamic_module_config", "name"]),
        plugin.text_at(&["filter_name"]),
        Some(filter.name),
    ];
    texts.into_iter().flatten().collect()
}

/// The settings as a tree, where they are one, and as the bytes that Envoy hands to the filter.
pub(crate) fn settings(any: Option<&Node>) -> (Option<&Node>, Vec<u8>) {
    let Some(any) = any else { return (None, Vec::new()) };
    let value = any.get("value");
    match any.kind() {
        "StringValue" => (None, value.and_then(Node::text).unwrap_or_default().as_bytes().to_vec()),
        // Envoy prints an Any of this kind as its members.
        "Struct" => (value, value.map(Node::json).as_ref().map(Json::to_string).unwrap_or_default().into_bytes()),
        _ => (None, Vec::new()),
    }
}
