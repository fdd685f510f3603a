//! Apps that ask at a steady rate over connections that stay open, each with a keyset that it keeps for as long as the
//! proxy allows, and no longer; an unknown kid is no reason to fetch it again.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use harness::{ASSERTION_HEADER, Client, JWKS_PATH, KeySet, Reply, Request};

/// What has happened since it was last asked for.
#[derive(Default)]
pub(super) struct Interval {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) latencies: Vec<Duration>,
}

/// What the whole run comes to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) verified_by_kid: BTreeMap<String, u64>,
    pub(super) keysets_fetched: u64,
    /// By what happened, the instant left out.
    pub(super) failures: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Shared {
    interval: Interval,
    outcome: Outcome,
    jtis: HashSet<String>,
}

/// Callers at work. Ending them is up to whoever started them.
pub(super) struct Callers {
    is_over: Arc<AtomicBool>,
    shared: Arc<Mutex<Shared>>,
    threads: Vec<JoinHandle<()>>,
}

impl Callers {
    /// So many connections that ask `rate` times a second together.
    pub(super) fn start(proxy: SocketAddr, connections: u32, rate: u32) -> Self {
        let (is_over, shared) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Shared::default())));
        let period = Duration::from_secs(1) * connections / rate;
        let start = |number: u32| {
            let (is_over, shared) = (Arc::clone(&is_over), Arc::clone(&shared));
            let caller = Caller { proxy, user: format!("user-{number}"), connection: None, keys: None, shared };
            thread::spawn(move || caller.run(period, period * number / connections, &is_over))
        };
        let threads = (0..connections).map(start).collect();
        Self { is_over, shared, threads }
    }

    pub(super) fn drain(&self) -> Interval {
        std::mem::take(&mut lock(&self.shared).interval)
    }

    pub(super) fn end(self) -> Outcome {
        self.is_over.store(true, Ordering::SeqCst);
        let fell = self.threads.into_iter().filter_map(|thread| thread.join().err()).count();
        let mut outcome = std::mem::take(&mut lock(&self.shared).outcome);
        if fell > 0 {
            *outcome.failures.entry("a caller fell".into()).or_default() += fell as u64;
        }
        outcome
    }
}

struct Caller {
    proxy: SocketAddr,
    user: String,
    connection: Option<Client>,
    /// With the instant until which they may be used.
    keys: Option<(KeySet, Instant)>,
    shared: Arc<Mutex<Shared>>,
}

impl Caller {
    fn run(mut self, period: Duration, offset: Duration, is_over: &AtomicBool) {
        let mut due = Instant::now() + offset;
        while !is_over.load(Ordering::SeqCst) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += period;
            let started = Instant::now();
            let outcome = self.ask().map(|token| (started.elapsed(), token));
            self.note(outcome);
        }
    }

    fn note(&mut self, asked: Result<(Duration, String), String>) {
        let verified = asked.and_then(|(latency, token)| Ok((latency, self.verify(&token)?)));
        let mut shared = lock(&self.shared);
        shared.interval.requests += 1;
        match verified {
            Ok((latency, (kid, jti))) => {
                shared.interval.latencies.push(latency);
                *shared.outcome.verified_by_kid.entry(kid).or_default() += 1;
                if !shared.jtis.insert(jti) {
                    shared.fail("a jti came twice".into());
                }
            }
            Err(why) => shared.fail(why),
        }
    }

    /// The token that reached the upstream.
    fn ask(&mut self) -> Result<String, String> {
        let reply = self.exchange(&Request::get("/").header("x-auth-user", self.user.clone()))?;
        let seen = reply.try_seen().ok_or("not the upstream's answer")?;
        let mut tokens = seen.all(ASSERTION_HEADER);
        match (tokens.pop(), tokens.len()) {
            (Some(token), 0) => Ok(token),
            (_, more) => Err(format!("{more} assertions more than one, or none")),
        }
    }

    fn verify(&mut self, token: &str) -> Result<(String, String), String> {
        if self.keys.as_ref().is_none_or(|(_, expires)| Instant::now() >= *expires) {
            self.keys = Some(self.fetch_keys()?);
        }
        let (keys, _) = self.keys.as_ref().ok_or("no keyset")?;
        let assertion = keys.try_verify(token)?;
        if assertion.claim("sub") != self.user.as_str() {
            return Err("an assertion for another user".into());
        }
        let jti = assertion.claim("jti").as_str().ok_or("no jti")?.to_owned();
        Ok((assertion.kid().to_owned(), jti))
    }

    fn fetch_keys(&mut self) -> Result<(KeySet, Instant), String> {
        let asked = Instant::now();
        let reply = self.exchange(&Request::get(JWKS_PATH))?;
        let max_age = reply.header("cache-control").and_then(|value| {
            let (_, seconds) = value.split_once("max-age=")?;
            seconds.parse().ok()
        });
        let max_age = Duration::from_secs(max_age.ok_or("the keyset has no max-age")?);
        lock(&self.shared).outcome.keysets_fetched += 1;
        Ok((KeySet::from_json(reply.json()), asked + max_age))
    }

    fn exchange(&mut self, request: &Request) -> Result<Reply, String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Client::try_connect(self.proxy).map_err(|error| format!("no connection: {error}"))?,
        };
        let reply = connection.try_send(request).map_err(|error| format!("no reply: {error}"))?;
        self.connection = (!reply.is_last()).then_some(connection);
        if reply.status == 200 { Ok(reply) } else { Err(format!("status {}", reply.status)) }
    }
}

impl Shared {
    fn fail(&mut self, why: String) {
        self.interval.failed += 1;
        *self.outcome.failures.entry(why).or_default() += 1;
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
