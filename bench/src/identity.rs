//! The user of every request, and the requests.

use serde_json::{Value, json};

use crate::variant::{Source, Variant};

/// The namespace that jwt_authn writes to.
pub(crate) const NAMESPACE: &str = "envoy.filters.http.jwt_authn";
const USER: &str = "8a1f6c52-93d7-4a6e-b0c4-2f7de91b6a35";
const EMAIL: &str = "alice@corp.example.com";
const NAME: &str = "Alice Example";
const SESSION: &str = "5f0f2b3c-7a61-4f0e-9a0b-1d2c3e4f5a6b";

/// A verified token's payload, as an identity provider makes it.
pub(crate) fn payload(groups: usize) -> Value {
    json!({
        "iss": "https://idp.example.com/", "aud": "app", "iat": 1_700_000_000, "exp": 4_102_444_800_u64,
        "sub": USER, "email": EMAIL, "name": NAME, "sid": SESSION, "groups": names_of(groups),
    })
}

pub(crate) fn names_of(groups: usize) -> Vec<String> {
    (0..groups).map(|number| format!("team-{number:04}")).collect()
}

/// Which header holds which claim, for the filter's configuration.
pub(crate) fn header_source() -> Value {
    json!({"headers": {
        "sub": "x-auth-user", "email": "x-auth-email", "name": "x-auth-name", "sid": "x-auth-session",
        "groups": "x-auth-groups",
    }})
}

/// A request with the headers that a browser sends.
pub(crate) fn request(variant: &Variant, path: &str) -> Vec<u8> {
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nhost: app.example.com\r\n\
         user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         accept-language: en-US,en;q=0.5\r\naccept-encoding: gzip, deflate, br, zstd\r\n\
         cookie: session=9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d; theme=dark\r\n"
    );
    if variant.source == Source::Headers {
        request += &format!(
            "x-auth-user: {USER}\r\nx-auth-email: {EMAIL}\r\nx-auth-name: {NAME}\r\nx-auth-session: {SESSION}\r\n\
             x-auth-groups: {}\r\n",
            names_of(variant.groups).join(",")
        );
    }
    request += "\r\n";
    request.into_bytes()
}
