//! One request, as the core sees it.

use std::cell::OnceCell;

use attestation_filter::host::{CertificateField, RequestHost, RouteSettings, Unreadable};
use attestation_filter::http::fields::Fields;
use attestation_filter::value::{Flat, Object};

use crate::ffi::{Attribute, Map, Stream, overwrites_filter_state};
use crate::metadata::Kinds;
use crate::process::Process;
use crate::unanswered::Unanswered;

/// A request while a hook of it runs.
pub(crate) struct HttpRequest<'a> {
    stream: &'a Stream<'a>,
    process: Process<'a>,
    kinds: &'a Kinds,
    metadata: MetadataRead<'a>,
    unanswered: &'a Unanswered,
}

/// The flat metadata that sources have asked for, one namespace after the other. It is kept, as the core borrows it.
#[derive(Default)]
struct MetadataRead<'a>(OnceCell<Box<(String, Option<Members<'a>>, MetadataRead<'a>)>>);

type Members<'a> = Vec<(&'a [u8], Flat<'a>)>;

impl<'a> MetadataRead<'a> {
    fn get(&self, namespace: &str, read: impl Fn() -> Option<Members<'a>>) -> Option<Object<'_>> {
        let mut place = self;
        loop {
            let first = || Box::new((namespace.to_owned(), read(), Self::default()));
            let (name, members, next) = &**place.0.get_or_init(first);
            if name == namespace {
                return members.as_deref().map(Object::Flat);
            }
            place = next;
        }
    }
}

impl<'a> HttpRequest<'a> {
    pub(crate) fn new(
        stream: &'a Stream<'a>,
        process: Process<'a>,
        kinds: &'a Kinds,
        unanswered: &'a Unanswered,
    ) -> Self {
        Self { stream, process, kinds, metadata: MetadataRead::default(), unanswered }
    }
}

impl<'a> RequestHost for HttpRequest<'a> {
    type Process = Process<'a>;

    fn process(&self) -> &Process<'a> {
        &self.process
    }

    fn headers(&self) -> Fields<'_> {
        Fields::new(self.stream.fields(Map::RequestHeaders))
    }

    fn is_tls(&self) -> bool {
        self.stream.attribute(Attribute::TlsVersion).is_some()
    }

    /// What only a route has: a name, a configuration of ours, a cluster (1.38 and later). The virtual host is no evidence:
    /// Envoy knows it also where none of its routes takes the request. So a route without a name and without a cluster, or
    /// without a name before 1.38, is taken for none.
    fn has_route(&self) -> bool {
        self.stream.has_cluster()
            || self.stream.attribute(Attribute::RouteName).is_some()
            || self.stream.route_config().is_some()
    }

    /// Flat: scalars and lists of strings.
    fn metadata(&self, namespace: &str, reads: &dyn Fn(&[u8]) -> bool) -> Option<Object<'_>> {
        self.metadata.get(namespace, || self.kinds.read(self.stream, namespace, reads))
    }

    fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        self.stream.filter_state(name).map(<[u8]>::to_vec)
    }

    fn route_settings(&self) -> Result<Option<RouteSettings<'_>>, Unreadable> {
        Ok(self.stream.route_config().map(|config| config.settings()))
    }

    fn route_name(&self) -> String {
        format!("{:?}", String::from_utf8_lossy(self.stream.attribute(Attribute::RouteName).unwrap_or_default()))
    }

    fn is_mtls(&self) -> bool {
        self.stream.is_mtls()
    }

    fn certificate(&self, field: CertificateField) -> Option<Vec<u8>> {
        let attribute = match field {
            CertificateField::UriSan => Attribute::PeerUriSan,
            CertificateField::DnsSan => Attribute::PeerDnsSan,
            CertificateField::Subject => Attribute::PeerSubject,
            CertificateField::Sha256Fingerprint => Attribute::PeerSha256,
        };
        self.stream.attribute(attribute).map(<[u8]>::to_vec)
    }

    fn set_filter_state(&self, name: &str, value: &str) {
        let name = as_in_wasm(name);
        // Another filter of ours may have been there, or another try.
        if overwrites_filter_state() || self.stream.filter_state(&name).is_none() {
            self.stream.set_filter_state(&name, value);
        }
    }

    /// The filter state knows of other tries, and is gone after an internal redirect.
    fn keep(&self, name: &str, text: &str) {
        let free = tries(name).find(|name| self.stream.filter_state(name).is_none());
        self.stream.set_filter_state(&free.unwrap_or_default(), text);
        self.unanswered.keep(self.stream.connection(), text);
    }

    fn kept(&self, name: &str) -> Option<Vec<u8>> {
        let last_try = tries(name).map_while(|name| self.stream.filter_state(&name)).last().map(<[u8]>::to_vec);
        last_try.or_else(|| self.unanswered.kept_before(self.stream.connection()))
    }
}

/// What each try keeps has a name of its own, as not every Envoy lets it be overwritten.
fn tries(name: &str) -> impl Iterator<Item = String> {
    (0_u32..).map(move |number| format!("{name}.{number}"))
}

/// Where the Wasm module's texts are: one format of an access log does for both hosts.
fn as_in_wasm(name: &str) -> String {
    format!("wasm.{name}")
}
