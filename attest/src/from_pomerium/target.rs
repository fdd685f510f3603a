//! Where a route leads: `to`, and how to speak to it.

use serde_json::{Value as Json, json};

use super::left::{Kind, Lefts};
use super::options::{self, Options};
use super::url::Url;
use crate::check::node::Node;

/// The upstreams of a route.
#[derive(Debug)]
pub(super) struct Target {
    urls: Vec<(Url, Option<u32>)>,
}

impl Target {
    /// A URL or a list of them, each with a weight after a comma or without.
    ///
    /// # Errors
    /// Why a route cannot lead there.
    pub(super) fn read(to: &Node) -> Result<Self, String> {
        let all = if to.items().is_empty() { std::slice::from_ref(to) } else { to.items() };
        let urls = all.iter().map(|node| weighted(node.text().unwrap_or_default())).collect::<Option<Vec<_>>>();
        let urls = urls.ok_or("to is no list of URLs")?;
        let schemes: Vec<_> = urls.iter().map(|(url, _)| url.scheme.as_str()).collect();
        match schemes.as_slice() {
            ["http" | "https", rest @ ..] if rest.iter().all(|scheme| schemes.first() == Some(scheme)) => {
                Ok(Self { urls })
            }
            [first, ..] if ["http", "https"].contains(first) => Err("to has URLs of several schemes".into()),
            [first, ..] => Err(format!("to has the scheme {first}")),
            [] => Err("to is empty".into()),
        }
    }

    /// The path that every request gets in front, if there is one.
    pub(super) fn path(&self) -> Option<&str> {
        self.urls.first().map(|(url, _)| url.path.as_str()).filter(|path| !path.is_empty())
    }

    /// The cluster for a route.
    pub(super) fn cluster(&self, name: &str, route: &Node, options: &Options, lefts: &mut Lefts) -> Json {
        let endpoint = |(url, weight): &(Url, Option<u32>)| {
            let address = json!({"socket_address": {"address": url.host, "port_value": url.port()}});
            let mut endpoint = json!({"endpoint": {"address": address, "hostname": url.authority()}});
            set(&mut endpoint, "load_balancing_weight", weight.map(Json::from));
            endpoint
        };
        let endpoints: Vec<_> = self.urls.iter().map(endpoint).collect();
        let mut cluster = json!({
            "name": name,
            "type": "STRICT_DNS",
            "connect_timeout": "10s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        });
        let tls = self.urls.first().filter(|(url, _)| url.is_tls()).map(|(url, _)| tls(url, route, options, lefts));
        set(&mut cluster, "transport_socket", tls);
        cluster
    }
}

fn weighted(text: &str) -> Option<(Url, Option<u32>)> {
    match text.rsplit_once(',') {
        Some((url, weight)) => Some((Url::parse(url)?, Some(weight.trim().parse().ok().filter(|weight| *weight > 0)?))),
        None => Some((Url::parse(text)?, None)),
    }
}

fn tls(url: &Url, route: &Node, options: &Options, lefts: &mut Lefts) -> Json {
    let named = ["tls_upstream_server_name", "tls_server_name"].iter().find_map(|name| route.text_at(&[name]));
    let sni = named.unwrap_or(&url.host);
    let mut common = json!({});
    set(&mut common, "tls_certificates", client_certificate(route, lefts).map(|certificate| json!([certificate])));
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": sni,
    });
    if let Some(skip) = route.get("tls_skip_verify").filter(|_| route.is_true("tls_skip_verify")) {
        let reason = "the upstream's certificate is not checked: whoever is in between reads assertions";
        lefts.add(Kind::Differs, &skip.place, reason, "tls_custom_ca_file, and no tls_skip_verify");
    } else {
        set(&mut common, "validation_context", Some(json!({"trusted_ca": authorities(route, options)})));
        set(&mut context, "auto_sni_san_validation", Some(true.into()));
    }
    set(&mut context, "common_tls_context", Some(common));
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

fn authorities(route: &Node, options: &Options) -> Json {
    if let Some(file) = route.text_at(&["tls_custom_ca_file"]) {
        return json!({ "filename": file });
    }
    match route.text_at(&["tls_custom_ca"]) {
        Some(base64) => json!({"inline_bytes": options::without_white_space(base64)}),
        None => options.trusted_ca.clone(),
    }
}

/// A certificate to show. A key that is written into the route is not copied.
fn client_certificate(route: &Node, lefts: &mut Lefts) -> Option<Json> {
    let chain = route.text_at(&["tls_client_cert_file"]).map(|file| json!({ "filename": file }));
    let inline = || {
        let base64 = route.text_at(&["tls_client_cert"])?;
        Some(json!({"inline_bytes": options::without_white_space(base64)}))
    };
    let chain = chain.or_else(inline)?;
    let key = route.text_at(&["tls_client_key_file"]).map(str::to_owned).unwrap_or_else(|| {
        let file = format!("{}/upstream-client-key.pem", options::SECRETS);
        let place = route.get("tls_client_key").unwrap_or(route);
        let cure = format!("write its value, without the base64, to {file}, mode 0600 and owned by Envoy's user");
        lefts.add(Kind::Todo, &place.place, "tls_client_key is not copied", cure);
        file
    });
    Some(json!({"certificate_chain": chain, "private_key": {"filename": key}}))
}

/// Sets a member, where there is something to set.
pub(super) fn set(object: &mut Json, name: &str, value: Option<Json>) {
    if let (Some(members), Some(value)) = (object.as_object_mut(), value) {
        members.insert(name.to_owned(), value);
    }
}
