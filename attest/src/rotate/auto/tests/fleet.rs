//! Three proxies that read the keyring late, and those who verify what they sign.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::TOKEN_LIFETIME;
use super::world::{Version, World};
use crate::keyset::{Fetched, Keyset, SourceError};
use crate::rotate::ask::Answer;
use crate::rotate::target::Target;

pub(super) const URLS: [&str; 3] = ["http://10.0.0.1/keys", "http://10.0.0.2/keys", "http://10.0.0.3/keys"];
/// What the proxies let clients keep a keyset for, and what the workers of one take to read a file: the filter's defaults.
const MAX_AGE: f64 = 60.0;
const REFRESH: f64 = 5.0;
const WORKERS: usize = 2;

/// A worker, and what it has read.
struct Worker {
    version: usize,
    /// When it reads the next version.
    reads: Option<f64>,
}

struct Proxy {
    workers: [Worker; WORKERS],
    /// Until then it reads nothing new.
    lags_until: f64,
    /// Until then it does not answer whoever rotates; those who verify still reach it.
    hidden_until: f64,
}

pub(super) struct Proxies {
    world: &'static World,
    proxies: RefCell<Vec<Proxy>>,
    claims_to_be_ahead: bool,
}

impl Proxies {
    pub(super) fn new(world: &'static World) -> Self {
        let worker = || Worker { version: 0, reads: None };
        let proxy = || Proxy { workers: [worker(), worker()], lags_until: 0.0, hidden_until: 0.0 };
        let proxies = RefCell::new(URLS.iter().map(|_| proxy()).collect());
        Self { world, proxies, claims_to_be_ahead: false }
    }

    pub(super) fn lag(&self, seconds: f64) {
        self.any().lags_until = self.world.up() + seconds;
    }

    pub(super) fn hide(&self, seconds: f64) {
        self.any().hidden_until = self.world.up() + seconds;
    }

    /// From now on their keysets say what the file says, and not what they sign with.
    pub(super) fn claim_to_be_ahead(&mut self) {
        self.claims_to_be_ahead = true;
    }

    fn any(&self) -> std::cell::RefMut<'_, Proxy> {
        let which = usize::try_from(self.world.below(3)).unwrap();
        std::cell::RefMut::map(self.proxies.borrow_mut(), |proxies| &mut proxies[which])
    }

    /// What a worker of this proxy has read by now. The workers of one proxy read one after the other, within REFRESH.
    fn view(&self, which: usize, worker: usize) -> Rc<Version> {
        let (up, (newest, version)) = (self.world.up(), self.world.newest());
        let proxy = &mut self.proxies.borrow_mut()[which];
        if proxy.workers.iter().any(|worker| worker.version < newest && worker.reads.is_none()) {
            let begins = version.since.max(proxy.lags_until) + self.world.between(0.0, 30.0);
            for worker in &mut proxy.workers {
                worker.reads = Some(begins + self.world.between(0.0, REFRESH));
            }
        }
        for worker in &mut proxy.workers {
            if worker.reads.is_some_and(|reads| reads <= up) {
                *worker = Worker { version: newest, reads: None };
            }
        }
        self.world.version(proxy.workers[worker].version)
    }

    /// What a daemon gets to see: one worker of each proxy that answers.
    pub(super) fn answers(&self) -> Vec<Answer> {
        let answer = |(which, url): (usize, &&str)| {
            let target = Target { url: (*url).to_owned(), address: None };
            if self.proxies.borrow()[which].hidden_until > self.world.up() {
                return (target, Err(SourceError::new("no answer", "wait")));
            }
            let version = match self.claims_to_be_ahead {
                true => self.world.newest().1,
                false => self.view(which, self.worker()),
            };
            let keyset = Keyset::parse(version.keyring.keyset().json().as_bytes()).unwrap();
            (target, Ok(Fetched { keyset, max_age: Some(Duration::from_secs_f64(MAX_AGE)) }))
        };
        URLS.iter().enumerate().map(answer).collect()
    }

    fn worker(&self) -> usize {
        usize::try_from(self.world.below(2)).unwrap()
    }
}

/// An assertion on its way.
struct Sent {
    at: f64,
    kid: String,
    message: Vec<u8>,
    /// Only some are signed for real.
    signature: Option<Vec<u8>>,
}

/// Those who verify: each keeps the keyset of each proxy for exactly as long as it may, and gets each assertion twice: at once,
/// and shortly before it expires.
pub(super) struct Verifiers {
    world: &'static World,
    kept: Vec<Vec<(f64, Rc<Version>)>>,
    on_their_way: VecDeque<Sent>,
    pub(super) at_once: usize,
    pub(super) late: usize,
    pub(super) failed: Vec<String>,
}

impl Verifiers {
    pub(super) fn new(world: &'static World, proxies: &Proxies) -> Self {
        // They have begun at different times.
        let kept = |verifier: u32| {
            let age = f64::from(verifier) * 20.0;
            (0..URLS.len()).map(|which| (-age, proxies.view(which, 0))).collect()
        };
        let kept = (0..3).map(kept).collect();
        Self { world, kept, on_their_way: VecDeque::new(), at_once: 0, late: 0, failed: Vec::new() }
    }

    pub(super) fn work(&mut self, proxies: &Proxies) {
        let up = self.world.up();
        for kept in &mut self.kept {
            for (which, (fetched, version)) in kept.iter_mut().enumerate() {
                if up - *fetched >= MAX_AGE {
                    (*fetched, *version) = (up, proxies.view(which, proxies.worker()));
                }
            }
        }
        for which in 0..URLS.len() {
            let version = proxies.view(which, proxies.worker());
            let message = self.world.random().to_le_bytes().to_vec();
            let signature = self.world.chance(400).then(|| version.sign(&message));
            let sent = Sent { at: up, kid: version.kids()[0].clone(), message, signature };
            self.at_once += self.verify(&sent);
            self.on_their_way.push_back(sent);
        }
        let lifetime = TOKEN_LIFETIME.as_secs_f64();
        while self.on_their_way.front().is_some_and(|sent| up - sent.at >= lifetime - 15.0) {
            let Some(sent) = self.on_their_way.pop_front() else { break };
            // An assertion that has expired is refused in any case.
            if up - sent.at < lifetime {
                self.late += self.verify(&sent);
            }
        }
    }

    fn verify(&mut self, sent: &Sent) -> usize {
        let up = self.world.up();
        let mut count = 0;
        for (verifier, kept) in self.kept.iter().enumerate() {
            for (which, (fetched, version)) in kept.iter().enumerate() {
                let key = version.keys().iter().find(|key| key.kid() == sent.kid);
                let signed = |key: &attestation_filter::keys::PublicKey| {
                    sent.signature.as_ref().is_none_or(|signature| key.verifies(&sent.message, signature))
                };
                count += 1;
                if !key.is_some_and(signed) {
                    self.failed.push(format!(
                        "verifier {verifier} with the keyset of {which} from {fetched} at {up}: assertion of {}",
                        sent.at
                    ));
                }
            }
        }
        count
    }
}
