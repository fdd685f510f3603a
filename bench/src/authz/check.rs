//! The messages of `envoy.service.auth.v3`, as far as they are needed: prost skips what is not named.

use std::collections::HashMap;

use prost::Message;
use prost_types::Struct;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Attributes {
    #[prost(message, optional, tag = "4")]
    pub(crate) request: Option<Request>,
    #[prost(message, optional, tag = "11")]
    pub(crate) metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    #[prost(message, optional, tag = "2")]
    pub(crate) http: Option<Http>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Http {
    #[prost(string, tag = "5")]
    pub(crate) host: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) namespaces: HashMap<String, Struct>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<Status>,
    #[prost(message, optional, tag = "3")]
    pub(crate) ok: Option<Ok>,
}

/// `google.rpc.Status`; zero is all right.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Ok {
    #[prost(message, repeated, tag = "2")]
    pub(crate) headers: Vec<HeaderOption>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    #[prost(int32, tag = "3")]
    pub(crate) append_action: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Header {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

/// `OVERWRITE_IF_EXISTS_OR_ADD`: a forged header does not survive.
const OVERWRITE: i32 = 2;

impl CheckResponse {
    /// The request goes on, with this header.
    pub(crate) fn with_header(key: &str, value: String) -> Self {
        let header = Header { key: key.to_owned(), value };
        let headers = vec![HeaderOption { header: Some(header), append_action: OVERWRITE }];
        Self { status: Some(Status { code: 0 }), ok: Some(Ok { headers }) }
    }
}
