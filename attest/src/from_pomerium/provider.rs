//! The identity provider: where it sends browsers, answers Envoy, and publishes its keys.

use serde_json::{Value as Json, json};

use super::left::{Kind, Lefts};
use super::url::Url;
use crate::check::node::Node;

/// No such host can ever be (RFC 6761): with it, nobody signs in.
const NOBODY: &str = "https://identity-provider.invalid";

/// What OpenID Connect Discovery says of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) authorization: String,
    pub(super) token: String,
    pub(super) keys: String,
    pub(super) end_session: Option<String>,
}

impl Provider {
    /// From its own document, else from what is known of its kind.
    pub(super) fn read(node: &Node, discovery: Option<&Node>, lefts: &mut Lefts) -> Self {
        let kind = node.text_at(&["idp_provider"]).unwrap_or_default().to_ascii_lowercase();
        let url = node.text_at(&["idp_provider_url"]).unwrap_or_default();
        let known = match discovery {
            Some(document) => Self::of_document(document),
            None if url.contains("${") => None,
            None => Self::known(&kind, url),
        };
        known.unwrap_or_else(|| {
            let place = node.get("idp_provider").or_else(|| node.get("authenticate_service_url")).unwrap_or(node);
            let reason = "the identity provider's addresses are not known: nobody can sign in";
            let cure = "save its /.well-known/openid-configuration and give it by --openid-configuration; one without \
                        OpenID Connect, GitHub for instance, needs one in between, such as Dex or Keycloak";
            lefts.add(Kind::Todo, &place.place, reason, cure);
            Self::at(NOBODY, "/authorize", "/token", "/keys", None)
        })
    }

    fn of_document(document: &Node) -> Option<Self> {
        let text = |name: &str| document.text_at(&[name]).map(str::to_owned);
        let keys = text("jwks_uri")?;
        let missing = || format!("{NOBODY}/");
        Some(Self {
            issuer: text("issuer")?,
            authorization: text("authorization_endpoint").unwrap_or_else(missing),
            token: text("token_endpoint").unwrap_or_else(missing),
            keys,
            end_session: text("end_session_endpoint"),
        })
    }

    fn known(kind: &str, url: &str) -> Option<Self> {
        let base = url.trim_end_matches('/');
        match kind {
            "google" => Some(Self {
                issuer: "https://accounts.google.com".into(),
                authorization: "https://accounts.google.com/o/oauth2/v2/auth".into(),
                token: "https://oauth2.googleapis.com/token".into(),
                keys: "https://www.googleapis.com/oauth2/v3/certs".into(),
                end_session: None,
            }),
            _ if Url::parse(url).is_none() => None,
            "azure" => {
                let tenant = base.strip_suffix("/v2.0")?;
                let at = |path: &str| format!("{tenant}{path}");
                Some(Self {
                    issuer: base.to_owned(),
                    authorization: at("/oauth2/v2.0/authorize"),
                    token: at("/oauth2/v2.0/token"),
                    keys: at("/discovery/v2.0/keys"),
                    end_session: Some(at("/oauth2/v2.0/logout")),
                })
            }
            "okta" if base.contains("/oauth2/") => {
                Some(Self::at(base, "/v1/authorize", "/v1/token", "/v1/keys", Some("/v1/logout")))
            }
            "okta" => {
                let [authorize, token] = ["/oauth2/v1/authorize", "/oauth2/v1/token"];
                Some(Self::at(base, authorize, token, "/oauth2/v1/keys", Some("/oauth2/v1/logout")))
            }
            // Its issuer ends with a slash.
            "auth0" => Some(Self {
                issuer: format!("{base}/"),
                ..Self::at(base, "/authorize", "/oauth/token", "/.well-known/jwks.json", Some("/oidc/logout"))
            }),
            _ if base.contains("/realms/") => {
                let [auth, token, keys, end] =
                    ["auth", "token", "certs", "logout"].map(|last| format!("/protocol/openid-connect/{last}"));
                Some(Self::at(base, &auth, &token, &keys, Some(&end)))
            }
            _ => None,
        }
    }

    fn at(base: &str, authorization: &str, token: &str, keys: &str, end_session: Option<&str>) -> Self {
        let at = |path: &str| format!("{base}{path}");
        Self {
            issuer: base.to_owned(),
            authorization: at(authorization),
            token: at(token),
            keys: at(keys),
            end_session: end_session.map(at),
        }
    }

    /// The cluster that answers this URL of the provider.
    pub(super) fn cluster(&self, url: &str) -> &'static str {
        let of = |url: &str| Url::parse(url).map(|url| (url.host.clone(), url.port()));
        if of(url) == of(&self.keys) { "provider_keys" } else { "provider" }
    }

    /// One cluster, or two where the keys are on a host of their own.
    pub(super) fn clusters(&self, with_login: bool, trusted_ca: &Json) -> Vec<Json> {
        let mut urls = vec![&self.keys];
        if with_login && self.cluster(&self.token) == "provider" {
            urls.push(&self.token);
        }
        urls.into_iter().filter_map(|url| cluster(self.cluster(url), &Url::parse(url)?, trusted_ca)).collect()
    }
}

fn cluster(name: &str, url: &Url, trusted_ca: &Json) -> Option<Json> {
    let address = json!({"socket_address": {"address": url.host, "port_value": url.port()}});
    let mut cluster = json!({
        "name": name,
        "type": "LOGICAL_DNS",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
    });
    if url.is_tls() {
        let socket = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": url.host,
                "auto_sni_san_validation": true,
                "common_tls_context": {"validation_context": {"trusted_ca": trusted_ca}},
            },
        });
        cluster.as_object_mut()?.insert("transport_socket".into(), socket);
    }
    Some(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_providers_have_their_addresses() {
        let azure = Provider::known("azure", "https://login.microsoftonline.com/t/v2.0").unwrap();
        assert_eq!(azure.keys, "https://login.microsoftonline.com/t/discovery/v2.0/keys");
        let okta = Provider::known("okta", "https://o.okta.com/oauth2/default/").unwrap();
        assert_eq!(okta.token, "https://o.okta.com/oauth2/default/v1/token");
        let auth0 = Provider::known("auth0", "https://o.auth0.com").unwrap();
        assert_eq!(auth0.issuer, "https://o.auth0.com/");
        let keycloak = Provider::known("oidc", "https://sso.example.com/realms/staff").unwrap();
        assert_eq!(keycloak.authorization, "https://sso.example.com/realms/staff/protocol/openid-connect/auth");
        for (kind, url) in [("github", ""), ("oidc", "https://idp.example.com"), ("azure", "https://a.example/x")] {
            assert_eq!(Provider::known(kind, url), None, "{kind}");
        }
    }

    #[test]
    fn keys_on_another_host_have_a_cluster_of_their_own() {
        let google = Provider::known("google", "").unwrap();
        assert_eq!(google.clusters(true, &json!({})).len(), 2);
        assert_eq!(google.clusters(false, &json!({})).len(), 1);
        let auth0 = Provider::known("auth0", "https://o.auth0.com").unwrap();
        assert_eq!(auth0.clusters(true, &json!({})).len(), 1);
    }
}
