//! A service that calls another through the very Envoy that it is behind, while its own request has no response yet.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use serde_json::json;

use harness::keys::{A, KID_A, X_A, Y_A};
use harness::message::{read_lines, read_start_line};
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Client, Envoy, Http2Client, Reply, Request};

use super::key_set;

const MESH: &str = "https://mesh.example";

/// How a service calls another one.
type Call = dyn Fn(&Request) -> Reply + Send + Sync;

/// Answers with the assertion that it got; for `/outer`, with what a call to `/inner` answers that is made with it.
fn service(call: Arc<OnceLock<Box<Call>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let call = Arc::clone(&call);
            thread::spawn(move || serve(stream, &call));
        }
    });
    address
}

fn serve(mut stream: TcpStream, call: &OnceLock<Box<Call>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Ok(Some(start_line)) = read_start_line(&mut reader) {
        let headers = read_lines(&mut reader).unwrap();
        let own = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(ASSERTION_HEADER.as_bytes()));
        let token = own.map(|(_, value)| value.clone()).unwrap_or_default();
        let body = if start_line.starts_with(b"GET /outer") {
            call.get().unwrap()(&Request::get("/inner").header("x-user", "orders").header(ASSERTION_HEADER, &token))
                .body
        } else {
            token
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    }
}

/// An Envoy in front of that service, which is told later how it calls.
fn envoy() -> (Envoy, Arc<OnceLock<Box<Call>>>) {
    let call: Arc<OnceLock<Box<Call>>> = Arc::default();
    let settings = json!({
        "signing_key": A,
        "issuer": MESH,
        "audience": "mesh",
        "identity_sources": [{"headers": {"sub": "x-user"}}],
        "actor": {"trusted": [{"issuer": MESH, "jwks": key_set(KID_A, X_A, Y_A)}], "on_unverifiable": "deny"},
    });
    (Bootstrap::new(settings).upstream(service(Arc::clone(&call))).start(), call)
}

fn check(reply: &Reply) {
    let assertion = Assertion::read(&reply.text());
    assert_eq!((assertion.claim("sub"), &assertion.claim("act")["sub"]), (&json!("orders"), &json!("ann")));
}

#[test]
fn a_call_within_a_request_names_who_acts() {
    let (envoy, call) = envoy();
    let address = envoy.address();
    assert!(call.set(Box::new(move |inner| Client::connect(address).send(inner))).is_ok());
    check(&envoy.send(&Request::get("/outer").header("x-user", "ann")));
}

/// A proxy before Envoy sends the requests of all its clients over one connection.
#[test]
fn a_call_over_the_same_connection_names_who_acts() {
    let (envoy, call) = envoy();
    let mut front = Http2Client::connect(envoy.address());
    let shared = Mutex::new(front.share());
    assert!(call.set(Box::new(move |inner| shared.lock().unwrap().send(inner))).is_ok());
    check(&front.send(&Request::get("/outer").header("x-user", "ann")));
}
