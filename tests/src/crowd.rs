//! Apps that verify: clients that never rest, on connections that stay open, each with a keyset that it caches for as
//! long as the proxy allows.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::http::{Client, Reply, Request};
use super::jose::KeySet;
use super::{ASSERTION_HEADER, JWKS_PATH, eventually};

/// Enough to keep every worker at it, and to leave the rest of the machine to the other tests.
const PAUSE: Duration = Duration::from_millis(3);

/// Clients at work. Dropping it ends them.
pub struct Crowd {
    is_over: Arc<AtomicBool>,
    members: Vec<Member>,
}

struct Member {
    progress: Arc<Mutex<Progress>>,
    thread: Option<JoinHandle<()>>,
}

/// What a client has done so far.
#[derive(Default)]
struct Progress {
    keyset_asked_for: Option<Instant>,
    verified: BTreeMap<String, usize>,
    failures: Vec<String>,
}

impl Crowd {
    /// So many clients, each asking all of these proxies in turn, and any of them for the keyset.
    pub fn start(proxies: &[SocketAddr], count: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let members = (0..count).map(|number| Member::start(proxies, number, Arc::clone(&is_over))).collect();
        Self { is_over, members }
    }

    /// Waits until each client has verified an assertion that this key signed.
    pub fn wait_until_all_verified(&self, kid: &str) {
        eventually("every client to verify the key's assertions", || {
            let has_verified = |member: &Member| member.progress().verified.contains_key(kid);
            (self.members.iter().all(has_verified) || self.has_failed()).then_some(())
        });
    }

    /// Waits until no client goes by a keyset that it had cached before now: this is what `jwks_max_age` limits.
    pub fn outlive_caches(&self) {
        let now = Instant::now();
        eventually("every cached keyset to expire", || {
            let has_asked_since = |member: &Member| member.progress().keyset_asked_for.is_some_and(|asked| asked > now);
            (self.members.iter().all(has_asked_since) || self.has_failed()).then_some(())
        });
    }

    /// Waits until something has failed for some client, and says what.
    pub fn wait_for_failure(&self) -> String {
        eventually("a client to fail", || self.members.iter().find_map(|m| m.progress().failures.first().cloned()))
    }

    /// Ends it.
    ///
    /// # Panics
    /// If any request was not answered with 200, or any assertion did not verify.
    pub fn assert_flawless(mut self) {
        self.end();
        let progress: Vec<_> = self.members.iter().map(Member::progress).collect();
        let failures: Vec<&String> = progress.iter().flat_map(|progress| &progress.failures).take(20).collect();
        let verified: Vec<_> = progress.iter().map(|progress| &progress.verified).collect();
        assert!(failures.is_empty(), "failures (the first 20): {failures:#?}\nverified by client: {verified:#?}");
        assert!(verified.iter().all(|kids| !kids.is_empty()), "every client verified something: {verified:#?}");
    }

    fn has_failed(&self) -> bool {
        self.members.iter().any(|member| !member.progress().failures.is_empty())
    }

    fn end(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        for member in &mut self.members {
            let fell = member.thread.take().is_some_and(|thread| thread.join().is_err());
            if fell {
                member.progress().failures.push("a client fell; see its message above".into());
            }
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.end();
    }
}

impl Member {
    fn start(proxies: &[SocketAddr], number: usize, is_over: Arc<AtomicBool>) -> Self {
        let progress = Arc::new(Mutex::new(Progress::default()));
        let mut verifier = Verifier::new(proxies, number, Arc::clone(&progress));
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                verifier.work();
                thread::sleep(PAUSE);
            }
        });
        Self { progress, thread: Some(thread) }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }
}

/// One client.
struct Verifier {
    proxies: Vec<Proxy>,
    turn: usize,
    keys: Option<Cached>,
    progress: Arc<Mutex<Progress>>,
}

/// A keyset with the time until which it may be used.
struct Cached {
    keys: KeySet,
    expires: Instant,
}

impl Verifier {
    fn new(proxies: &[SocketAddr], number: usize, progress: Arc<Mutex<Progress>>) -> Self {
        let proxies = proxies.iter().map(|address| Proxy { address: *address, connection: None }).collect();
        Self { proxies, turn: number, keys: None, progress }
    }

    fn work(&mut self) {
        let outcome = self.verify_one();
        let mut progress = lock(&self.progress);
        match outcome {
            Ok(kid) => *progress.verified.entry(kid).or_default() += 1,
            Err(why) => progress.failures.push(why),
        }
    }

    /// Sends a request as any app's caller does, then verifies its assertion as the app does. Returns the key's kid.
    fn verify_one(&mut self) -> Result<String, String> {
        self.turn += 1;
        let reply = self.proxy(0).ask(&Request::get("/"))?;
        let seen = reply.try_seen().ok_or("not the upstream's answer")?;
        let token = seen.one(ASSERTION_HEADER).ok_or("no assertion reached the upstream")?;
        let keys = match self.keys.take().filter(|cached| Instant::now() < cached.expires) {
            Some(fresh) => fresh,
            None => self.fetch_keys()?,
        };
        let verdict = keys.keys.try_verify(&token).map(|assertion| assertion.kid().to_owned());
        self.keys = Some(keys);
        verdict
    }

    /// Fetches the keyset from another proxy than the one that was just asked, where there are more, to keep it for as
    /// long as it says. An unknown kid is no reason to fetch it again: that hides what these tests look for.
    fn fetch_keys(&mut self) -> Result<Cached, String> {
        let asked = Instant::now();
        let reply = self.proxy(1).ask(&Request::get(JWKS_PATH))?;
        lock(&self.progress).keyset_asked_for = Some(asked);
        let max_age = max_age(&reply).ok_or("the keyset has no max-age")?;
        Ok(Cached { keys: KeySet::from_json(reply.json()), expires: Instant::now() + max_age })
    }

    fn proxy(&mut self, offset: usize) -> &mut Proxy {
        let index = (self.turn + offset) % self.proxies.len();
        &mut self.proxies[index]
    }
}

/// A proxy, and the connection to it while it is open.
struct Proxy {
    address: SocketAddr,
    connection: Option<Client>,
}

impl Proxy {
    fn ask(&mut self, request: &Request) -> Result<Reply, String> {
        let reply = self.try_ask(request).map_err(|e| format!("{}: no reply: {e}", self.address))?;
        if reply.status != 200 {
            return Err(format!("{}: status {}: {}", self.address, reply.status, String::from_utf8_lossy(&reply.body)));
        }
        Ok(reply)
    }

    fn try_ask(&mut self, request: &Request) -> io::Result<Reply> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Client::try_connect(self.address)?,
        };
        let reply = connection.try_send(request)?;
        self.connection = (!reply.is_last()).then_some(connection);
        Ok(reply)
    }
}

fn max_age(reply: &Reply) -> Option<Duration> {
    let cache_control = reply.header("cache-control")?;
    let seconds = cache_control.split(',').find_map(|directive| directive.trim().strip_prefix("max-age="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}
