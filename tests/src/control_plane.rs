//! A control plane: over gRPC (ECDS) it hands the same filter to every Envoy that subscribes, and notes what each of
//! them makes of it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use envoy_types::pb::envoy::config::core::v3::async_data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier as LocalSpecifier;
use envoy_types::pb::envoy::config::core::v3::{AsyncDataSource, DataSource, TypedExtensionConfig};
use envoy_types::pb::envoy::extensions::dynamic_modules::v3::DynamicModuleConfig;
use envoy_types::pb::envoy::extensions::filters::http::dynamic_modules::v3::DynamicModuleFilter;
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::wasm::v3::plugin_config::Vm;
use envoy_types::pb::envoy::extensions::wasm::v3::{FailurePolicy, PluginConfig, VmConfig};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::extension::v3::extension_config_discovery_service_server::{
    ExtensionConfigDiscoveryService, ExtensionConfigDiscoveryServiceServer,
};
use envoy_types::pb::google::protobuf::StringValue;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::discovery::{any, listen, response, version};
use super::{Host, eventually, paths};

/// A running control plane. Dropping it closes every stream and the port.
pub struct ControlPlane {
    port: u16,
    newest: watch::Sender<DiscoveryResponse>,
    verdicts: Verdicts,
    /// It runs as long as this is there.
    _runtime: Runtime,
}

impl ControlPlane {
    /// Starts it with these settings of the filter as version 1.
    pub fn start(settings: &Value) -> Self {
        Self::start_at(0, settings)
    }

    /// Starts it on a port that an earlier one had.
    pub fn start_at(port: u16, settings: &Value) -> Self {
        let (runtime, incoming, port) = listen(port);
        let (newest, verdicts) = (watch::Sender::new(response(1, &resource(settings))), Verdicts::default());
        let service = Discovery { newest: newest.subscribe(), verdicts: verdicts.clone() };
        let server = Server::builder().add_service(ExtensionConfigDiscoveryServiceServer::new(service));
        runtime.spawn(server.serve_with_incoming(incoming));
        Self { port, newest, verdicts, _runtime: runtime }
    }

    /// Where Envoys subscribe.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Hands everyone other settings, as the next version.
    pub fn serve(&self, settings: &Value) {
        self.newest.send_modify(|newest| *newest = response(version(newest) + 1, &resource(settings)));
    }

    /// Waits until each of these nodes has taken the newest settings.
    ///
    /// # Panics
    /// If one of them has rejected them.
    pub fn assert_accepted_by(&self, nodes: &[&str]) {
        for node in nodes {
            let rejection = self.verdict(node);
            assert_eq!(rejection, None, "{node} rejected the settings");
        }
    }

    /// Waits until each of these nodes has rejected the newest settings. Returns what each says about it.
    ///
    /// # Panics
    /// If one of them has taken them.
    pub fn rejections_by(&self, nodes: &[&str]) -> Vec<String> {
        nodes.iter().map(|node| self.verdict(node).unwrap_or_else(|| panic!("{node} took the settings"))).collect()
    }

    /// What a node makes of the newest settings: nothing, or why it rejects them.
    fn verdict(&self, node: &str) -> Option<String> {
        let version = self.newest.borrow().nonce.clone();
        eventually("a verdict of the node", || self.verdicts.find(node, &version))
    }
}

/// By node and version: nothing where it was taken, or why it was rejected.
type Rejections = BTreeMap<(String, String), Option<String>>;

/// What each node made of each version.
#[derive(Clone, Default)]
struct Verdicts(Arc<Mutex<Rejections>>);

impl Verdicts {
    fn find(&self, node: &str, version: &str) -> Option<Option<String>> {
        let verdicts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(&(node.to_owned(), version.to_owned())).cloned()
    }

    /// The first request of a stream answers nothing yet.
    fn note(&self, request: DiscoveryRequest) {
        if request.response_nonce.is_empty() {
            return;
        }
        let node = request.node.map(|node| node.id).unwrap_or_default();
        let rejection = request.error_detail.map(|status| status.message);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((node, request.response_nonce), rejection);
    }
}

/// The service that Envoy calls.
struct Discovery {
    newest: watch::Receiver<DiscoveryResponse>,
    verdicts: Verdicts,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl ExtensionConfigDiscoveryService for Discovery {
    type StreamExtensionConfigsStream = Responses<DiscoveryResponse>;
    type DeltaExtensionConfigsStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_extension_configs(
        &self,
        requests: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamExtensionConfigsStream>, Status> {
        let (mut requests, verdicts) = (requests.into_inner(), self.verdicts.clone());
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                verdicts.note(request);
            }
        });
        Ok(Response::new(Box::pin(WatchStream::new(self.newest.clone()).map(Ok))))
    }

    async fn delta_extension_configs(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaExtensionConfigsStream>, Status> {
        Err(Status::unimplemented("state of the world only"))
    }

    async fn fetch_extension_configs(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("streams only"))
    }
}

/// The resource that envoy/ecds/attestation.yaml shows, or the native module's, with these settings.
fn resource(settings: &Value) -> TypedExtensionConfig {
    let typed_config = match Host::under_test() {
        Host::Wasm => any(&wasm(settings)),
        Host::Native => any(&native(settings)),
    };
    TypedExtensionConfig { name: "attestation".into(), typed_config: Some(typed_config) }
}

fn wasm(settings: &Value) -> Wasm {
    let module = LocalSpecifier::Filename(paths::module().display().to_string());
    let code = Specifier::Local(DataSource { specifier: Some(module), ..DataSource::default() });
    let vm = VmConfig {
        vm_id: "attestation".into(),
        runtime: "envoy.wasm.runtime.v8".into(),
        code: Some(AsyncDataSource { specifier: Some(code) }),
        ..VmConfig::default()
    };
    let plugin = PluginConfig {
        name: "attestation".into(),
        failure_policy: FailurePolicy::FailReload.into(),
        configuration: Some(any(&StringValue { value: settings.to_string() })),
        vm: Some(Vm::VmConfig(vm)),
        ..PluginConfig::default()
    };
    Wasm { config: Some(plugin) }
}

fn native(settings: &Value) -> DynamicModuleFilter {
    DynamicModuleFilter {
        dynamic_module_config: Some(DynamicModuleConfig { name: "attestation".into(), ..Default::default() }),
        filter_name: "attestation".into(),
        filter_config: Some(any(&StringValue { value: settings.to_string() })),
        ..DynamicModuleFilter::default()
    }
}
