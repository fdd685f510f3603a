//! What `https` vouches for: certificates that are trusted, and redirects that are not followed.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Keys, Proxy, attest, claims, run};

/// A server with a certificate that it has signed itself.
struct SelfSigned {
    url: String,
    pem: String,
}

impl SelfSigned {
    fn answering(params: CertificateParams, answer: String) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(answer.as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        Self { url, pem: certificate.pem() }
    }

    fn serving(params: CertificateParams, keyset: &str) -> Self {
        let length = keyset.len();
        Self::answering(
            params,
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{keyset}"),
        )
    }
}

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = is_ca;
    params
}

#[test]
fn a_self_signed_certificate_works_with_cacert() {
    let keys = Keys::new();
    let server = SelfSigned::serving(params("localhost", IsCa::ExplicitNoCa), &keys.keyset());
    let token = keys.sign(&claims());
    let said = run(&["verify", &token, "--jwks", &server.url]);
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("--cacert"), "{}", said.all());
    let pem = keys.write("server.pem", &server.pem);
    let said = run(&["verify", &token, "--jwks", &server.url, "--cacert", &pem]);
    assert_eq!(said.code, 0, "{}", said.all());
    let said = attest().args(["verify", &token, "--jwks", &server.url]).env("SSL_CERT_FILE", &pem).output().unwrap();
    assert!(said.status.success());
    let said = run(&["rotate", "stage", keys.file(), "--jwks-url", &server.url, "--cacert", &pem]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.stdout.contains(&format!("--cacert {pem}")), "{}", said.stdout);
}

#[test]
fn a_certificate_that_cannot_be_trusted_says_why() {
    let keys = Keys::new();
    let mut old = params("localhost", IsCa::ExplicitNoCa);
    old.not_after = date_time_ymd(2020, 1, 1);
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    for (params, why) in [
        (params("localhost", authority), "CA:FALSE"),
        (params("other.example", IsCa::ExplicitNoCa), "another host name"),
        (old, "has expired"),
    ] {
        let server = SelfSigned::serving(params, &keys.keyset());
        let pem = keys.write("server.pem", &server.pem);
        let said = run(&["verify", &keys.sign(&claims()), "--jwks", &server.url, "--cacert", &pem]);
        assert_eq!(said.code, 1);
        assert!(said.stdout.contains(why), "{why}: {}", said.all());
        for word in ["rustls", "webpki", "UnknownIssuer", "Other(", "peer certificate"] {
            assert!(!said.all().contains(word), "{word}: {}", said.all());
        }
    }
}

#[test]
fn https_never_becomes_http() {
    let (keys, forger) = (Keys::new(), Keys::new());
    let evil = Proxy::new(&forger.keyset());
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", evil.url);
    let server = SelfSigned::answering(params("localhost", IsCa::ExplicitNoCa), redirect);
    let pem = keys.write("server.pem", &server.pem);
    let said = run(&["verify", &forger.sign(&claims()), "--jwks", &server.url, "--cacert", &pem]);
    assert_eq!(said.code, 1, "{}", said.all());
    assert!(said.stdout.contains("redirects from https to http"), "{}", said.all());
    assert_eq!(evil.times_asked(), 0);
}

#[test]
fn an_unreadable_ssl_cert_file_is_an_error_where_certificates_matter() {
    let keys = Keys::new();
    let server = SelfSigned::serving(params("localhost", IsCa::ExplicitNoCa), &keys.keyset());
    let plain = Proxy::new(&keys.keyset());
    let token = keys.sign(&claims());
    for file in ["/nonexistent/certificates.pem", keys.file(), "/dev/zero"] {
        let with =
            |url: &str| attest().args(["verify", &token, "--jwks", url]).env("SSL_CERT_FILE", file).output().unwrap();
        let said = with(&server.url);
        assert_eq!(said.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&said.stderr).contains("SSL_CERT_FILE"), "{file}");
        assert!(with(&plain.url).status.success());
    }
}
