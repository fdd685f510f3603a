//! What the filter answers itself: to gRPC clients, with which scheme, at which paths, for whom, and with which reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use harness::filters::{self, jwt_authn};
use harness::idp::IdentityProvider;
use harness::keys::{A, KID_A, RSA, pem};
use harness::tls::Authority;
use harness::{
    ASSERTION_HEADER, Assertion, Bootstrap, Capability, Envoy, HOST, Host, Http2Client, JWKS_PATH, Reply, Request,
    eventually,
};

use crate::applied::{apply, check_refused};

const DISCOVERY_PATH: &str = "/.well-known/pomerium";
const OPENID_PATH: &str = "/.well-known/openid-configuration";
const AUTHORIZE_PATH: &str = "/.well-known/pomerium/authorize";

fn with_user_endpoints() -> Value {
    json!({
        "signing_key": A,
        "user_endpoints": true,
        "identity_sources": [{"headers": {"sub": "x-user", "email": "x-user-email", "groups": "x-groups"}}],
        "claims": {"env": {"value": "prod"}},
    })
}

fn user(path: &str) -> Request {
    Request::get(path).header("x-user", "ada").header("x-user-email", "a@b.c").header("x-groups", "a,b")
}

/// Every path that the filter answers with something, unless more is asked for.
const PATHS: [&str; 5] = [JWKS_PATH, DISCOVERY_PATH, "/.well-known/pomerium/", "/.pomerium/jwt", "/.pomerium/user"];

/// That a reply has nothing a cache could keep or a client could take for the answer.
fn check_refused_to_grpc(reply: &Reply, what: &str) {
    let grpc_status = reply.header("grpc-status");
    let is_refused = match reply.status {
        415 => true,
        200 => grpc_status.as_deref().is_some_and(|status| status != "0"),
        _ => false,
    };
    assert!(is_refused, "{what}: status {}, grpc-status {grpc_status:?}", reply.status);
    assert_eq!(reply.text(), "", "{what}");
    assert_eq!(reply.header("etag"), None, "{what}");
    assert_eq!(reply.header("last-modified"), None, "{what}");
    let cache_control = reply.header("cache-control").unwrap_or_default();
    assert!(cache_control.contains("no-store"), "{what}: cache-control: {cache_control}");
    assert!(!cache_control.contains("public"), "{what}: cache-control: {cache_control}");
    let all = String::from_utf8_lossy(&reply.bytes()).into_owned();
    for content in ["eyJ", "\"kty\"", "jwks_uri", "%22", KID_A, "ada"] {
        assert!(!all.contains(content), "{what}: it has {content}: {all}");
    }
}

#[test]
fn a_grpc_request_for_an_endpoint_is_refused() {
    let envoy = Bootstrap::new(with_user_endpoints()).start();
    let mut client = Http2Client::connect(envoy.address());
    let etag = envoy.get(JWKS_PATH).header("etag").expect("an etag");
    for path in PATHS {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc+json"] {
            for method in ["GET", "HEAD", "POST", "OPTIONS"] {
                let mut request = Request::new(method, path).header("content-type", kind).header("x-user", "ada");
                if method == "POST" {
                    request = request.body([0; 5]);
                }
                let what = format!("{method} {path} {kind}");
                check_refused_to_grpc(&envoy.send(&request), &what);
                check_refused_to_grpc(&client.send(&request), &format!("{what} over HTTP/2"));
            }
            let conditional = Request::get(path).header("content-type", kind).header("if-none-match", &etag);
            check_refused_to_grpc(&envoy.send(&conditional), &format!("{path} {kind}, conditional"));
        }
    }
    assert_eq!(envoy.upstream_requests(), 0);
}

#[test]
fn no_content_type_makes_a_cacheable_answer_empty() {
    let envoy = Bootstrap::new(with_user_endpoints()).start();
    let keyset = envoy.get(JWKS_PATH).text();
    for kind in [
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text",
        "application/grpcx",
        "application/grpc;charset=utf-8",
        "application/grpc ",
        " application/grpc",
        "Application/gRPC",
        "application/grpc, text/plain",
        "text/plain, application/grpc",
        "application/json",
        "",
    ] {
        let reply = envoy.send(&Request::get(JWKS_PATH).header("content-type", kind));
        let is_grpc = kind.trim() == "application/grpc";
        assert_eq!(reply.header("grpc-status").is_some(), is_grpc, "{kind:?}: Envoy answers others in HTTP's manner");
        let is_kept = reply.header("etag").is_some()
            || !reply.header("cache-control").is_some_and(|value| value.contains("no-store"));
        let is_whole = reply.status == 200 && reply.text() == keyset;
        assert!(is_whole || !is_kept, "{kind:?}: {} {:?}", reply.status, String::from_utf8_lossy(&reply.bytes()));
    }
    let twice = Request::get(JWKS_PATH).header("content-type", "application/grpc").header("content-type", "text/plain");
    let reply = envoy.send(&twice);
    assert!(reply.text() == keyset || reply.header("etag").is_none(), "two content types");
}

#[test]
fn a_grpc_client_is_told_why_its_call_is_refused() {
    let route = |path: &str, settings: Value| {
        json!({
            "match": {"path": path},
            "metadata": {"filter_metadata": {"attestation": settings}},
            "route": {"cluster": "upstream"},
        })
    };
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "max_assertion_bytes": 2000,
        "identity_sources": [{"headers": {"sub": "x-user"}}],
    }))
    .route(route("/denied", json!({"on_missing_identity": "deny"})))
    .start();
    let call = |path: &str| Request::new("POST", path).header("content-type", "application/grpc").body([0; 5]);
    for (what, request, statuses) in [
        ("too long", call("/").header("x-user", "u".repeat(4000)), &["8", "9", "11", "3"][..]),
        ("nobody", call("/denied"), &["16"]),
    ] {
        let reply = envoy.send(&request);
        let status = reply.header("grpc-status").unwrap_or_default();
        assert!(statuses.contains(&status.as_str()), "{what}: grpc-status {status}");
        assert!(!String::from_utf8_lossy(&reply.bytes()).contains("eyJ"), "{what}");
    }
    assert_eq!(envoy.upstream_requests(), 0);
    assert!(envoy.send(&call("/")).seen().one(ASSERTION_HEADER).is_some(), "a call that is forwarded");
}

/// The scheme of `jwks_uri`.
fn scheme(reply: &Reply) -> String {
    let discovery = reply.json();
    let uri = discovery["jwks_uri"].as_str().unwrap_or_else(|| panic!("no jwks_uri: {discovery}"));
    uri.split_once("://").expect("a URL").0.to_owned()
}

#[test]
fn jwks_uri_is_https_on_tls_whatever_the_client_says() {
    let authority = Authority::new();
    for is_edge in [false, true] {
        let envoy = Bootstrap::new(json!({"signing_key": A}))
            .http(json!({"use_remote_address": is_edge}))
            .transport_socket(authority.transport_socket())
            .start();
        for request in [
            Request::get(DISCOVERY_PATH),
            Request::get(DISCOVERY_PATH).header("x-forwarded-proto", "http"),
            Request::get(DISCOVERY_PATH).header("x-forwarded-proto", "ftp"),
            Request::get(&format!("http://{HOST}{DISCOVERY_PATH}")),
            Request::get(DISCOVERY_PATH).header("x-forwarded-scheme", "http").header("forwarded", "proto=http"),
        ] {
            let reply = authority.connect(envoy.address(), None).send(&request);
            assert_eq!(scheme(&reply), "https", "edge {is_edge}: {request:?}");
        }
        for claimed in ["http", "https"] {
            let mut client = Http2Client::connect_tls(envoy.address(), &authority).claiming(claimed);
            for request in
                [Request::get(DISCOVERY_PATH), Request::get(DISCOVERY_PATH).header("x-forwarded-proto", "http")]
            {
                assert_eq!(scheme(&client.send(&request)), "https", "edge {is_edge}: :scheme {claimed}: {request:?}");
            }
        }
    }
}

#[test]
fn jwks_uri_has_envoys_scheme_without_tls() {
    for (is_edge, expected) in [(false, "https"), (true, "http")] {
        let envoy = Bootstrap::new(json!({"signing_key": A})).http(json!({"use_remote_address": is_edge})).start();
        assert_eq!(scheme(&envoy.get(DISCOVERY_PATH)), "http", "edge {is_edge}");
        let forwarded = Request::get(DISCOVERY_PATH).header("x-forwarded-proto", "https");
        assert_eq!(scheme(&envoy.send(&forwarded)), expected, "edge {is_edge}");
        for claimed in ["http", "https"] {
            let mut client = Http2Client::connect(envoy.address()).claiming(claimed);
            assert_eq!(scheme(&client.send(&Request::get(DISCOVERY_PATH))), "http", "edge {is_edge}, {claimed}");
            assert_eq!(scheme(&client.send(&forwarded)), expected, "edge {is_edge}, {claimed}");
        }
    }
}

#[test]
fn discovery_is_answered_with_a_slash_at_the_end_too() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    for host in [HOST, "app.example.com:8443"] {
        let ask = |path: &str| envoy.send(&Request::get(path).host(host));
        let expected = ask(DISCOVERY_PATH);
        for path in ["/.well-known/pomerium/", "/.well-known/pomerium/?", "/.well-known/pomerium/?a=b"] {
            let reply = ask(path);
            assert_eq!((reply.status, reply.text()), (200, expected.text()), "{host}{path}");
            for header in ["content-type", "cache-control", "access-control-allow-origin", "etag"] {
                assert_eq!(reply.header(header), expected.header(header), "{host}{path}: {header}");
            }
        }
    }
    assert_eq!(envoy.upstream_requests(), 0);
    for path in
        ["/.well-known/pomerium//", "/.well-known/pomerium/x", "/.well-known/pomerium/.", "//.well-known/pomerium/"]
    {
        assert!(envoy.get(path).seen().one(ASSERTION_HEADER).is_some(), "{path} is a path like any other");
    }
}

#[test]
fn merged_slashes_lead_pomeriums_client_to_the_keyset() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).http(json!({"merge_slashes": true})).start();
    let reply = envoy.get("//.well-known/pomerium/jwks.json");
    assert_eq!(reply.json()["keys"][0]["kid"], KID_A);
    assert_eq!(envoy.upstream_requests(), 0);
}

#[test]
fn openid_configuration_is_off_unless_asked_for() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "jwt_issuer_format": "uri"})).dynamic().start();
    for path in [OPENID_PATH, AUTHORIZE_PATH] {
        assert!(envoy.get(path).seen().one(ASSERTION_HEADER).is_some(), "{path} is a path like any other");
    }
    for configuration in [
        json!({"openid_configuration": true}),
        json!({"openid_configuration": true, "jwt_issuer_format": "hostOnly"}),
        json!({"openid_configuration": true, "issuer": "app.example.com"}),
        json!({"openid_configuration": true, "issuer": "the issuer", "jwt_issuer_format": "uri"}),
    ] {
        check_refused(&envoy, &configuration, &["openid_configuration"]);
    }
    for bad in [json!("true"), json!(1), json!(null), json!([])] {
        let configuration = json!({"openid_configuration": bad, "jwt_issuer_format": "uri"});
        check_refused(&envoy, &configuration, &["openid_configuration"]);
    }
}

#[test]
fn openid_configuration_has_what_discovery_requires() {
    let mut cases = vec![("P-256", A.to_owned(), json!(["ES256"]))];
    if !Capability::HostSigns.is_lacking() {
        cases.push(("RSA", RSA.to_owned(), json!(["RS256"])));
        cases.push(("both", format!("{}{}", pem(A), pem(RSA)), json!(["ES256", "RS256"])));
        cases.push(("the other way round", format!("{}{}", pem(RSA), pem(A)), json!(["RS256", "ES256"])));
    }
    for (what, key, algorithms) in cases {
        let configuration = json!({"signing_key": key, "openid_configuration": true, "jwt_issuer_format": "uri", "on_missing_identity": "deny"});
        let envoy = Bootstrap::new(configuration).start();
        for path in [OPENID_PATH.to_owned(), format!("{OPENID_PATH}?x")] {
            let reply = envoy.get(&path);
            assert_eq!(reply.status, 200, "{what}: {path}");
            assert!(reply.header("content-type").unwrap_or_default().starts_with("application/json"), "{what}");
            assert_eq!(reply.header(ASSERTION_HEADER), None);
            let found = reply.json();
            assert_eq!(found["issuer"], format!("https://{HOST}/"), "{what}");
            assert_eq!(found["jwks_uri"], format!("http://{HOST}{JWKS_PATH}"), "{what}");
            assert_eq!(found["authorization_endpoint"], format!("https://{HOST}{AUTHORIZE_PATH}"), "{what}");
            for list in ["response_types_supported", "subject_types_supported"] {
                assert!(found[list].as_array().is_some_and(|list| !list.is_empty()), "{what}: {list}: {found}");
            }
            let mut said: Vec<&Value> =
                found["id_token_signing_alg_values_supported"].as_array().unwrap().iter().collect();
            let mut expected: Vec<&Value> = algorithms.as_array().unwrap().iter().collect();
            said.sort_by_key(ToString::to_string);
            expected.sort_by_key(ToString::to_string);
            assert_eq!(said, expected, "{what}");
        }
        assert_eq!(envoy.get(AUTHORIZE_PATH).status, 404, "{what}: there is none");
        for path in [OPENID_PATH, AUTHORIZE_PATH] {
            let call = Request::get(path).header("content-type", "application/grpc");
            check_refused_to_grpc(&envoy.send(&call), path);
        }
        assert_eq!(envoy.send(&Request::get(OPENID_PATH).host("a:b:c")).status, 400, "{what}");
        assert_eq!(envoy.upstream_requests(), 0, "{what}");
    }
}

#[test]
fn openid_configuration_of_a_route_without_a_url_is_not_there() {
    let route = json!({
        "match": {"prefix": "/"},
        "metadata": {"filter_metadata": {"attestation": {"jwt_issuer_format": "hostOnly"}}},
        "route": {"cluster": "upstream"},
    });
    let configuration = json!({"signing_key": A, "openid_configuration": true, "jwt_issuer_format": "uri"});
    let envoy = Bootstrap::new(configuration).route(route).start();
    assert_eq!(envoy.attest(&Request::get("/")).claim("iss"), HOST);
    assert_eq!(envoy.get(OPENID_PATH).status, 404, "no client takes an issuer that is no URL");
    assert_eq!(envoy.get(DISCOVERY_PATH).json()["issuer"], HOST);
}

#[test]
fn openid_configuration_names_an_assertions_issuer() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "openid_configuration": true,
        "issuer": "https://proxy.example.com/tenant",
    }))
    .start();
    let found = envoy.send(&Request::get(OPENID_PATH).host("App.Example.com:8443")).json();
    assert_eq!(found["issuer"], "https://proxy.example.com/tenant");
    assert_eq!(found["issuer"], *envoy.attest(&Request::get("/")).claim("iss"));
    let uri = found["jwks_uri"].as_str().unwrap().to_lowercase();
    assert_eq!(uri, format!("http://app.example.com:8443{JWKS_PATH}"), "with the host and port that were asked");
    assert_eq!(
        found["jwks_uri"],
        envoy.send(&Request::get(DISCOVERY_PATH).host("App.Example.com:8443")).json()["jwks_uri"]
    );
}

#[test]
fn the_user_endpoint_has_pomeriums_shape() {
    let envoy = Bootstrap::new(with_user_endpoints()).start();
    let reply = envoy.send(&user("/.pomerium/user"));
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").unwrap_or_default().starts_with("application/json"));
    assert!(reply.header("cache-control").unwrap_or_default().contains("no-store"));
    let expected = json!({
        "sub": "ada", "user": "ada", "email": "a@b.c", "groups": ["a", "b"], "name": "", "sid": "", "env": "prod",
    });
    assert_eq!(reply.json(), expected, "the claims without iss, aud, exp, iat and jti");
    let token = envoy.send(&user("/.pomerium/jwt"));
    assert!(token.header("cache-control").unwrap_or_default().contains("no-store"));
    let assertion = envoy.keys().verify(token.text().trim().trim_matches('"'));
    assert_eq!(assertion.claim("aud"), HOST);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(assertion.claim(name), value, "{name}");
    }
    assert_eq!(envoy.upstream_requests(), 0);
}

/// A route table with one virtual host, whose requests go to the upstream.
fn only_for(domains: &Value, matches: &[Value]) -> Value {
    let routes = matches.iter().map(|m| json!({"match": m, "route": {"cluster": "upstream"}}));
    let routes: Vec<Value> = routes.map(|route| Host::under_test().route(route)).collect();
    json!({"route_config": {"virtual_hosts": [{"name": "one", "domains": domains, "routes": routes}]}})
}

#[test]
fn a_user_endpoint_is_not_found_where_no_route_is() {
    let wiki = json!(["wiki.corp.example"]);
    let everything = || vec![json!({"prefix": "/"})];
    let app = || vec![json!({"prefix": "/app"}), json!({"path": "/"})];
    let by_header = || vec![json!({"prefix": "/", "headers": [{"name": "x-version", "string_match": {"exact": "2"}}]})];
    for (what, http, host, expected) in [
        ("its own host", only_for(&wiki, &everything()), "wiki.corp.example", 200),
        ("another host", only_for(&wiki, &everything()), "payments.bank.example", 404),
        ("its host with a port", only_for(&wiki, &everything()), "wiki.corp.example:8443", 404),
        ("no route for the path", only_for(&json!(["*"]), &app()), "wiki.corp.example", 404),
        ("no route for the headers", only_for(&json!(["*"]), &by_header()), "wiki.corp.example", 404),
    ] {
        let envoy = Bootstrap::new(with_user_endpoints()).http(http).start();
        for path in ["/.pomerium/jwt", "/.pomerium/user"] {
            let reply = envoy.send(&user(path).host(host));
            assert_eq!(reply.status, expected, "{what}: {path}");
            assert_eq!(reply.text().contains("ada") || reply.text().contains("eyJ"), expected == 200, "{what}: {path}");
        }
        assert_eq!(envoy.upstream_requests(), 0, "{what}");
    }
}

/// Names each request by its path.
fn with_details() -> Value {
    let format = "DETAILS %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% [%RESPONSE_CODE_DETAILS%]\n";
    filters::access_log(&json!({"text_format_source": {"inline_string": format}}))
}

/// The response code details of each request so far, by method, path and status, once there are some, and these among them.
fn details(envoy: &Envoy, names: &[&str]) -> BTreeMap<String, String> {
    eventually("the access log", || {
        let log = envoy.log();
        let found: BTreeMap<String, String> = log
            .lines()
            .filter_map(|line| line.strip_prefix("DETAILS "))
            .filter_map(|line| line.split_once(" ["))
            .map(|(request, details)| (request.to_owned(), details.trim_end_matches(']').to_owned()))
            .collect();
        (!found.is_empty() && names.iter().all(|name| found.contains_key(*name))).then_some(found)
    })
}

#[test]
fn every_answer_of_the_filter_has_its_reason() {
    let route = |path: &str, settings: Value| {
        json!({
            "match": {"path": path},
            "metadata": {"filter_metadata": {"attestation": settings}},
            "route": {"cluster": "upstream"},
        })
    };
    let mut configuration = with_user_endpoints();
    configuration["max_assertion_bytes"] = 2000.into();
    let envoy = Bootstrap::new(configuration)
        .http(with_details())
        .route(route("/denied", json!({"on_missing_identity": "deny"})))
        .wrong_route(route("/wrong", json!({"on_missing_identity": "perhaps"})), "perhaps")
        .start();
    let mut requests = vec![
        (user("/proxied"), "GET /proxied 200", "via_upstream"),
        (Request::get("/denied"), "GET /denied 401", "attestation_missing_identity"),
        (Request::get("/.pomerium/user"), "GET /.pomerium/user 401", "attestation_missing_identity"),
        (Request::get("/.pomerium/jwt"), "GET /.pomerium/jwt 401", "attestation_missing_identity"),
        (user("/host").host("a:b:c"), "GET /host 400", ""),
        (user("/long").header("x-user-email", "e".repeat(10)).header("x-groups", "g".repeat(4000)), "", ""),
        (Request::get("/long").header("x-user", "u".repeat(4000)), "GET /long 431", ""),
        (Request::get(JWKS_PATH), "GET /.well-known/pomerium/jwks.json 200", ""),
        (Request::get(JWKS_PATH).header("if-none-match", "*"), "GET /.well-known/pomerium/jwks.json 304", ""),
        (Request::new("HEAD", JWKS_PATH), "HEAD /.well-known/pomerium/jwks.json 200", ""),
        (Request::new("OPTIONS", JWKS_PATH), "OPTIONS /.well-known/pomerium/jwks.json 204", ""),
        (Request::new("POST", JWKS_PATH), "POST /.well-known/pomerium/jwks.json 405", ""),
        (Request::get(DISCOVERY_PATH), "GET /.well-known/pomerium 200", ""),
        (user("/.pomerium/user?x"), "GET /.pomerium/user?x 200", ""),
        (user("/.pomerium/jwt?x"), "GET /.pomerium/jwt?x 200", ""),
    ];
    let mut refusals = vec!["GET /host 400", "GET /long 431"];
    if envoy.host().takes_wrong_routes() {
        requests.push((user("/wrong"), "GET /wrong 500", ""));
        refusals.push("GET /wrong 500");
    }
    let expected: Vec<_> = requests.iter().filter(|(_, name, _)| !name.is_empty()).collect();
    for (request, _, _) in &requests {
        envoy.send(request);
    }
    let found = details(&envoy, &expected.iter().map(|(_, name, _)| *name).collect::<Vec<_>>());
    let mut reasons = BTreeMap::new();
    for (_, name, reason) in expected {
        let said = &found[*name];
        if !reason.is_empty() {
            assert_eq!(said, reason, "{name}");
            continue;
        }
        assert!(said.starts_with("attestation_"), "{name}: {said}");
        reasons.insert((*name).to_owned(), said.clone());
    }
    let each: BTreeSet<&String> = refusals.iter().map(|name| reasons.get(*name).expect("a reason")).collect();
    assert_eq!(each.len(), refusals.len(), "each its own: {each:?}");
}

#[test]
fn refusals_of_other_settings_have_their_reason() {
    let key = json!({"kty": "EC", "crv": "P-256", "kid": KID_A, "x": harness::keys::X_A, "y": harness::keys::Y_A});
    let actor = json!({"trusted": [{"issuer": "peer", "jwks": {"keys": [key]}}], "on_unverifiable": "deny"});
    for (what, bootstrap, request, status) in [
        (
            "no key",
            Bootstrap::new(
                json!({"signing_key_file": "/k.pem", "signing_key_refresh": "0.1s", "signing_key_wait": "0s"}),
            )
            .key_file(""),
            Request::get("/x"),
            503,
        ),
        (
            "an actor",
            Bootstrap::new(json!({"signing_key": A, "actor": actor})),
            Request::get("/x").header(ASSERTION_HEADER, "forged"),
            401,
        ),
        (
            "unbound",
            Bootstrap::new(json!({"signing_key": A, "bind": ["request_id"]}))
                .http(json!({"generate_request_id": false})),
            Request::get("/x"),
            400,
        ),
        (
            "OpenID",
            Bootstrap::new(json!({"signing_key": A, "openid_configuration": true, "jwt_issuer_format": "uri"})),
            Request::get(OPENID_PATH),
            200,
        ),
        (
            "OpenID's login",
            Bootstrap::new(json!({"signing_key": A, "openid_configuration": true, "jwt_issuer_format": "uri"})),
            Request::get(AUTHORIZE_PATH),
            404,
        ),
        (
            "gRPC",
            Bootstrap::new(json!({"signing_key": A, "jwks_path": "/x"})),
            Request::get("/x").header("content-type", "application/grpc"),
            0,
        ),
    ] {
        let envoy = bootstrap.http(with_details()).start();
        let reply = envoy.send(&request);
        if status != 0 {
            assert_eq!(reply.status, status, "{what}");
        }
        let found = details(&envoy, &[]);
        assert!(found.values().all(|said| said.starts_with("attestation_")), "{what}: {found:?}");
    }
}

#[test]
fn endpoints_of_nobody_follow_the_token() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A, "user_endpoints": true})).filter(jwt_authn(&provider)).start();
    let ask =
        |path: &str, token: Value| envoy.send(&Request::get(path).header("authorization", provider.bearer(token)));
    for path in ["/.pomerium/jwt", "/.pomerium/user"] {
        let reply = ask(path, json!({"azp": "x"}));
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.header("cache-control").unwrap_or_default().contains("no-store"), "{path}");
        assert_eq!(ask(path, json!({"sub": "ada"})).status, 200, "{path}");
    }
}

#[test]
fn discovery_with_a_slash_names_the_same_issuer() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    apply(&envoy, "https://issuer.example/", &json!({}));
    for path in [DISCOVERY_PATH, "/.well-known/pomerium/"] {
        assert_eq!(envoy.get(path).json()["issuer"], "https://issuer.example/", "{path}");
    }
    assert_eq!(Assertion::read(&envoy.get("/").token()).claim("iss"), "https://issuer.example/");
}
