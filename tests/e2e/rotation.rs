//! A key is changed in the three steps add, promote, remove, and nobody notices: neither a caller nor an app that caches
//! the keyset for as long as it may.

use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, KID_B, pem};
use harness::{Bootstrap, Crowd, Envoy, JWKS_PATH, KeySet, Request, eventually};

/// The key files of a rotation: the old key alone, the new one added, the new one first, the new one alone.
fn steps() -> [String; 4] {
    let (a, b) = (pem(A), pem(B));
    [a.clone(), format!("{a}{b}"), format!("{b}{a}"), b]
}

/// The kids that are published in each step, the one that signs first.
const PUBLISHED: [&[&str]; 4] = [&[KID_A], &[KID_A, KID_B], &[KID_B, KID_A], &[KID_B]];

fn from_file() -> Value {
    json!({"signing_key_file": "/signing-key.pem", "signing_key_refresh": "0.1s", "jwks_max_age": "1s"})
}

fn inline(keys: &str) -> Value {
    json!({"signing_key": keys, "jwks_max_age": "1s"})
}

/// Two workers that take their keys from a file.
fn with_file() -> Bootstrap {
    Bootstrap::new(from_file()).key_file(&steps()[0]).workers(2)
}

/// Waits until every worker publishes these keys in this order. The first of them signs from then on.
fn wait_until_all_publish(envoy: &Envoy, kids: &[&str]) {
    eventually("every worker to publish the keys", || {
        let publishes = |reply: harness::Reply| reply.status == 200 && KeySet::from_json(reply.json()).kids() == kids;
        envoy.spread().iter_mut().all(|client| publishes(client.send(&Request::get(JWKS_PATH)))).then_some(())
    });
}

/// Busy clients of these proxies, each of which has already verified something.
fn busy_crowd(envoys: &[&Envoy], count: usize) -> Crowd {
    for envoy in envoys {
        wait_until_all_publish(envoy, PUBLISHED[0]);
        // Envoy balances new connections against all that it knows of, so those of the check must be gone.
        eventually("no connection to be left", || (connections(envoy).iter().sum::<u64>() == 0).then_some(()));
    }
    let addresses: Vec<_> = envoys.iter().map(|envoy| envoy.address()).collect();
    let crowd = Crowd::start(&addresses, count);
    crowd.wait_until_all_verified(KID_A);
    crowd
}

/// How many connections each of the two workers has.
fn connections(envoy: &Envoy) -> [u64; 2] {
    let stats = envoy.admin().stats();
    ["worker_0", "worker_1"].map(|worker| {
        let suffix = format!(".{worker}.downstream_cx_active");
        let of_worker = |name: &&String| name.starts_with("listener.127.0.0.1") && name.ends_with(&suffix);
        stats.iter().find(|(name, _)| of_worker(name)).map(|(_, count)| *count).unwrap_or_default()
    })
}

/// The clients' connections, which they hold open, are on every worker.
fn assert_every_worker_is_busy(envoy: &Envoy) {
    let connections = connections(envoy);
    assert!(connections.iter().all(|count| *count > 1), "connections of the workers: {connections:?}");
}

#[test]
fn by_the_key_file() {
    let envoy = with_file().start();
    let crowd = busy_crowd(&[&envoy], 6);
    assert_every_worker_is_busy(&envoy);
    for (keys, kids) in steps().iter().zip(PUBLISHED).skip(1) {
        envoy.replace_key_file(keys);
        wait_until_all_publish(&envoy, kids);
        crowd.outlive_caches();
    }
    assert_every_worker_is_busy(&envoy);
    crowd.wait_until_all_verified(KID_B);
    crowd.assert_flawless();
    envoy.assert_tells_nothing_of([A, B]);
}

#[test]
fn by_a_configuration_update() {
    let envoy = Bootstrap::new(inline(&steps()[0])).workers(2).dynamic().start();
    let crowd = busy_crowd(&[&envoy], 6);
    assert_every_worker_is_busy(&envoy);
    for (keys, kids) in steps().iter().zip(PUBLISHED).skip(1) {
        envoy.push_accepted(inline(keys));
        wait_until_all_publish(&envoy, kids);
        crowd.outlive_caches();
    }
    crowd.wait_until_all_verified(KID_B);
    crowd.assert_flawless();
}

/// Each step is a hot restart: a second Envoy with the next keys takes the sockets over, while the first one answers what
/// it has, tells its clients to come again (`connection: close`), and ends. The keys come from the environment, which
/// needs a restart to change.
#[test]
fn by_restarting_envoy() {
    let bootstrap = |keys: &str| {
        Bootstrap::new(json!({"jwks_max_age": "1s"})).host_env("SIGNING_KEY", keys).workers(2).restartable()
    };
    let mut envoy = bootstrap(&steps()[0]).start();
    let crowd = busy_crowd(&[&envoy], 4);
    for (keys, kids) in steps().iter().zip(PUBLISHED).skip(1) {
        let next = envoy.hot_restart(bootstrap(keys));
        assert_eq!(next.address(), envoy.address());
        envoy.wait_for_end();
        envoy = next;
        wait_until_all_publish(&envoy, kids);
        crowd.outlive_caches();
    }
    crowd.wait_until_all_verified(KID_B);
    crowd.assert_flawless();
}

/// Three proxies that see each step at different times; any of them may answer a client's request, and any other the
/// app's for the keyset.
#[test]
fn on_a_fleet_that_is_never_of_one_mind() {
    let fleet = [with_file(), with_file(), with_file()].map(Bootstrap::start);
    let crowd = busy_crowd(&fleet.each_ref(), 4);
    for (step, (keys, kids)) in steps().iter().zip(PUBLISHED).enumerate().skip(1) {
        for offset in 0..fleet.len() {
            let envoy = &fleet[(step + offset) % fleet.len()];
            envoy.replace_key_file(keys);
            wait_until_all_publish(envoy, kids);
            // Long enough for every client to have been at this proxy, with the others still behind.
            crowd.outlive_caches();
        }
    }
    crowd.wait_until_all_verified(KID_B);
    crowd.assert_flawless();
}

#[test]
fn promoting_a_key_that_was_not_published_is_noticed() {
    let envoy = with_file().start();
    let crowd = busy_crowd(&[&envoy], 4);
    envoy.replace_key_file(&steps()[2]);
    let failure = crowd.wait_for_failure();
    assert!(failure.contains("kid") && failure.contains(KID_B), "the new key is not in a cached keyset: {failure}");
}

#[test]
fn removing_a_key_that_still_signs_elsewhere_is_noticed() {
    let fleet = [with_file(), with_file(), with_file()].map(Bootstrap::start);
    let crowd = busy_crowd(&fleet.each_ref(), 4);
    for envoy in &fleet {
        envoy.replace_key_file(&steps()[1]);
        wait_until_all_publish(envoy, PUBLISHED[1]);
    }
    crowd.outlive_caches();
    fleet[0].replace_key_file(&steps()[3]);
    let failure = crowd.wait_for_failure();
    assert!(failure.contains("kid") && failure.contains(KID_A), "the old key is not in a new keyset: {failure}");
}
