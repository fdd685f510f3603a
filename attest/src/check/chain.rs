//! A chain of HTTP filters with the routes that its requests take.

use super::filter::Filter;
use super::model::Model;
use super::node::Node;
use super::routes::Routes;

/// The HTTP filters of a connection manager, or of a cluster.
#[derive(Debug)]
pub(crate) struct Chain<'a> {
    pub(crate) manager: &'a Node,
    /// The listener that leads here; a cluster's filters have none.
    pub(crate) listener: Option<&'a Node>,
    /// The chain of network filters, with its transport socket.
    pub(crate) end: Option<&'a Node>,
    pub(crate) filters: Vec<Filter<'a>>,
    pub(crate) routes: Option<Routes<'a>>,
    /// Whether these filters run behind the router.
    pub(crate) is_upstream: bool,
}

impl<'a> Chain<'a> {
    pub(super) fn of_manager(
        model: &Model<'a>,
        listener: Option<&'a Node>,
        end: Option<&'a Node>,
        manager: &'a Node,
    ) -> Self {
        let by_name = |name: &str| model.routes.iter().copied().find(|routes| routes.text_at(&["name"]) == Some(name));
        let named = manager.text_at(&["rds", "route_config_name"]).and_then(by_name);
        let routes = manager.get("route_config").or(named).map(Routes);
        Self { manager, listener, end, filters: filters(model, manager), routes, is_upstream: false }
    }

    pub(super) fn of_cluster(model: &Model<'a>, options: &'a Node) -> Self {
        let filters = filters(model, options);
        Self { manager: options, listener: None, end: None, filters, routes: None, is_upstream: true }
    }
}

fn filters<'a>(model: &Model<'a>, manager: &'a Node) -> Vec<Filter<'a>> {
    manager.list("http_filters").iter().map(|entry| Filter::of(model, entry)).collect()
}
