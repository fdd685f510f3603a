//! The same odd client certificates to both hosts.

use harness::keys::A;
use harness::tls::{Authority, Identity};
use harness::{Bootstrap, Envoy, Host, Request, only_on};
use rcgen::string::Ia5String;
use rcgen::{DnType, SanType};
use serde_json::{Value, json};

use super::outcome::outcome;

/// Parts of a subject, with what separates them where Envoy writes it as a text (RFC 2253).
const NAMES: [&str; 10] = [
    "workload",
    "Example, Inc.",
    "a+b=c",
    "\"quoted\"",
    " edge ",
    "#hash",
    "back\\slash",
    "Zo\u{eb}",
    "a\tb",
    "a;b<c>",
];

const URIS: [&str; 6] = [
    "spiffe://example.com/workload",
    "spiffe://example.com/a%20b",
    "spiffe://example.com/a,b",
    "urn:x:\"quoted\"",
    "https://example.com/?a=b&c#d",
    "x",
];

const DNS: [&str; 4] = ["workload.example.com", "*.example.com", "WORKLOAD.example.com", "a_b"];

fn of_each_kind(authority: &Authority) -> Vec<Identity> {
    let text = |text: &str| Ia5String::try_from(text).expect("ASCII");
    let names = NAMES.iter().map(|name| (vec![(DnType::CommonName, *name)], Vec::new()));
    let organisations = NAMES
        .iter()
        .map(|name| (vec![(DnType::OrganizationName, *name), (DnType::CommonName, "workload")], Vec::new()));
    let uris = URIS.iter().map(|uri| (Vec::new(), vec![SanType::URI(text(uri))]));
    let hosts = DNS.iter().map(|name| (Vec::new(), vec![SanType::DnsName(text(name))]));
    let several = URIS.iter().zip(DNS).map(|(uri, name)| {
        let uris = [uri, "spiffe://example.com/second"].map(|uri| SanType::URI(text(uri)));
        (vec![(DnType::CommonName, name)], uris.into_iter().chain([SanType::DnsName(text(name))]).collect())
    });
    let all = names.chain(organisations).chain(uris).chain(hosts).chain(several);
    all.map(|(subject, names)| authority.certify_subject(&subject, &names)).collect()
}

fn start(authority: &Authority, host: Host) -> Envoy {
    let fields = json!({"sub": "uri_san", "name": "subject", "sid": "sha256_fingerprint", "email": "dns_san"});
    let by_subject = json!({"sub": "subject", "sid": "sha256_fingerprint", "email": "dns_san"});
    let settings = json!({
        "signing_key": A,
        "identity_sources": [{"client_certificate": fields}, {"client_certificate": by_subject}],
    });
    let http = json!({"generate_request_id": false});
    Bootstrap::new(settings).host(host).http(http).transport_socket(authority.transport_socket()).start()
}

/// What becomes of a request with each certificate, and of one without.
fn outcomes(authority: &Authority, identities: &[Identity], host: Host) -> Vec<Value> {
    let envoy = start(authority, host);
    let address = envoy.address();
    let mut without = authority.connect(address, None);
    let keys = harness::KeySet::from_json(without.send(&Request::get(harness::JWKS_PATH)).json());
    let send = |identity| outcome(authority.connect(address, identity).try_send(&Request::get("/")), &keys);
    identities.iter().map(Some).chain([None]).map(send).collect()
}

#[test]
fn both_hosts_name_the_same_workload() {
    if !only_on(Host::Native, "it takes both modules, and those tests have both") {
        return;
    }
    let authority = Authority::new();
    let identities = of_each_kind(&authority);
    let [wasm, native] = [Host::Wasm, Host::Native].map(|host| outcomes(&authority, &identities, host));
    assert_eq!(wasm, native);
    let named = native.iter().filter(|outcome| outcome.to_string().contains("spiffe")).count();
    assert_eq!(named, 6, "certificates with a URI of SPIFFE");
}
