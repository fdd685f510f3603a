//! Time, chance, and the keyrings that there were.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use attestation_filter::keys::{Keyring, PublicKey, SigningKey};

use crate::clock::Clock;
use crate::new_key::KeyType;

/// 2026-01-01.
const WALL: f64 = 1_767_225_600.0;

/// A keyring, and since when it is where the proxies read it.
pub(super) struct Version {
    pub(super) since: f64,
    pub(super) keyring: Keyring,
}

/// What the place holds.
pub(super) struct Held {
    pub(super) text: Vec<u8>,
    pub(super) record: Option<String>,
    /// When it was last changed, by the clock of then.
    pub(super) changed: f64,
    pub(super) number: u64,
    pub(super) locked: bool,
}

pub(super) struct World {
    /// Seconds since the world began; all times of this world that are not a clock's.
    up: Cell<f64>,
    ahead: Cell<f64>,
    boot: Cell<u32>,
    times_set: Cell<usize>,
    random: Cell<u64>,
    pub(super) held: RefCell<Held>,
    versions: RefCell<Vec<Rc<Version>>>,
    signers: RefCell<Vec<String>>,
}

impl World {
    pub(super) fn new(seed: u64) -> &'static Self {
        let text = KeyType::P256.generate().unwrap().as_bytes().to_vec();
        let held = Held { text: text.clone(), record: None, changed: WALL, number: 0, locked: false };
        let world = Self {
            up: Cell::new(0.0),
            ahead: Cell::new(WALL),
            boot: Cell::new(1),
            times_set: Cell::new(0),
            random: Cell::new(seed),
            held: RefCell::new(held),
            versions: RefCell::default(),
            signers: RefCell::default(),
        };
        world.publish(&text);
        Box::leak(Box::new(world))
    }

    pub(super) fn up(&self) -> f64 {
        self.up.get()
    }

    pub(super) fn pass(&self, seconds: f64) {
        self.up.set(self.up.get() + seconds);
    }

    pub(super) fn set_clock(&self, by: f64) {
        self.times_set.set(self.times_set.get() + 1);
        self.ahead.set(self.ahead.get() + by);
    }

    pub(super) fn times_set(&self) -> usize {
        self.times_set.get()
    }

    pub(super) fn reboot(&self) {
        self.boot.set(self.boot.get() + 1);
    }

    /// From now on proxies can read this keyring. It must be a good one, and its signer a key that they all know or the first
    /// one.
    pub(super) fn publish(&self, text: &[u8]) {
        let keyring = Keyring::parse(text).expect("the keyring is never broken");
        let kid = keyring.signing_key().public_key().kid().to_owned();
        assert!((1..=2).contains(&keyring.keyset().keys().len()));
        if self.signers.borrow().last() != Some(&kid) {
            self.signers.borrow_mut().push(kid);
        }
        self.versions.borrow_mut().push(Rc::new(Version { since: self.up(), keyring }));
    }

    pub(super) fn newest(&self) -> (usize, Rc<Version>) {
        let versions = self.versions.borrow();
        (versions.len() - 1, Rc::clone(&versions[versions.len() - 1]))
    }

    pub(super) fn version(&self, number: usize) -> Rc<Version> {
        Rc::clone(&self.versions.borrow()[number])
    }

    pub(super) fn signers(&self) -> Vec<String> {
        self.signers.borrow().clone()
    }

    pub(super) fn kids(&self) -> Vec<String> {
        self.newest().1.kids()
    }

    /// SplitMix64.
    pub(super) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&self, limit: u32) -> u32 {
        u32::try_from(self.random() % u64::from(limit)).unwrap()
    }

    /// Once in so many times.
    pub(super) fn chance(&self, one_in: u32) -> bool {
        self.below(one_in) == 0
    }

    pub(super) fn between(&self, from: f64, to: f64) -> f64 {
        from + (to - from) * f64::from(self.below(1 << 20)) / f64::from(1 << 20)
    }
}

impl Clock for World {
    fn now(&self) -> f64 {
        self.up.get() + self.ahead.get()
    }

    fn ahead_of_boot(&self) -> Option<(String, f64)> {
        Some((self.boot.get().to_string(), self.ahead.get()))
    }
}

impl Version {
    pub(super) fn kids(&self) -> Vec<String> {
        self.keyring.keyset().keys().iter().map(|key| key.kid().to_owned()).collect()
    }

    pub(super) fn keys(&self) -> &[PublicKey] {
        self.keyring.keyset().keys()
    }

    /// A signature over `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        use p256::ecdsa::signature::Signer as _;
        let SigningKey::P256(key) = self.keyring.signing_key() else { panic!("not P-256") };
        let signature: p256::ecdsa::Signature = key.signing_key().sign(message);
        signature.to_bytes().to_vec()
    }
}
