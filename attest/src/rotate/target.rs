//! The proxies of a fleet: each address at which one of them answers.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use ureq::http::Uri;

use crate::keyset::{Fetched, Fetcher, Source, SourceError};

/// A URL; a file proves nothing about a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProxyUrl(pub(super) String);

impl std::str::FromStr for ProxyUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Source::Url(url) => Ok(Self(url)),
            Source::File(_) => Err("a proxy's URL begins with http:// or https://".to_owned()),
        }
    }
}

impl ProxyUrl {
    /// In lower case, without the brackets of an IPv6 address.
    pub(super) fn host(&self) -> String {
        let host = self.0.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
        host.unwrap_or_default().trim_matches(['[', ']']).to_owned()
    }

    fn port(&self) -> u16 {
        let usual = if self.is_https() { 443 } else { 80 };
        self.0.parse::<Uri>().ok().and_then(|uri| uri.port_u16()).unwrap_or(usual)
    }

    pub(super) fn is_https(&self) -> bool {
        Source::Url(self.0.clone()).is_https()
    }
}

/// `HOST:ADDRESS`: where a proxy of that host name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConnectTo {
    pub(super) host: String,
    address: IpAddr,
    /// Another port than the URL's.
    port: Option<u16>,
}

impl std::str::FromStr for ConnectTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "write HOST:ADDRESS, like app.example.com:10.0.0.1 or app.example.com:[2001:db8::1]:8443".to_owned();
        let (host, address) = text.split_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(wrong)?;
        let host = host.to_ascii_lowercase();
        if let Ok(address) = address.trim_matches(['[', ']']).parse() {
            return Ok(Self { host, address, port: None });
        }
        let socket: SocketAddr = address.parse().map_err(|_| wrong())?;
        Ok(Self { host, address: socket.ip(), port: Some(socket.port()) })
    }
}

impl std::fmt::Display for ConnectTo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) => write!(formatter, "{}:{}", self.host, SocketAddr::new(self.address, port)),
            None => write!(formatter, "{}:{}", self.host, self.address),
        }
    }
}

/// One proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) url: String,
    /// None: the host name of the URL stands for a single proxy.
    pub(super) address: Option<SocketAddr>,
}

impl Target {
    /// The proxies that a URL stands for: those that it is led to, or else all that its host name resolves to.
    pub(super) fn of(url: &ProxyUrl, connect_to: &[ConnectTo], fetcher: &Fetcher) -> Result<Vec<Self>, SourceError> {
        let (host, port) = (url.host(), url.port());
        let at = |address| Self { url: url.0.clone(), address };
        let led = connect_to.iter().filter(|to| to.host == host);
        let led: Vec<Self> = led.map(|to| at(Some(SocketAddr::new(to.address, to.port.unwrap_or(port))))).collect();
        if !led.is_empty() {
            return Ok(led);
        }
        if host.parse::<IpAddr>().is_ok() || !fetcher.resolves(&url.0) {
            return Ok(vec![at(None)]);
        }
        let unknown =
            || SourceError::new(format!("cannot fetch {}: its host is not known", url.0), "check the name of the host");
        let addresses: BTreeSet<SocketAddr> = (host.as_str(), port).to_socket_addrs().map_err(|_| unknown())?.collect();
        if addresses.is_empty() {
            return Err(unknown());
        }
        Ok(addresses.into_iter().map(|address| at(Some(address))).collect())
    }

    pub(super) fn fetch(&self, fetcher: &Fetcher) -> Result<Fetched, SourceError> {
        match self.address {
            Some(address) => fetcher.fetch_at(&self.url, address),
            None => fetcher.fetch(&Source::Url(self.url.clone())),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            Some(address) => write!(formatter, "{} at {address}", self.url),
            None => formatter.write_str(&self.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyset::TrustArgs;

    fn targets(url: &str, connect_to: &[&str]) -> Vec<String> {
        let connect_to: Vec<ConnectTo> = connect_to.iter().map(|text| text.parse().unwrap()).collect();
        let fetcher = Fetcher::new(&TrustArgs::default(), false).unwrap();
        let targets = Target::of(&url.parse().unwrap(), &connect_to, &fetcher).ok().unwrap();
        targets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_is_led_to_each_of_its_addresses() {
        let led =
            ["App.example.com:10.0.0.1", "app.example.com:10.0.0.2:8443", "app.example.com:[::1]", "other:10.0.0.9"];
        let url = "https://app.example.com/keys";
        assert_eq!(
            targets(url, &led),
            ["10.0.0.1:443", "10.0.0.2:8443", "[::1]:443"].map(|address| format!("{url} at {address}"))
        );
    }

    #[test]
    fn an_address_stands_for_itself() {
        assert_eq!(targets("http://10.0.0.1:8080/keys", &[]), ["http://10.0.0.1:8080/keys"]);
        assert_eq!(targets("http://localhost:8080/keys", &[]), ["http://localhost:8080/keys"]);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for wrong in ["", "app", ":10.0.0.1", "app:", "app:host", "app:10.0.0.1:x"] {
            assert!(wrong.parse::<ConnectTo>().is_err(), "{wrong}");
        }
        assert_eq!("a:[::1]:80".parse::<ConnectTo>().unwrap().to_string(), "a:[::1]:80");
        assert_eq!("a:::1".parse::<ConnectTo>().unwrap().to_string(), "a:::1");
    }
}
