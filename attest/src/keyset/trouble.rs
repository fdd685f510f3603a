//! What went wrong with a keyset's URL, in words.

use std::io;

use rustls::CertificateError;

use super::error::{SourceError, USUAL_PATH};
use crate::input;

const PLAIN_HTTP: &str = "that is no HTTP server; http:// and https:// mixed up, perhaps?";

/// A status that is not 200.
pub(super) fn refused(url: &str, status: u16) -> SourceError {
    let advice = match status {
        300..=399 => "name the address that it redirects to",
        404 => {
            return SourceError::new(
                format!("{url} answered with status 404"),
                format!("check the path: the usual one is {USUAL_PATH}, unless jwks_path says otherwise"),
            );
        }
        401 | 403 => "the keyset is public; let this path pass before whatever asks for a login",
        503 => "the filter may still be without a signing key; look at the proxy's log",
        _ => "look at the proxy's log",
    };
    SourceError::new(format!("{url} answered with status {status}"), advice)
}

/// No answer at all, or none that can be read.
pub(super) fn unreachable(url: &str, error: &ureq::Error) -> SourceError {
    let (reason, advice) = told(error);
    let no_route = matches!(error, ureq::Error::Io(error) if is_no_route(error));
    SourceError { no_route, ..SourceError::new(format!("cannot fetch {url}: {reason}"), advice) }
}

fn told(error: &ureq::Error) -> (String, &'static str) {
    match error {
        ureq::Error::HostNotFound => ("its host is not known".to_owned(), "check the name of the host"),
        ureq::Error::Timeout(_) => {
            ("no answer in time".to_owned(), "is the proxy up, and does a firewall let this machine reach it?")
        }
        ureq::Error::RequireHttpsOnly(_) => (
            "it redirects from https to http, where anybody could answer".to_owned(),
            "give an https URL that answers itself",
        ),
        ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
            ("it redirects, and to no end".to_owned(), "name the address that has the keyset")
        }
        ureq::Error::BodyExceedsLimit(_) => {
            (format!("its answer has more than {} bytes", input::MAX_BYTES), "is that the right URL?")
        }
        ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
            ("its answer is no HTTP".to_owned(), PLAIN_HTTP)
        }
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
            ("the HTTP proxy in between refuses".to_owned(), "look at the variables HTTPS_PROXY and NO_PROXY")
        }
        ureq::Error::Rustls(error) => tls(error),
        ureq::Error::Io(error) => told_io(error),
        _ => ("it cannot be read".to_owned(), "is that the right URL, and is the proxy up?"),
    }
}

fn told_io(error: &io::Error) -> (String, &'static str) {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls(error);
    }
    let reason = input::reason(error);
    match error.kind() {
        io::ErrorKind::ConnectionRefused => (reason, "nothing listens there; is the proxy up, and is this its port?"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => ("its answer is no HTTP".to_owned(), PLAIN_HTTP),
        _ if is_no_route(error) => (reason, "this machine has no way to that address"),
        _ if reason.contains("lookup") => ("its host is not known".to_owned(), "check the name of the host"),
        _ => (reason, "is that the right URL, and is the proxy up?"),
    }
}

fn is_no_route(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable)
}

fn tls(error: &rustls::Error) -> (String, &'static str) {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::InvalidMessage(_) => ("its answer is no TLS".to_owned(), PLAIN_HTTP),
        rustls::Error::AlertReceived(_) => {
            ("it ends the TLS handshake".to_owned(), "does it ask for a client certificate, or for another host name?")
        }
        _ => ("there is no TLS version or cipher that both sides know".to_owned(), "look at the proxy's log"),
    }
}

/// A certificate that is its own authority is marked as one as a rule, and no server may show such a certificate
/// (RFC 5280, section 4.2.1.9, as webpki reads it).
fn certificate(error: &CertificateError) -> (String, &'static str) {
    let (problem, advice) = match error {
        CertificateError::UnknownIssuer => (
            "its certificate is not trusted: nobody who is trusted has signed it",
            "name your own authority, or the self-signed certificate itself, with --cacert FILE",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "its certificate is for another host name",
            "use the name that is in its subjectAltName (a common name alone does not count); --connect-to leads a name \
             to an address",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            ("its certificate has expired", "renew it, and compare the clocks")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("its certificate is not valid yet", "compare the clocks")
        }
        CertificateError::Revoked => ("its certificate is revoked", "give the proxy another one"),
        CertificateError::UnhandledCriticalExtension | CertificateError::BadEncoding => {
            ("its certificate cannot be read", "make one of version 3 with plain extensions")
        }
        other if other.to_string().contains("CaUsedAsEndEntity") => (
            "its certificate is one of an authority (CA:TRUE), which no server may show",
            "make a self-signed one with: openssl req -x509 -addext basicConstraints=critical,CA:FALSE \
             -addext subjectAltName=DNS:HOST",
        ),
        other if other.to_string().contains("UnsupportedCertVersion") => {
            ("its certificate is of version 1", "make one of version 3, with a subjectAltName")
        }
        _ => ("its certificate is not accepted", "make one of version 3, for a server, with a subjectAltName"),
    };
    (problem.to_owned(), advice)
}
