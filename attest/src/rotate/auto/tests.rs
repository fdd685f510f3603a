//! Rotations at simulated time: the code that decides, writes and judges is the daemon's own; simulated are the clock, the place
//! of the keyring, the proxies and those who verify.

mod fleet;
mod place;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Parser as _;

use super::look::{Look, Settings};
use crate::rotate::fleet::FleetArgs;
use crate::rotate::outlook::Outlook;
use fleet::{Proxies, Verifiers};
use place::{Kind, SimulatedPlace, is_killed};
use world::World;

const EVERY: Duration = Duration::from_secs(20 * 60);
const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    fleet: FleetArgs,
}

/// What happened in a run.
#[derive(Default)]
struct Tally {
    looks: usize,
    outlooks: BTreeMap<&'static str, usize>,
    errors: BTreeSet<String>,
    /// Where daemons were killed, and how often.
    kills: BTreeMap<&'static str, usize>,
}

/// A run of two daemons that know nothing of each other.
struct Run {
    world: &'static World,
    fleet: FleetArgs,
    proxies: Proxies,
    verifiers: Verifiers,
    tally: Tally,
    kind: Kind,
}

impl Run {
    fn new(kind: Kind, seed: u64) -> Self {
        let world = World::new(seed);
        let urls = fleet::URLS.map(|url| ["--jwks-url", url]).concat();
        let fleet = Line::parse_from([&["attest", "--cache-time", "60s"], &urls[..]].concat()).fleet;
        let proxies = Proxies::new(world);
        let verifiers = Verifiers::new(world, &proxies);
        Self { world, fleet, proxies, verifiers, tally: Tally::default(), kind }
    }

    /// Rotates so many times. Whatever can go wrong does, at times that the seed decides.
    fn rotate(&mut self, rotations: usize) {
        let first = self.world.signers().len();
        let mut next_look = [0.0, 0.0];
        while self.world.signers().len() < first + rotations {
            self.trouble();
            for next in &mut next_look {
                if self.world.up() >= *next {
                    self.look();
                    *next = self.world.up() + self.world.between(1.0, 30.0);
                }
            }
            self.verifiers.work(&self.proxies);
            // Where nothing is due, time flies.
            self.world.pass(if self.world.kids().len() == 1 { 10.0 } else { 1.0 });
            let limit = 50_000.0 * f64::from(u32::try_from(rotations).unwrap());
            assert!(self.world.up() < limit, "it does not go on: {:?} {:?}", self.tally.outlooks, self.tally.errors);
        }
    }

    /// A clock that is set, a reboot, a proxy that lags or is not to be reached, each every few rotations.
    fn trouble(&mut self) {
        if self.world.chance(2000) {
            self.world.set_clock(self.world.between(-40.0, 40.0) * 86_400.0);
        }
        if self.world.chance(500) {
            self.world.set_clock(self.world.between(-0.4, 0.4));
        }
        if self.world.chance(4000) {
            self.world.reboot();
        }
        if self.world.chance(1500) {
            self.proxies.lag(self.world.between(60.0, 1200.0));
        }
        if self.world.chance(1500) {
            self.proxies.hide(self.world.between(60.0, 1200.0));
        }
    }

    /// One look of a daemon, which may be killed in it, and in which the other one may look too.
    fn look(&mut self) {
        let (looks, kills, errors) = (std::cell::RefCell::new(Vec::new()), Default::default(), Default::default());
        self.look_within(true, &looks, &kills, &errors);
        self.tally.looks += looks.borrow().len();
        for code in looks.into_inner() {
            *self.tally.outlooks.entry(code).or_default() += 1;
        }
        for place in std::cell::RefCell::into_inner(kills) {
            *self.tally.kills.entry(place).or_default() += 1;
        }
        self.tally.errors.extend(std::cell::RefCell::into_inner(errors));
    }

    fn look_within(
        &self,
        outer: bool,
        looks: &std::cell::RefCell<Vec<&'static str>>,
        kills: &std::cell::RefCell<Vec<&'static str>>,
        errors: &std::cell::RefCell<Vec<String>>,
    ) {
        // Most looks write nothing: it is those that write which are to be killed.
        let fuse = match self.world.below(20) {
            0 => Some(0),
            1..15 => Some(1 + self.world.below(4)),
            _ => None,
        };
        let place = SimulatedPlace::new(self.world, self.kind, fuse);
        let ask = || {
            if outer && self.world.chance(6) {
                self.look_within(false, looks, kills, errors);
            }
            self.proxies.answers()
        };
        let settings = Settings {
            every: EVERY,
            token_lifetime: TOKEN_LIFETIME,
            key_type: None,
            dry_run: false,
            always_ask: self.world.chance(2),
        };
        let look = Look { place: &place, fleet: &self.fleet, settings, clock: self.world, ask: &ask };
        match look.once() {
            Ok(report) => {
                looks.borrow_mut().push(report.code());
                if let Outlook::Done(done) = &report.outlook {
                    assert!(done.kids.len() <= 2, "{:?}", done.kids);
                }
            }
            Err(error) => match is_killed(&error) {
                Some(place) => kills.borrow_mut().push(place),
                None => errors.borrow_mut().push(format!("{error:#}")),
            },
        }
    }
}

/// Where a daemon can be killed, and must have been.
const PLACES: [&str; 4] =
    ["before it reads", "before it writes the record", "before it writes the keyring", "after it wrote"];

fn prove(kind: Kind, usual_rotations: usize) {
    let rotations = std::env::var("ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual_rotations);
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut run = Run::new(kind, seed);
    run.rotate(rotations);
    let (tally, verified) = (&run.tally, &run.verifiers);
    println!(
        "{kind:?}: {rotations} rotations in {:.1} days of simulated time; {} looks: {:?}; killed: {:?}; the clock was set {} times; \
         {} verifications at once, {} late, {} failed",
        run.world.up() / 86_400.0,
        tally.looks,
        tally.outlooks,
        tally.kills,
        run.world.times_set(),
        verified.at_once,
        verified.late,
        verified.failed.len(),
    );
    assert!(verified.failed.is_empty(), "{:#?}", verified.failed.iter().take(5).collect::<Vec<_>>());
    assert!(tally.errors.is_empty(), "{:?}", tally.errors);
    assert!(PLACES.iter().all(|place| tally.kills.contains_key(place)), "{:?}", tally.kills);
    assert!(["done", "held", "not_due", "busy"].iter().all(|code| tally.outlooks.contains_key(code)));
    assert!(verified.at_once > rotations * 1000 && verified.late > rotations * 300);
    let signers = run.world.signers();
    assert_eq!(signers.iter().collect::<BTreeSet<_>>().len(), signers.len(), "no key comes back");
}

#[test]
fn no_verification_fails_with_a_key_file() {
    prove(Kind::File, 12);
}

#[test]
fn no_verification_fails_with_a_secret() {
    prove(Kind::Secret, 12);
}

/// The check can fail: with proxies that are not asked, keys are used and removed too early.
#[test]
fn a_fleet_that_is_not_asked_is_found_out() {
    let mut run = Run::new(Kind::File, 1);
    run.proxies.claim_to_be_ahead();
    run.rotate(12);
    assert!(!run.verifiers.failed.is_empty());
}
