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
    /// Its route configuration; several where the request's scope decides, none where they are elsewhere.
    pub(crate) routes: Vec<Routes<'a>>,
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
        Self {
            manager,
            listener,
            end,
            filters: filters(model, manager),
            routes: routes(model, manager),
            is_upstream: false,
        }
    }

    pub(super) fn of_cluster(model: &Model<'a>, options: &'a Node) -> Self {
        let filters = filters(model, options);
        Self { manager: options, listener: None, end: None, filters, routes: Vec::new(), is_upstream: true }
    }
}

fn routes<'a>(model: &Model<'a>, manager: &'a Node) -> Vec<Routes<'a>> {
    let by_name = |name: &str| model.routes.iter().copied().find(|routes| routes.text_at(&["name"]) == Some(name));
    let named = manager.text_at(&["rds", "route_config_name"]).and_then(by_name);
    let scopes = manager.get("scoped_routes").into_iter().flat_map(|scoped| {
        let list = scoped.get("scoped_route_configurations_list");
        let written = list.map(|list| list.list("scoped_route_configurations")).unwrap_or_default();
        let elsewhere = scoped.get("scoped_rds").map(|_| model.scopes.as_slice()).unwrap_or_default();
        written.iter().chain(elsewhere.iter().copied())
    });
    let scoped = scopes.filter_map(|scope| {
        scope.get("route_configuration").or_else(|| by_name(scope.text_at(&["route_configuration_name"])?))
    });
    manager.get("route_config").or(named).into_iter().chain(scoped).map(Routes).collect()
}

fn filters<'a>(model: &Model<'a>, manager: &'a Node) -> Vec<Filter<'a>> {
    manager.list("http_filters").iter().map(|entry| Filter::of(model, entry)).collect()
}
