use axum::http::{HeaderName, Request};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::super::keyset_cache::KeysetCache;
use super::*;
use crate::assertion::Expected;
use crate::keyset::{Fetcher, Source, TrustArgs};

const HOSTILE: &str = "</dd><script>alert(1)</script>\"'&\u{202e}\u{1b}[31m{{keyset}}";

fn page(request: Request<()>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    std::fs::write(&file, json!({ "keys": [{ "kid": HOSTILE, "kty": HOSTILE, "alg": HOSTILE }] }).to_string()).unwrap();
    let keysets = KeysetCache::new(Fetcher::new(&TrustArgs::default(), false).unwrap(), Source::File(file));
    let header = HeaderName::from_static("x-pomerium-jwt-assertion");
    let (parts, ()) = request.into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let received = runtime.block_on(Received::new(&parts, &header, &Expected::default(), &keysets));
    render(&received, true).into_string()
}

fn token(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.AAAA", encode(header), encode(claims))
}

#[test]
fn nothing_hostile_leaves_its_place() {
    let claims = json!({
        "sub": HOSTILE, "email": HOSTILE, "name": HOSTILE, "groups": [HOSTILE], HOSTILE: { HOSTILE: [HOSTILE] },
        "exp": HOSTILE, "iat": 1e300, "nbf": -1
    });
    for (alg, kid) in [("ES256", HOSTILE), (HOSTILE, "x")] {
        let request = Request::get("/<script>?<b>")
            .header("x-pomerium-jwt-assertion", token(&json!({ "alg": alg, "kid": kid, HOSTILE: HOSTILE }), &claims))
            .header("x-hostile", "<script>alert(1)</script>")
            .header("cookie", "demo_user=topsecret")
            .header("host", "<b>")
            .body(());
        // Envoy lets such paths through; the http crate does not even build them.
        let Ok(request) = request else { continue };
        let page = page(request);
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("topsecret"));
        assert!(page.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')));
        assert_eq!(page.matches("<h2>Keyset</h2>").count(), 1);
    }
    let request =
        Request::get("/").header("x-pomerium-jwt-assertion", token(&json!({ "alg": HOSTILE }), &claims)).body(());
    assert!(!page(request.unwrap()).contains("<script"));
}

#[test]
fn a_request_without_an_assertion_is_told_what_is_missing() {
    let page = page(Request::get("/").body(()).unwrap());
    assert!(page.contains("Not verified"));
    assert!(page.contains("no x-pomerium-jwt-assertion header arrived"));
}

#[test]
fn long_kids_and_values_are_shortened() {
    assert_eq!(short(&"ab".repeat(32)), "abababab…ababab");
    assert_eq!(short("short"), "short");
    assert!(shortened(&"é".repeat(200)).ends_with("… (400 bytes)"));
    assert_eq!(initials("  ...élan"), "É");
}
