//! The paths of the demo service.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::demo_issuer::DemoIssuer;
use super::keyset_cache::KeysetCache;
use super::page;
use super::received::Received;
use crate::assertion::Expected;
use crate::terminal;

/// The page is one document with its style inside: nothing else may load or run.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A key in a circle, readable on light and dark tabs.
const ICON: &str = include_str!("icon.svg");

/// What all requests share.
pub(super) struct Service {
    header: HeaderName,
    expected: Expected,
    keysets: KeysetCache,
    demo_issuer: Option<DemoIssuer>,
    json_log: bool,
}

#[derive(Deserialize)]
struct SignIn {
    #[serde(default)]
    user: String,
}

impl Service {
    pub(super) fn new(
        header: HeaderName,
        expected: Expected,
        keysets: KeysetCache,
        demo_issuer: Option<DemoIssuer>,
        json_log: bool,
    ) -> Self {
        Self { header, expected, keysets, demo_issuer, json_log }
    }

    pub(super) fn router(self) -> Router {
        let mut router = Router::new().route("/healthz", get(|| async { "ok\n" })).route("/favicon.ico", get(icon));
        if self.demo_issuer.is_some() {
            router = router.route("/demo/sign-in", post(sign_in)).route("/demo/sign-out", post(sign_out));
        }
        router.fallback(show).with_state(Arc::new(self))
    }

    fn log(&self, received: &Received) {
        if self.json_log {
            terminal::remark(&format!(
                "{}",
                json!({ "request": received.log_line(), "verified": received.is_verified() })
            ));
        } else {
            terminal::remark(&received.log_line());
        }
    }
}

async fn show(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let received = Received::new(&parts, &service.header, &service.expected, &service.keysets).await;
    service.log(&received);
    let status = if received.is_verified() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    let (content_type, body) = if wants_page(parts.uri.query(), &parts.headers) {
        ("text/html; charset=utf-8", page::render(&received, service.demo_issuer.is_some()).into_string())
    } else {
        ("application/json", format!("{:#}\n", received.json()))
    };
    answer(status, content_type, body)
}

/// Browsers ask for it by themselves: that is no visit, and no assertion is needed.
async fn icon() -> Response {
    answer(StatusCode::OK, "image/svg+xml", ICON.to_owned())
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, body).into_response()
}

/// Browsers name `text/html`; curl and programs do not.
fn wants_page(query: Option<&str>, headers: &HeaderMap) -> bool {
    let format = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("format="));
    match format {
        Some("json") => false,
        Some("html") => true,
        _ => headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|accept| accept.to_ascii_lowercase().contains("text/html")),
    }
}

async fn sign_in(State(service): State<Arc<Service>>, Query(query): Query<SignIn>) -> Response {
    match service.demo_issuer.as_ref().map(|issuer| issuer.sign_in(&query.user)) {
        Some(Ok(Some(cookie))) => back_to_the_page(&cookie),
        Some(Ok(None)) | None => answer(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            "no such demo user; try ann, bob or zoe\n".to_owned(),
        ),
        Some(Err(error)) => {
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", format!("{error:#}\n"))
        }
    }
}

async fn sign_out(State(service): State<Arc<Service>>) -> Response {
    let cookie = service.demo_issuer.as_ref().map(DemoIssuer::sign_out).unwrap_or_default();
    back_to_the_page(&cookie)
}

fn back_to_the_page(cookie: &str) -> Response {
    let mut response =
        (StatusCode::SEE_OTHER, [(header::LOCATION, "/"), (header::CACHE_CONTROL, "no-store")]).into_response();
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_programs_json() {
        let headers = |accept: &'static str| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        assert!(wants_page(None, &headers("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")));
        assert!(!wants_page(None, &headers("*/*")));
        assert!(!wants_page(None, &headers("application/json")));
        assert!(!wants_page(None, &HeaderMap::new()));
        assert!(!wants_page(Some("a=b&format=json"), &headers("text/html")));
        assert!(wants_page(Some("format=html"), &headers("*/*")));
    }
}
