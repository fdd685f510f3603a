//! A host that says what an input has it say.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use attestation_filter::host::metrics::{Counter, Gauge, Histogram};
use attestation_filter::host::{Expected, Host, Level, Unreadable};
use attestation_filter::http::fields::Headers;
use attestation_filter::identity::CertificateField;
use attestation_filter::value::protobuf::put_bytes;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use prost::Message as _;

/// What the host's `sign` does.
pub(super) enum Sign<'a> {
    /// There is no such function.
    Missing,
    /// It signs.
    Works,
    /// It answers this.
    Answers(&'a [u8]),
}

pub(super) struct FuzzHost<'a> {
    pub(super) fields: Vec<(&'a [u8], &'a [u8])>,
    pub(super) metadata: Option<&'a [u8]>,
    pub(super) route_metadata: Result<&'a [u8], Unreadable>,
    pub(super) certificate: Option<&'a [u8]>,
    pub(super) sign: Sign<'a>,
    pub(super) log: RefCell<Vec<String>>,
    pub(super) filter_state: RefCell<BTreeMap<String, String>>,
    pub(super) shared: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(super) random: Cell<u64>,
}

pub(super) const NOW: Duration = Duration::from_secs(1_686_870_680);

impl Default for FuzzHost<'_> {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            metadata: None,
            route_metadata: Ok(&[]),
            certificate: None,
            sign: Sign::Works,
            log: RefCell::default(),
            filter_state: RefCell::default(),
            shared: RefCell::default(),
            random: Cell::new(1),
        }
    }
}

impl FuzzHost<'_> {
    /// Whether these bytes come from the input.
    pub(super) fn says(&self, part: &[u8]) -> bool {
        let fields = self.fields.iter().flat_map(|(name, value)| [*name, *value]);
        let rest = [self.metadata, self.route_metadata.ok(), self.certificate].into_iter().flatten();
        fields.chain(rest).any(|text| contains(text, part))
    }
}

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A map as proxy-wasm serialises it.
pub(super) fn pairs(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).expect("a short text").to_le_bytes();
    let mut buffer = number(fields.len()).to_vec();
    for (name, value) in fields {
        buffer.extend(number(name.len()));
        buffer.extend(number(value.len()));
    }
    for (name, value) in fields {
        buffer.extend([name, &b"\0"[..], value, b"\0"].concat());
    }
    buffer
}

#[derive(prost::Message)]
struct SignRequest {
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    message: Vec<u8>,
}

thread_local! {
    /// The last key, and its signature of what it was asked to sign first: the filter's own check of it.
    static SIGNED: RefCell<(Vec<u8>, Vec<u8>)> = RefCell::default();
}

/// A signature of the first message that a key signs; the same again for all others, as each costs a tenth of a
/// millisecond and none of them is looked at.
fn sign(request: &[u8]) -> Option<Vec<u8>> {
    let request = SignRequest::decode(request).expect("a request to sign");
    SIGNED.with_borrow_mut(|(key, signature)| {
        if request.message == b"attestation-filter self-check" && *key != request.key {
            let signing_key = SigningKey::from_pkcs8_der(&request.key).ok()?;
            let made: Signature = signing_key.sign(&request.message);
            *signature = made.to_der().as_bytes().to_vec();
            *key = request.key;
        }
        let mut answer = vec![0x08, 0x01];
        put_bytes(&mut answer, 2, signature);
        Some(answer)
    })
}

impl Host for FuzzHost<'_> {
    fn now(&self) -> Duration {
        NOW
    }

    fn fill_random(&self, bytes: &mut [u8]) -> bool {
        bytes.fill_with(|| {
            self.random.set(self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            self.random.get().to_be_bytes()[0]
        });
        true
    }

    fn request_headers(&self) -> Headers {
        Headers::from_pairs(pairs(&self.fields))
    }

    fn metadata(&self) -> Option<Vec<u8>> {
        self.metadata.map(<[u8]>::to_vec)
    }

    fn route_metadata(&self) -> Result<Vec<u8>, Unreadable> {
        self.route_metadata.map(<[u8]>::to_vec)
    }

    fn route_name(&self) -> String {
        "the-route".into()
    }

    fn is_mtls(&self) -> bool {
        self.certificate.is_some()
    }

    fn certificate(&self, _: CertificateField) -> Option<Vec<u8>> {
        self.certificate.map(<[u8]>::to_vec)
    }

    fn set_filter_state(&self, name: &str, value: &str) {
        self.filter_state.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    fn sign(&self, request: &[u8]) -> Option<Vec<u8>> {
        match self.sign {
            Sign::Missing => None,
            Sign::Works => sign(request),
            Sign::Answers(answer) => Some(answer.to_vec()),
        }
    }

    fn shared_data(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.shared.borrow().get(key).map(|value| (value.clone(), 1))
    }

    fn set_shared_data(&self, key: &str, value: &[u8], _: Expected) -> bool {
        self.shared.borrow_mut().insert(key.to_owned(), value.to_vec());
        true
    }

    fn fetch(&self, _: &str, _: &str, _: Duration) -> bool {
        true
    }

    fn log(&self, _: Level, message: &str) {
        self.log.borrow_mut().push(message.to_owned());
    }

    fn logs_debug(&self) -> bool {
        true
    }

    fn add(&self, _: Counter, _: u64) {}

    fn count_signed_by(&self, _: &str) {}

    fn set(&self, _: Gauge, _: u64) {}

    fn record(&self, _: Histogram, _: u64) {}
}
