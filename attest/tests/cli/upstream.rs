//! The demo service, asked directly; what it looks like behind a real Envoy is what `make demo` shows.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Keys, Proxy, Said, attest, claims};

const ASSERTION: &str = "x-pomerium-jwt-assertion";

struct Upstream {
    child: Child,
    url: String,
    client: ureq::Agent,
}

impl Upstream {
    fn start(jwks: &str, more: &[&str]) -> Self {
        let mut command = attest();
        command.args(["--json", "upstream", "--listen", "127.0.0.1:0", "--jwks", jwks]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap();
        let client = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .build()
            .new_agent();
        Self { child, url: announced["listening"].as_str().unwrap().to_owned(), client }
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = self.client.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    fn json(&self, headers: &[(&str, &str)]) -> (u16, Value) {
        let (status, body) = self.get("/some/path?x=y", headers);
        (status, serde_json::from_str(&body).unwrap())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_key_for_encryption_vouches_for_nothing() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset().replace(r#""use":"sig""#, r#""use":"enc""#));
    let (status, answer) = Upstream::start(&proxy.url, &[]).json(&[(ASSERTION, &keys.sign(&claims()))]);
    assert_eq!((status, &answer["faults"][0]["code"]), (401, &json!("unusable_key")), "{answer}");
}

#[test]
fn a_good_assertion_is_shown_as_json_and_as_a_page() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let upstream = Upstream::start(&proxy.url, &[]);
    let token = keys.sign(&claims());
    let (status, answer) = upstream.json(&[(ASSERTION, &token), ("cookie", "session=secret")]);
    assert_eq!((status, &answer["verified"], &answer["anonymous"]), (200, &json!(true), &json!(false)));
    assert_eq!(answer["kid"], json!(keys.kids()[0]));
    assert_eq!(answer["claims"]["email"], "ann@example.com");
    assert_eq!(answer["token"], json!(token));
    assert_eq!(answer["request"]["path"], "/some/path?x=y");
    assert!(!answer.to_string().contains("session=secret"));
    let (status, page) = upstream.get("/", &[(ASSERTION, &token), ("accept", "text/html,*/*;q=0.8")]);
    assert_eq!(status, 200);
    assert!(page.starts_with("<!doctype html>") && page.contains("<h1>Ann</h1>") && page.contains("signed this"));
    assert!(
        page.contains("<title>Verified: Ann ") && page.contains("<b>passed</b>") && page.contains("<b>not checked</b>")
    );
    let (status, icon) = upstream.get("/favicon.ico", &[]);
    assert!(status == 200 && icon.starts_with("<svg "), "{icon}");
    assert_eq!(proxy.times_asked(), 1, "the keyset is cached");
    assert_eq!(upstream.get("/healthz", &[]), (200, "ok\n".to_owned()));
}

#[test]
fn what_is_missing_doubled_or_bad_is_401_with_a_reason() {
    let (keys, other) = (Keys::new(), Keys::new());
    let upstream = Upstream::start(&Proxy::new(&keys.keyset()).url, &["--audience", "app.example.com"]);
    let good = keys.sign(&claims());
    let mut foreign = claims();
    foreign["aud"] = json!("other.example.com");
    for (headers, code) in [
        (vec![], "no_assertion"),
        (vec![(ASSERTION, good.as_str()), (ASSERTION, good.as_str())], "repeated_assertion"),
        (vec![(ASSERTION, "forged")], "not_three_parts"),
        (vec![(ASSERTION, &other.sign(&claims()))], "unknown_kid"),
        (vec![(ASSERTION, &keys.sign(&foreign))], "wrong_audience"),
    ] {
        let (status, answer) = upstream.json(&headers);
        assert_eq!((status, &answer["faults"][0]["code"]), (401, &json!(code)), "{answer}");
        assert_eq!(answer["verified"], false);
    }
}

#[test]
fn an_unknown_kid_fetches_the_keyset_once_more() {
    let (keys, other) = (Keys::new(), Keys::new());
    let proxy = Proxy::new(&keys.keyset());
    let upstream = Upstream::start(&proxy.url, &[]);
    assert_eq!(upstream.json(&[(ASSERTION, &keys.sign(&claims()))]).0, 200);
    proxy.publish(&other.keyset());
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(upstream.json(&[(ASSERTION, &other.sign(&claims()))]).0, 200);
    assert_eq!(proxy.times_asked(), 2);
    let stranger = Keys::new().sign(&claims());
    for _ in 0..20 {
        assert_eq!(upstream.json(&[(ASSERTION, &stranger)]).0, 401);
    }
    assert!(proxy.times_asked() <= 4, "invented kids cannot be used to flood the proxy: {}", proxy.times_asked());
}

#[test]
fn without_a_keyset_nothing_is_verified() {
    let keys = Keys::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = Upstream::start(&format!("http://{free}/"), &[]);
    let (status, answer) = upstream.json(&[(ASSERTION, &keys.sign(&claims()))]);
    assert_eq!((status, &answer["faults"][0]["code"]), (401, &json!("keyset_unavailable")));
    assert_eq!(upstream.get("/healthz", &[]).0, 200);
}

#[test]
fn hostile_headers_stay_text() {
    let keys = Keys::new();
    let upstream = Upstream::start(&Proxy::new(&keys.keyset()).url, &[]);
    let mut evil = claims();
    evil["name"] = json!("<script>alert(1)</script>");
    let token = keys.sign(&evil);
    let headers = [(ASSERTION, token.as_str()), ("accept", "text/html"), ("x-evil", "\"><script>alert(2)</script>")];
    let (_, page) = upstream.get("/%3Cscript%3E?%3Cscript%3E", &headers);
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("&lt;script&gt;alert(2)"));
    assert!(!page.contains("<script"));
}

#[test]
fn it_stops_when_asked_to_though_connections_are_open() {
    let keys = Keys::new();
    let mut upstream = Upstream::start(keys.file(), &[]);
    let _idle = std::net::TcpStream::connect(upstream.url.trim_start_matches("http://")).unwrap();
    assert_eq!(upstream.get("/healthz", &[]).0, 200);
    let asked = Command::new("kill").arg(upstream.child.id().to_string()).status().unwrap();
    assert!(asked.success());
    let deadline = Instant::now() + Duration::from_secs(5);
    while upstream.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(upstream.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_socket_file_is_served_and_taken_over_from_a_killed_service() {
    let keys = Keys::new();
    let path = keys.directory.path().join("upstream.sock");
    let listen = format!("unix:{}", path.display());
    for _ in 0..2 {
        let mut command = attest();
        command.args(["--json", "upstream", "--jwks", keys.file(), "--listen", &listen]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let second: Said =
            attest().args(["upstream", "--jwks", keys.file(), "--listen", &listen]).output().unwrap().into();
        assert_eq!(second.code, 1, "one that runs is not pushed aside: {}", second.all());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(path.exists(), "the killed service left its socket file");
    }
}

#[test]
fn demo_users_sign_in_and_out_only_where_that_was_asked_for() {
    let (keys, issuer) = (Keys::new(), Keys::new());
    let proxy = Proxy::new(&keys.keyset());
    let upstream = Upstream::start(&proxy.url, &["--demo-issuer-key", issuer.file()]);
    let post = |path: &str| upstream.client.post(format!("{}{path}", upstream.url)).send_empty().unwrap();
    let answer = post("/demo/sign-in?user=ann");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (303, &"/".parse().unwrap()));
    assert!(cookie.starts_with("demo_user=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    assert!(post("/demo/sign-out").headers()["set-cookie"].to_str().unwrap().starts_with("demo_user=; "));
    assert_eq!(post("/demo/sign-in?user=mallory").status(), 404);
    assert_eq!(upstream.get("/demo/sign-in?user=ann", &[]).0, 405, "a link must not sign anybody in");

    let plain = Upstream::start(&proxy.url, &[]);
    let answer = plain.client.post(format!("{}/demo/sign-in?user=ann", plain.url)).send_empty().unwrap();
    assert!(!answer.headers().contains_key("set-cookie"));
}
