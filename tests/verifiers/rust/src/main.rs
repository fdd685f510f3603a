//! A service behind the proxy: it says who is calling, to those who bring a good assertion.

mod verify;

use std::env;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use tiny_http::{Request, Response, Server};
use verify::{Failure, HEADER, Verifier};

fn main() -> Result<(), Failure> {
    let verifier = Verifier {
        jwks_url: env::var("JWKS_URL")?,
        audience: env::var("AUDIENCE")?,
        issuer: env::var("ISSUER")?,
        max_age: seconds("KEYSET_MAX_AGE", "300")?,
        pause: seconds("KEYSET_PAUSE", "30")?,
        cached: Mutex::new(None),
    };
    let port = env::var("PORT").unwrap_or_else(|_| "0".into());
    let server = Server::http(format!("127.0.0.1:{port}"))?;
    println!("listening on http://{}", server.server_addr());
    std::io::stdout().flush()?;
    for request in server.incoming_requests() {
        let (status, body) = match verifier.verify(&assertions(&request)) {
            Ok(claims) => (200, json!(claims)),
            Err(error) => (401, json!({ "error": error.to_string() })),
        };
        if let Err(error) = request.respond(Response::from_string(body.to_string()).with_status_code(status)) {
            eprintln!("cannot answer: {error}");
        }
    }
    Ok(())
}

fn assertions(request: &Request) -> Vec<&str> {
    let headers = request.headers().iter();
    headers.filter(|header| header.field.equiv(HEADER)).map(|header| header.value.as_str()).collect()
}

fn seconds(name: &str, default: &str) -> Result<Duration, Failure> {
    Ok(Duration::try_from_secs_f64(env::var(name).as_deref().unwrap_or(default).parse()?)?)
}
