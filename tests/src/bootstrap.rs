//! The configuration that an Envoy is started with: a builder over the JSON form of Envoy's own configuration, so that
//! a test can put any piece of Envoy's documentation into it as it stands.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::control_plane::ControlPlane;
use super::either_host::native_filter;
use super::envoy::{Envoy, Refused};
use super::host::Host;
use super::key_directory::{KeyDirectory, Layout};
use super::keys;
use super::listener;
use super::paths;
use super::replaced::replace_file;
use super::shipped::Shipped;

/// The plugin configuration, in one of the forms that Envoy hands on.
#[derive(Clone, Debug)]
pub enum Configuration {
    /// No `configuration` at all.
    Absent,
    /// `google.protobuf.Struct`: what an operator writes as plain YAML.
    Struct(Value),
    /// `google.protobuf.StringValue`: JSON as text, or whatever the text is.
    Text(String),
}

impl Configuration {
    /// The same with every setting that is a matter of where things are, if it is JSON at all.
    fn map(&self, place: impl Fn(Value) -> Value) -> Self {
        match self {
            Self::Absent => Self::Absent,
            Self::Struct(value) => Self::Struct(place(value.clone())),
            Self::Text(text) => match serde_json::from_str::<Value>(text) {
                Ok(value @ Value::Object(_)) if place(value.clone()) != value => Self::Text(place(value).to_string()),
                _ => self.clone(),
            },
        }
    }

    /// The settings; nothing where they are none.
    pub(super) fn settings(&self) -> Value {
        self.to_text().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    fn to_text(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Struct(value) => Some(value.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    fn to_any(&self) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Struct(value) => Some(json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": value})),
            Self::Text(text) => {
                Some(json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text}))
            }
        }
    }
}

impl From<Value> for Configuration {
    fn from(value: Value) -> Self {
        Self::Struct(value)
    }
}

/// Where an Envoy has the filter from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Bootstrap,
    WatchedFile,
    ControlPlane,
}

/// Where an Envoy stands in a row of Envoys that hand their sockets on.
#[derive(Clone, Debug)]
pub enum Restart {
    /// It is the first.
    First,
    /// It takes over from the one before.
    Later {
        /// What the row is called.
        base_id: String,
        /// Its place in the row, from 1.
        epoch: u32,
    },
}

/// What an Envoy is started with.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    pub(super) host: Host,
    pub(super) configuration: Configuration,
    environment: BTreeMap<String, String>,
    host_environment: BTreeMap<String, String>,
    pub(super) concurrency: u32,
    pub(super) log_level: &'static str,
    pub(super) filters: Vec<Value>,
    pub(super) routes: Vec<Value>,
    pub(super) http: Value,
    pub(super) transport_socket: Option<Value>,
    key_file: Option<(Layout, Vec<u8>)>,
    key_route: Value,
    port: u16,
    pub(super) restart: Option<Restart>,
    clusters: Vec<Value>,
    secrets: Vec<Value>,
    next: Option<SocketAddr>,
    source: Source,
    node: String,
    envoy: PathBuf,
    module: PathBuf,
    pub(super) may_trap: bool,
    shipped: Option<Shipped>,
}

impl Bootstrap {
    /// One worker, the filter with this configuration, and one route to the upstream.
    pub fn new(configuration: impl Into<Configuration>) -> Self {
        Self {
            host: Host::under_test(),
            configuration: configuration.into(),
            environment: BTreeMap::new(),
            host_environment: BTreeMap::new(),
            concurrency: 1,
            log_level: "info",
            filters: Vec::new(),
            routes: Vec::new(),
            http: json!({}),
            transport_socket: None,
            key_file: None,
            key_route: json!({"prefix": "/"}),
            port: 0,
            restart: None,
            clusters: Vec::new(),
            secrets: Vec::new(),
            next: None,
            source: Source::Bootstrap,
            node: "test".into(),
            envoy: paths::envoy(),
            module: paths::module(),
            may_trap: false,
            shipped: None,
        }
    }

    /// A whole configuration of the repository, with the key of the vectors in its key file.
    pub fn shipped(shipped: Shipped) -> Self {
        Self { shipped: Some(shipped), ..Self::new(Configuration::Absent) }.key_file(keys::pem(keys::A))
    }

    /// One worker, the filter as this control plane knows it, and one route to the upstream; the control plane knows this
    /// Envoy by the ID of its node.
    pub fn controlled_by(control_plane: &ControlPlane, node: &str) -> Self {
        Self { source: Source::ControlPlane, node: node.into(), ..Self::new(Configuration::Absent) }
            .cluster(listener::http2_cluster("control_plane", control_plane.port()))
    }

    /// Runs the filter in this host, whatever the one under test is.
    pub fn host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// Sets a variable in the module's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Sets a variable in Envoy's environment and lets the module see it.
    pub fn host_env(mut self, name: &str, value: &str) -> Self {
        self.host_environment.insert(name.into(), value.into());
        self
    }

    /// Runs so many workers, and spreads connections over them evenly.
    pub fn workers(mut self, count: u32) -> Self {
        self.concurrency = count;
        self
    }

    /// Logs at `debug` or `trace` instead of `info`.
    pub fn log_level(mut self, level: &'static str) -> Self {
        self.log_level = level;
        self
    }

    /// Puts an HTTP filter in front of ours, after those put there before.
    pub fn filter(mut self, filter: Value) -> Self {
        self.filters.push(filter);
        self
    }

    /// Puts a route before the one that takes everything.
    pub fn route(mut self, route: Value) -> Self {
        self.routes.push(route);
        self
    }

    /// Adds a cluster, for a filter that asks somebody.
    pub fn cluster(mut self, cluster: Value) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// Adds a static secret.
    pub fn secret(mut self, secret: Value) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sends requests on to another Envoy instead of the upstream.
    pub fn next(self, next: &Envoy) -> Self {
        self.upstream(next.address())
    }

    /// Sends requests on to another upstream than the one that tells what it received.
    pub fn upstream(mut self, address: SocketAddr) -> Self {
        self.next = Some(address);
        self
    }

    /// Runs modules that trap, and says nothing about it.
    pub fn may_trap(mut self) -> Self {
        self.may_trap = true;
        self
    }

    /// Sets fields of the HTTP connection manager.
    pub fn http(mut self, fields: Value) -> Self {
        merge(&mut self.http, fields);
        self
    }

    /// Encrypts the listener.
    pub fn transport_socket(mut self, transport_socket: Value) -> Self {
        self.transport_socket = Some(transport_socket);
        self
    }

    /// Lets Envoy serve a key file, at any path, from the cluster `signing_key`.
    pub fn key_file(mut self, content: impl AsRef<[u8]>) -> Self {
        self.key_file = Some((Layout::Plain, content.as_ref().to_vec()));
        self
    }

    /// The same, with the symbolic links of a Kubernetes Secret's volume.
    pub fn key_volume(mut self, content: impl AsRef<[u8]>) -> Self {
        self.key_file = Some((Layout::Volume, content.as_ref().to_vec()));
        self
    }

    /// Serves the key file where this route match says, instead of at any path.
    pub fn key_route(mut self, route_match: Value) -> Self {
        self.key_route = route_match;
        self
    }

    /// Lets another Envoy take over later, with [`Envoy::hot_restart`].
    pub fn restartable(mut self) -> Self {
        self.restart = Some(Restart::First);
        self
    }

    pub(super) fn taking_over(mut self, port: u16, base_id: String, epoch: u32) -> Self {
        self.port = port;
        self.restart = Some(Restart::Later { base_id, epoch });
        self
    }

    /// Runs an Envoy that has no foreign function `sign`.
    pub fn without_sign(mut self) -> Self {
        self.envoy = paths::envoy_without_sign();
        self
    }

    /// Takes the filter from a watched file, so that [`Envoy::push_accepted`] can replace it.
    pub fn dynamic(mut self) -> Self {
        self.source = Source::WatchedFile;
        self
    }

    /// Runs another module in place of the filter.
    pub fn module(mut self, module: PathBuf) -> Self {
        self.module = module;
        self
    }

    /// Starts Envoy and waits until it serves.
    pub fn start(self) -> Envoy {
        Envoy::start(self)
    }

    /// Starts Envoy and waits until it gives up.
    pub fn start_refused(self) -> Refused {
        Envoy::start_refused(self)
    }

    /// What is set in Envoy's own environment. A dynamic module has no other.
    pub(super) fn environment(&self, directory: &Path) -> BTreeMap<String, String> {
        let mut environment = self.host_environment.clone();
        let search_path = self.host.environment().unwrap_or_else(|e| panic!("{e}"));
        environment.extend(search_path.map(|(name, path)| (name.into(), path.display().to_string())));
        if self.host == Host::Native {
            environment.extend(self.environment.clone());
            let is_told_by_a_control_plane = matches!(self.source, Source::ControlPlane);
            let Some(file) = self.key_file.as_ref().map(|_| self.key_directory(directory).file()) else {
                return environment;
            };
            // One control plane's settings are the same for all, and each Envoy has a key file of its own.
            if is_told_by_a_control_plane || environment.contains_key("SIGNING_KEY_FILE") {
                environment.insert("SIGNING_KEY_FILE".into(), file.display().to_string());
            }
        }
        environment
    }

    pub(super) fn binary(&self) -> &Path {
        &self.envoy
    }

    /// The filter's configuration in Envoy's, for an Envoy whose files are in `directory`.
    fn typed_config(&self, configuration: &Configuration, directory: &Path) -> Value {
        let file = self.key_file.as_ref().map(|_| self.key_directory(directory).file());
        let configuration = &configuration.map(|settings| self.host.settings(settings, file.as_deref(), &self.filters));
        match self.host {
            Host::Wasm => self.wasm(configuration),
            Host::Native => native_filter(configuration.to_any()),
        }
    }

    /// The filter as Envoy's `Wasm` message.
    fn wasm(&self, configuration: &Configuration) -> Value {
        let mut plugin = json!({
            "name": "attestation",
            "root_id": "attestation",
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "vm_id": "attestation",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": self.module}},
                "environment_variables": {
                    "key_values": self.environment,
                    "host_env_keys": self.host_environment.keys().collect::<Vec<_>>(),
                },
            },
        });
        if let Some(any) = configuration.to_any() {
            plugin["configuration"] = any;
        }
        json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": plugin})
    }

    /// Writes every file that Envoy reads into `directory` and says which one is the bootstrap.
    pub(super) fn write(&self, directory: &Path, upstream: SocketAddr) -> PathBuf {
        let bootstrap = match &self.shipped {
            None => self.to_json(directory, upstream),
            Some(shipped) => shipped.fill(&self.write_key_file(directory), &self.module, self.next.unwrap_or(upstream)),
        };
        let path = directory.join("bootstrap.json");
        fs::write(&path, serde_json::to_vec_pretty(&bootstrap).expect("JSON")).expect("write the bootstrap");
        path
    }

    fn to_json(&self, directory: &Path, upstream: SocketAddr) -> Value {
        let mut listeners = vec![listener::public(self, self.filter_config(directory), self.port)];
        let mut clusters = vec![listener::upstream_cluster(self.next.unwrap_or(upstream))];
        clusters.extend(self.clusters.iter().cloned());
        if self.key_file.is_some() {
            let file = self.write_key_file(directory);
            if self.host.needs_key_listener() {
                listeners.push(listener::signing_key(&file, &self.key_route));
                clusters.push(listener::signing_key_cluster());
            }
        }
        json!({
            "node": {"id": self.node, "cluster": "test"},
            // Histograms are merged only then.
            "stats_flush_interval": "0.2s",
            "admin": {"address": listener::loopback(0)},
            "bootstrap_extensions": [listener::internal_listeners()],
            "static_resources": {"listeners": listeners, "clusters": clusters, "secrets": self.secrets},
        })
    }

    /// Writes the key file and says where it is.
    fn write_key_file(&self, directory: &Path) -> PathBuf {
        let (layout, content) = self.key_file.as_ref().expect("a Bootstrap with a key file");
        let keys = KeyDirectory::create(*layout, &paths::keys(directory));
        keys.replace(content);
        keys.file()
    }

    fn filter_config(&self, directory: &Path) -> Value {
        match self.source {
            Source::Bootstrap => {
                json!({"name": "attestation", "typed_config": self.typed_config(&self.configuration, directory)})
            }
            Source::WatchedFile => {
                self.write_dynamic(directory, &self.configuration, 1);
                listener::discovered_filter(self.host, listener::watched_file(&paths::dynamic_filter(directory)))
            }
            Source::ControlPlane => listener::discovered_filter(self.host, listener::grpc_source("control_plane")),
        }
    }

    /// Where the key file of an Envoy is whose files are in `directory`.
    pub(super) fn key_directory(&self, directory: &Path) -> KeyDirectory {
        let (layout, _) = self.key_file.as_ref().expect("an Envoy with a key file");
        KeyDirectory::at(*layout, &paths::keys(directory))
    }

    /// Writes the discovery response that hands Envoy the filter with this plugin configuration.
    pub(super) fn write_dynamic(&self, directory: &Path, configuration: &Configuration, version: u64) {
        let path = paths::dynamic_filter(directory);
        fs::create_dir_all(path.parent().expect("a directory")).expect("make the discovery directory");
        let response = json!({
            "version_info": version.to_string(),
            "resources": [{
                "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
                "name": "attestation",
                "typed_config": self.typed_config(configuration, directory),
            }],
        });
        replace_file(&path, &serde_json::to_vec(&response).expect("JSON"));
    }
}

/// Puts the members of one object into another, all the way down.
pub(super) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
