//! Odd requests by chance: near what the filter looks at in a request, and a little beside it.

use harness::{ASSERTION_HEADER, HOST, JWKS_PATH, Request};

use super::identity;
use crate::dice::Dice;

const METHODS: [&str; 12] =
    ["GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "ODD"];

/// What the filter answers, and what has settings of its own.
const PATHS: [&str; 20] = [
    "/",
    "/app",
    JWKS_PATH,
    "/.well-known/pomerium",
    "/.well-known/openid-configuration",
    "/.well-known/pomerium/authorize",
    "/.pomerium/jwt",
    "/.pomerium/user",
    "/deny",
    "/skip",
    "/off",
    "/issuer",
    "/audience",
    "/format",
    "/groups",
    "/claims",
    "/several",
    "/deny/below",
    "/skip/below",
    "/groups/below",
];
const ENDS: [&str; 12] = ["", "", "", "", "?", "?a=b", "/", "//", ";a", "%20", "%2f", "/../"];

const HOSTS: [&[u8]; 24] = [
    b"app.example.com",
    b"app.example.com",
    b"APP.Example.COM",
    b"app.example.com:443",
    b"app.example.com:0",
    b"app.example.com:99999",
    b"app.example.com:",
    b"app.example.com.",
    b"",
    b"[::1]",
    b"[2001:DB8::1]:8443",
    b"[]",
    b"[::1",
    b"::1",
    b"a:b:c",
    b"127.0.0.1:80",
    b"user@app.example.com",
    b"user:pass@app.example.com:80",
    b"%ff",
    b"a%20b.example.com",
    b"b\xc3\xbccher.example",
    b"\xff.example",
    b"a_b.example.com",
    b"-",
];

/// Names that the filter strips, sets or reads; some are claim headers of one of the configurations.
const NAMES: [&str; 16] = [
    ASSERTION_HEADER,
    "x-pomerium-jwt-assertion-for",
    "x-pomerium-claim-email",
    "x-pomerium-claim-",
    "x-pomerium-claims",
    "x-own-assertion",
    "x-email",
    "x-own.dept",
    "x-user",
    "x-user-email",
    "x-groups",
    "x-name",
    "x-request-id",
    "authorization",
    "x-forwarded-proto",
    "x-other",
];
/// What HTTP allows in a name beside letters and digits (RFC 9110, section 5.6.2).
const FOLDED: &[u8] = b"!#$%&'*+-.^_`|~";

const CONTENT_TYPES: [&str; 7] = [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc-web",
    "application/grpcx",
    "application/json",
    "APPLICATION/GRPC",
    "text/plain; charset=utf-8",
];

const LINES: [(&str, &str); 16] = [
    ("if-none-match", "*"),
    ("if-none-match", "\"none\""),
    ("if-none-match", "W/\"none\", \"other\""),
    ("origin", "https://elsewhere.example"),
    ("access-control-request-method", "GET"),
    ("access-control-request-headers", "x-any"),
    ("connection", "x-pomerium-jwt-assertion"),
    ("connection", "keep-alive, x-email"),
    ("te", "trailers"),
    ("expect", "100-nothing"),
    ("cookie", "a=b; c=d"),
    ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
    ("x-forwarded-host", "elsewhere.example"),
    ("x-envoy-original-path", "/.pomerium/jwt"),
    ("accept", "*/*"),
    ("range", "bytes=0-1"),
];

/// A request with what tells it from all others.
pub fn request(dice: &mut Dice, number: usize, tokens: &[String]) -> Request {
    let method = *dice.pick(&METHODS);
    let mut request = Request::new(method, &target(dice)).header("x-number", number.to_string());
    request = request.host(if dice.one_in(3) { dice.pick(&HOSTS) } else { HOST.as_bytes() });
    if !dice.one_in(3) {
        request = identity(dice, request);
    }
    for _ in 0..dice.below(4) {
        request = line(dice, request, tokens);
    }
    if dice.one_in(8) {
        request = request.header("content-type", dice.pick(&CONTENT_TYPES));
    }
    match method {
        "POST" | "PUT" | "PATCH" if dice.one_in(3) => trailers(dice, request.body("hello")),
        "POST" | "PUT" | "PATCH" => request.body("hello"),
        _ => request,
    }
}

/// A request in the form in which one reads it.
pub fn text(request: &Request) -> String {
    String::from_utf8_lossy(&request.to_bytes()).escape_debug().to_string()
}

fn target(dice: &mut Dice) -> String {
    let path = *dice.pick(&PATHS);
    let path = match dice.below(16) {
        0 => path.to_uppercase(),
        1 => path.replacen('/', "//", 1),
        2 => path.replace("pomerium", "%70omerium"),
        3 => path.replace('.', "%2e"),
        _ => path.to_owned(),
    };
    format!("{path}{}", dice.pick(&ENDS))
}

/// Who is calling, in filter state, in headers, or in both.
fn identity(dice: &mut Dice, mut request: Request) -> Request {
    if dice.one_in(2) {
        request = request.header("x-state", identity::json(dice));
    }
    if dice.one_in(3) {
        request = request.headers([("x-user", "u-1"), ("x-user-email", "ann@example.com"), ("x-groups", "a,b,ann")]);
    } else if dice.one_in(2) {
        for name in ["x-user", "x-user-email", "x-groups", "x-name"] {
            let times = [1, 1, 1, 1, 0, 0, 0, 2][dice.below(8)];
            for _ in 0..times {
                request = request.header(name, identity::header(dice));
            }
        }
    }
    request
}

fn line(dice: &mut Dice, request: Request, tokens: &[String]) -> Request {
    match dice.below(3) {
        0 => {
            let (name, value) = *dice.pick(&LINES);
            request.header(name, value)
        }
        1 => {
            let name = alias(dice);
            request.header(name, identity::header(dice))
        }
        _ => {
            let token = dice.pick(tokens).clone();
            let (name, prefix) =
                *dice.pick(&[(ASSERTION_HEADER, ""), ("x-own-assertion", ""), ("authorization", "Bearer ")]);
            let damaged =
                if dice.one_in(4) { token[..token.len() - 1 - dice.below(token.len() - 1)].to_owned() } else { token };
            request.header(name, format!("{prefix}{damaged}"))
        }
    }
}

fn trailers(dice: &mut Dice, mut request: Request) -> Request {
    for _ in 0..dice.below(3) {
        let name = alias(dice);
        request = request.trailer(name, identity::header(dice));
    }
    request.trailer("x-kept", "kept")
}

/// One of the names with another byte in place of some that are no letter or digit, and other letter case.
fn alias(dice: &mut Dice) -> Vec<u8> {
    let mut name = dice.pick(&NAMES).as_bytes().to_vec();
    for byte in &mut name {
        if !byte.is_ascii_alphanumeric() && dice.one_in(3) {
            *byte = *dice.pick(FOLDED);
        } else if dice.one_in(6) {
            byte.make_ascii_uppercase();
        }
    }
    name
}
