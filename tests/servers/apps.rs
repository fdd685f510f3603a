//! Apps behind Envoy that get their headers as variables, in which several names become one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use harness::keys::A;
use harness::{Bootstrap, Envoy, Reply, Request};

use crate::server::Server;

const FORGED: &str = "forged";

/// What HTTP allows in a header name beside letters and digits (RFC 9110, section 5.6.2).
const TOKEN_BYTES: &str = "!#$%&'*+-.^_`|~";

/// What an app must only ever have from the filter.
const NAMES: [&str; 5] = [
    "x-pomerium-jwt-assertion",
    "x-pomerium-jwt-assertion-for",
    "x-pomerium-claim-email",
    "x-pomerium-claim-is-admin",
    "x-email",
];

/// A CGI program that prints its environment, each variable ended by a zero byte.
const CGI: &str = "#!/bin/sh\nprintf 'content-type: text/plain\\r\\n\\r\\n'\nexec env -0\n";

/// The same of what PHP makes of it.
const PHP: &str = r#"<?php
header('content-type: text/plain');
foreach ($_SERVER as $name => $value) {
    if (is_string($value)) {
        echo $name, '=', $value, "\0";
    }
}
"#;

/// The same of what a WSGI server makes of it.
const WSGI: &str = r#"
import sys
from wsgiref.simple_server import make_server

def app(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    text = "".join(f"{name}={value}\0" for name, value in environ.items() if isinstance(value, str))
    return [text.encode("utf-8", "surrogateescape")]

make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
"#;

fn write(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, content).expect("write a file of the server's");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("make it a program");
    path.display().to_string()
}

fn lighttpd(assignment: &'static str, name: &'static str, program: &'static str) -> Server {
    Server::start("/usr/sbin/lighttpd", "lighttpd", move |directory, port| {
        write(directory, name, program);
        let configuration = format!(
            "server.modules = (\"mod_cgi\", \"mod_rewrite\")\n\
             server.bind = \"127.0.0.1\"\n\
             server.port = {port}\n\
             server.document-root = \"{root}\"\n\
             url.rewrite-once = (\".*\" => \"/{name}\")\n\
             cgi.assign = ({assignment})\n",
            root = directory.display(),
        );
        vec!["-D".into(), "-f".into(), write(directory, "lighttpd.conf", &configuration)]
    })
}

fn apache() -> Server {
    Server::start("/usr/sbin/apache2", "apache2-bin", |directory, port| {
        let program = write(directory, "app.cgi", CGI);
        let modules = ["mpm_prefork", "authz_core", "cgi", "alias"];
        let modules: String = modules
            .iter()
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .collect();
        let root = directory.display();
        let configuration = format!(
            "{modules}\
             ServerName localhost\n\
             Listen 127.0.0.1:{port}\n\
             PidFile {root}/apache.pid\n\
             ErrorLog /dev/stderr\n\
             User www-data\n\
             Group www-data\n\
             ScriptAlias / {program}/\n\
             <Directory {root}>\n  Require all granted\n</Directory>\n"
        );
        vec!["-D".into(), "FOREGROUND".into(), "-f".into(), write(directory, "apache.conf", &configuration)]
    })
}

fn php() -> Server {
    Server::start("php", "php-cli", |directory, port| {
        vec!["-n".into(), "-S".into(), format!("127.0.0.1:{port}"), write(directory, "app.php", PHP)]
    })
}

fn wsgi() -> Server {
    Server::start("python3", "python3", |directory, port| vec![write(directory, "app.py", WSGI), port.to_string()])
}

/// An Envoy in front of a server.
fn in_front_of(server: &Server) -> Envoy {
    Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-user", "email": "x-user-email"}}],
        "jwt_claims_headers": {"X-Email": "email", "x-pomerium-claim-email": "email"},
    }))
    .http(json!({"common_http_protocol_options": {"max_headers_count": 2000}, "max_request_headers_kb": 96}))
    .upstream(server.address())
    .start()
}

/// The variables that an app has.
fn variables(reply: &Reply) -> BTreeMap<String, String> {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    text.split('\0').filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

fn user() -> Request {
    Request::get("/").header("x-user", "ada").header("x-user-email", "ada@example.com")
}

/// Every spelling of a name with this byte in place of all dashes, or of the first, or of the last.
fn spellings(name: &str, byte: char) -> Vec<String> {
    let all = name.replace('-', &byte.to_string());
    let first = name.replacen('-', &byte.to_string(), 1);
    let last = name.rsplit_once('-').map(|(start, end)| format!("{start}{byte}{end}")).expect("a dash");
    vec![all.to_uppercase(), all, first, last]
}

/// That the app has our assertion and claim headers alone, whatever came with the request.
fn check(envoy: &Envoy, what: &str, sent: &str, request: &Request) {
    let variables = variables(&envoy.send(request));
    for (name, value) in &variables {
        assert!(!value.contains(FORGED), "{what}: sent {sent}: {name}={value}");
    }
    let token = variables.get("HTTP_X_POMERIUM_JWT_ASSERTION").expect("our assertion");
    assert_eq!(envoy.keys().verify(token).claim("sub"), "ada", "{what}: sent {sent}");
    for name in ["HTTP_X_EMAIL", "HTTP_X_POMERIUM_CLAIM_EMAIL"] {
        assert_eq!(variables.get(name).map(String::as_str), Some("ada@example.com"), "{what}: sent {sent}: {name}");
    }
}

/// Sends every spelling of every name alone and all at once. `alias` is one of the spellings that this server folds,
/// with which the test shows that it would see what it looks for.
fn check_server(what: &str, server: &Server, alias: &str) {
    let envoy = in_front_of(server);
    let canary = variables(&envoy.send(&user().header(alias, "kept")));
    assert_eq!(canary.get("HTTP_X_SOME_CANARY").map(String::as_str), Some("kept"), "{what}: {alias}: {canary:?}");
    check(&envoy, what, "nothing", &user());
    let names = || NAMES.iter().flat_map(|name| TOKEN_BYTES.chars().flat_map(move |byte| spellings(name, byte)));
    for name in names() {
        check(&envoy, what, &name, &user().header(&name, FORGED));
    }
    let all: Vec<String> = names().collect();
    check(&envoy, what, "all of them", &user().headers(all.iter().map(|name| (name, FORGED))));
    for byte in TOKEN_BYTES.chars() {
        let name = format!("x-pomerium-claim-is{byte}admin");
        let trailer = Request::new("POST", "/").headers([("x-user", "ada"), ("x-user-email", "ada@example.com")]);
        check(&envoy, what, &format!("{name} in a trailer"), &trailer.body("hello").trailer(&name, FORGED));
    }
}

#[test]
fn cgi_behind_lighttpd_sees_no_forged_value() {
    check_server("lighttpd", &lighttpd("\".cgi\" => \"\"", "app.cgi", CGI), "x~some*canary");
}

#[test]
fn php_behind_lighttpd_sees_no_forged_value() {
    assert!(
        Path::new("/usr/bin/php-cgi").exists(),
        "no php-cgi: Debian's package `php-cgi` has it; scripts/install-servers"
    );
    check_server("php-cgi", &lighttpd("\".php\" => \"/usr/bin/php-cgi\"", "app.php", PHP), "x|some.canary");
}

#[test]
fn cgi_behind_apache_sees_no_forged_value() {
    check_server("Apache", &apache(), "x-some-canary");
}

#[test]
fn phps_own_server_sees_no_forged_value() {
    check_server("PHP", &php(), "x_some-canary");
}

#[test]
fn a_wsgi_app_sees_no_forged_value() {
    check_server("WSGI", &wsgi(), "x-some_canary");
}
