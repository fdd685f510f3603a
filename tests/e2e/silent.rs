//! What `attest check` says will go wrong does, while Envoy accepts the configuration and says nothing.

use serde_json::{Value, json};

use crate::doctor::{doctor, found};
use harness::idp::IdentityProvider;
use harness::{Bootstrap, Envoy, Host, Reply, Request, Shipped, only_on};

const WASM: &str = "envoy/kubernetes/plain/envoy.yaml";
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

/// A configuration that is right but for one thing.
struct Wrong {
    id: &'static str,
    shipped: Shipped,
    /// What a user with a good token then gets.
    gets: fn(&Reply) -> bool,
}

fn shipped(provider: &IdentityProvider) -> Shipped {
    Shipped::read(WASM).trusting(provider)
}

fn with_settings(provider: &IdentityProvider, id: &'static str, fields: Value, gets: fn(&Reply) -> bool) -> Wrong {
    Wrong { id, shipped: shipped(provider).settings(fields), gets }
}

fn status(reply: &Reply, status: u16) -> bool {
    reply.status == status
}

fn all_wrong(provider: &IdentityProvider) -> Vec<Wrong> {
    let source = |source: Value| json!({"identity_sources": [source]});
    let route = |fields: Value| {
        let mut route = json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}});
        route.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        shipped(provider).route(route)
    };
    let nobody: fn(&Reply) -> bool = |reply| status(reply, 401);
    let no_key: fn(&Reply) -> bool = |reply| status(reply, 503);
    let late = shipped(provider).filter(JWT_AUTHN).clone();
    vec![
        with_settings(provider, "metadata-not-written", source(json!({"metadata": {"namespace": "jwt"}})), nobody),
        with_settings(
            provider,
            "path-not-written",
            source(json!({"metadata": {"namespace": JWT_AUTHN, "path": ["payload"]}})),
            nobody,
        ),
        with_settings(provider, "filter-state-not-written", source(json!({"filter_state": "who"})), nobody),
        with_settings(provider, "header-not-written", source(json!({"headers": {"sub": "x-user"}})), nobody),
        with_settings(
            provider,
            "certificate-not-asked",
            source(json!({"client_certificate": {"sub": "uri_san"}})),
            nobody,
        ),
        with_settings(provider, "key-cluster-missing", json!({"signing_key_cluster": "keys"}), no_key),
        with_settings(provider, "key-path-differs", json!({"signing_key_file": "/etc/other.pem"}), no_key),
        Wrong {
            id: "authentication-after-filter",
            shipped: shipped(provider).without(JWT_AUTHN).before("envoy.filters.http.router", late),
            gets: nobody,
        },
        Wrong {
            id: "route-settings-refused",
            shipped: route(json!({"metadata": {"filter_metadata": {"attestation": {"audiences": "a"}}}})),
            gets: |reply| status(reply, 500),
        },
        Wrong {
            id: "settings-not-read",
            shipped: shipped(provider).virtual_host(json!({
                "name": "upstream",
                "domains": [harness::HOST, format!("{}:*", harness::HOST)],
                "metadata": {"filter_metadata": {"attestation": {"pass_identity_headers": false}}},
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
            })),
            gets: |reply| status(reply, 200) && reply.seen().one(harness::ASSERTION_HEADER).is_some(),
        },
        Wrong {
            id: "wildcard-audience",
            shipped: shipped(provider).domains(&["*"]),
            gets: |reply| status(reply, 200) && reply.seen().one(harness::ASSERTION_HEADER).is_some(),
        },
    ]
}

/// A user with a good token.
fn ask(envoy: &Envoy, provider: &IdentityProvider) -> Reply {
    envoy.send(&Request::get("/").header("authorization", provider.bearer(json!({"sub": "u-1"}))))
}

#[test]
fn what_check_finds_has_the_consequence_it_names() {
    if !only_on(Host::Wasm, "the configuration is that of the Wasm module") {
        return;
    }
    let provider = IdentityProvider::new();
    for wrong in all_wrong(&provider) {
        let envoy = Bootstrap::shipped(wrong.shipped).start();
        let reply = ask(&envoy, &provider);
        assert!((wrong.gets)(&reply), "{}: {}", wrong.id, reply.status);
        let (code, said) = doctor(&envoy);
        assert!(found(&said).contains(&wrong.id), "{}: {said:#}", wrong.id);
        assert_eq!(code, 1, "{}", wrong.id);
    }
}

#[test]
fn a_client_chooses_the_audience_of_any_host() {
    if !only_on(Host::Wasm, "the configuration is that of the Wasm module") {
        return;
    }
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::shipped(shipped(&provider).domains(&["*"])).start();
    let bearer = provider.bearer(json!({"sub": "u-1"}));
    let assertion = envoy.attest(&Request::get("/").host("payments.bank.example").header("authorization", bearer));
    assert_eq!(assertion.claim("aud"), "payments.bank.example");
}

#[test]
fn a_prefix_lets_other_paths_pass() {
    if !only_on(Host::Wasm, "the configuration is that of the Wasm module") {
        return;
    }
    let provider = IdentityProvider::new();
    let mut shipped = shipped(&provider).settings(json!({"on_missing_identity": "skip"}));
    let rules = &mut shipped.filter(JWT_AUTHN)["typed_config"]["rules"];
    let login = json!({"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}});
    *rules = json!([{"match": {"prefix": "/.well-known/pomerium"}}, login]);
    let envoy = Bootstrap::shipped(shipped).start();
    assert_eq!((envoy.get("/").status, envoy.get("/.well-known/pomerium-admin").status), (401, 200));
    assert!(found(&doctor(&envoy).1).contains(&"exempt-by-prefix"));
}
