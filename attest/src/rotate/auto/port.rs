//! The port at which `--stay` can be watched: `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::metrics;
use super::status::Status;

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers from now on, as long as the program runs. Returns where.
///
/// # Errors
/// When the address cannot be had.
pub(super) fn open(address: SocketAddr, status: Arc<Status>) -> anyhow::Result<SocketAddr> {
    let taken = || format!("cannot listen on {address}; is something else there? port 0 takes a free one");
    let listener = std::net::TcpListener::bind(address).with_context(taken)?;
    listener.set_nonblocking(true).with_context(taken)?;
    let bound = listener.local_addr().with_context(taken)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().with_context(taken)?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ = axum::serve(listener, router(status)).await;
            }
        });
    });
    Ok(bound)
}

fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(status)
}

async fn show_metrics(State(status): State<Arc<Status>>) -> Response {
    ([(header::CONTENT_TYPE, METRICS)], metrics::text(&status.known())).into_response()
}

/// A daemon that hangs is to be started anew.
async fn alive(State(status): State<Arc<Status>>) -> Response {
    match status.known().is_alive() {
        true => plain(StatusCode::OK, "alive"),
        false => plain(StatusCode::SERVICE_UNAVAILABLE, "the last look at the keyring has not ended"),
    }
}

async fn ready(State(status): State<Arc<Status>>) -> Response {
    match status.known().error {
        None => plain(StatusCode::OK, "ready"),
        Some(error) => plain(StatusCode::SERVICE_UNAVAILABLE, &error),
    }
}

fn plain(status: StatusCode, text: &str) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{text}\n")).into_response()
}
