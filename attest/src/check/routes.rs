//! A route configuration: its virtual hosts, and which of their routes a path takes.

use super::matcher::{self, Answer};
use super::node::Node;

/// A route configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Routes<'a>(pub(crate) &'a Node);

impl<'a> Routes<'a> {
    pub(crate) fn hosts(&self) -> &'a [Node] {
        self.0.list("virtual_hosts")
    }

    /// Every route, with its virtual host.
    pub(crate) fn all(&self) -> Vec<(&'a Node, &'a Node)> {
        self.hosts().iter().flat_map(|host| host.list("routes").iter().map(move |route| (host, route))).collect()
    }

    /// What a path's route, its virtual host or this configuration says of a filter, in each virtual host. The most
    /// specific one counts.
    pub(crate) fn overrides(&self, path: &str, filter: &str) -> Vec<Override<'a>> {
        let of = |node: &'a Node| node.get("typed_per_filter_config").and_then(|config| config.get(filter));
        let for_host = |host: &'a Node| {
            let route = host
                .list("routes")
                .iter()
                .find(|route| route.get("match").is_some_and(|by| matcher::route(by, path) != Answer::No));
            let config = route.and_then(of).or_else(|| of(host)).or_else(|| of(self.0));
            Override { route, config }
        };
        self.hosts().iter().map(for_host).collect()
    }
}

/// What is said of a filter for a path in one virtual host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Override<'a> {
    pub(crate) route: Option<&'a Node>,
    pub(crate) config: Option<&'a Node>,
}

impl Override<'_> {
    /// Whether the filter is off.
    pub(crate) fn is_off(&self) -> bool {
        let Some((_, config)) = self.config.map(Node::unwrapped) else { return false };
        config.is_true("disabled") || config.get("config").is_some_and(|config| config.is_true("disabled"))
    }
}
