//! A host made by hand, for tests, fuzzing and the bench: what it gives is set, what it is told is kept.
#![allow(clippy::unwrap_used, missing_docs, reason = "of use in tests only")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;

use super::{
    Algorithm, CertificateField, Counter, Expected, Gauge, Histogram, HostKey, Level, ProcessHost, RequestHost,
    RouteSettings, SharedData, Unreadable,
};
use crate::http::fields::Fields;
use crate::keys::feed::Fetch;
use crate::proxy::wire::{metadata_namespace, signature_in};
use crate::value::Object;
use crate::value::protobuf::build;

/// How the host signs.
#[derive(Clone, PartialEq, Eq)]
pub enum Sign {
    /// It cannot.
    Missing,
    /// With another library than the core's.
    Works,
    /// What it has signed first with a key, again and again: it costs next to nothing.
    Repeats,
    /// The foreign function `sign` answers this.
    Answers(Vec<u8>),
}

/// A process with one request in it.
pub struct FakeHost {
    pub now: Cell<Duration>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// A serialised `envoy.config.core.v3.Metadata`.
    pub metadata: Option<Vec<u8>>,
    /// The same, of the route.
    pub route_metadata: Result<Vec<u8>, Unreadable>,
    pub has_route: bool,
    pub is_tls: bool,
    /// What other filters have put into the filter state.
    pub filter_state_before: BTreeMap<String, Vec<u8>>,
    pub certificate: Option<Vec<u8>>,
    pub sign: Arc<Mutex<Sign>>,
    pub reachable: Cell<bool>,
    pub logs_debug: bool,
    pub shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    pub log: RefCell<Vec<String>>,
    pub counters: RefCell<BTreeMap<Counter, u64>>,
    pub filter_state: RefCell<BTreeMap<String, String>>,
    pub random: Cell<u64>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            now: Cell::new(Duration::from_secs(1_686_870_680)),
            headers: Vec::new(),
            metadata: None,
            route_metadata: Ok(Vec::new()),
            has_route: true,
            is_tls: false,
            filter_state_before: BTreeMap::new(),
            certificate: None,
            sign: Arc::new(Mutex::new(Sign::Missing)),
            reachable: Cell::new(true),
            logs_debug: true,
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
    #[must_use]
    pub fn request(fields: &[(&str, &str)]) -> Self {
        Self::default().with_headers(fields)
    }

    #[must_use]
    pub fn with_headers(mut self, fields: &[(&str, &str)]) -> Self {
        self.headers.extend(fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())));
        self
    }

    /// With dynamic metadata: namespaces and their objects.
    #[must_use]
    pub fn with_metadata(mut self, metadata: &Json) -> Self {
        self.metadata = Some(metadata_bytes(metadata));
        self
    }

    /// With metadata of the route.
    #[must_use]
    pub fn with_route_metadata(mut self, metadata: &Json) -> Self {
        self.route_metadata = Ok(metadata_bytes(metadata));
        self
    }

    #[must_use]
    pub fn with_sign(self, sign: Sign) -> Self {
        self.set_sign(sign);
        self
    }

    pub fn set_sign(&self, sign: Sign) {
        *self.sign.lock().unwrap() = sign;
    }

    #[must_use]
    pub fn count(&self, counter: Counter) -> u64 {
        self.counters.borrow().get(&counter).copied().unwrap_or_default()
    }
}

/// On the wire, `envoy.config.core.v3.Metadata` is a map of names to `Struct`s.
fn metadata_bytes(metadata: &Json) -> Vec<u8> {
    let namespaces = metadata.as_object().unwrap();
    build::map(namespaces.iter().map(|(name, object)| (name.as_bytes().to_vec(), build::object(object))))
}

impl ProcessHost for FakeHost {
    const SIGNER: &'static str = "host";
    const SIGNED_BY_HOST: Counter = Counter::SignedByHost;
    const SIGNED_BY_CORE: Counter = Counter::SignedInWasm;

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

    fn host_key(&self, algorithm: Algorithm, pkcs8: &[u8]) -> Option<Box<dyn HostKey>> {
        let first = Mutex::new(None);
        Some(Box::new(FakeKey { sign: Arc::clone(&self.sign), algorithm, pkcs8: pkcs8.to_vec(), first }))
    }

    fn log(&self, level: Level, message: &str) {
        self.log.borrow_mut().push(format!("{level:?}: {message}"));
    }

    fn logs_debug(&self) -> bool {
        self.logs_debug
    }

    fn add(&self, counter: Counter, number: u64) {
        *self.counters.borrow_mut().entry(counter).or_default() += number;
    }

    fn count_signed_by(&self, _: &str) {}

    fn set(&self, _: Gauge, _: u64) {}

    fn record(&self, _: Histogram, _: u64) {}
}

impl RequestHost for FakeHost {
    type Process = Self;

    fn process(&self) -> &Self {
        self
    }

    fn headers(&self) -> Fields<'_> {
        Fields::new(self.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect())
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }

    fn has_route(&self) -> bool {
        self.has_route
    }

    fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        self.filter_state_before.get(name).cloned()
    }

    fn metadata(&self, namespace: &str, _: &dyn Fn(&[u8]) -> bool) -> Option<Object<'_>> {
        metadata_namespace(self.metadata.as_ref()?, namespace).map(Object::Struct)
    }

    fn route_settings(&self) -> Result<Option<RouteSettings<'_>>, Unreadable> {
        let metadata = self.route_metadata.as_ref().map_err(|unreadable| *unreadable)?;
        let members = metadata_namespace(metadata, "attestation");
        Ok(members.map(|members| RouteSettings { key: members.bytes(), members: Object::Struct(members) }))
    }

    fn route_name(&self) -> String {
        "\"the-route\"".into()
    }

    fn is_mtls(&self) -> bool {
        self.certificate.is_some()
    }

    fn certificate(&self, _: CertificateField) -> Option<Vec<u8>> {
        self.certificate.clone()
    }

    fn set_filter_state(&self, name: &str, value: &str) {
        self.filter_state.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    fn keep(&self, name: &str, text: &str) {
        self.set_filter_state(name, text);
    }

    fn kept(&self, name: &str) -> Option<Vec<u8>> {
        self.filter_state.borrow().get(name).map(|text| text.clone().into_bytes())
    }
}

impl SharedData for FakeHost {
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
}

impl Fetch for FakeHost {
    fn fetch(&self, _: &str, _: &str, _: Duration) -> bool {
        self.reachable.get()
    }
}

struct FakeKey {
    sign: Arc<Mutex<Sign>>,
    algorithm: Algorithm,
    pkcs8: Vec<u8>,
    first: Mutex<Option<Vec<u8>>>,
}

impl HostKey for FakeKey {
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signed = || sign_with_ring(self.algorithm, &self.pkcs8, message);
        match &*self.sign.lock().ok()? {
            Sign::Missing => None,
            Sign::Works => Some(signed()),
            Sign::Repeats => Some(self.first.lock().ok()?.get_or_insert_with(signed).clone()),
            Sign::Answers(answer) => signature_in(answer, self.algorithm),
        }
    }
}

fn sign_with_ring(algorithm: Algorithm, pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
    let random = ring::rand::SystemRandom::new();
    match algorithm {
        Algorithm::Es256 => {
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).unwrap();
            key.sign(&random, message).unwrap().as_ref().to_vec()
        }
        Algorithm::Rs256 => {
            let key = RsaKeyPair::from_pkcs8(pkcs8).unwrap();
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
            signature
        }
    }
}
