//! Requests and replies over HTTP/2, in clear with prior knowledge (RFC 9113, section 3.3) or over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use h2::client::{self, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::http::{Reply, Request};
use super::message::Lines;
use super::tls::Authority;

const PATIENCE: Duration = Duration::from_secs(30);

/// One HTTP/2 connection.
pub struct Http2Client {
    runtime: Runtime,
    connection: SendRequest<Bytes>,
    scheme: &'static str,
}

type Bytes = std::io::Cursor<Vec<u8>>;

impl Http2Client {
    /// Connects in clear.
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = runtime();
        let connection = runtime.block_on(async { handshake(tcp(address).await).await });
        Self { runtime, connection, scheme: "http" }
    }

    /// Connects over TLS.
    pub fn connect_tls(address: SocketAddr, authority: &Authority) -> Self {
        let runtime = runtime();
        let connector = TlsConnector::from(Arc::new(authority.http2_client_config()));
        let connection = runtime.block_on(async {
            let name = ServerName::try_from("localhost").expect("a server name");
            handshake(connector.connect(name, tcp(address).await).await.expect("a TLS connection")).await
        });
        Self { runtime, connection, scheme: "https" }
    }

    /// Another client over the same connection, as a proxy has many.
    pub fn share(&self) -> Self {
        Self { runtime: runtime(), connection: self.connection.clone(), scheme: self.scheme }
    }

    /// Claims another scheme than that of the connection.
    pub fn claiming(mut self, scheme: &'static str) -> Self {
        self.scheme = scheme;
        self
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Panics
    /// If the peer resets the stream instead of answering.
    pub fn send(&mut self, request: &Request) -> Reply {
        self.exchange(request, None).expect("a reply")
    }

    /// Sends requests, all before the first reply, and waits for all replies, in the order of the requests.
    pub fn send_together(&mut self, requests: &[Request]) -> Vec<Reply> {
        let exchanges: Vec<_> = requests
            .iter()
            .map(|request| {
                let (head, connection) = (self.head(request, None), self.connection.clone());
                let request = request.clone();
                self.runtime.spawn(async move { exchange(connection, head, &request).await })
            })
            .collect();
        let replies = exchanges.into_iter().map(|exchange| self.runtime.block_on(exchange).expect("an exchange"));
        replies.map(|reply| reply.expect("a reply")).collect()
    }

    /// Sends requests, and waits for no reply: they end with the connection.
    pub fn abandon(&mut self, requests: &[Request]) {
        for request in requests {
            let (head, connection) = (self.head(request, None), self.connection.clone());
            let request = request.clone();
            self.runtime.spawn(async move { exchange(connection, head, &request).await });
        }
    }

    /// Sends a request that the peer may reset; says why it did.
    ///
    /// # Errors
    /// The reason for the reset.
    pub fn try_send(&mut self, request: &Request) -> Result<Reply, h2::Error> {
        self.exchange(request, None)
    }

    /// Opens a stream for another protocol (RFC 8441).
    pub fn connect_protocol(&mut self, request: &Request, protocol: &'static str) -> Reply {
        self.exchange(request, Some(Protocol::from_static(protocol))).expect("a reply")
    }

    fn exchange(&mut self, request: &Request, protocol: Option<Protocol>) -> Result<Reply, h2::Error> {
        let head = self.head(request, protocol);
        self.runtime.block_on(async {
            let exchange = exchange(self.connection.clone(), head, request);
            timeout(PATIENCE, exchange).await.expect("an end of the exchange in time")
        })
    }

    fn head(&self, request: &Request, protocol: Option<Protocol>) -> http::Request<()> {
        let host = String::from_utf8(request.host.clone().expect("a host")).expect("a host of UTF-8");
        let is_tunnel = request.method == "CONNECT" && protocol.is_none();
        let uri = if is_tunnel { host } else { format!("{}://{host}{}", self.scheme, request.target) };
        let mut head = http::Request::new(());
        *head.method_mut() = Method::from_bytes(request.method.as_bytes()).expect("a method");
        *head.uri_mut() = uri.parse::<Uri>().unwrap_or_else(|e| panic!("{uri}: {e}"));
        *head.headers_mut() = header_map(&request.headers);
        head.extensions_mut().extend(protocol.into_iter().fold(http::Extensions::new(), |mut extensions, protocol| {
            extensions.insert(protocol);
            extensions
        }));
        head
    }
}

async fn exchange(
    connection: SendRequest<Bytes>,
    head: http::Request<()>,
    request: &Request,
) -> Result<Reply, h2::Error> {
    let mut connection = connection.ready().await?;
    let is_tunnel = head.method() == Method::CONNECT;
    let has_more = request.body.is_some() || !request.trailers.is_empty() || is_tunnel;
    let (response, stream) = connection.send_request(head, !has_more)?;
    // Kept until the reply is read: a tunnel's client has not said its last word.
    let _stream = if has_more && !is_tunnel { send_rest(stream, request) } else { Some(stream) };
    let (parts, body) = response.await?.into_parts();
    let mut headers = lines(&parts.headers);
    let body = if is_tunnel { read_description(body).await? } else { read_body(body, &mut headers).await? };
    Ok(Reply { status: parts.status.as_u16(), headers, body })
}

/// Sends body and trailers, unless the peer has answered already and wants no more.
fn send_rest(mut stream: SendStream<Bytes>, request: &Request) -> Option<SendStream<Bytes>> {
    let body = Bytes::new(request.body.clone().unwrap_or_default());
    let is_open = stream.send_data(body, request.trailers.is_empty()).is_ok();
    if is_open && !request.trailers.is_empty() {
        let _ = stream.send_trailers(header_map(&request.trailers));
    }
    None
}

/// Reads what the upstream says first through a tunnel; the tunnel stays open. Nothing comes out of a refusal.
async fn read_description(mut stream: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while serde_json::from_slice::<serde_json::Value>(&body).is_err() {
        let Some(piece) = stream.data().await else { break };
        body.extend_from_slice(&piece?);
    }
    Ok(body)
}

/// Reads the body, and puts the trailers behind the headers.
async fn read_body(mut stream: RecvStream, headers: &mut Lines) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    if let Some(trailers) = stream.trailers().await? {
        headers.extend(lines(&trailers));
    }
    Ok(body)
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("connect");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Starts HTTP/2 and waits until the peer's settings have come.
async fn handshake<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: S) -> SendRequest<Bytes> {
    let (requests, mut connection) = client::Builder::new().handshake(stream).await.expect("an HTTP/2 connection");
    let mut pings = connection.ping_pong().expect("the connection's pings");
    tokio::spawn(connection);
    pings.ping(h2::Ping::opaque()).await.expect("an answer to a ping");
    requests.ready().await.expect("a connection that is ready")
}

fn header_map(lines: &Lines) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name).expect("a header name");
            (name, HeaderValue::from_bytes(value).expect("a header value"))
        })
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}

fn lines(map: &HeaderMap) -> Lines {
    map.iter().map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}
