//! Whole configurations of the repository, run as they are shipped: only what stands outside Envoy is a test's own, that
//! is files, ports, the upstream and the identity provider.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::bootstrap::merge;
use super::host::Host;
use super::idp::IdentityProvider;
use super::listener;
use super::places;

const MODULE: &str = "/etc/envoy/attestation_filter.wasm";
/// The directories of the key file.
const KEYS: [&str; 2] = ["/run/secrets/attestation", "/etc/attestation"];

/// A configuration that Envoy is started with.
#[derive(Clone, Debug)]
pub struct Shipped {
    document: Value,
    upstream: Value,
}

impl Shipped {
    /// Reads a bootstrap by its path in the repository.
    ///
    /// # Panics
    /// If it is not there, or no YAML.
    pub fn read(path: &str) -> Self {
        let text =
            fs::read_to_string(places::repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let document = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { document, upstream: json!({}) }
    }

    /// A configuration that a test has put together, with one listener for clients.
    pub fn of(document: Value) -> Self {
        Self { document, upstream: json!({}) }
    }

    /// Trusts this identity provider in place of the one that is named.
    pub fn trusting(mut self, provider: &IdentityProvider) -> Self {
        let filter = self.filter("envoy.filters.http.jwt_authn");
        let providers = filter["typed_config"]["providers"].as_object_mut().expect("providers");
        for theirs in providers.values_mut() {
            theirs["issuer"] = provider.issuer().into();
            let theirs = theirs.as_object_mut().expect("a provider");
            theirs.retain(|name, _| name != "audiences" && !name.ends_with("_jwks"));
            theirs.insert("local_jwks".into(), json!({"inline_string": provider.key_set().to_string()}));
        }
        self
    }

    /// Leaves a token that jwt_authn has verified in its place.
    pub fn forwarding_tokens(mut self) -> Self {
        let filter = self.filter("envoy.filters.http.jwt_authn");
        let providers = filter["typed_config"]["providers"].as_object_mut().expect("providers");
        providers.values_mut().for_each(|provider| provider["forward"] = true.into());
        self
    }

    /// Adds a cluster, for a filter that asks somebody.
    pub fn cluster(mut self, cluster: Value) -> Self {
        self.document["static_resources"]["clusters"].as_array_mut().expect("clusters").push(cluster);
        self
    }

    /// Puts another filter before the one with this name.
    pub fn before(mut self, name: &str, filter: Value) -> Self {
        let filters = self.manager()["http_filters"].as_array_mut().expect("filters");
        let place = filters.iter().position(|other| other["name"] == name).expect("a filter of this name");
        filters.insert(place, filter);
        self
    }

    /// Removes the filter with this name.
    pub fn without(mut self, name: &str) -> Self {
        let filters = self.manager()["http_filters"].as_array_mut().expect("filters");
        let count = filters.len();
        filters.retain(|filter| filter["name"] != name);
        assert_eq!(filters.len(), count - 1, "one filter {name}");
        self
    }

    /// Puts a route before all others.
    pub fn route(mut self, route: Value) -> Self {
        let route = self.host().route(route);
        let hosts = &mut self.manager()["route_config"]["virtual_hosts"];
        hosts[0]["routes"].as_array_mut().expect("routes").insert(0, route);
        self
    }

    /// Sets fields of the attestation filter.
    pub fn settings(mut self, fields: Value) -> Self {
        let place = match self.host() {
            Host::Wasm => "/typed_config/config/configuration/value",
            Host::Native => "/typed_config/filter_config/value",
        };
        merge(self.filter("attestation").pointer_mut(place).expect("settings"), fields);
        self
    }

    /// Sets fields of the connection manager that clients speak to.
    pub fn http(mut self, fields: Value) -> Self {
        merge(self.manager(), fields);
        self
    }

    /// Changes headers before a route is chosen, before all that is changed there.
    pub fn early(mut self, mutation: Value) -> Self {
        let mutations = &mut self.manager()["early_header_mutation_extensions"][0]["typed_config"]["mutations"];
        mutations.as_array_mut().expect("mutations").insert(0, mutation);
        self
    }

    /// Answers this virtual host instead of the first.
    pub fn virtual_host(mut self, host: Value) -> Self {
        self.manager()["route_config"]["virtual_hosts"][0] = host;
        self
    }

    /// Answers these domains only.
    pub fn domains(mut self, domains: &[&str]) -> Self {
        self.manager()["route_config"]["virtual_hosts"][0]["domains"] = domains.into();
        self
    }

    /// Sets fields of the cluster that leads to the upstream.
    pub fn upstream(mut self, fields: Value) -> Self {
        self.upstream = fields;
        self
    }

    /// The filter with this name.
    pub fn filter(&mut self, name: &str) -> &mut Value {
        let filters = self.manager()["http_filters"].as_array_mut().expect("filters");
        filters.iter_mut().find(|filter| filter["name"] == name).unwrap_or_else(|| panic!("no filter {name}"))
    }

    /// What the filter runs in.
    fn host(&mut self) -> Host {
        let is_native = |filter: &Value| filter["typed_config"]["@type"] == Host::Native.filter_type();
        let filters = self.manager()["http_filters"].as_array();
        if filters.into_iter().flatten().any(is_native) { Host::Native } else { Host::Wasm }
    }

    fn manager(&mut self) -> &mut Value {
        let ingress = self.ingress();
        &mut ingress["filter_chains"][0]["filters"][0]["typed_config"]
    }

    fn ingress(&mut self) -> &mut Value {
        let listeners = self.document["static_resources"]["listeners"].as_array_mut().expect("listeners");
        listeners.iter_mut().find(|listener| listener["address"].is_object()).expect("a listener for clients")
    }

    /// The configuration with these files, with ports of the kernel's choice and this upstream.
    pub(super) fn fill(&self, key_file: &Path, module: &Path, upstream: SocketAddr) -> Value {
        let mut filled = self.clone();
        let ingress = filled.ingress();
        ingress["name"] = "public".into();
        ingress["address"] = listener::loopback(0);
        filled.document["admin"]["address"] = listener::loopback(0);
        let clusters = filled.document["static_resources"]["clusters"].as_array_mut().expect("clusters");
        clusters.retain(|cluster| cluster["name"] != "upstream");
        let mut cluster = listener::upstream_cluster(upstream);
        merge(&mut cluster, self.upstream.clone());
        clusters.push(cluster);
        let keys = key_file.parent().expect("a directory");
        let names = KEYS.map(|directory| (directory, keys)).into_iter().chain([(MODULE, module)]);
        let text = names.fold(filled.document.to_string(), |text, (from, to)| {
            text.replace(from, to.to_str().expect("a path of UTF-8"))
        });
        serde_json::from_str(&text).expect("JSON")
    }
}
