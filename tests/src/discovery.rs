//! What a server of Envoy's discovery protocol (xDS) is made of: a port for gRPC, and the answers that hand a resource on.

use std::net::{Ipv4Addr, SocketAddr};

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
use envoy_types::pb::google::protobuf::Any;
use prost::Name;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;

/// A runtime for a server, what comes in at its port, and the port; 0 lets the kernel choose.
pub fn listen(port: u16) -> (Runtime, TcpListenerStream, u16) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = runtime.block_on(TcpListener::bind(address)).expect("bind the server");
    let port = listener.local_addr().expect("its address").port();
    (runtime, TcpListenerStream::new(listener), port)
}

/// This version of a resource. The version is the nonce as well.
pub fn response<M: Name>(version: u64, resource: &M) -> DiscoveryResponse {
    DiscoveryResponse {
        version_info: version.to_string(),
        resources: vec![any(resource)],
        type_url: M::type_url(),
        nonce: version.to_string(),
        ..DiscoveryResponse::default()
    }
}

/// The version of a response of ours.
pub fn version(response: &DiscoveryResponse) -> u64 {
    response.version_info.parse().expect("a version of ours")
}

pub fn any<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}
