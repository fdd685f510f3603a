//! Whatever leaves the filter without keys for a moment, no request is refused: cold starts, hot restarts, switches to another key
//! file by discovery, an empty file that is filled. Each under load, and 503 counted.
//!
//! `make events` has 50 of them on each host (`EVENTS`).

use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use harness::environment::number;
use harness::keys::{A, KID_A, pem};
use harness::{Bootstrap, Crowd, Envoy, Reply, Request, eventually};

const CLIENTS: usize = 4;

/// How many of the four kinds of event there are.
fn events(kind: usize) -> usize {
    let all: usize = number("EVENTS", 8);
    all / 4 + usize::from(kind < all % 4)
}

fn settings(path: &str) -> Value {
    json!({
        "signing_key_file": path, "signing_key_refresh": "0.2s", "signing_key_wait": "10s", "jwks_max_age": "1s",
        "audience": path,
    })
}

/// Requests that are under way when a key comes.
fn burst(envoy: &Envoy, count: usize) -> Vec<JoinHandle<Reply>> {
    let begin = |_| {
        let mut client = envoy.connect();
        thread::spawn(move || client.send(&Request::get("/")))
    };
    (0..count).map(begin).collect()
}

fn assert_all_answered(burst: Vec<JoinHandle<Reply>>, event: &str) {
    for reply in burst {
        assert_eq!(reply.join().expect("a reply").status, 200, "{event}");
    }
}

fn count(kind: &str, events: usize, envoy: &Envoy) {
    assert_eq!(envoy.stat("refused.no_key"), 0, "{kind}");
    println!("events: {events} × {kind}, no answer of 503");
}

#[test]
fn a_cold_start_refuses_nobody() {
    for event in 0..events(0) {
        let envoy = Bootstrap::new(settings("/k.pem")).key_file(pem(A)).workers(2).start();
        assert_all_answered(burst(&envoy, 40), &format!("cold start {event}"));
        assert_eq!(envoy.stat("refused.no_key"), 0, "cold start {event}");
    }
    println!("events: {} × cold start, no answer of 503", events(0));
}

#[test]
fn a_hot_restart_refuses_nobody() {
    let bootstrap = || Bootstrap::new(settings("/k.pem")).key_file(pem(A)).workers(2).restartable();
    let mut envoy = bootstrap().start();
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    let crowd = Crowd::start(&[envoy.address()], CLIENTS);
    for _ in 0..events(1) {
        let next = envoy.hot_restart(bootstrap());
        envoy.wait_for_end();
        envoy = next;
    }
    crowd.wait_until_all_verified(KID_A);
    crowd.assert_flawless();
    count("hot restart", events(1), &envoy);
}

#[test]
fn a_switch_by_discovery_refuses_nobody() {
    let envoy = Bootstrap::new(settings("/0.pem")).key_file(pem(A)).workers(2).dynamic().start();
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
    let crowd = Crowd::start(&[envoy.address()], CLIENTS);
    for number in 1..=events(2) {
        let path = format!("/{number}.pem");
        envoy.reconfigure_all(&path, settings(&path));
    }
    crowd.wait_until_all_verified(KID_A);
    crowd.assert_flawless();
    count("switch of signing_key_file", events(2), &envoy);
}

#[test]
fn an_empty_file_that_is_filled_refuses_nobody() {
    for event in 0..events(3) {
        let envoy = Bootstrap::new(settings("/k.pem")).key_file("").workers(2).start();
        let waiting = burst(&envoy, 40);
        eventually("the requests to be held", || {
            (envoy.admin().stat("http.public.downstream_rq_active") == 40).then_some(())
        });
        envoy.replace_key_file(pem(A));
        assert_all_answered(waiting, &format!("filled file {event}"));
        assert_eq!(envoy.stat("refused.no_key"), 0, "filled file {event}");
    }
    println!("events: {} × empty file that is filled, no answer of 503", events(3));
}
