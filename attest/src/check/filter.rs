//! One HTTP filter of a chain.

use super::model::Model;
use super::node::Node;

/// An HTTP filter: its name, what it is, and its configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter<'a> {
    /// Its place in the chain.
    pub(crate) entry: &'a Node,
    pub(crate) name: &'a str,
    /// The whole name of its type; empty if that is not here.
    pub(crate) type_url: &'a str,
    /// Nothing where a control plane or a file that is not here has it.
    pub(crate) config: Option<&'a Node>,
    /// Whether it runs for some requests only.
    pub(crate) is_conditional: bool,
}

impl<'a> Filter<'a> {
    pub(super) fn of(model: &Model<'a>, entry: &'a Node) -> Self {
        let name = entry.text_at(&["name"]).unwrap_or_default();
        let config = entry.get("typed_config").or_else(|| discovered(model, entry, name));
        let (mut type_url, mut config) = match config.map(Node::unwrapped) {
            Some((type_url, config)) => (type_url, Some(config)),
            None => ("", None),
        };
        let inner = config.and_then(|config| config.at(&["extension_config", "typed_config"])).map(Node::unwrapped);
        if let Some((inner_type, inner)) = inner.filter(|_| type_url.ends_with(".ExtensionWithMatcher")) {
            (type_url, config) = (inner_type, Some(inner));
            return Self { entry, name, type_url, config, is_conditional: true };
        }
        Self { entry, name, type_url, config, is_conditional: false }
    }

    /// The directory of its type in Envoy: `jwt_authn` of `envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`.
    /// An unknown filter is what its type is.
    pub(crate) fn what(&self) -> &'a str {
        let known = self.type_url.split_once("envoy.extensions.filters.http.").map(|(_, rest)| rest);
        known.and_then(|rest| rest.split('.').next()).unwrap_or(self.type_url)
    }

    /// A member of its configuration.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Node> {
        self.config.and_then(|config| config.get(name))
    }

    /// A list of its configuration.
    pub(crate) fn list(&self, name: &str) -> &'a [Node] {
        self.get(name).map(Node::items).unwrap_or_default()
    }

    /// A Lua filter's code, if it is here.
    pub(crate) fn lua(&self) -> Option<&'a str> {
        let config = self.config?;
        config.text_at(&["default_source_code", "inline_string"]).or_else(|| config.text_at(&["inline_code"]))
    }
}

/// What extension configuration discovery hands out under the filter's name.
fn discovered<'a>(model: &Model<'a>, entry: &'a Node, name: &str) -> Option<&'a Node> {
    let discovery = entry.get("config_discovery")?;
    let found = model.extensions.iter().find(|extension| extension.text_at(&["name"]) == Some(name));
    found.and_then(|extension| extension.get("typed_config")).or_else(|| discovery.get("default_config"))
}
