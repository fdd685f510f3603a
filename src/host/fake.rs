//! A host made by hand, for tests: what it gives is set, what it is told is kept.
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Expected, Host, Level, Unreadable};
use crate::host::metrics::{Counter, Gauge, Histogram};
use crate::http::fields::Headers;
use crate::identity::CertificateField;
use crate::value::protobuf::{build, put_bytes};

/// How the fake's `sign` behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// There is no such function.
    Missing,
    /// It signs, with another library than the filter's.
    Works,
    /// It answers this signature.
    Answers(&'static [u8]),
}

pub(crate) struct FakeHost {
    pub(crate) now: Cell<Duration>,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) metadata: Option<Vec<u8>>,
    pub(crate) route_metadata: Result<Vec<u8>, Unreadable>,
    pub(crate) certificate: Option<&'static str>,
    pub(crate) sign: Cell<Sign>,
    pub(crate) reachable: Cell<bool>,
    pub(crate) shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    pub(crate) log: RefCell<Vec<String>>,
    pub(crate) counters: RefCell<BTreeMap<Counter, u64>>,
    pub(crate) filter_state: RefCell<BTreeMap<String, String>>,
    pub(crate) random: Cell<u64>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            now: Cell::new(Duration::from_secs(1_686_870_680)),
            headers: Vec::new(),
            metadata: None,
            route_metadata: Ok(Vec::new()),
            certificate: None,
            sign: Cell::new(Sign::Missing),
            reachable: Cell::new(true),
            shared: RefCell::default(),
            log: RefCell::default(),
            counters: RefCell::default(),
            filter_state: RefCell::default(),
            random: Cell::new(1),
        }
    }
}

impl FakeHost {
    /// A host with a request of these header fields.
    pub(crate) fn request(fields: &[(&str, &str)]) -> Self {
        Self::default().with_headers(fields)
    }

    pub(crate) fn with_headers(mut self, fields: &[(&str, &str)]) -> Self {
        self.headers.extend(fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())));
        self
    }

    /// With dynamic metadata: namespaces and their objects.
    pub(crate) fn with_metadata(mut self, metadata: &Json) -> Self {
        self.metadata = Some(metadata_bytes(metadata));
        self
    }

    /// With metadata of the route.
    pub(crate) fn with_route_metadata(mut self, metadata: &Json) -> Self {
        self.route_metadata = Ok(metadata_bytes(metadata));
        self
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.counters.borrow().get(&counter).copied().unwrap_or_default()
    }
}

fn metadata_bytes(metadata: &Json) -> Vec<u8> {
    let namespaces = metadata.as_object().unwrap();
    build::map(namespaces.iter().map(|(name, object)| (name.as_bytes().to_vec(), build::object(object))))
}

impl Host for FakeHost {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        bytes.fill_with(|| {
            // Knuth's linear congruential generator; its low bytes are worst.
            self.random
                .set(self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
            self.random.get().to_be_bytes()[0]
        });
        true
    }

    fn request_headers(&self) -> Headers {
        Headers::new(&self.headers)
    }

    fn metadata(&self) -> Option<Vec<u8>> {
        self.metadata.clone()
    }

    fn route_metadata(&self) -> Result<Vec<u8>, Unreadable> {
        self.route_metadata.clone()
    }

    fn route_name(&self) -> String {
        "the-route".into()
    }

    fn is_mtls(&self) -> bool {
        self.certificate.is_some()
    }

    fn certificate(&self, _: CertificateField) -> Option<Vec<u8>> {
        self.certificate.map(|value| value.as_bytes().to_vec())
    }

    fn set_filter_state(&self, name: &str, value: &str) {
        self.filter_state.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    fn sign(&self, request: &[u8]) -> Option<Vec<u8>> {
        let signature = match self.sign.get() {
            Sign::Missing => return None,
            Sign::Answers(signature) => signature.to_vec(),
            Sign::Works => sign_with_aws_lc(request),
        };
        let mut answer = vec![0x08, 0x01];
        put_bytes(&mut answer, 2, &signature);
        Some(answer)
    }

    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.shared.borrow().get(key).cloned()
    }

    fn set_shared_data(&self, key: &str, value: &[u8], expected: Expected) -> bool {
        let mut shared = self.shared.borrow_mut();
        let version = shared.get(key).map(|(_, version)| *version);
        let fits = match expected {
            Expected::Absent => version.is_none(),
            Expected::Version(expected) => version == Some(expected),
        };
        if fits {
            shared.insert(key.to_owned(), (value.to_vec(), version.unwrap_or_default() + 1));
        }
        fits
    }

    fn fetch(&self, _: &str, _: &str, _: Duration) -> bool {
        self.reachable.get()
    }

    fn log(&self, level: Level, message: &str) {
        self.log.borrow_mut().push(format!("{level:?}: {message}"));
    }

    fn logs_debug(&self) -> bool {
        true
    }

    fn add(&self, counter: Counter, number: u64) {
        *self.counters.borrow_mut().entry(counter).or_default() += number;
    }

    fn count_signed_by(&self, _: &str) {}

    fn set(&self, _: Gauge, _: u64) {}

    fn record(&self, _: Histogram, _: u64) {}
}

fn sign_with_aws_lc(request: &[u8]) -> Vec<u8> {
    use aws_lc_rs::{rand::SystemRandom, rsa, signature};
    let fields = build::bytes_fields(request);
    let [key, message] = [2, 3].map(|tag| fields.iter().find(|(number, _)| *number == tag).unwrap().1.clone());
    let random = SystemRandom::new();
    if let Ok(key) = signature::EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, &key) {
        return key.sign(&random, &message).unwrap().as_ref().to_vec();
    }
    let key = rsa::KeyPair::from_pkcs8(&key).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&signature::RSA_PKCS1_SHA256, &random, &message, &mut signature).unwrap();
    signature
}
