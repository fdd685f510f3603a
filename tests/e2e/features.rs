//! `docs/envoy-features.md`: each of its configurations, put into the shipped one as it stands there.

pub mod app;

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::{Value, json};

use harness::filters::access_log;
use harness::idp::IdentityProvider;
use harness::snippet::{names, snippet};
use harness::{
    ASSERTION_HEADER, Assertion, Bootstrap, Client, Envoy, HOST, JWKS_PATH, Request, Shipped, eventually, tcp,
};

use app::{App, OK, UNAVAILABLE};

use crate::doctor::{doctor, found};

const PAGE: &str = "docs/envoy-features.md";
const SHIPPED: &str = "envoy/envoy.yaml";
const RESOLVER: &str = "resolve-route";
const ROUTER: &str = "envoy.filters.http.router";

fn shown(name: &str) -> Value {
    snippet(PAGE, name)
}

/// The shipped configuration with a provider of the test's own, and a user of it.
struct User {
    provider: IdentityProvider,
    bearer: String,
}

impl User {
    fn new() -> Self {
        Self::with(json!({"sub": "ann", "email": "ann@example.com"}))
    }

    fn with(claims: Value) -> Self {
        let provider = IdentityProvider::new();
        let bearer = provider.bearer(claims);
        Self { provider, bearer }
    }

    fn shipped(&self) -> Shipped {
        Shipped::read(SHIPPED).trusting(&self.provider)
    }

    fn start(&self, adapt: impl FnOnce(Shipped) -> Shipped) -> Envoy {
        ready(Bootstrap::shipped(adapt(self.shipped())))
    }

    fn start_before(&self, app: &App, adapt: impl FnOnce(Shipped) -> Shipped) -> Envoy {
        ready(Bootstrap::shipped(adapt(self.shipped())).upstream(app.address))
    }

    fn get(&self, target: &str) -> Request {
        self.is_asking(Request::get(target))
    }

    fn is_asking(&self, request: Request) -> Request {
        request.header("authorization", &self.bearer)
    }
}

fn ready(bootstrap: Bootstrap) -> Envoy {
    let envoy = bootstrap.start();
    eventually("a key", || (envoy.get(JWKS_PATH).status != 503).then_some(()));
    envoy
}

/// A cluster that leads to another app.
fn cluster_at(name: &str, app: &App) -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": app.address.port()}});
    let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": address}}]}]);
    json!({"name": name, "load_assignment": {"cluster_name": name, "endpoints": endpoints}})
}

#[test]
fn shipped_configuration_resolves_the_route() {
    assert_eq!(*User::new().shipped().filter(RESOLVER), shown("resolve-route"));
}

#[test]
fn retries_carry_one_assertion() {
    let app = App::start(|number, _| Some(if number == 0 { UNAVAILABLE } else { OK }));
    let user = User::new();
    let envoy = user.start_before(&app, |shipped| shipped.route(shown("retries")));
    assert_eq!(envoy.send(&user.get("/")).status, 200);
    let tries = app.received(2);
    let keys = envoy.keys();
    assert!(tries.iter().all(|tried| keys.try_verify(tried.all(ASSERTION_HEADER)[0]).is_ok()), "{tries:?}");
    assert_eq!(tries[0].jti(), tries[1].jti());
}

#[test]
fn hedged_requests_carry_one_assertion() {
    // The first try is never answered, and goes on beside the second.
    let app = App::start(|number, _| (number > 0).then_some(OK));
    let user = User::new();
    let envoy = user.start_before(&app, |shipped| shipped.route(shown("retries")));
    assert_eq!(envoy.send(&user.get("/")).status, 200);
    let tries = app.received(2);
    assert_eq!(tries[0].jti(), tries[1].jti());
}

#[test]
fn a_mirror_gets_no_assertion() {
    let (app, mirror) = (App::start(|_, _| Some(OK)), App::start(|_, _| Some(OK)));
    let user = User::new();
    let mut with_assertion = shown("mirror");
    with_assertion["match"] = json!({"prefix": "/with"});
    let policies = &mut with_assertion["route"]["request_mirror_policies"];
    policies[0].as_object_mut().unwrap().remove("request_headers_mutations");
    let envoy = user.start_before(&app, |shipped| {
        shipped.cluster(cluster_at("mirror", &mirror)).route(shown("mirror")).route(with_assertion)
    });
    envoy.send(&user.get("/"));
    assert_eq!(app.received(1)[0].assertion().claim("sub"), "ann");
    assert!(mirror.received(1)[0].all(ASSERTION_HEADER).is_empty());
    envoy.send(&user.get("/with"));
    assert_eq!(mirror.received(1)[0].jti(), app.received(1)[0].jti(), "without more it is the user's own");
}

#[test]
fn an_internal_redirect_is_signed_anew_for_its_route() {
    let app = App::start(|_, request| {
        let moved = request.start_line.contains("/moved");
        Some(if moved {
            "HTTP/1.1 302 Found\r\nlocation: http://app.example.com/new\r\ncontent-length: 0\r\n\r\n"
        } else {
            OK
        })
    });
    let user = User::new();
    let new = json!({
        "match": {"path": "/new"},
        "route": {"cluster": "upstream"},
        "metadata": {"filter_metadata": {"attestation": {"audience": "new"}}},
    });
    // jwt_authn removes the token that it has verified, and asks for it again.
    let envoy = user.start_before(&app, |shipped| shipped.forwarding_tokens().route(shown("redirects")).route(new));
    assert_eq!(envoy.send(&user.get("/moved")).status, 200);
    let [first, second] = &app.received(2)[..] else { panic!("two requests") };
    assert_eq!((first.assertion().claim("aud"), second.assertion().claim("aud")), (&json!(HOST), &json!("new")));
    assert_ne!(first.jti(), second.jti());
    assert_eq!(envoy.stat("spoofs_stripped"), 0, "the filter's own headers are no forgery");
}

/// Sends a body slowly: its last byte after the clock has gone on by two seconds. The seconds at which the upload began and
/// ended, and when the assertion was made.
fn slow_upload(envoy: &Envoy, user: &User) -> (u64, u64, u64) {
    let now = jsonwebtoken::get_current_timestamp;
    let start = now();
    let mut stream = tcp(envoy.address());
    let head =
        format!("POST / HTTP/1.1\r\nhost: {HOST}\r\nauthorization: {}\r\ncontent-length: 4\r\n\r\n", user.bearer);
    stream.write_all(format!("{head}slo").as_bytes()).expect("send the beginning");
    eventually("two seconds", || (now() >= start + 2).then_some(()));
    let end = now();
    let reply = Client::over(Box::new(stream)).send_raw(b"w").expect("a reply");
    let iat = Assertion::read(&reply.token()).claim("iat").as_u64().expect("iat");
    (start, end, iat)
}

#[test]
fn a_buffer_before_the_filter_makes_assertions_fresh() {
    let user = User::new();
    let envoy = user.start(|shipped| shipped.before(RESOLVER, shown("buffer")));
    let (_, end, iat) = slow_upload(&envoy, &user);
    assert!(iat >= end, "made at {iat}, when the body was there, at {end}");
    let envoy = user.start(|shipped| shipped.before(ROUTER, shown("buffer")));
    let (start, end, iat) = slow_upload(&envoy, &user);
    assert!(start <= iat && iat < end, "behind it, the assertion waits: {start} {iat} {end}");
}

#[test]
fn a_stream_has_one_assertion_and_a_limit() {
    let user = User::new();
    let envoy = user.start(|shipped| {
        let mut short = shown("streams");
        short["match"] = json!({"prefix": "/short"});
        short["route"]["max_stream_duration"]["max_stream_duration"] = "0.5s".into();
        shipped.route(shown("streams")).route(short)
    });
    for path in ["/socket", "/short"] {
        let upgrade = user.get(path).header("connection", "Upgrade").header("upgrade", "websocket");
        let mut client = envoy.connect();
        assert_eq!(client.send(&upgrade).status, 101, "{path}");
        if path == "/short" {
            assert!(client.try_send(&Request::get("/")).is_err(), "the stream has ended");
        }
    }
}

fn preflight(path: &str) -> Request {
    Request::new("OPTIONS", path)
        .header("origin", "https://spa.example.com")
        .header("access-control-request-method", "POST")
}

#[test]
fn the_cors_filter_answers_preflights_of_nobody() {
    let user = User::new();
    let first = "envoy.filters.http.jwt_authn";
    let envoy = user.start(|shipped| shipped.before(first, shown("cors-filter")).route(shown("cors-route")));
    let reply = envoy.send(&preflight("/"));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin").as_deref(), Some("https://spa.example.com"));
    assert_eq!(envoy.upstream_requests(), 0, "it is Envoy's answer");
    assert_eq!(envoy.send(&Request::new("OPTIONS", "/")).status, 401, "another OPTIONS request is no preflight");
    assert_eq!(user.start(|shipped| shipped).send(&preflight("/")).status, 401, "without the filter");
}

#[test]
fn an_allowed_preflight_of_nobody_is_sent_on() {
    let user = User::new();
    let envoy = user.start(|shipped| shipped.settings(shown("cors-settings")));
    let seen = envoy.send(&preflight("/").header(ASSERTION_HEADER, "forged")).seen();
    assert_eq!((seen.method(), seen.one(ASSERTION_HEADER)), ("OPTIONS", None));
    assert_eq!(envoy.send(&Request::new("OPTIONS", "/")).status, 401);
    assert_eq!(envoy.get("/").status, 401);
}

#[test]
fn a_redirect_route_says_that_it_is_for_everybody() {
    let user = User::new();
    let mut silent = shown("redirect-route");
    silent["match"] = json!({"path": "/silent"});
    silent.as_object_mut().unwrap().remove("metadata");
    let envoy = user.start(|shipped| shipped.route(shown("redirect-route")).route(silent));
    let reply = envoy.get("/old");
    assert_eq!((reply.status, reply.header("location").as_deref()), (301, Some("http://app.example.com/new")));
    assert_eq!(envoy.get("/silent").status, 401);
}

#[test]
fn a_route_without_the_filter_lets_everything_pass() {
    let off = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true});
    let route = json!({
        "match": {"prefix": "/off"},
        "route": {"cluster": "upstream"},
        "typed_per_filter_config": {"attestation": off},
    });
    let user = User::new();
    let envoy = user.start(|shipped| {
        // Nothing is removed before routing.
        let none: Value = json!({"early_header_mutation_extensions": Value::Null});
        shipped.http(none).route(shown("no-assertion")).route(route)
    });
    let forged = |path: &str| envoy.send(&user.get(path).header(ASSERTION_HEADER, "forged")).seen();
    assert_eq!(forged("/public").one(ASSERTION_HEADER), None);
    assert_eq!(forged("/off").one(ASSERTION_HEADER).as_deref(), Some("forged"), "so the page warns of it");
    assert!(found(&doctor(&envoy).1).contains(&"filter-disabled-on-route"));
}

#[test]
fn two_filters_send_two_assertions() {
    let user = User::new();
    let envoy = user.start(|shipped| shipped.before(ROUTER, shown("second-filter")));
    let seen = eventually("both", || {
        let seen = envoy.send(&user.get("/")).try_seen()?;
        seen.one("authorization").is_some().then_some(seen)
    });
    let keys = envoy.keys();
    let bearer = seen.one("authorization").unwrap();
    for token in [seen.one(ASSERTION_HEADER).as_deref().unwrap(), bearer.strip_prefix("Bearer ").unwrap()] {
        assert_eq!(keys.verify(token).claim("sub"), "ann");
    }
}

#[test]
fn a_compressor_leaves_the_keysets_etag() {
    let user = User::new();
    let ask = Request::get(JWKS_PATH).header("accept-encoding", "gzip");
    let first = "envoy.filters.http.jwt_authn";
    let envoy = user.start(|shipped| shipped.before(first, shown("compressor")));
    let etag = envoy.send(&ask).header("etag").expect("an ETag");
    assert!(etag.starts_with('"'), "{etag}");
    assert_eq!(envoy.send(&ask.clone().header("if-none-match", &etag)).status, 304);

    let mut eager = shown("compressor");
    eager["typed_config"].as_object_mut().unwrap().remove("response_direction_config");
    let reply = user.start(|shipped| shipped.before(first, eager)).send(&ask);
    assert_ne!(reply.header("etag"), Some(etag), "without it the ETag is lost, or weak");
}

#[test]
fn an_error_page_leaves_the_keyset_alone() {
    let user = User::new();
    let envoy = user.start(|shipped| shipped.http(shown("local-replies")));
    assert_eq!(envoy.keys().kids().len(), 1);
    let refused = envoy.get("/");
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json(), json!({"status": 401, "reason": "attestation_missing_identity"}));

    let every = json!({"local_reply_config": {"body_format": {"json_format": {"status": "%RESPONSE_CODE%"}}}});
    let rewritten = user.start(|shipped| shipped.http(every)).get(JWKS_PATH);
    assert_eq!(rewritten.json(), json!({"status": 200}), "a format for all local replies takes the keyset's place");
}

#[test]
fn a_trusted_balancer_says_which_scheme_it_was() {
    let user = User::new();
    let uri = |envoy: &Envoy| {
        let reply = envoy.send(&Request::get("/.well-known/pomerium").header("x-forwarded-proto", "https"));
        reply.json()["jwks_uri"].as_str().unwrap().to_owned()
    };
    let path = format!("{HOST}{JWKS_PATH}");
    assert_eq!(uri(&user.start(|shipped| shipped.http(shown("balancer")))), format!("https://{path}"));
    assert_eq!(uri(&user.start(|shipped| shipped)), format!("http://{path}"), "nobody is trusted by default");
}

#[test]
fn a_dot_or_a_port_names_the_same_host() {
    let user = User::new();
    let names = ["app.example.com.", "app.example.com:1", "app.example.com.:1", "APP.example.com"];
    let narrow = |shipped: Shipped| shipped.domains(&["app.example.com"]);
    let envoy = user.start(|shipped| narrow(shipped).http(shown("names")));
    for name in names {
        let assertion = envoy.attest(&user.get("/").host(name));
        assert_eq!(assertion.claim("aud"), "app.example.com", "{name}");
    }
    let strict = user.start(narrow);
    for name in &names[..3] {
        assert_eq!(strict.send(&user.get("/").host(name)).status, 404, "{name}: no virtual host has it");
    }
}

#[test]
fn groups_go_before_a_header_is_too_long() {
    let groups: Vec<String> = (0..400).map(|number| format!("department-{number}-members")).collect();
    let user = User::with(json!({"sub": "ann", "groups": groups}));
    let envoy = user.start(|shipped| shipped.settings(shown("limits")));
    let token = envoy.send(&user.get("/")).token();
    let limit = usize::try_from(shown("limits")["max_assertion_bytes"].as_u64().unwrap()).unwrap();
    assert!(token.len() <= limit, "{}", token.len());
    assert_eq!(envoy.keys().verify(&token).claim("groups_truncated"), true);
    let longer = user.start(|shipped| shipped).send(&user.get("/")).token();
    assert!(longer.len() > 8192, "{}", longer.len());
}

#[test]
fn an_upstream_filter_signs_each_try_for_its_route() {
    let app = App::start(|number, _| Some(if number == 0 { UNAVAILABLE } else { OK }));
    let user = User::new();
    let mut route = shown("retries");
    route["match"]["headers"] = json!([{"name": "x-tenant", "string_match": {"exact": "b"}}]);
    route["metadata"] = json!({"filter_metadata": {"attestation": {"audience": "app-b"}}});
    // What changes the route comes last of all, behind the place that the filter has in a listener.
    let late = json!({"name": "late", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string":
            "function envoy_on_request(handle) handle:headers():replace('x-tenant', 'b') end"},
    }});
    let envoy = user.start_before(&app, |shipped| {
        shipped.without("attestation").before(ROUTER, late).upstream(shown("upstream-filter")).route(route)
    });
    assert_eq!(envoy.send(&user.get("/")).status, 200);
    let tries = app.received(2);
    for tried in &tries {
        assert_eq!((tried.assertion().claim("aud"), tried.assertion().claim("sub")), (&json!("app-b"), &json!("ann")));
    }
    assert_ne!(tries[0].jti(), tries[1].jti());
}

#[test]
fn an_upstream_filter_answers_for_its_cluster() {
    let user = User::new();
    let mut cluster = shown("upstream-filter");
    let options = "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let plugin = cluster.pointer_mut(&format!("{options}/http_filters/0/typed_config/config")).unwrap();
    plugin["configuration"]["value"]["on_missing_identity"] = "deny".into();
    let other = json!({"match": {"path": "/other"}, "route": {"cluster": "unsigned"}});
    let app = App::start(|_, _| Some(OK));
    let unsigned = cluster_at("unsigned", &app);
    let envoy = user.start(|shipped| {
        shipped
            .http(access_log(&json!({"json_format": {"jti": "%FILTER_STATE(wasm.attestation.jti:PLAIN)%"}})))
            .http(json!({"early_header_mutation_extensions": Value::Null}))
            .route(json!({"match": {"path": "/direct"}, "direct_response": {"status": 204}}))
            .route(other)
            .without("attestation")
            .cluster(unsigned)
            .upstream(cluster)
    });
    // As in a listener: forged headers, the endpoints, refusals, settings of a route, and the access log.
    let forged = user.get("/").header("x~pomerium~jwt~assertion", "forged").header(ASSERTION_HEADER, "forged");
    let seen = envoy.send(&forged).seen();
    assert!(!seen.contains("forged"), "{:?}", seen.names());
    let assertion = envoy.keys().verify(&seen.one(ASSERTION_HEADER).unwrap());
    eventually("the assertion in the access log", || {
        envoy.log().contains(assertion.claim("jti").as_str().unwrap()).then_some(())
    });
    assert_eq!(envoy.get("/").status, 401);
    assert_eq!(envoy.get("/healthz").seen().one(ASSERTION_HEADER), None);
    // What does not go to this cluster has never seen the filter.
    assert_eq!(envoy.get("/direct").status, 204);
    envoy.send(&Request::get("/other").header(ASSERTION_HEADER, "forged"));
    assert_eq!(app.received(1)[0].all(ASSERTION_HEADER), ["forged"]);
}

#[test]
fn every_configuration_of_the_page_is_tested_here() {
    let source = include_str!("features.rs");
    for name in names(PAGE) {
        let shown_here = source.contains(&format!("shown(\"{name}\")"));
        assert!(shown_here, "no test runs {name}");
    }
    let unique: BTreeSet<String> = names(PAGE).into_iter().collect();
    assert_eq!(unique.len(), names(PAGE).len());
    assert!(unique.len() > 15);
}
