//! A service that calls another through the very Envoy that it is behind, while its own request has no response yet.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;

use serde_json::json;

use harness::keys::{A, KID_A, X_A, Y_A};
use harness::message::{read_lines, read_start_line};
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Client, Request};

use super::key_set;

const MESH: &str = "https://mesh.example";

/// Answers with the assertion that it got; for `/outer`, with what a call to `/inner` answers that is made with it.
fn service(envoy: Arc<OnceLock<SocketAddr>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let envoy = Arc::clone(&envoy);
            thread::spawn(move || serve(stream, &envoy));
        }
    });
    address
}

fn serve(mut stream: TcpStream, envoy: &OnceLock<SocketAddr>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Ok(Some(start_line)) = read_start_line(&mut reader) {
        let headers = read_lines(&mut reader).unwrap();
        let own = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(ASSERTION_HEADER.as_bytes()));
        let token = own.map(|(_, value)| value.clone()).unwrap_or_default();
        let body = if start_line.starts_with(b"GET /outer") {
            let call = Request::get("/inner").header("x-user", "orders").header(ASSERTION_HEADER, &token);
            Client::connect(*envoy.get().unwrap()).send(&call).body
        } else {
            token
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    }
}

#[test]
fn a_call_within_a_request_names_who_acts() {
    let envoy_address = Arc::new(OnceLock::new());
    let settings = json!({
        "signing_key": A,
        "issuer": MESH,
        "audience": "mesh",
        "identity_sources": [{"headers": {"sub": "x-user"}}],
        "actor": {"trusted": [{"issuer": MESH, "jwks": key_set(KID_A, X_A, Y_A)}], "on_unverifiable": "deny"},
    });
    let envoy = Bootstrap::new(settings).upstream(service(Arc::clone(&envoy_address))).start();
    envoy_address.set(envoy.address()).unwrap();
    let reply = envoy.send(&Request::get("/outer").header("x-user", "ann"));
    let assertion = Assertion::read(&reply.text());
    assert_eq!((assertion.claim("sub"), &assertion.claim("act")["sub"]), (&json!("orders"), &json!("ann")));
}
