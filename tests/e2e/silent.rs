//! What `attest check` says will go wrong does, while Envoy accepts the configuration and says nothing.

use serde_json::{Value, json};

use crate::doctor::{doctor, found};
use harness::idp::IdentityProvider;
use harness::{Assertion, Bootstrap, Envoy, Host, Reply, Request, Shipped, only_on};

const WASM: &str = "envoy/kubernetes/plain/envoy.yaml";
const NATIVE: &str = "envoy/native/envoy.yaml";
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
        with_settings(
            provider,
            "required-constant",
            json!({"required_claims": ["email"], "claims": {"email": {"value": "a@example.com"}}}),
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

/// With Wasm the header is there when Envoy chooses the route anew. Natively no route is chosen anew, and the client's
/// header is removed before one is.
#[test]
fn a_route_on_an_own_header_gets_anothers_assertion() {
    let provider = IdentityProvider::new();
    let is_wasm = Host::under_test() == Host::Wasm;
    let route = |by: Value, name: &str| {
        let settings = json!({"audience": name});
        let config = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
            "dynamic_module_config": {"name": "attestation"},
            "filter_config": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": settings},
        });
        let mut route = json!({"match": by, "route": {"cluster": "upstream", "host_rewrite_literal": name}});
        match is_wasm {
            true => route["metadata"] = json!({"filter_metadata": {"attestation": settings}}),
            false => route["typed_per_filter_config"] = json!({"attestation": config}),
        }
        route
    };
    let own = json!([{"name": harness::ASSERTION_HEADER, "present_match": true}]);
    let shipped = Shipped::read(if is_wasm { WASM } else { NATIVE })
        .trusting(&provider)
        .early(json!({"remove": harness::ASSERTION_HEADER}))
        .route(route(json!({"prefix": "/"}), "b"))
        .route(route(json!({"prefix": "/", "headers": own}), "a"));
    let envoy = Bootstrap::shipped(shipped).start();
    let reply = ask(&envoy, &provider);
    let upstream = reply.seen().one("host").expect("a host");
    assert_eq!(Assertion::read(&reply.token()).claim("aud"), "b");
    assert_eq!(upstream, if is_wasm { "a" } else { "b" });
    assert!(found(&doctor(&envoy).1).contains(&"own-header-matched"));
}

#[test]
fn a_format_of_a_clients_header_names_whom_it_likes() {
    if !only_on(Host::Native, "the configuration is that of the native module") {
        return;
    }
    let provider = IdentityProvider::new();
    let envoy = with_format(&provider, "%REQ(x-user)%");
    let reply = envoy.send(&Request::get("/").header("x-user", r#"{"sub":"root","groups":["admins"]}"#));
    assert_eq!(Assertion::read(&reply.token()).claim("sub"), "root");
    assert!(found(&doctor(&envoy).1).contains(&"header-not-written"));
}

#[test]
fn a_format_that_makes_no_object_names_nobody() {
    if !only_on(Host::Native, "the configuration is that of the native module") {
        return;
    }
    let provider = IdentityProvider::new();
    let formats = ["JWT)%", "JWT:identity:sub)%", "JWT:identity):50%", "JWT:identity)%;"];
    for format in formats.map(|format| format.replace("JWT", &format!("%DYNAMIC_METADATA({JWT_AUTHN}"))) {
        let envoy = with_format(&provider, &format);
        assert_eq!(ask(&envoy, &provider).status, 401, "{format}");
        assert!(found(&doctor(&envoy).1).contains(&"identity-format"), "{format}");
    }
    let right = with_format(&provider, &format!("%DYNAMIC_METADATA({JWT_AUTHN}:identity):65536%"));
    assert_eq!(ask(&right, &provider).status, 200);
    assert!(!found(&doctor(&right).1).contains(&"identity-format"));
}

/// The native configuration, whose identity is made of this.
fn with_format(provider: &IdentityProvider, format: &str) -> Envoy {
    let mut shipped = Shipped::read(NATIVE).trusting(provider);
    let state = shipped.filter("envoy.filters.http.set_filter_state");
    let text = state.pointer_mut("/typed_config/on_request_headers/0/format_string/text_format_source/inline_string");
    *text.expect("a format") = format.into();
    Bootstrap::shipped(shipped).start()
}
