//! Clients that take their time, and clients that hang up by half.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use serde_json::json;

use harness::keys::A;
use harness::{Bootstrap, Client, Envoy, Request, tcp};

fn two_workers() -> Envoy {
    Bootstrap::new(json!({"signing_key": A, "identity_sources": [{"headers": {"sub": "x-user"}}]})).workers(2).start()
}

/// With a user of two digits, so that all are equally long.
fn request(number: usize) -> Vec<u8> {
    let head = "GET / HTTP/1.1\r\nhost: app.example.com\r\nx-pomerium-jwt-assertion: forged\r\nx-user: u-";
    format!("{head}{number:02}\r\n\r\n").into_bytes()
}

fn token_of(user: &str, envoy: &Envoy) -> String {
    envoy.send(&Request::get("/").header("x-user", user)).token()
}

#[test]
fn many_requests_a_byte_at_a_time_get_each_their_own_assertion() {
    let envoy = two_workers();
    let keys = envoy.keys();
    let mut slow: Vec<(TcpStream, Vec<u8>)> = (0..40).map(|number| (tcp(envoy.address()), request(number))).collect();
    for place in 0..request(0).len() {
        for (stream, request) in &mut slow {
            stream.write_all(&request[place..=place]).expect("send a byte");
        }
        if place % 20 == 0 {
            let token = token_of("quick", &envoy);
            assert_eq!(keys.verify(&token).claim("sub"), "quick", "after {place} bytes of the others");
        }
    }
    for (number, (stream, _)) in slow.into_iter().enumerate() {
        let reply = Client::over(Box::new(stream)).send_raw(b"").expect("a reply");
        assert_eq!(keys.verify(&reply.token()).claim("sub"), format!("u-{number:02}").as_str());
    }
}

#[test]
fn a_client_that_only_listens_any_more_harms_nobody() {
    let envoy = two_workers();
    let keys = envoy.keys();
    for number in 0..40 {
        let mut stream = tcp(envoy.address());
        let request = request(number);
        let sent = &request[..request.len() - number % 3];
        stream.write_all(sent).and_then(|()| stream.shutdown(Shutdown::Write)).expect("send and close by half");
        // Envoy may answer, or take it for gone.
        if let Some(reply) = Client::over(Box::new(stream)).send_raw(b"") {
            assert!(reply.status < 500, "status {}", reply.status);
            let user = reply.try_seen().map(|_| keys.verify(&reply.token()).claim("sub").clone());
            assert!(user.is_none_or(|user| user == format!("u-{number:02}").as_str()));
        }
        assert_eq!(keys.verify(&token_of("other", &envoy)).claim("sub"), "other");
    }
}
