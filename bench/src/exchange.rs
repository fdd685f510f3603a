//! One request at a time, for whatever is not a measurement under load.

use std::time::{Duration, Instant};

use anyhow::ensure;
use harness::{Client, Reply};

/// Sends a request, waits for the answer, and says how long that took.
pub(crate) fn exchange(client: &mut Client, request: &[u8]) -> anyhow::Result<(Reply, Duration)> {
    let started = Instant::now();
    let reply = client.try_send_raw(request, "GET")?;
    let took = started.elapsed();
    ensure!(reply.status == 200, "not answered 200: {} {}", reply.status, reply.text_lossy());
    Ok((reply, took))
}
