//! Certificates, and connections that show them.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SanType,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::expect::tcp;
use super::http::Client;
use super::message::{read_lines, read_start_line};

/// A certificate authority, trusted by both sides.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Identity {
    key: KeyPair,
    certificate: Certificate,
}

impl Authority {
    /// Makes a key and signs it itself.
    pub fn new() -> Self {
        let mut params = params("authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("an authority") }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Answers every request for this name with the text, over HTTPS. The thread ends with the test process.
    pub fn serve(&self, name: &str, text: String) -> SocketAddr {
        let identity = self.certify(name, &[dns(name)]);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate.der().clone()], key)
            .expect("a server certificate");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a server");
        let address = listener.local_addr().expect("the server's address");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(Arc::clone(&config), stream, &text);
            }
        });
        address
    }

    /// Certifies a fresh key under a common name, with alternative names.
    pub fn certify(&self, common_name: &str, names: &[SanType]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(common_name, names).signed_by(&key, &self.issuer).expect("a certificate");
        Identity { key, certificate }
    }

    /// The same, with a whole subject.
    pub fn certify_subject(&self, subject: &[(DnType, &str)], names: &[SanType]) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("", names);
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { key, certificate }
    }

    /// The server side: shows a certificate for `localhost` and verifies the client's, if it has one.
    pub fn transport_socket(&self) -> Value {
        let server = self.certify("localhost", &[dns("localhost")]);
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"],
                    "tls_certificates": [{
                        "certificate_chain": {"inline_string": server.certificate.pem()},
                        "private_key": {"inline_string": server.key.serialize_pem()},
                    }],
                    "validation_context": {"trusted_ca": {"inline_string": self.issuer.pem()}},
                },
            },
        })
    }

    /// The client side: connects, with a certificate or without.
    pub fn connect(&self, address: SocketAddr, identity: Option<&Identity>) -> Client {
        let name = ServerName::try_from("localhost").expect("a server name");
        let connection = ClientConnection::new(Arc::new(self.client_config(identity)), name).expect("a TLS client");
        Client::over(Box::new(StreamOwned::new(connection, tcp(address))))
    }

    /// The client side of HTTP/2 (RFC 9113, section 3.2), without a certificate of its own.
    pub(super) fn http2_client_config(&self) -> ClientConfig {
        let mut config = self.client_config(None);
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    fn client_config(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
                builder
                    .with_client_auth_cert(vec![identity.certificate.der().clone()], key)
                    .expect("a client certificate")
            }
        }
    }
}

impl Identity {
    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its key in PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }
}

/// A connection that the other side drops is its own business.
fn answer(config: Arc<ServerConfig>, stream: TcpStream, text: &str) {
    let connection = ServerConnection::new(config).expect("a TLS server");
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    if read_start_line(&mut stream).is_ok() && read_lines(&mut stream).is_ok() {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
        let _ = stream.get_mut().write_all(format!("{head}{text}").as_bytes());
    }
}

/// A DNS name for a certificate.
pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("a DNS name"))
}

/// A URI for a certificate.
pub fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().expect("a URI"))
}

fn params(common_name: &str, names: &[SanType]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = names.to_vec();
    params
}
