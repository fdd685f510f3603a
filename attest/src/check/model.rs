//! What a configuration is made of, found in its documents: listeners, clusters, routes, and chains of HTTP filters.

use super::chain::Chain;
use super::node::{Node, last_part};
use super::place::Place;

/// The resources of a configuration, wherever they are written.
#[derive(Debug, Default)]
pub(crate) struct Model<'a> {
    pub(crate) listeners: Vec<&'a Node>,
    pub(crate) clusters: Vec<&'a Node>,
    /// Route configurations that a listener names.
    pub(crate) routes: Vec<&'a Node>,
    /// Scopes, each with its route configuration, that a listener has from elsewhere.
    pub(crate) scopes: Vec<&'a Node>,
    /// Filters that a chain names (ECDS).
    pub(crate) extensions: Vec<&'a Node>,
    /// Secrets, static or in a file that is read.
    pub(crate) secrets: Vec<&'a Node>,
    /// Connection managers that stand alone.
    pub(crate) managers: Vec<&'a Node>,
    /// `bootstrap_extensions`, where a bootstrap is there.
    pub(crate) bootstraps: Vec<&'a Node>,
    /// All documents.
    pub(crate) documents: Vec<&'a Node>,
}

impl<'a> Model<'a> {
    /// # Errors
    /// Which document is no Envoy configuration, and what to give instead.
    pub(crate) fn of(documents: &'a [Node]) -> Result<Self, String> {
        let mut model = Self { documents: documents.iter().collect(), ..Self::default() };
        for document in documents {
            model.add_document(document)?;
        }
        Ok(model)
    }

    /// The chains of HTTP filters: of listeners, and of clusters (upstream filters).
    pub(crate) fn chains(&self) -> Vec<Chain<'a>> {
        let mut chains: Vec<_> =
            self.managers.iter().map(|manager| Chain::of_manager(self, None, None, manager)).collect();
        for listener in &self.listeners {
            let ends = listener.list("filter_chains").iter().chain(listener.get("default_filter_chain"));
            for end in ends {
                for filter in end.list("filters") {
                    let Some((kind, manager)) = filter.get("typed_config").map(Node::unwrapped) else { continue };
                    if last_part(kind) == "HttpConnectionManager" {
                        chains.push(Chain::of_manager(self, Some(listener), Some(end), manager));
                    }
                }
            }
        }
        for cluster in &self.clusters {
            for option in cluster.get("typed_extension_protocol_options").map(Node::members).unwrap_or_default() {
                if option.value.get("http_filters").is_some() {
                    chains.push(Chain::of_cluster(self, &option.value));
                }
            }
        }
        chains
    }

    pub(crate) fn cluster(&self, name: &str) -> Option<&'a Node> {
        named(&self.clusters, name)
    }

    pub(crate) fn listener(&self, name: &str) -> Option<&'a Node> {
        named(&self.listeners, name)
    }

    /// Whether the clusters are all here: none are had from elsewhere.
    pub(crate) fn is_whole(&self) -> bool {
        !self.bootstraps.is_empty()
            && self.bootstraps.iter().all(|bootstrap| bootstrap.at(&["dynamic_resources"]).is_none())
    }

    /// Whether the bootstrap has an extension, if there is a bootstrap.
    pub(crate) fn has_extension(&self, name: &str) -> Option<bool> {
        let has = |bootstrap: &&Node| {
            bootstrap.list("bootstrap_extensions").iter().any(|extension| {
                extension.text_at(&["name"]) == Some(name)
                    || extension.get("typed_config").is_some_and(|config| config.kind() == "InternalListener")
            })
        };
        (!self.bootstraps.is_empty()).then(|| self.bootstraps.iter().any(has))
    }

    fn add_document(&mut self, document: &'a Node) -> Result<(), String> {
        let has = |name: &str| document.get(name).is_some();
        if has("apiVersion") && has("kind") {
            return Err(refused(
                &document.place,
                "a Kubernetes manifest",
                "check what Envoy makes of it: kubectl port-forward to the admin interface, then \
                 curl -s localhost:15000/config_dump?include_eds | attest check -",
            ));
        }
        let bootstrap = ["static_resources", "dynamic_resources", "bootstrap_extensions", "admin", "node"];
        if has("configs") {
            document.list("configs").iter().for_each(|part| self.add_dump(part));
        } else if has("resources") {
            document.list("resources").iter().for_each(|resource| {
                self.add_resource(resource);
            });
        } else if bootstrap.iter().any(|name| has(name)) {
            self.add_bootstrap(document);
        } else if document.is_null() {
        } else if !self.add_resource(document) {
            return Err(refused(
                &document.place,
                "no Envoy configuration that attest knows",
                "give a bootstrap, a listener, an answer of xDS, or what /config_dump prints",
            ));
        }
        Ok(())
    }

    fn add_bootstrap(&mut self, bootstrap: &'a Node) {
        self.bootstraps.push(bootstrap);
        let Some(resources) = bootstrap.get("static_resources") else { return };
        resources.list("listeners").iter().for_each(|listener| push(&mut self.listeners, listener));
        resources.list("clusters").iter().for_each(|cluster| push(&mut self.clusters, cluster));
        resources.list("secrets").iter().for_each(|secret| push(&mut self.secrets, secret));
    }

    /// A part of what `/config_dump` prints.
    fn add_dump(&mut self, part: &'a Node) {
        if let Some(bootstrap) = part.get("bootstrap") {
            self.add_bootstrap(bootstrap);
        }
        for listener in part.list("static_listeners") {
            listener.get("listener").into_iter().for_each(|listener| push(&mut self.listeners, listener));
        }
        for listener in part.list("dynamic_listeners") {
            listener.at(&["active_state", "listener"]).into_iter().for_each(|it| push(&mut self.listeners, it));
        }
        for cluster in part.list("static_clusters").iter().chain(part.list("dynamic_active_clusters")) {
            cluster.get("cluster").into_iter().for_each(|cluster| push(&mut self.clusters, cluster));
        }
        for routes in part.list("dynamic_route_configs") {
            routes.get("route_config").into_iter().for_each(|routes| push(&mut self.routes, routes));
        }
        for group in part.list("dynamic_scoped_route_configs") {
            group.list("scoped_route_configs").iter().for_each(|scope| push(&mut self.scopes, scope));
        }
        for filter in part.list("ecds_filters") {
            filter.get("ecds_filter").into_iter().for_each(|filter| push(&mut self.extensions, filter));
        }
    }

    /// Whether it is a resource that matters here.
    fn add_resource(&mut self, resource: &'a Node) -> bool {
        let resource = resource.get("resource").unwrap_or(resource);
        let has = |name: &str| resource.get(name).is_some();
        let list = match resource.kind() {
            "ClusterLoadAssignment" | "Runtime" => return true,
            "Secret" => &mut self.secrets,
            "HttpConnectionManager" => &mut self.managers,
            _ if has("filter_chains") || has("default_filter_chain") || has("internal_listener") => &mut self.listeners,
            _ if has("route_configuration") || has("route_configuration_name") => &mut self.scopes,
            _ if has("virtual_hosts") => &mut self.routes,
            _ if has("http_filters") => &mut self.managers,
            _ if has("typed_config") => &mut self.extensions,
            "Cluster" => &mut self.clusters,
            _ if has("load_assignment") || has("connect_timeout") => &mut self.clusters,
            _ if has("generic_secret") => &mut self.secrets,
            _ => return has("endpoints") || has("tls_certificate") || has("validation_context"),
        };
        push(list, resource);
        true
    }
}

/// A resource is in a bootstrap and once more in the dump: the first one is enough.
fn push<'a>(list: &mut Vec<&'a Node>, resource: &'a Node) {
    let name = resource.text_at(&["name"]);
    if name.is_none_or(|name| named(list, name).is_none()) {
        list.push(resource);
    }
}

fn named<'a>(list: &[&'a Node], name: &str) -> Option<&'a Node> {
    list.iter().copied().find(|resource| resource.text_at(&["name"]) == Some(name))
}

fn refused(place: &Place, what: &str, cure: &str) -> String {
    format!("{place}: this is {what}; {cure}")
}
