//! The route that is taken is the route whose settings count, whatever a filter before ours does to the choice.

use serde_json::{Value, json};

use harness::authorization::{Verdict, over_http};
use harness::filters::{ext_authz_http, jwt_authn, lua, metadata};
use harness::idp::IdentityProvider;
use harness::keys::A;
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, Host, Request, only_on};

use crate::applied::claims;

/// The admin's app by a header that the client does not set itself, with an audience of its own; all else is denied to
/// nobody, or carries no assertion.
fn routes() -> [Value; 2] {
    let when_admin = json!([{"name": "x-role", "string_match": {"exact": "admin"}}]);
    let settings = |settings: Value| json!({"filter_metadata": {"attestation": settings}});
    [
        json!({
            "name": "admin",
            "match": {"prefix": "/", "headers": when_admin},
            "metadata": settings(json!({"audience": "admin-app"})),
            "route": {"cluster": "upstream", "host_rewrite_literal": "admin"},
        }),
        json!({
            "name": "other",
            "match": {"prefix": "/"},
            "metadata": settings(json!({"audience": "other-app"})),
            "route": {"cluster": "upstream", "host_rewrite_literal": "other"},
        }),
    ]
}

/// Filters that do nothing but ask for the route. (An empty set_metadata does not in Envoy 1.36.)
fn resolvers() -> Vec<(&'static str, Value)> {
    let filter = |name: &str, kind: &str| {
        json!({
            "name": format!("envoy.filters.http.{name}"),
            "typed_config": {"@type": format!("type.googleapis.com/envoy.extensions.filters.http.{kind}")},
        })
    };
    vec![
        ("cors", filter("cors", "cors.v3.Cors")),
        ("rbac", filter("rbac", "rbac.v3.RBAC")),
        ("header_mutation", filter("header_mutation", "header_mutation.v3.HeaderMutation")),
    ]
}

/// Sets a header for whoever is an admin, and has the route chosen anew.
const BY_LUA: &str = r#"
function envoy_on_request(handle)
  handle:headers():remove("x-role")
  if handle:headers():get("x-badge") == "admin" then
    handle:headers():replace("x-role", "admin")
  end
  handle:clearRouteCache()
end
"#;

fn by_header_mutation() -> Value {
    let set = json!({"append": {
        "header": {"key": "x-role", "value": "%REQ(x-badge)%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }});
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [set]},
        },
    })
}

fn by_token(provider: &IdentityProvider) -> Value {
    let mut filter = jwt_authn(provider);
    let settings = &mut filter["typed_config"]["providers"]["idp"];
    settings["claim_to_headers"] = json!([{"header_name": "x-role", "claim_name": "role"}]);
    settings["clear_route_cache"] = true.into();
    filter
}

fn by_badge(authorization: &str) -> Verdict {
    match authorization {
        "badge admin" => Verdict::with_headers(&[("x-auth-role", "admin")]),
        _ => Verdict::with_headers(&[("x-auth-role", "user")]),
    }
}

/// Which app a request arrived at, and which one its assertion names.
fn arrival(envoy: &Envoy, request: &Request) -> (String, String) {
    let reply = envoy.send(request);
    let host = reply.seen().one("host").expect("a host");
    let audience = reply.seen().one(ASSERTION_HEADER).map(|_| claims(&reply)["aud"].as_str().expect("text").to_owned());
    (host, audience.unwrap_or_default())
}

fn bootstrap(filter: Value, resolver: Option<&Value>) -> Bootstrap {
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(filter);
    let envoy = resolver.into_iter().fold(envoy, |envoy, resolver| envoy.filter(resolver.clone()));
    routes().into_iter().fold(envoy, Bootstrap::route)
}

#[test]
fn a_filter_in_between_resolves_the_route() {
    for (resolver, filter) in resolvers() {
        let provider = IdentityProvider::new();
        let with_token = |role: &str| {
            Request::get("/").header("authorization", provider.bearer(json!({"sub": "ada", "role": role})))
        };
        let with_badge = |role: &str| Request::get("/").header("x-badge", role);
        for (what, envoy, admin, other) in [
            ("Lua", bootstrap(lua(BY_LUA), Some(&filter)), with_badge("admin"), with_badge("user")),
            ("jwt_authn", bootstrap(by_token(&provider), Some(&filter)), with_token("admin"), with_token("user")),
        ] {
            let envoy = envoy.start();
            let expected = |name: &str| (name.to_owned(), format!("{name}-app"));
            assert_eq!(arrival(&envoy, &admin), expected("admin"), "{what}, {resolver}");
            assert_eq!(arrival(&envoy, &other), expected("other"), "{what}, {resolver}");
        }
    }
}

/// Clears the route cache, and does nothing else. (`set_filter_state` can in Envoy 1.40, not in 1.36.)
fn clearing() -> Value {
    lua("function envoy_on_request(handle) handle:clearRouteCache() end")
}

#[test]
fn a_filter_that_clears_nothing_needs_one_that_does() {
    let ask = |envoy: Bootstrap| {
        let envoy = routes().into_iter().fold(envoy, Bootstrap::route).start();
        ["admin", "user"].map(|role| arrival(&envoy, &Request::get("/").header("x-badge", role)))
    };
    let expected = ["admin", "other"].map(|name| (name.to_owned(), format!("{name}-app")));
    for (resolver, filter) in resolvers() {
        let changed = Bootstrap::new(json!({"signing_key": A})).filter(by_header_mutation());
        assert_eq!(ask(changed.filter(clearing()).filter(filter)), expected, "{resolver}");
    }
}

#[test]
fn what_ext_authz_adds_resolves_the_route() {
    let mut authz = ext_authz_http("authorization");
    authz["typed_config"]["clear_route_cache"] = true.into();
    let [mut admin, other] = routes();
    admin["match"]["headers"][0]["name"] = "x-auth-role".into();
    let (_, resolver) = resolvers().swap_remove(0);
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .filter(authz)
        .filter(resolver)
        .cluster(over_http("authorization", by_badge))
        .route(admin)
        .route(other)
        .start();
    let ask = |badge: &str| arrival(&envoy, &Request::get("/").header("authorization", badge));
    assert_eq!(ask("badge admin"), ("admin".into(), "admin-app".into()));
    assert_eq!(ask("badge user"), ("other".into(), "other-app".into()));
}

#[test]
fn a_route_by_dynamic_metadata_is_resolved() {
    let when_admin =
        json!([{"filter": "test", "path": [{"key": "role"}], "value": {"string_match": {"exact": "admin"}}}]);
    let [mut admin, other] = routes();
    admin["match"] = json!({"prefix": "/", "dynamic_metadata": when_admin});
    let (_, resolver) = resolvers().swap_remove(0);
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .filter(metadata("test", &json!({"role": "admin"})))
        .filter(clearing())
        .filter(resolver)
        .route(admin)
        .route(other)
        .start();
    assert_eq!(arrival(&envoy, &Request::get("/")), ("admin".into(), "admin-app".into()));
}

#[test]
fn without_a_filter_in_between_the_old_settings_count() {
    // What the shipped configurations are there to prevent.
    if !only_on(Host::Wasm, "the native module always knows the route taken") {
        return;
    }
    let envoy = bootstrap(lua(BY_LUA), None).start();
    let (host, audience) = arrival(&envoy, &Request::get("/").header("x-badge", "admin"));
    assert_eq!((host.as_str(), audience.as_str()), ("admin", "other-app"));
}

#[test]
fn deny_holds_on_the_route_that_is_taken() {
    let settings = |settings: Value| json!({"filter_metadata": {"attestation": settings}});
    let when_inside = json!([{"name": "x-role", "string_match": {"exact": "admin"}}]);
    let (_, resolver) = resolvers().swap_remove(0);
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .filter(lua(BY_LUA))
        .filter(resolver)
        .route(json!({
            "match": {"prefix": "/", "headers": when_inside},
            "metadata": settings(json!({"on_missing_identity": "deny"})),
            "route": {"cluster": "upstream"},
        }))
        .route(json!({
            "match": {"prefix": "/"},
            "metadata": settings(json!({"pass_identity_headers": false})),
            "route": {"cluster": "upstream"},
        }))
        .start();
    assert_eq!(envoy.send(&Request::get("/").header("x-badge", "admin")).status, 401);
    assert_eq!(envoy.upstream_requests(), 0);
    assert_eq!(envoy.get("/").seen().one(ASSERTION_HEADER), None);
}
