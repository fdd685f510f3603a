//! A claim header with any byte in its name: it is stripped, or Envoy refuses the request, over HTTP/1.1 and HTTP/2.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use serde_json::json;

use harness::keys::A;
use harness::message::folded;
use harness::{Bootstrap, Client, HOST, Seen, tcp};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

fn names() -> impl Iterator<Item = Vec<u8>> {
    let with = |byte: u8| [&b"x-pomerium-claim-a"[..], &[byte], b"c"].concat();
    let alias = |byte: u8| [&b"x_pomerium.claim-"[..], &[byte]].concat();
    (0..=255).flat_map(move |byte| [with(byte), alias(byte)])
}

fn assert_none_passed(name: &[u8], seen: &Seen) {
    let passed = seen.names().into_iter().find(|name| folded(name).contains("pomerium-claim"));
    assert_eq!(passed, None, "sent {}", name.escape_ascii());
}

#[test]
fn no_byte_in_its_name_lets_a_claim_header_pass() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    let address = envoy.address();
    let names: Vec<Vec<u8>> = names().collect();
    let mut passed = [0, 0];
    // Many at once: Envoy lets those that it refuses wait for a second.
    for some in names.chunks(128) {
        let seen: Vec<[Option<Seen>; 2]> = thread::scope(|scope| {
            let asked =
                some.iter().map(|name| scope.spawn(move || [over_http1(address, name), over_http2(address, name)]));
            let asked: Vec<_> = asked.collect();
            asked.into_iter().map(|thread| thread.join().expect("an answer")).collect()
        });
        for (name, seen) in some.iter().zip(seen) {
            for (passed, seen) in passed.iter_mut().zip(seen.into_iter().flatten()) {
                *passed += 1;
                assert_none_passed(name, &seen);
            }
        }
    }
    assert!(passed.iter().all(|count| *count > 50), "such requests go on without the header: {passed:?}");
    assert_eq!(envoy.stat("spoofs_stripped"), passed[0] + passed[1]);
}

/// What the upstream received, if anything.
fn over_http1(address: SocketAddr, name: &[u8]) -> Option<Seen> {
    let head = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n");
    Client::connect(address).send_raw(&[head.as_bytes(), name, b": forged\r\n\r\n"].concat())?.try_seen()
}

/// The same with frames made by hand (RFC 9113), as no client library would write such a name.
fn over_http2(address: SocketAddr, name: &[u8]) -> Option<Seen> {
    let fields: [(&[u8], &[u8]); 5] = [
        (b":method", b"GET"),
        (b":path", b"/"),
        (b":scheme", b"http"),
        (b":authority", HOST.as_bytes()),
        (name, b"forged"),
    ];
    // Literal fields, not indexed (RFC 7541, section 6.2.2).
    let block: Vec<u8> = fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect();
    let mut stream = tcp(address);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let request =
        [&preface[..], &frame(SETTINGS, 0, 0, b""), &frame(HEADERS, END_STREAM_AND_HEADERS, 1, &block)].concat();
    stream.write_all(&request).ok()?;
    let mut body = Vec::new();
    loop {
        let (kind, flags, payload) = read_frame(&mut stream)?;
        match kind {
            DATA => body.extend(payload),
            RST_STREAM | GOAWAY => return None,
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            return Seen::from_json(&serde_json::from_slice(&body).ok()?);
        }
    }
}

fn text(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("a short text")], text].concat()
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

fn read_frame(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).ok()?];
    stream.read_exact(&mut payload).ok()?;
    Some((head[3], head[4], payload))
}
