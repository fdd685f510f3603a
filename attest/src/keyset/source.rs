//! Where keysets come from: a proxy's URL, or a file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::error::{SourceError, USUAL_PATH};
use super::{Keyset, trouble};
use crate::input;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A URL or a file, `-` for standard input. Its `Display` is for errors.
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
        let uri: Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
        match uri.authority() {
            Some(authority) if authority.as_str().contains('@') => {
                Err("a keyset is public; leave user and password out of its URL".to_owned())
            }
            Some(_) => Ok(Self::Url(text.to_owned())),
            None => Err("the URL has no host".to_owned()),
        }
    }
}

impl Source {
    /// Whether certificates will be needed.
    pub(crate) fn is_https(&self) -> bool {
        matches!(self, Self::Url(url) if is_https(url))
    }

    /// Whether it has nothing more to say once it has been read: standard input, or a pipe.
    pub(crate) fn is_read_once(&self) -> bool {
        matches!(self, Self::File(path) if input::is_read_once(path))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(url) => formatter.write_str(url),
            Self::File(path) => formatter.write_str(&input::shown(path)),
        }
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
    /// Trust the certificates of this PEM file, and no others, for https URLs
    ///
    /// Without this, those of the file that SSL_CERT_FILE names, or else those that browsers trust.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

impl TrustArgs {
    /// The options again, for a command that is suggested.
    pub(crate) fn arguments(&self) -> Vec<String> {
        self.cacert.iter().flat_map(|path| ["--cacert".to_owned(), path.display().to_string()]).collect()
    }
}

/// Fetches keysets. It always checks certificates; there is no switch to turn that off.
#[derive(Clone)]
pub(crate) struct Fetcher {
    tls: TlsConfig,
    through_proxy: ureq::Agent,
    direct: ureq::Agent,
}

impl Fetcher {
    /// # Errors
    /// When the file of certificate authorities cannot be read or holds none. One that the environment names matters
    /// only if certificates will be needed.
    pub(crate) fn new(trust: &TrustArgs, needs_certificates: bool) -> anyhow::Result<Self> {
        let mut tls = TlsConfig::builder();
        match (&trust.cacert, std::env::var_os("SSL_CERT_FILE")) {
            (Some(path), _) => tls = tls.root_certs(authorities(path)?),
            (None, Some(path)) if needs_certificates && !path.is_empty() => {
                let named = authorities(Path::new(&path));
                tls = tls.root_certs(named.map_err(|error| anyhow!("SSL_CERT_FILE: {error}; correct or unset it"))?);
            }
            (None, _) => {}
        }
        let tls = tls.build();
        let direct = configured(&tls, ureq::Agent::config_builder().proxy(None)).new_agent();
        let through_proxy = configured(&tls, ureq::Agent::config_builder()).new_agent();
        Ok(Self { tls, through_proxy, direct })
    }

    /// Reads a keyset, from no cache in between if that can be helped.
    ///
    /// # Errors
    /// What is wrong, and what to try.
    pub(crate) fn fetch(&self, source: &Source) -> Result<Fetched, SourceError> {
        match source {
            Source::Url(url) => fetch_url(self.agent_for(url), url),
            Source::File(path) => {
                let text = input::read(path).map_err(|error| {
                    SourceError::new(
                        format!("cannot read the keyset in {}: {error}", input::shown(path)),
                        "give a file that attest jwks wrote, or a URL that begins with http:// or https://",
                    )
                })?;
                Ok(Fetched { keyset: keyset(&text, &source.to_string())?, max_age: None })
            }
        }
    }

    /// Reads the keyset that a URL has at this address, whatever its host name resolves to. A redirect would lead away
    /// from there: it is an error.
    ///
    /// # Errors
    /// What is wrong, and what to try.
    pub(crate) fn fetch_at(&self, url: &str, address: SocketAddr) -> Result<Fetched, SourceError> {
        let config = configured(&self.tls, ureq::Agent::config_builder().proxy(None).max_redirects(0));
        fetch_url(&ureq::Agent::with_parts(config, DefaultConnector::default(), Always(address)), url)
    }

    /// Whether this machine resolves the URL's host name itself: it is another machine, and no HTTP proxy is in between.
    pub(crate) fn resolves(&self, url: &str) -> bool {
        let proxy = self.through_proxy.config().proxy();
        let spared = |proxy: &ureq::Proxy| url.parse::<Uri>().is_ok_and(|uri| proxy.is_no_proxy(&uri));
        !is_local(url) && proxy.is_none_or(spared)
    }

    /// What runs on this machine is not asked for through a company's HTTP proxy.
    fn agent_for(&self, url: &str) -> &ureq::Agent {
        if is_local(url) { &self.direct } else { &self.through_proxy }
    }
}

/// A resolver that knows one address.
#[derive(Debug)]
struct Always(SocketAddr);

impl Resolver for Always {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

fn configured(tls: &TlsConfig, config: ConfigBuilder<AgentScope>) -> Config {
    config
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects_will_error(false)
        .user_agent(concat!("attest/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections(0)
        .tls_config(tls.clone())
        .build()
}

fn fetch_url(agent: &ureq::Agent, url: &str) -> Result<Fetched, SourceError> {
    let mut response = agent
        .get(url)
        // What https vouches for, a redirect to http would take back.
        .config()
        .https_only(is_https(url))
        .build()
        .header("accept", "application/jwk-set+json, application/json")
        .header("cache-control", "no-cache")
        .call()
        .map_err(|error| trouble::unreachable(url, &error))?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(trouble::refused(url, status));
    }
    let max_age = max_age(response.headers());
    let body = response.body_mut().with_config().limit(input::MAX_BYTES).read_to_vec();
    let body = body.map_err(|error| trouble::unreachable(url, &error))?;
    Ok(Fetched { keyset: keyset(&body, url)?, max_age })
}

fn is_https(url: &str) -> bool {
    url.to_ascii_lowercase().starts_with("https://")
}

/// Whether a URL's host is this machine.
fn is_local(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn authorities(path: &Path) -> anyhow::Result<RootCerts> {
    let shown = input::shown(path);
    let pem = input::read(path).map_err(|error| anyhow!("cannot read the certificates in {shown}: {error}"))?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    anyhow::ensure!(!certificates.is_empty(), "{shown} holds no PEM certificate");
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
        let fetcher = Fetcher::new(&TrustArgs::default(), false).unwrap();
        let error = fetcher.fetch(&Source::Url(format!("http://127.0.0.1:{port}/"))).unwrap_err();
        assert!(error.to_string().contains("nothing listens there"), "{error}");
    }
}
