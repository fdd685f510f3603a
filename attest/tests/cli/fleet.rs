//! Proxies that follow a keyring, and clients that verify as they are told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use attestation_filter::keys::{Keyring, PublicKey, SigningKey};
use p256::ecdsa::signature::Signer as _;

use crate::support::Proxy;

/// How long clients keep a keyset, and how long an assertion is good.
pub(crate) const SHORT: Duration = Duration::from_millis(500);
/// How long a proxy may take to read a changed file.
pub(crate) const REFRESH: Duration = Duration::from_secs(1);

/// A proxy that reads the keyring as Envoy does, a moment late.
pub(crate) struct Follower {
    pub(crate) proxy: Proxy,
    keyring: Arc<Mutex<Arc<Keyring>>>,
}

impl Follower {
    pub(crate) fn new(read: impl Fn() -> Vec<u8> + Send + 'static, lag: Duration, stop: &Arc<AtomicBool>) -> Self {
        let first = Keyring::parse(&read()).ok().map(Arc::new).unwrap();
        let follower = Self { proxy: Proxy::new(&first.keyset().json()), keyring: Arc::new(Mutex::new(first)) };
        let stop = Arc::clone(stop);
        let (keyring, published) = (Arc::clone(&follower.keyring), follower.proxy.publisher());
        thread::spawn(move || {
            let mut text = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let now = read();
                if now != text {
                    sleep(lag);
                    let new = Keyring::parse(&now).unwrap_or_else(|error| panic!("a broken keyring: {error}"));
                    *published.lock().unwrap() = new.keyset().json();
                    *keyring.lock().unwrap() = Arc::new(new);
                    text = now;
                }
                sleep(Duration::from_millis(10));
            }
        });
        follower
    }

    fn sign(&self) -> (String, Vec<u8>) {
        let keyring = Arc::clone(&self.keyring.lock().unwrap());
        let SigningKey::P256(key) = keyring.signing_key() else { panic!("not P-256") };
        let signature: p256::ecdsa::Signature = key.signing_key().sign(b"message");
        (key.public_key().kid().to_owned(), signature.to_bytes().to_vec())
    }

    fn keyset(&self) -> Vec<PublicKey> {
        self.keyring.lock().unwrap().keyset().keys().to_vec()
    }
}

/// An assertion on its way.
struct Sent {
    at: Instant,
    kid: String,
    signature: Vec<u8>,
}

/// Verifies as clients do that keep each proxy's keyset as long as they may, and that get each assertion twice: at once,
/// and as late as it is good.
pub(crate) fn verify_until(stop: &AtomicBool, fleet: &[Follower], failures: &AtomicUsize, verified: &AtomicUsize) {
    let mut kept: Vec<(Instant, Vec<PublicKey>)> = fleet.iter().map(|proxy| (Instant::now(), proxy.keyset())).collect();
    let mut on_their_way = VecDeque::new();
    let mut turn = 0;
    while !stop.load(Ordering::SeqCst) {
        turn += 1;
        let (at, (kid, signature)) = (Instant::now(), fleet[turn % fleet.len()].sign());
        let sent = Sent { at, kid, signature };
        let is_late = on_their_way.front().is_some_and(|sent: &Sent| sent.at.elapsed() > SHORT.mul_f64(0.9));
        let late = if is_late { on_their_way.pop_front() } else { None };
        for ((fetched, keyset), proxy) in kept.iter_mut().zip(fleet) {
            if fetched.elapsed() > SHORT.mul_f64(0.9) {
                (*fetched, *keyset) = (Instant::now(), proxy.keyset());
            }
            for sent in late.iter().chain([&sent]) {
                // All signatures would take a slow build too long.
                let key = keyset.iter().find(|key| key.kid() == sent.kid);
                let good = key.is_some_and(|key| turn % 8 > 0 || key.verifies(b"message", &sent.signature));
                // A machine that is too busy to be in time proves nothing.
                if sent.at.elapsed() < SHORT && fetched.elapsed() < SHORT {
                    if good { verified } else { failures }.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        on_their_way.push_back(sent);
        sleep(Duration::from_millis(5));
    }
}

/// The options of a daemon for this fleet.
pub(crate) fn options(fleet: &[Follower]) -> Vec<String> {
    let urls = fleet.iter().flat_map(|follower| ["--jwks-url", &follower.proxy.url]);
    let times = ["--cache-time", "0.5s", "--refresh-time", "1s", "--token-lifetime", "0.5s", "--every", "0s"];
    urls.chain(times).map(str::to_owned).collect()
}
