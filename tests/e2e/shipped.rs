//! The shipped configurations as they stand, and what would be wrong without some of their lines.

use serde_json::{Value, json};

use harness::authorization::{Verdict, over_grpc};
use harness::filters::{ext_authz_grpc, lua, metadata};
use harness::idp::IdentityProvider;
use harness::keys::{A, KID_A};
use harness::snippet::snippet;
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Envoy, Host, Request, Shipped, eventually, only_on};

const COMPOSE: &str = "envoy/envoy.yaml";
const PLAIN_KUBERNETES: &str = "envoy/kubernetes/plain/envoy.yaml";
const NATIVE: &str = "envoy/native/envoy.yaml";

/// The whole configuration for the host under test.
fn shipped() -> Shipped {
    Shipped::read(match Host::under_test() {
        Host::Wasm => COMPOSE,
        Host::Native => NATIVE,
    })
}

/// The filter that has the route chosen anew.
const RESOLVER: &str = "resolve-route";

/// Where a filter belongs that has a say before ours: in front of this one.
fn next_to_ours() -> &'static str {
    match Host::under_test() {
        Host::Wasm => RESOLVER,
        Host::Native => "attestation",
    }
}

/// Bytes that can be in a header's name besides letters and digits (RFC 9110, section 5.6.2).
const OTHER_BYTES: &str = "!#$%&'*+-.^_`|~";

fn start(shipped: Shipped) -> Envoy {
    let envoy = Bootstrap::shipped(shipped).start();
    eventually("a key", || (envoy.key_stat("keys_published") > 0).then_some(()));
    envoy
}

#[test]
fn each_configuration_signs_for_users_alone() {
    let all: &[&str] = match Host::under_test() {
        Host::Wasm => &[COMPOSE, PLAIN_KUBERNETES],
        Host::Native => &[NATIVE],
    };
    for path in all.iter().copied() {
        let provider = IdentityProvider::new();
        let envoy = start(Shipped::read(path).trusting(&provider));
        let bearer = provider.bearer(json!({"sub": "u-1", "email": "ann@example.com"}));
        let user = |target: &str| Request::get(target).header("authorization", &bearer);
        let assertion = envoy.attest(&user("/"));
        assert_eq!((assertion.kid(), assertion.claim("sub")), (KID_A, &json!("u-1")), "{path}");
        assert_eq!(envoy.get("/").status, 401, "{path}: nobody");
        let forged = envoy.send(&user("/")).token();
        let public = envoy.send(&Request::get("/healthz").header(ASSERTION_HEADER, forged)).seen();
        assert_eq!(
            public.one(ASSERTION_HEADER),
            None,
            "{path}: a public route needs no identity, and gets no assertion"
        );
        assert_eq!(envoy.attest(&user("/healthz")).claim("sub"), "u-1", "{path}: a user is named there, too");
    }
}

#[test]
fn a_path_that_means_another_is_settled_first() {
    let provider = IdentityProvider::new();
    let envoy = start(shipped().trusting(&provider));
    for (path, status) in [
        ("//healthz", 200),
        ("/x/../healthz", 200),
        ("/healthz/..%2fadmin", 400),
        ("/.well-known/pomerium%2f..%2f..%2fadmin", 400),
        ("/.well-known/pomerium-admin", 401),
        ("//.well-known/pomerium/jwks.json", 200),
    ] {
        assert_eq!(envoy.get(path).status, status, "{path}");
    }
}

#[test]
fn no_spelling_of_a_forged_header_arrives() {
    let provider = IdentityProvider::new();
    let envoy = start(shipped().trusting(&provider));
    let bearer = provider.bearer(json!({"sub": "u-1", "email": "ann@example.com"}));
    for byte in OTHER_BYTES.chars() {
        let names = ["x-pomerium-jwt-assertion", "X-Pomerium-Jwt-Assertion-For", "x-pomerium-claim-groups", "X-Email"];
        let names = names.map(|name| name.replace('-', &byte.to_string()));
        let forged = names.iter().map(|name| (name, "forged"));
        for (target, user) in [("/", true), ("/healthz", false)] {
            let mut request = Request::get(target).headers(forged.clone());
            if user {
                request = request.header("authorization", &bearer);
            }
            let seen = envoy.send(&request).seen();
            assert!(!seen.contains("forged"), "{byte:?}, {target}: {:?}", seen.names());
            assert!(seen.all("x-pomerium-claim-forged").is_empty(), "{byte:?}: the mark stays inside");
        }
    }
}

#[test]
fn no_route_is_chosen_by_a_forged_header() {
    let names = ["x-pomerium-jwt-assertion", "x_pomerium_jwt.assertion-for", "x-pomerium-claim-groups", "x-email"];
    for name in names {
        let matches = json!({"prefix": "/", "headers": [{"name": name, "present_match": true}]});
        let forbidden = json!({"match": matches, "direct_response": {"status": 418}});
        let envoy = start(shipped().route(forbidden));
        assert_eq!(envoy.send(&Request::get("/healthz").header(name, "forged")).status, 200, "{name}");
    }
}

#[test]
fn a_forged_assertion_removed_early_is_counted() {
    let envoy = start(shipped());
    let counted = |name: &str| {
        let before = envoy.stat("spoofs_stripped");
        envoy.send(&Request::get("/healthz").header(name, "forged"));
        envoy.stat("spoofs_stripped") - before
    };
    assert_eq!(counted("x-other"), 0);
    assert_eq!(counted("X-Pomerium-Jwt-Assertion"), 1);
    assert_eq!(counted("x_pomerium_jwt_assertion"), 1);
}

/// A way in which a filter before ours sends a request to another route.
struct Detour {
    what: &'static str,
    filter: Value,
    cluster: Option<Value>,
    /// What the other route matches, besides its path.
    matches: Value,
}

fn detours(provider: &IdentityProvider) -> Vec<Detour> {
    let header = json!({"headers": [{"name": "x-tenant", "string_match": {"exact": "b"}}]});
    let with_header = |what, filter| Detour { what, filter, cluster: None, matches: header.clone() };
    let type_url = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.http.{name}");
    let dynamic = json!({"filter": "test", "path": [{"key": "tenant"}], "value": {"string_match": {"exact": "b"}}});
    vec![
        with_header(
            "jwt_authn",
            json!({"name": "again", "typed_config": {
                "@type": type_url("jwt_authn.v3.JwtAuthentication"),
                "providers": {"idp": {
                    "issuer": provider.issuer(),
                    "local_jwks": {"inline_string": provider.key_set().to_string()},
                    "forward": true,
                    "claim_to_headers": [{"header_name": "x-tenant", "claim_name": "tenant"}],
                    "clear_route_cache": true,
                }},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}],
            }}),
        ),
        Detour {
            cluster: Some(over_grpc("authorization", |_| Verdict::with_headers(&[("x-tenant", "b")]))),
            ..with_header("ext_authz", {
                let mut filter = ext_authz_grpc("authorization");
                filter["typed_config"]["clear_route_cache"] = true.into();
                filter
            })
        },
        with_header("Lua", lua("function envoy_on_request(handle) handle:headers():replace('x-tenant', 'b') end")),
        with_header(
            "header_mutation",
            json!({"name": "tenant", "typed_config": {
                "@type": type_url("header_mutation.v3.HeaderMutation"),
                "mutations": {"request_mutations": [{"append": {"header": {"key": "x-tenant", "value": "b"}}}]},
            }}),
        ),
        Detour {
            what: "dynamic metadata",
            filter: metadata("test", &json!({"tenant": "b"})),
            cluster: None,
            matches: json!({"dynamic_metadata": [dynamic]}),
        },
    ]
}

/// What an upstream behind the other route gets: the audience, and the route's name.
fn taken(provider: &IdentityProvider, detour: &Detour, resolves: bool) -> (Value, Option<String>) {
    let mut matches = detour.matches.clone();
    matches["prefix"] = "/".into();
    let mut configuration = shipped().trusting(provider).route(json!({
        "match": matches,
        "route": {"cluster": "upstream"},
        "request_headers_to_add": [{"header": {"key": "x-route", "value": "b"}}],
        "metadata": {"filter_metadata": {"attestation": {"audience": "app-b"}}},
    }));
    configuration = configuration.before(next_to_ours(), detour.filter.clone());
    if !resolves {
        configuration = configuration.without(RESOLVER);
    }
    if let Some(cluster) = &detour.cluster {
        configuration = configuration.cluster(cluster.clone());
    }
    // jwt_authn removes the token that it has verified, and here a second one reads it. The request waits for the key.
    let envoy = Bootstrap::shipped(configuration.forwarding_tokens()).start();
    let bearer = provider.bearer(json!({"sub": "u-1", "tenant": "b"}));
    let reply = envoy.send(&Request::get("/").header("authorization", bearer));
    let assertion = Assertion::read(&reply.token());
    (assertion.claim("aud").clone(), reply.seen().one("x-route"))
}

#[test]
fn the_settings_of_the_route_that_is_taken_count() {
    let provider = IdentityProvider::new();
    for detour in detours(&provider) {
        let taken = taken(&provider, &detour, true);
        let expected = match Host::under_test() {
            // Neither it nor such a filter has the route chosen anew.
            Host::Native if ["header_mutation", "dynamic metadata"].contains(&detour.what) => {
                (json!(harness::HOST), None)
            }
            _ => (json!("app-b"), Some("b".into())),
        };
        assert_eq!(taken, expected, "{}", detour.what);
    }
}

/// Should this ever fail, an Envoy or the filter has learned to do without: then the empty filter may go.
#[test]
fn unresolved_the_settings_of_the_first_route_count() {
    if !only_on(Host::Wasm, "the native module always knows the route taken") {
        return;
    }
    let provider = IdentityProvider::new();
    for detour in detours(&provider) {
        let taken = taken(&provider, &detour, false);
        assert_eq!(taken, (json!(harness::HOST), Some("b".into())), "{}: not app-b", detour.what);
    }
}

#[test]
fn no_client_reaches_the_key_by_naming_its_cluster() {
    if !only_on(Host::Wasm, "natively no cluster leads to the key") {
        return;
    }
    let provider = IdentityProvider::new();
    let by_header = json!({"match": {"prefix": "/"}, "route": {"cluster_header": "x-backend"}});
    let envoy = start(shipped().trusting(&provider).route(by_header));
    let path = envoy.key_file();
    let bearer = provider.bearer(json!({"sub": "u-1"}));
    for host in [harness::HOST, "signing-key", "signing-key:1", "SIGNING-KEY", "signing-key."] {
        let request = Request::get(path.to_str().unwrap()).host(host);
        let reply = envoy.send(&request.header("authorization", &bearer).header("x-backend", "signing_key"));
        assert_eq!((reply.status, reply.text().as_str()), (404, ""), "{host}");
    }
}

#[test]
fn each_version_of_the_settings_has_its_own_number() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let version = || envoy.admin().stat("extension_config_discovery.http_filter.attestation.version");
    let first = version();
    envoy.push_accepted(json!({"signing_key": A, "audience": "second"}));
    eventually("another version", || (version() != first).then_some(()));
}

#[test]
fn headers_that_name_the_user_are_removed_first() {
    // As an authorization service that knows the user, and nothing of groups.
    let authorization = lua("function envoy_on_request(handle) handle:headers():replace('x-auth-user', 'bob') end");
    let sources = json!({"identity_sources": [{"headers": {"sub": "x-auth-user", "groups": "x-auth-groups"}}]});
    let configuration = shipped().before(next_to_ours(), authorization).settings(sources);
    let groups = |shipped: Shipped| {
        let reply = start(shipped).send(&Request::get("/").header("x-auth-groups", "root"));
        Assertion::read(&reply.token()).claim("groups").clone()
    };
    assert_eq!(groups(configuration.clone().early(snippet("docs/security.md", "early-identity-headers"))), json!([]));
    assert_eq!(groups(configuration), json!(["root"]), "so security.md warns of it");
}
