//! The HTTP filters: who is calling, who may pass, and the attestation filter.

use serde_json::{Value as Json, json};

use super::super::access;
use super::super::criterion::{NAMESPACE, PAYLOAD};
use super::super::left::{Kind, Lefts};
use super::super::listen;
use super::super::options::{Front, Options, SECRETS, SIGN_OUT};
use super::{Host, JWT_AUTHN, KEYSET, OAUTH2, RBAC, scheme, set};
use crate::check::node::Node;

/// The requirement of public routes: a token must be good, where there is one.
pub(super) const OPTIONAL: &str = "optional";
const RESOLVE: &str = "function envoy_on_request(handle)\n  handle:clearRouteCache()\n  handle:metadata()\nend\n";
const COOKIES: &str = r#"local ours = {"^Oauth", "^BearerToken", "^IdToken", "^RefreshToken", "^CodeVerifier"}

local function is_ours(cookie)
  for _, pattern in ipairs(ours) do
    if cookie:find(pattern) then return true end
  end
  return false
end

function envoy_on_request(handle)
  local left = {}
  for cookie in (handle:headers():get("cookie") or ""):gmatch("[^;%s][^;]*") do
    if not is_ours(cookie) then left[#left + 1] = cookie end
  end
  handle:headers():remove("cookie")
  if #left > 0 then handle:headers():add("cookie", table.concat(left, "; ")) end
end
"#;

/// All of them, in their order.
pub(super) fn chain(options: &Options, node: &Node, settings: &Json) -> Json {
    let mut filters = Vec::new();
    if let Front::Login { callback, bearer, .. } = &options.front {
        filters.push(oauth2(options, node, callback, *bearer));
    }
    filters.push(jwt_authn(options));
    if options.is_login() {
        filters.push(lua("session-cookies", "The session's cookies are nobody else's business.", COOKIES));
    }
    filters.push(json!({
        "//": "Who may pass is said by each route; where a route says nothing, nobody does.",
        "name": RBAC,
        "typed_config": {"@type": access::RBAC, "rules": {"action": "ALLOW", "policies": {}}},
    }));
    filters.push(match options.host {
        Host::Wasm => {
            let why = "Has the route chosen anew, so that the filter sees the settings of the one that is taken.";
            lua("resolve-route", why, RESOLVE)
        }
        Host::Native => filter_state(),
    });
    filters.push(attestation(options, settings));
    filters.push(listen::router());
    filters.into()
}

fn lua(name: &str, why: &str, code: &str) -> Json {
    json!({
        "//": why,
        "name": name,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    })
}

fn oauth2(options: &Options, node: &Node, callback: &str, bearer: bool) -> Json {
    let provider = &options.provider;
    let mut passes = vec![json!({
        "name": ":path",
        "string_match": {"safe_regex": {"regex": format!(r"{KEYSET}(\?.*)?")}},
    })];
    if bearer {
        passes.push(json!({
            "//": "Whoever brings a bearer token needs no login; jwt_authn verifies it.",
            "name": "authorization",
            "string_match": {"prefix": "Bearer "},
        }));
    }
    let scopes: Vec<&str> = node.list("idp_scopes").iter().filter_map(Node::text).collect();
    let scopes = if scopes.is_empty() { vec!["openid", "profile", "email"] } else { scopes };
    let mut credentials = json!({
        "client_id": options.client_id,
        "token_secret": {"name": "client_secret"},
        "hmac_secret": {"name": "hmac_secret"},
    });
    set(&mut credentials, "cookie_domain", node.text_at(&["cookie_domain"]).map(Json::from));
    let mut config = json!({
        "authorization_endpoint": provider.authorization,
        "token_endpoint": {"uri": provider.token, "cluster": provider.cluster(&provider.token), "timeout": "5s"},
        "auth_type": "BASIC_AUTH",
        "auth_scopes": scopes,
        "credentials": credentials,
        "redirect_uri": format!("{}://%REQ(:authority)%{callback}", scheme(node)),
        "redirect_path_matcher": {"path": {"exact": callback}},
        "signout_path": {"path": {"exact": SIGN_OUT}},
        "pass_through_matcher": passes,
        "deny_redirect_matcher": [
            {"name": "accept", "string_match": {"prefix": "application/json"}},
            {"name": "sec-fetch-mode", "string_match": {"exact": "cors"}},
        ],
    });
    set(&mut config, "end_session_endpoint", provider.end_session.clone().map(Json::from));
    set(&mut config, "forward_id_token", options.id_token_header().map(|header| json!({ "header": header })));
    json!({
        "//": "Sends whoever has no session to the identity provider, and keeps the session in cookies.",
        "name": OAUTH2,
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.oauth2.v3.OAuth2", "config": config},
    })
}

fn jwt_authn(options: &Options) -> Json {
    let mut provider = json!({
        "issuer": options.provider.issuer,
        "audiences": [options.client_id],
        "require_expiration": true,
        "payload_in_metadata": PAYLOAD,
        "remote_jwks": {
            "http_uri": {
                "uri": options.provider.keys,
                "cluster": options.provider.cluster(&options.provider.keys),
                "timeout": "5s",
            },
            "cache_duration": "300s",
        },
    });
    let from_cookie = matches!(options.front, Front::Login { id_token: None, .. });
    set(&mut provider, "from_cookies", from_cookie.then(|| json!(["IdToken"])));
    let takes_bearer = matches!(options.front, Front::Bearer | Front::Login { bearer: true, .. });
    let bearer = takes_bearer.then(|| json!({"name": "Authorization", "value_prefix": "Bearer "}));
    let forwarded = options.id_token_header().map(|name| json!({ "name": name }));
    let headers: Vec<Json> = forwarded.into_iter().chain(bearer).collect();
    set(&mut provider, "from_headers", (!headers.is_empty()).then(|| headers.into()));
    let rules = json!([
        {"match": {"safe_regex": {"regex": KEYSET}}},
        {"match": {"prefix": "/"}, "requires": {"provider_name": "provider"}},
    ]);
    let any = json!([{"provider_name": "provider"}, {"allow_missing": {}}]);
    json!({
        "//": "Verifies the ID token. Public routes say so themselves; the keyset is for everybody.",
        "name": JWT_AUTHN,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"provider": provider},
            "requirement_map": {OPTIONAL: {"requires_any": {"requirements": any}}},
            "rules": rules,
        },
    })
}

fn filter_state() -> Json {
    json!({
        "//": "A native module cannot see into an object of dynamic metadata.",
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "attestation.identity",
                "factory_key": "envoy.string",
                "format_string": {
                    "text_format_source": {"inline_string": format!("%DYNAMIC_METADATA({NAMESPACE}:{PAYLOAD})%")},
                    "omit_empty_values": true,
                },
                "skip_if_empty": true,
            }],
        },
    })
}

fn attestation(options: &Options, settings: &Json) -> Json {
    let settings = json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": settings});
    let config = match options.host {
        Host::Wasm => json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "attestation",
                "failure_policy": "FAIL_RELOAD",
                "vm_config": {
                    "vm_id": "attestation",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": "/etc/envoy/attestation_filter.wasm"}},
                },
                "configuration": settings,
            },
        }),
        Host::Native => json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {"name": "attestation"},
            "filter_name": "attestation",
            "filter_config": settings,
        }),
    };
    json!({"name": "attestation", "typed_config": config})
}

/// The client's secret and what the cookies are signed with, from files.
pub(super) fn secrets(options: &Options, node: &Node, origins: &[&str], lefts: &mut Lefts) -> Json {
    let given = node.text_at(&["idp_client_secret_file"]).filter(|path| path.starts_with('/'));
    let client_secret = given.map_or_else(|| format!("{SECRETS}/client-secret"), str::to_owned);
    if given.is_none() {
        let place = node.get("idp_client_secret").unwrap_or(node);
        let cure = format!("write its value to {client_secret}, mode 0600 and owned by Envoy's user");
        lefts.add(Kind::Todo, &place.place, "the client's secret is not copied", cure);
    }
    let hmac_secret = format!("{SECRETS}/hmac-secret");
    let place = node.get("cookie_secret").or_else(|| node.get("cookie_secret_file")).unwrap_or(node);
    let cure = format!("openssl rand -base64 32 > {hmac_secret}, mode 0600 and owned by Envoy's user");
    lefts.add(Kind::Todo, &place.place, "cookie_secret is not copied: Envoy's cookies are others", cure);
    if let Front::Login { callback, .. } = &options.front {
        let urls: Vec<_> = origins.iter().map(|origin| format!("{origin}{callback}")).collect();
        let place = node.get("authenticate_service_url").unwrap_or(node);
        let reason = "each host has its own login: there is no authenticate service between them";
        let cure = format!("register these redirect URIs at the identity provider: {}", urls.join(" "));
        lefts.add(Kind::Todo, &place.place, reason, cure);
    }
    let secret = |name: &str, file: &str| json!({"name": name, "generic_secret": {"secret": {"filename": file}}});
    json!([secret("client_secret", &client_secret), secret("hmac_secret", &hmac_secret)])
}
