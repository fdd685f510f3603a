//! A server of secrets: over gRPC (SDS) it hands Envoy the newest content of one generic secret.

use std::pin::Pin;

use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{GenericSecret, Secret, secret};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::discovery::{listen, response, version};

/// A running server. Dropping it closes every stream and the port.
pub struct SecretService {
    name: &'static str,
    port: u16,
    newest: watch::Sender<DiscoveryResponse>,
    /// It runs as long as this is there.
    _runtime: Runtime,
}

impl SecretService {
    /// Starts it with this content of the secret, as version 1.
    pub fn start(name: &'static str, content: &str) -> Self {
        let (runtime, incoming, port) = listen(0);
        let newest = watch::Sender::new(response(1, &resource(name, content)));
        let service = SecretDiscoveryServiceServer::new(Secrets { newest: newest.subscribe() });
        runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { name, port, newest, _runtime: runtime }
    }

    /// Where Envoys subscribe.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Hands everyone other content.
    pub fn serve(&self, content: &str) {
        let next = resource(self.name, content);
        self.newest.send_modify(|newest| *newest = response(version(newest) + 1, &next));
    }
}

fn resource(name: &str, content: &str) -> Secret {
    let content = DataSource { specifier: Some(Specifier::InlineString(content.to_owned())), ..DataSource::default() };
    let generic = GenericSecret { secret: Some(content), ..GenericSecret::default() };
    Secret { name: name.to_owned(), r#type: Some(secret::Type::GenericSecret(generic)) }
}

/// The service that Envoy calls.
struct Secrets {
    newest: watch::Receiver<DiscoveryResponse>,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl SecretDiscoveryService for Secrets {
    type DeltaSecretsStream = Responses<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Responses<DiscoveryResponse>;

    async fn delta_secrets(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented("state of the world only"))
    }

    async fn stream_secrets(
        &self,
        requests: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let mut requests = requests.into_inner();
        tokio::spawn(async move { while let Ok(Some(_)) = requests.message().await {} });
        Ok(Response::new(Box::pin(WatchStream::new(self.newest.clone()).map(Ok))))
    }

    async fn fetch_secrets(&self, _: Request<DiscoveryRequest>) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("streams only"))
    }
}
