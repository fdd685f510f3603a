//! Where keysets come from: a proxy's URL, or a file.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;
use thiserror::Error;
use ureq::config::ConfigBuilder;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

use super::Keyset;

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BYTES: u64 = 1 << 20;
const USUAL_PATH: &str = "/.well-known/pomerium/jwks.json";

/// A URL or a file. Its `Display` is what the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Url(String),
    File(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    /// An `http://` or `https://` URL; anything else is the name of a file.
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
        match uri.authority() {
            Some(authority) if authority.as_str().contains('@') => {
                Err("a keyset is public; leave user and password out of its URL".to_owned())
            }
            Some(_) => Ok(Self::Url(text.to_owned())),
            None => Err("the URL has no host".to_owned()),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => formatter.write_str(url),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

/// Why there is no keyset to be had, and what the user can do about it.
#[derive(Debug, Error)]
#[error("{problem}; {advice}")]
pub(crate) struct SourceError {
    pub(crate) problem: String,
    pub(crate) advice: String,
}

impl SourceError {
    fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }
}

/// A keyset, and for how long its source lets clients keep it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fetched {
    pub(crate) keyset: Keyset,
    /// `Cache-Control: max-age` (RFC 9111, section 5.2.2.1), or none if the source does not say.
    pub(crate) max_age: Option<Duration>,
}

/// Which certificates an `https` URL may show.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TrustArgs {
    /// Trust the certificate authorities of this PEM file, and no others, for https URLs
    ///
    /// Without this, those of the file that SSL_CERT_FILE names, or else those that browsers trust.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

/// Fetches keysets. It always checks certificates; there is no switch to turn that off.
#[derive(Clone)]
pub(crate) struct Fetcher {
    through_proxy: ureq::Agent,
    direct: ureq::Agent,
}

impl Fetcher {
    /// # Errors
    /// When the file of certificate authorities cannot be read or holds none.
    pub(crate) fn new(trust: &TrustArgs) -> anyhow::Result<Self> {
        let mut tls = TlsConfig::builder();
        match (&trust.cacert, std::env::var_os("SSL_CERT_FILE")) {
            (Some(path), _) => tls = tls.root_certs(authorities(path)?),
            // Not asked for on this command line, so no reason to fail: there may be no https in play.
            (None, Some(path)) => {
                if let Ok(authorities) = authorities(path.as_ref()) {
                    tls = tls.root_certs(authorities);
                }
            }
            (None, None) => {}
        }
        let tls = tls.build();
        let agent = |config: ConfigBuilder<AgentScope>| {
            let config = config
                .timeout_global(Some(TIMEOUT))
                .http_status_as_error(false)
                .user_agent(concat!("attest/", env!("CARGO_PKG_VERSION")))
                .max_idle_connections(0)
                .tls_config(tls.clone());
            config.build().new_agent()
        };
        let direct = agent(ureq::Agent::config_builder().proxy(None));
        Ok(Self { through_proxy: agent(ureq::Agent::config_builder()), direct })
    }

    /// Reads a keyset, from no cache in between if that can be helped.
    ///
    /// # Errors
    /// What is wrong, and what to try.
    pub(crate) fn fetch(&self, source: &Source) -> Result<Fetched, SourceError> {
        match source {
            Source::Url(url) => self.fetch_url(url),
            Source::File(path) => {
                let text = std::fs::read(path).map_err(|error| {
                    SourceError::new(
                        format!("cannot read the keyset file {}: {error}", path.display()),
                        "give a file that attest jwks wrote, or a URL that begins with http:// or https://",
                    )
                })?;
                Ok(Fetched { keyset: keyset(&text, &source.to_string())?, max_age: None })
            }
        }
    }

    fn fetch_url(&self, url: &str) -> Result<Fetched, SourceError> {
        let mut response = self
            .agent_for(url)
            .get(url)
            .header("accept", "application/jwk-set+json, application/json")
            .header("cache-control", "no-cache")
            .call()
            .map_err(|error| unreachable_url(url, &error))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(refused(url, status));
        }
        let max_age = max_age(response.headers());
        let body = response.body_mut().with_config().limit(MAX_BYTES).read_to_vec();
        let body = body.map_err(|error| unreachable_url(url, &error))?;
        Ok(Fetched { keyset: keyset(&body, url)?, max_age })
    }

    /// What runs on this machine is not asked for through a company's HTTP proxy.
    fn agent_for(&self, url: &str) -> &ureq::Agent {
        let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        let local = host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if local { &self.direct } else { &self.through_proxy }
    }
}

fn authorities(path: &std::path::Path) -> anyhow::Result<RootCerts> {
    let pem =
        std::fs::read(path).map_err(|error| anyhow!("cannot read the certificates in {}: {error}", path.display()))?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    anyhow::ensure!(!certificates.is_empty(), "{} holds no PEM certificate", path.display());
    Ok(RootCerts::new_with_certs(&certificates))
}

fn keyset(text: &[u8], source: &str) -> Result<Keyset, SourceError> {
    Keyset::parse(text).map_err(|reason| {
        SourceError::new(
            format!("{source} holds no keyset: {reason}"),
            format!("the filter answers with one at {USUAL_PATH}, or where jwks_path says"),
        )
    })
}

fn refused(url: &str, status: u16) -> SourceError {
    let advice = match status {
        404 => format!("check the path: the usual one is {USUAL_PATH}, unless jwks_path says otherwise"),
        401 | 403 => "the keyset is public; let this path pass before whatever asks for a login".to_owned(),
        503 => "the filter may still be without a signing key; look at the proxy's log".to_owned(),
        _ => "look at the proxy's log".to_owned(),
    };
    SourceError::new(format!("{url} answered with status {status}"), advice)
}

fn unreachable_url(url: &str, error: &ureq::Error) -> SourceError {
    let advice = match error {
        ureq::Error::HostNotFound => "check the name of the host",
        ureq::Error::Timeout(_) => "is the proxy up, and does a firewall let this machine reach it?",
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused => {
            "nothing listens there; is the proxy up, and is this its port?"
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
            "its certificate is not trusted; name your own authority with --cacert FILE"
        }
        ureq::Error::Io(io) if io.to_string().contains("certificate") => {
            "its certificate is not trusted; name your own authority with --cacert FILE"
        }
        ureq::Error::Io(io) if io.to_string().contains("lookup") => "check the name of the host",
        ureq::Error::Protocol(_) => "that is no HTTP server; http:// and https:// mixed up, perhaps?",
        _ => "is that the right URL, and is the proxy up?",
    };
    let reason = match error {
        ureq::Error::Io(io) => io.to_string(),
        other => other.to_string(),
    };
    SourceError::new(format!("cannot fetch {url}: {reason}"), advice)
}

/// The longest that any cache may keep the answer.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values: Vec<String> = headers
        .get_all("cache-control")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    if values.iter().any(|directive| directive == "no-store" || directive == "no-cache") {
        return Some(Duration::ZERO);
    }
    let seconds = |directive: &String| {
        let (name, value) = directive.split_once('=')?;
        let counts = matches!(name.trim(), "max-age" | "s-maxage");
        counts.then(|| value.trim().trim_matches('"').parse::<u32>().ok()).flatten()
    };
    values.iter().filter_map(seconds).max().map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_control(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", value.parse().unwrap());
        max_age(&headers).map(|age| age.as_secs())
    }

    #[test]
    fn max_age_is_what_caches_obey() {
        assert_eq!(cache_control("public, max-age=60"), Some(60));
        assert_eq!(cache_control("Max-Age=\"5\" , public"), Some(5));
        assert_eq!(cache_control("max-age=60, s-maxage=600"), Some(600));
        assert_eq!(cache_control("no-store, max-age=60"), Some(0));
        assert_eq!(cache_control("public"), None);
        assert_eq!(cache_control("max-age=x"), None);
        assert_eq!(max_age(&HeaderMap::new()), None);
    }

    #[test]
    fn a_source_is_a_url_or_a_file() {
        assert!(matches!("HTTPS://proxy/keys".parse(), Ok(Source::Url(_))));
        assert!(matches!("keys.json".parse(), Ok(Source::File(_))));
        assert!("http://".parse::<Source>().is_err());
        assert!("http://me:secret@proxy/".parse::<Source>().unwrap_err().contains("password"));
    }

    #[test]
    fn a_refused_connection_says_what_to_try() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let fetcher = Fetcher::new(&TrustArgs::default()).unwrap();
        let error = fetcher.fetch(&Source::Url(format!("http://127.0.0.1:{port}/"))).unwrap_err();
        assert!(error.to_string().contains("nothing listens there"), "{error}");
    }
}
