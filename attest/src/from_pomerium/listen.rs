//! Where Envoy listens, and with which certificates.

use std::net::IpAddr;

use serde_json::{Value as Json, json};

use super::left::{Kind, Lefts};
use super::mutual_tls;
use super::options::without_white_space;
use super::target::set;
use crate::check::node::Node;

const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const CERTIFICATES: &str = "/etc/envoy/tls";

/// The listener for clients.
pub(super) fn ingress(node: &Node, manager: Json, lefts: &mut Lefts) -> Json {
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    let mut chain = json!({"filters": [filter]});
    if !node.is_true("insecure_server") {
        set(&mut chain, "transport_socket", Some(tls(node, lefts)));
    }
    let given = written(node, "address", "Envoy listens on 0.0.0.0:443", lefts);
    json!({
        "name": "ingress",
        "address": given.unwrap_or_else(|| socket("0.0.0.0", 443)),
        "filter_chains": [chain],
    })
}

/// A listener that sends browsers to https.
pub(super) fn redirect(node: &Node, lefts: &mut Lefts) -> Option<Json> {
    let address = written(node, "http_redirect_addr", "nothing listens there", lefts)?;
    let manager = json!({
        "@type": MANAGER,
        "stat_prefix": "redirect",
        "http_filters": [router()],
        "route_config": {"name": "redirect", "virtual_hosts": [{
            "name": "redirect",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "redirect": {"https_redirect": true}}],
        }]},
    });
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    Some(json!({"name": "redirect", "address": address, "filter_chains": [{"filters": [filter]}]}))
}

pub(super) fn router() -> Json {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    })
}

pub(super) fn manager() -> Json {
    json!({ "@type": MANAGER })
}

/// The address of a setting. One that cannot be read is said, with what becomes of it.
fn written(node: &Node, name: &str, otherwise: &str, lefts: &mut Lefts) -> Option<Json> {
    let given = node.get(name)?;
    let address = given.text().and_then(address);
    if address.is_none() {
        let reason = format!("{name} is no IP address with a port: {otherwise}");
        lefts.add(Kind::Todo, &given.place, reason, "write the listener's address by hand");
    }
    address
}

/// `:443`, `127.0.0.1:8443`, `[::]:443`.
fn address(text: &str) -> Option<Json> {
    let (host, port) = text.trim_matches(['"', '\'']).rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = match host {
        "" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        other => other.parse::<IpAddr>().ok().map(|_| other)?,
    };
    Some(socket(host, port.parse().ok()?))
}

fn socket(host: &str, port: u16) -> Json {
    json!({"socket_address": {"address": host, "port_value": port}})
}

fn tls(node: &Node, lefts: &mut Lefts) -> Json {
    let mut common = json!({
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": certificates(node, lefts),
    });
    let mut context =
        json!({"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"});
    mutual_tls::ask(&mut context, &mut common, node, lefts);
    set(&mut context, "common_tls_context", Some(common));
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

fn certificates(node: &Node, lefts: &mut Lefts) -> Vec<Json> {
    let pair =
        |chain: &str, key: &str| json!({"certificate_chain": {"filename": chain}, "private_key": {"filename": key}});
    let files = |node: &Node, chain: &str, key: &str| Some(pair(node.text_at(&[chain])?, node.text_at(&[key])?));
    let listed = node.list("certificates").iter().filter_map(|each| files(each, "cert", "key"));
    let mut all: Vec<_> = files(node, "certificate_file", "certificate_key_file").into_iter().chain(listed).collect();
    if let Some(base64) = node.text_at(&["certificate"]) {
        let key = format!("{CERTIFICATES}/privkey.pem");
        let place = node.get("certificate_key").unwrap_or(node);
        let cure = format!("write its value, without the base64, to {key}, mode 0600 and owned by Envoy's user");
        lefts.add(Kind::Todo, &place.place, "certificate_key is not copied", cure);
        let chain = json!({"inline_bytes": without_white_space(base64)});
        all.push(json!({"certificate_chain": chain, "private_key": {"filename": key}}));
    }
    if all.is_empty() {
        let [chain, key] = ["fullchain", "privkey"].map(|name| format!("{CERTIFICATES}/{name}.pem"));
        let place = node.get("autocert").unwrap_or(node);
        let reason = "Envoy needs a certificate and gets none by itself";
        let cure = format!("put one at {chain} and {key}; certbot and lego renew them");
        lefts.add(Kind::Todo, &place.place, reason, cure);
        all.push(pair(&chain, &key));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, host, port) in [
            (":443", "0.0.0.0", 443),
            ("127.0.0.1:80", "127.0.0.1", 80),
            ("[::]:8443", "::", 8443),
            ("localhost:1", "127.0.0.1", 1),
        ] {
            assert_eq!(address(text), Some(socket(host, port)), "{text}");
        }
        for text in ["", "443", "app.example.com:443", ":x", ":99999"] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
