//! `envoy.service.auth.v3.Authorization`, as far as the tests need it: one unary call over HTTP/2.

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::thread;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::{Message, Oneof};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as ProtobufValue};
use serde_json::Value;
use tokio::runtime;

use super::{Rule, Verdict};

/// `google.rpc.Code.PERMISSION_DENIED`.
const PERMISSION_DENIED: i32 = 7;
/// A byte that says "not compressed", and four for the length, before each message.
const PREFIX_BYTES: usize = 5;

/// Starts the service and returns its port.
pub fn start(rule: Rule) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind the authorization service");
    listener.set_nonblocking(true).expect("a socket that does not block");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(listen(listener, rule));
    });
    port
}

async fn listen(listener: TcpListener, rule: Rule) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await?;
            while let Some(call) = connection.accept().await {
                let (request, response) = call?;
                tokio::spawn(answer(request, response, rule));
            }
            Ok::<_, h2::Error>(())
        });
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut response: SendResponse<Bytes>,
    rule: Rule,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        message.extend_from_slice(&chunk);
    }
    let check = CheckRequest::decode(&message[PREFIX_BYTES..]).expect("a CheckRequest");
    let verdict = CheckResponse::from(rule(check.authorization())).encode_to_vec();
    let length = u32::try_from(verdict.len()).expect("a short answer").to_be_bytes();
    let head = Response::builder().header("content-type", "application/grpc").body(()).expect("a response");
    let mut stream = response.send_response(head, false)?;
    stream.send_data([&[0][..], &length, &verdict].concat().into(), false)?;
    stream.send_trailers(HeaderMap::from_iter([(
        "grpc-status".parse().expect("a header name"),
        HeaderValue::from_static("0"),
    )]))
}

impl CheckRequest {
    fn authorization(&self) -> &str {
        let http = self.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()?.http.as_ref());
        http.and_then(|http| http.headers.get("authorization")).map_or("", String::as_str)
    }
}

impl From<Verdict> for CheckResponse {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Deny => {
                Self { status: Some(Status { code: PERMISSION_DENIED }), http_response: None, dynamic_metadata: None }
            }
            Verdict::Allow { headers, metadata } => {
                let header = |(key, value): (&str, &str)| HeaderValueOption {
                    header: Some(Header { key: key.into(), value: value.into() }),
                };
                let headers = headers.into_iter().map(header).collect();
                Self {
                    status: Some(Status { code: 0 }),
                    http_response: Some(HttpResponse::Ok(OkHttpResponse { headers })),
                    dynamic_metadata: Some(object(&metadata)),
                }
            }
        }
    }
}

fn object(value: &Value) -> Struct {
    let members = value.as_object().expect("an object");
    let fields: BTreeMap<_, _> = members.iter().map(|(name, value)| (name.clone(), protobuf(value))).collect();
    Struct { fields }
}

fn protobuf(value: &Value) -> ProtobufValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(bool) => Kind::BoolValue(*bool),
        Value::Number(number) => Kind::NumberValue(number.as_f64().expect("a double")),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(protobuf).collect() }),
        Value::Object(_) => Kind::StructValue(object(value)),
    };
    ProtobufValue { kind: Some(kind) }
}

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "4")]
    request: Option<AttributeRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(oneof = "HttpResponse", tags = "3")]
    http_response: Option<HttpResponse>,
    #[prost(message, optional, tag = "4")]
    dynamic_metadata: Option<Struct>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Oneof)]
enum HttpResponse {
    #[prost(message, tag = "3")]
    Ok(OkHttpResponse),
}

#[derive(Clone, PartialEq, Message)]
struct OkHttpResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}
