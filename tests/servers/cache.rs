//! nginx with `proxy_cache` between clients and Envoy: no request of one client changes what others get.

use std::path::Path;

use serde_json::json;

use harness::keys::{A, KID_A};
use harness::tls::Authority;
use harness::{Bootstrap, Client, Envoy, HOST, JWKS_PATH, Reply, Request};

use crate::server::Server;

const DISCOVERY_PATH: &str = "/.well-known/pomerium";

/// nginx as its manual shows it: answers that say so are kept, by their path and query.
fn nginx(scheme: &'static str, envoy: &Envoy) -> Server {
    let envoy = envoy.address();
    Server::start("/usr/sbin/nginx", "nginx-light", move |directory, port| {
        let root = directory.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("  {name}_temp_path {root}/{name};\n"))
            .collect();
        let configuration = format!(
            "daemon off;\nuser root;\nworker_processes 1;\npid {root}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\n  access_log off;\n{temporary}  proxy_cache_path {root}/cache keys_zone=answers:1m;\n\
             server {{\n    listen 127.0.0.1:{port};\n    location / {{\n      proxy_pass {scheme}://{envoy};\n\
             proxy_http_version 1.1;\n      proxy_set_header Host {HOST};\n      proxy_ssl_verify off;\n\
             proxy_ssl_server_name on;\n      proxy_ssl_name localhost;\n\
             proxy_cache answers;\n      add_header x-cache $upstream_cache_status always;\n    }}\n  }}\n}}\n"
        );
        let path = directory.join("nginx.conf");
        std::fs::write(&path, configuration).expect("write nginx's configuration");
        vec!["-p".into(), root.to_string(), "-c".into(), text(&path), "-e".into(), "stderr".into()]
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Requests of a client that would like others to get something else.
fn attacks(target: &str, etag: &str) -> Vec<(String, Request)> {
    let get = || Request::get(target);
    let with = |name: &str, value: &str| (format!("{name}: {value}"), get().header(name, value));
    let mut attacks = vec![
        ("HEAD".into(), Request::new("HEAD", target)),
        ("OPTIONS".into(), Request::new("OPTIONS", target).header("origin", "https://evil.example")),
        (
            "a preflight".into(),
            Request::new("OPTIONS", target)
                .header("origin", "https://evil.example")
                .header("access-control-request-method", "PUT"),
        ),
        ("POST".into(), Request::new("POST", target).body("{}")),
        ("DELETE".into(), Request::new("DELETE", target)),
        ("a HEAD of gRPC".into(), Request::new("HEAD", target).header("content-type", "application/grpc")),
        ("a GET with a body".into(), get().body("x")),
        ("another host".into(), get().host("evil.example")),
        ("an odd host".into(), get().host("a:b:c")),
        with("if-none-match", "*"),
        with("if-none-match", etag),
        with("if-match", "\"x\""),
        with("if-modified-since", "Wed, 21 Oct 2065 07:28:00 GMT"),
        with("range", "bytes=0-0"),
        with("range", "bytes=5-"),
        with("origin", "https://evil.example"),
        with("accept-encoding", "gzip, br"),
        with("accept", "text/html"),
        with("te", "trailers"),
        with("cookie", "a=b"),
        with("authorization", "Bearer x"),
        with("cache-control", "no-store"),
        with("pragma", "no-cache"),
        with("x-http-method-override", "DELETE"),
        with("x-original-url", "/"),
        with("x-envoy-original-path", "/"),
        with("x-forwarded-host", "evil.example"),
        with("x-forwarded-proto", "ftp"),
        with("x-forwarded-proto", "http"),
        with("x-forwarded-port", "81"),
        with("forwarded", "host=evil.example;proto=http"),
        with("x-pomerium-jwt-assertion", "forged"),
        with("x-request-id", "x"),
        with("grpc-timeout", "1S"),
        with("x-grpc-web", "1"),
    ];
    for kind in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc+json",
        "application/grpc;charset=utf-8",
        "application/grpc-web",
        "application/grpc-web-text",
        "application/grpc ",
        "APPLICATION/GRPC",
        "text/plain",
        "x",
    ] {
        attacks.push(with("content-type", kind));
        attacks.push((format!("{kind}, te"), get().header("content-type", kind).header("te", "trailers")));
    }
    attacks
}

fn ask(cache: &Server, request: &Request) -> Reply {
    Client::connect(cache.address()).send(request)
}

/// That an honest client gets the same as without the attack.
fn check_honest(cache: &Server, what: &str, target: &str, honest: &Reply) {
    for round in ["first", "second"] {
        let reply = ask(cache, &Request::get(target));
        assert_eq!(
            (reply.status, reply.text()),
            (200, honest.text()),
            "{what}: {round}: {:?}",
            reply.header("x-cache")
        );
        for header in ["etag", "content-type", "cache-control", "access-control-allow-origin", "x-content-type-options"]
        {
            assert_eq!(reply.header(header), honest.header(header), "{what}: {round}: {header}");
        }
        assert_eq!(reply.header("grpc-status"), None, "{what}: {round}");
    }
    let hit = ask(cache, &Request::get(target));
    assert_eq!(hit.header("x-cache").as_deref(), Some("HIT"), "{what}: nginx keeps it");
    if let Some(etag) = honest.header("etag") {
        let fresh = ask(cache, &Request::get(target).header("if-none-match", etag));
        assert_eq!(fresh.status, 304, "{what}: who has it is told so");
    }
}

/// One query for each attack, so that each begins with nothing kept.
fn check_path(cache: &Server, path: &str) {
    let honest = ask(cache, &Request::get(&format!("{path}?honest")));
    assert_eq!(honest.status, 200, "{path}");
    let etag = honest.header("etag").unwrap_or_default();
    let count = attacks("/", "").len();
    for number in 0..count {
        let target = format!("{path}?attack={number}");
        let (what, request) = attacks(&target, &etag).swap_remove(number);
        let what = format!("{path}: {what}");
        for _ in 0..2 {
            ask(cache, &request);
        }
        check_honest(cache, &what, &target, &honest);
    }
}

#[test]
fn no_request_changes_the_keyset_that_nginx_keeps() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    let cache = nginx("http", &envoy);
    assert_eq!(ask(&cache, &Request::get(JWKS_PATH)).json()["keys"][0]["kid"], KID_A);
    check_path(&cache, JWKS_PATH);
}

#[test]
fn no_request_changes_what_nginx_keeps_behind_tls() {
    let authority = Authority::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).transport_socket(authority.transport_socket()).start();
    let cache = nginx("https", &envoy);
    check_path(&cache, JWKS_PATH);
    let discovery = ask(&cache, &Request::get(DISCOVERY_PATH));
    assert_eq!(discovery.json()["jwks_uri"], format!("https://{HOST}{JWKS_PATH}"));
    if ask(&cache, &Request::get(DISCOVERY_PATH)).header("x-cache").as_deref() == Some("HIT") {
        check_path(&cache, DISCOVERY_PATH);
    }
}

#[test]
fn nothing_of_a_user_is_kept() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "user_endpoints": true,
        "identity_sources": [{"headers": {"sub": "x-user"}}],
    }))
    .start();
    let cache = nginx("http", &envoy);
    for path in ["/.pomerium/jwt", "/.pomerium/user"] {
        for method in ["GET", "HEAD"] {
            for kind in ["", "application/grpc", "text/plain"] {
                let request = Request::new(method, path).header("x-user", "ada").header("content-type", kind);
                ask(&cache, &request);
                let reply = ask(&cache, &Request::get(path));
                assert_eq!(reply.status, 401, "{path} after {method} {kind}");
                let reply = ask(&cache, &Request::get(path).header("x-user", "bob"));
                assert_eq!(reply.status, 200, "{path} after {method} {kind}");
                assert!(!reply.text().contains("ada"), "{path} after {method} {kind}: {}", reply.text());
                assert_ne!(reply.header("x-cache").as_deref(), Some("HIT"), "{path} after {method} {kind}");
            }
        }
    }
}
