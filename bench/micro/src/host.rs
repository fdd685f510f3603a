//! A host that costs next to nothing: one request, and a signature that was computed before.

use std::cell::RefCell;
use std::time::Duration;

use attestation_filter::host::metrics::{Counter, Gauge, Histogram};
use attestation_filter::host::{Expected, Host, Level, Unreadable};
use attestation_filter::http::fields::Headers;
use attestation_filter::identity::CertificateField;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use prost::Message;
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::Value as Json;

/// The request, with the host around it.
pub(crate) struct Request {
    fields: Vec<(String, String)>,
    /// The fields as Envoy hands them over.
    serialised: Vec<u8>,
    metadata: Option<Vec<u8>>,
    route_metadata: Vec<u8>,
    /// The answer to the filter's self-check, given again to everything after it.
    signed: RefCell<Option<Vec<u8>>>,
}

impl Request {
    /// With the headers that a browser sends.
    pub(crate) fn new(path: &str) -> Self {
        let request = Self {
            fields: Vec::new(),
            serialised: Vec::new(),
            metadata: None,
            route_metadata: Vec::new(),
            signed: RefCell::default(),
        };
        request.with_headers(&[
            (":authority", "app.example.com"),
            (":path", path),
            (":method", "GET"),
            (":scheme", "https"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("cookie", "session=9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d; theme=dark"),
            ("x-forwarded-proto", "https"),
            ("x-request-id", "0c0e2b6e-6c5f-4a62-9a6d-0f4c0f8f5a0e"),
        ])
    }

    pub(crate) fn with_headers(mut self, fields: &[(&str, &str)]) -> Self {
        self.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.serialised = pairs(&self.fields);
        self
    }

    /// With dynamic metadata: namespaces and their objects.
    pub(crate) fn with_identity(mut self, namespaces: &Json) -> Self {
        self.metadata = Some(metadata(namespaces));
        self
    }

    pub(crate) fn with_route_metadata(mut self, namespaces: &Json) -> Self {
        self.route_metadata = metadata(namespaces);
        self
    }
}

/// A map as proxy-wasm serialises it: how many fields, the lengths of names and values, then those, each with a zero.
fn pairs(fields: &[(String, String)]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).expect("a short text").to_le_bytes();
    let mut buffer = number(fields.len()).to_vec();
    for (name, value) in fields {
        buffer.extend([number(name.len()), number(value.len())].concat());
    }
    for (name, value) in fields {
        buffer.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    buffer
}

/// `envoy.config.core.v3.Metadata` is, on the wire, a `Struct` whose values lack one layer.
fn metadata(namespaces: &Json) -> Vec<u8> {
    #[derive(Message)]
    struct Metadata {
        #[prost(btree_map = "string, message", tag = "1")]
        namespaces: std::collections::BTreeMap<String, Struct>,
    }
    let namespaces = namespaces.as_object().expect("an object").iter();
    let namespaces = namespaces.map(|(name, object)| match kind(object) {
        Kind::StructValue(object) => (name.clone(), object),
        _ => panic!("{name} is no object"),
    });
    Metadata { namespaces: namespaces.collect() }.encode_to_vec()
}

fn kind(json: &Json) -> Kind {
    let value = |json: &Json| Value { kind: Some(kind(json)) };
    match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(bool) => Kind::BoolValue(*bool),
        Json::Number(number) => Kind::NumberValue(number.as_f64().expect("a double")),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(value).collect() }),
        Json::Object(members) => Kind::StructValue(Struct {
            fields: members.iter().map(|(name, member)| (name.clone(), value(member))).collect(),
        }),
    }
}

/// What Envoy's foreign function takes and answers.
#[derive(Message)]
struct SignRequest {
    #[prost(bytes, tag = "2")]
    key: Vec<u8>,
    #[prost(bytes, tag = "3")]
    text: Vec<u8>,
}

#[derive(Message)]
struct SignAnswer {
    #[prost(bool, tag = "1")]
    ok: bool,
    #[prost(bytes, tag = "2")]
    signature: Vec<u8>,
}

/// Deterministic (RFC 6979), as everything here: two runs count the same.
fn sign(request: &[u8]) -> Vec<u8> {
    let request = SignRequest::decode(request).expect("a request to sign");
    let key = SigningKey::from_pkcs8_der(&request.key).expect("a key");
    let signature: Signature = key.sign(&request.text);
    SignAnswer { ok: true, signature: signature.to_der().as_bytes().to_vec() }.encode_to_vec()
}

impl Host for Request {
    fn now(&self) -> Duration {
        Duration::from_secs(1_800_000_000)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        bytes.fill(7);
        true
    }

    fn request_headers(&self) -> Headers {
        Headers::from_pairs(self.serialised.clone())
    }

    fn metadata(&self) -> Option<Vec<u8>> {
        self.metadata.clone()
    }

    fn route_metadata(&self) -> Result<Vec<u8>, Unreadable> {
        Ok(self.route_metadata.clone())
    }

    fn route_name(&self) -> String {
        String::new()
    }

    fn is_mtls(&self) -> bool {
        false
    }

    fn certificate(&self, _: CertificateField) -> Option<Vec<u8>> {
        None
    }

    fn set_filter_state(&self, _: &str, _: &str) {}

    fn sign(&self, request: &[u8]) -> Option<Vec<u8>> {
        Some(self.signed.borrow_mut().get_or_insert_with(|| sign(request)).clone())
    }

    fn shared_data(&self, _: &str) -> Option<(Vec<u8>, u32)> {
        None
    }

    fn set_shared_data(&self, _: &str, _: &[u8], _: Expected) -> bool {
        true
    }

    fn fetch(&self, _: &str, _: &str, _: Duration) -> bool {
        true
    }

    fn log(&self, _: Level, _: &str) {}

    fn logs_debug(&self) -> bool {
        false
    }

    fn add(&self, _: Counter, _: u64) {}

    fn count_signed_by(&self, _: &str) {}

    fn set(&self, _: Gauge, _: u64) {}

    fn record(&self, _: Histogram, _: u64) {}
}
