//! Envoy Gateway's login: what it makes of `login.yaml`, from 1.9 on, with either host. Its chain is `oauth2`, jwt_authn,
//! Lua, Wasm, dynamic modules.

use serde_json::{Value, json};

use harness::idp::IdentityProvider;
use harness::keys::{A, KID_A};
use harness::sign_in::{self, cookies, parameter, token_endpoint};
use harness::{ASSERTION_HEADER, Bootstrap, Capability, Envoy, Host, Request, Shipped, eventually};

use super::envoy_gateway::envoy_gateway;
use super::{MANAGER, manifest, merge, named_manifest, native, publishes};

const FILE: &str = "envoy-gateway/login.yaml";
const GATEWAY: &str = "envoy-gateway/gateway.yaml";
const ID_TOKEN: &str = "x-id-token";
const OAUTH2: &str = "type.googleapis.com/envoy.extensions.filters.http.oauth2.v3";

fn of_the_route_without_login(host: Host, idp: &IdentityProvider) -> Value {
    match host {
        Host::Native => native::configuration(idp),
        Host::Wasm => {
            let mut config = envoy_gateway("envoy-gateway/policy.yaml");
            filters(&mut config)[0] = harness::filters::jwt_authn(idp);
            config
        }
    }
}

fn filters(config: &mut Value) -> &mut Vec<Value> {
    config.pointer_mut(&format!("{MANAGER}/typed_config/http_filters")).unwrap().as_array_mut().unwrap()
}

/// The login, switched on by the route that has the policy, before jwt_authn, which reads the token that it hands on. A
/// provider of Envoy Gateway's leaves the token in the request.
fn configuration(idp: &IdentityProvider, id_token: &str) -> Value {
    let mut config = of_the_route_without_login(Host::under_test(), idp);
    let spec = manifest(FILE, "SecurityPolicy")["spec"].clone();
    let headers: Vec<Value> = spec["jwt"]["providers"][0]["extractFrom"]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| json!({"name": header["name"]}))
        .collect();
    let filters = filters(&mut config);
    merge(&mut filters[0]["typed_config"]["providers"]["idp"], json!({"from_headers": headers, "forward": true}));
    filters
        .insert(0, json!({"name": "envoy.filters.http.oauth2", "typed_config": {"@type": format!("{OAUTH2}.OAuth2")}}));
    let routes = config.pointer_mut(&format!("{MANAGER}/typed_config/route_config/virtual_hosts/0/routes")).unwrap();
    let routes = routes.as_array_mut().unwrap();
    let app = routes.iter().position(|route| route["name"] == "app").unwrap();
    let keyset = keyset_routes(&routes[app]);
    routes[app]["typed_per_filter_config"]["envoy.filters.http.oauth2"] = login(&spec["oidc"]);
    let rule = &named_manifest(GATEWAY, "HTTPRoute", "app")["spec"]["rules"][0];
    routes[app]["request_headers_to_remove"] = rule["filters"][0]["requestHeaderModifier"]["remove"].clone();
    routes.splice(0..0, keyset);
    let parts = config["static_resources"].as_object_mut().unwrap();
    parts["clusters"].as_array_mut().unwrap().push(token_endpoint("issuer", id_token));
    let secret = |name: &str| json!({"name": name, "generic_secret": {"secret": {"inline_string": "of the test"}}});
    parts.insert("secrets".into(), json!(["client", "hmac"].map(secret)));
    config
}

/// Those of the route without a login, which are the app's in all else.
fn keyset_routes(app: &Value) -> Vec<Value> {
    let rule = &named_manifest(GATEWAY, "HTTPRoute", "keyset")["spec"]["rules"][0];
    let paths = rule["matches"].as_array().unwrap().iter().map(|matches| &matches["path"]["value"]);
    paths
        .map(|path| {
            json!({"name": "keyset", "match": {"path": path}, "route": app["route"],
        "typed_per_filter_config": app["typed_per_filter_config"]})
        })
        .collect()
}

fn login(oidc: &Value) -> Value {
    let exact = |path: &str| json!({"path": {"exact": path}});
    let redirect = oidc["redirectURL"].as_str().unwrap();
    let (_, path) = redirect.split_once("app.example.com").unwrap();
    json!({"@type": format!("{OAUTH2}.OAuth2PerRoute"), "config": {
        "stat_prefix": "login",
        "token_endpoint": {"uri": "https://issuer.example.com/token", "cluster": "issuer", "timeout": "10s"},
        "authorization_endpoint": "https://issuer.example.com/authorize",
        "redirect_uri": redirect,
        "redirect_path_matcher": exact(path),
        "signout_path": exact(oidc["logoutPath"].as_str().unwrap()),
        "use_refresh_token": false,
        "credentials": {
            "client_id": oidc["clientID"],
            "token_secret": {"name": "client"},
            "hmac_secret": {"name": "hmac"},
            "cookie_names": cookie_names(),
        },
        "auth_type": "BASIC_AUTH",
        "auth_scopes": oidc["scopes"],
        "preserve_authorization_header": true,
        "forward_id_token": {"header": oidc["forwardIDToken"]["header"]},
    }})
}

/// Envoy Gateway's own, with a part of its choice.
fn cookie_names() -> Value {
    json!({
        "bearer_token": "AccessToken-5f93c2e4",
        "oauth_hmac": "OauthHMAC-5f93c2e4",
        "oauth_expires": "OauthExpires-5f93c2e4",
        "id_token": "IdToken-5f93c2e4",
        "refresh_token": "RefreshToken-5f93c2e4",
        "oauth_nonce": "OauthNonce-5f93c2e4",
        "code_verifier": "CodeVerifier-5f93c2e4",
    })
}

fn token(idp: &IdentityProvider, sub: &str) -> String {
    let bearer = idp.bearer(json!({"sub": sub, "email": format!("{sub}@example.com")}));
    bearer.strip_prefix("Bearer ").unwrap().to_owned()
}

/// Envoy with the login, and its provider; nothing where Envoy cannot hand the ID token on, and refuses the configuration.
fn start() -> Option<(IdentityProvider, Envoy)> {
    let idp = IdentityProvider::new();
    let bootstrap =
        Bootstrap::shipped(Shipped::of(configuration(&idp, &token(&idp, "ann")))).host_env("SIGNING_KEY", A);
    if Capability::ForwardsIdTokens.is_lacking() {
        let refused = bootstrap.start_refused();
        assert!(!refused.status.success() && refused.log.contains("oauth2"), "{}", refused.log);
        return None;
    }
    let envoy = bootstrap.start();
    eventually("a key", || publishes(&envoy, KID_A).then_some(()));
    Some((idp, envoy))
}

fn get(path: &str) -> Request {
    Request::get(path).host("app.example.com")
}

/// Goes to the provider and comes back. Returns the cookies of the session.
fn sign_in(envoy: &Envoy) -> String {
    let (away, session) = sign_in::sign_in(envoy, get, "/", "/oauth2/callback");
    assert!(away.header("location").unwrap().starts_with("https://issuer.example.com/authorize?"));
    assert_eq!(parameter(&away, "redirect_uri").as_deref(), Some("https%3A%2F%2Fapp.example.com%2Foauth2%2Fcallback"));
    session
}

#[test]
fn a_login_of_envoy_gateway_names_the_user() {
    let Some((idp, envoy)) = start() else { return };
    let session = sign_in(&envoy);
    let user = || get("/").header("cookie", format!("theme=dark; {session}"));
    let reply = envoy.send(&user());
    let assertion = envoy.keys().verify(&reply.token());
    assert_eq!((assertion.claim("sub"), assertion.claim("email")), (&json!("ann"), &json!("ann@example.com")));
    let seen = reply.seen();
    assert_eq!((seen.one("cookie").as_deref(), seen.one(ID_TOKEN)), (Some("theme=dark"), None), "both stay with Envoy");

    let eve = token(&idp, "eve");
    for forged in [eve.as_str(), "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmUifQ.", ""] {
        for name in [ID_TOKEN, "X-ID-TOKEN", "x_id_token"] {
            let reply = envoy.send(&user().header(name, forged));
            assert_eq!(envoy.keys().verify(&reply.token()).claim("sub"), "ann", "{name}: {forged}");
        }
    }
    let reply = envoy.send(&user().header("authorization", format!("Bearer {eve}")));
    assert_eq!(envoy.keys().verify(&reply.token()).claim("sub"), "ann", "the provider's own tokens are for the login");

    let out = envoy.send(&get("/logout").header("cookie", &session));
    assert!(out.status == 302 && !cookies(&out).contains("OauthHMAC"), "{}", out.text_lossy());
}

#[test]
fn without_a_login_of_envoy_gateway_there_is_no_user() {
    let Some((idp, envoy)) = start() else { return };
    let eve = token(&idp, "eve");
    let cookie = format!(
        "IdToken-5f93c2e4={eve}; OauthHMAC-5f93c2e4=x; OauthExpires-5f93c2e4=9999999999; AccessToken-5f93c2e4=x"
    );
    for request in [
        get("/").header(ID_TOKEN, &eve),
        get("/").header("x_id_token", &eve),
        get("/").header("authorization", format!("Bearer {eve}")),
        get("/").header("cookie", cookie),
    ] {
        let reply = envoy.send(&request);
        assert_eq!(reply.status, 302, "{request:?}");
    }
    let session = format!("{}; theme=dark", sign_in(&envoy));
    let public = envoy.send(&get("/healthz").header(ASSERTION_HEADER, "forged").header("cookie", session)).seen();
    assert_eq!((public.one(ASSERTION_HEADER), public.one("cookie").as_deref()), (None, Some("theme=dark")));
}
