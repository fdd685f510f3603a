//! While configurations, keys and processes come and go, good and bad, and clients try everything, no request arrives at
//! the upstream without the assertion that it should carry, or with another. Requests may fail; they may not arrive so.
//!
//! `make chaos` is the long form; `CHAOS_REQUESTS` says how many requests, `CHAOS_SEED` gives the same chances again.

/// Clients that try everything to have their own assertion reach the upstream.
mod client;
/// Tokens that look like the filter's.
mod forger;
/// The hand that breaks things.
mod hand;
/// What may arrive at the upstream.
mod judge;
/// Which keys were ours, and when.
mod ledger;
/// The service behind Envoy.
mod witness;

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use client::Work;
use hand::Hand;
use judge::Judge;
use ledger::Ledger;

use harness::environment::number;
use harness::{Request, eventually};

const CLIENTS: u64 = 8;
/// Requests between one event and the next.
const PACE: u64 = 250;

#[test]
fn whatever_happens_nothing_arrives_unsigned() {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let (total, seed) = (number("CHAOS_REQUESTS", 4000), number("CHAOS_SEED", clock));
    println!("chaos: {total} requests, seed {seed}");
    let started = Instant::now();
    let ledger = Arc::new(Ledger::default());
    let judge = Arc::new(Judge::new(Arc::clone(&ledger)));
    let mut hand = Hand::new(witness::start(Arc::clone(&judge)), Arc::clone(&ledger), seed);
    let work = Arc::new(Work::new(hand.envoy().address(), total));
    let clients = client::start(&work, CLIENTS, seed);
    hand.work(&work, PACE);
    for client in clients {
        client.join().expect("a client to end");
    }
    recover(&hand);

    let (record, tally) = (judge.record(), work.tally());
    let (accepted, rejected) = hand.verdicts();
    println!("in {:?}", started.elapsed());
    println!("requests by what the client did: {:#?}", tally.by_trick);
    println!("answers: {:#?}", tally.by_answer);
    println!("events: {:#?}", hand.events());
    println!("configurations accepted and rejected: {accepted}, {rejected}");
    println!(
        "arrived: {}, signed: {} by {} keys of {}, unsigned by right: {}, violations: {}",
        record.arrived,
        record.signed,
        record.by_kid.len(),
        ledger.keys(),
        record.unsigned_by_right,
        record.violations.len()
    );
    let some: Vec<_> = record.violations.iter().take(20).collect();
    assert!(some.is_empty(), "seed {seed}: {} violations, of which {some:#?}", record.violations.len());
    assert!(record.signed > total / 3, "most requests arrive, or this shows nothing: {} of {total}", record.signed);
    assert!(record.unsigned_by_right > 0 && rejected > 0 && accepted > 0, "everything was tried");
}

/// In the end it serves as if nothing had happened.
fn recover(hand: &Hand) {
    eventually("every worker to sign again", || {
        let is_well = |reply: harness::Reply| reply.status == 200 && !reply.body.is_empty();
        let request =
            |number: u64| Request::get(&format!("/due/{number}")).header("x-auth-user", format!("u-{number}"));
        let mut clients = hand.envoy().spread();
        clients
            .iter_mut()
            .zip(u64::MAX / 2..)
            .all(|(client, number)| is_well(client.send(&request(number))))
            .then_some(())
    });
}
