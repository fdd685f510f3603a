//! A login with `oauth2`: the provider's token endpoint, and what a browser does.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use serde_json::{Value, json};

use super::envoy::Envoy;
use super::http::{Reply, Request};
use super::listener;
use super::message::{content_length, read_lines, read_sized, read_start_line};

/// The cluster of a provider that answers every request for a token with this one; its thread ends with the test process.
pub fn token_endpoint(cluster: &str, id_token: &str) -> Value {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind a token endpoint");
    let address: SocketAddr = socket.local_addr().expect("its address");
    let body = json!({"access_token": "access", "id_token": id_token, "token_type": "Bearer", "expires_in": 600});
    let answer = body.to_string();
    thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
            while let Ok(Some(_)) = read_start_line(&mut reader) {
                let headers = read_lines(&mut reader).expect("headers");
                read_sized(&mut reader, content_length(&headers).unwrap_or(0)).expect("a body");
                let head = format!("content-type: application/json\r\ncontent-length: {}", answer.len());
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{answer}").as_bytes()).expect("answer");
            }
        }
    });
    listener::cluster(cluster, &listener::loopback(address.port()))
}

/// Goes to the provider from this path, and comes back at the callback's. Returns the answer that led there, and the cookies
/// of the session.
pub fn sign_in(envoy: &Envoy, get: impl Fn(&str) -> Request, path: &str, callback: &str) -> (Reply, String) {
    let away = envoy.send(&get(path));
    assert_eq!(away.status, 302, "{}", away.text_lossy());
    let back = format!("{callback}?code=code&state={}", parameter(&away, "state").expect("a state"));
    let home = envoy.send(&get(&back).header("cookie", cookies(&away)));
    assert_eq!(home.status, 302, "{}", home.text_lossy());
    let session = cookies(&home);
    (away, session)
}

/// The cookies that a reply sets, as a browser sends them back.
pub fn cookies(reply: &Reply) -> String {
    let set = reply.header_lines().into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let pairs = set.filter_map(|(_, value)| Some(value.split_once(';')?.0.to_owned()));
    pairs.filter(|pair| !pair.ends_with("=deleted")).collect::<Vec<_>>().join("; ")
}

/// A parameter of the URL that a reply sends the browser to.
pub fn parameter(reply: &Reply, name: &str) -> Option<String> {
    let location = reply.header("location")?;
    let (_, query) = location.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(str::to_owned)
}
