use super::*;
use crate::host::SharedData as _;
use crate::host::fake::FakeHost;

const KEY_A: &[u8] = include_bytes!("../../../tests/vectors/signing-key-a.b64");
const KEY_B: &[u8] = include_bytes!("../../../tests/vectors/signing-key-b.b64");

fn feed(host: &FakeHost) -> ListenerFeed {
    let file = KeyFile { path: "/k".into(), cluster: "c".into(), refresh: Duration::from_secs(5) };
    ListenerFeed::new(file, SignerChoice::Auto, host.now())
}

/// Fetches, and hands over the answer; the kid of the keys that this brought.
fn fetch(feed: &mut ListenerFeed, host: &FakeHost, status: Option<u32>, body: &[u8]) -> Option<String> {
    feed.in_flight = host.fetch("c", "/k", TIMEOUT);
    feed.answered(host, &Answer { status, body: body.to_vec().into() }).map(|keyring| keyring.signer().kid().to_owned())
}

fn failures(host: &FakeHost) -> u64 {
    host.count(Counter::KeyLoadFailures)
}

fn errors(host: &FakeHost) -> usize {
    host.log.borrow().iter().filter(|line| line.starts_with("Error")).count()
}

#[test]
fn it_looks_often_until_there_are_keys() {
    let host = FakeHost::default();
    let mut feed = feed(&host);
    assert_eq!(KeyFeed::<FakeHost>::period(&feed), RETRY);
    assert!(fetch(&mut feed, &host, Some(200), KEY_A).is_some());
    assert_eq!(KeyFeed::<FakeHost>::period(&feed), Duration::from_secs(5));
}

#[test]
fn keys_are_taken_once_and_shared() {
    let host = FakeHost::default();
    let (mut first, mut second) = (feed(&host), feed(&host));
    assert!(fetch(&mut first, &host, Some(200), KEY_A).is_some());
    assert_eq!(fetch(&mut first, &host, Some(200), KEY_A), None);
    assert!(second.adopt(&host).is_some());
    assert!(second.adopt(&host).is_none());
    assert_eq!(fetch(&mut second, &host, Some(200), KEY_A), None);
    assert_eq!(host.count(Counter::KeyLoads), 1);
}

#[test]
fn a_worker_that_has_read_the_file_believes_nothing_else() {
    let host = FakeHost::default();
    let (mut first, mut second) = (feed(&host), feed(&host));
    fetch(&mut first, &host, Some(200), KEY_A);
    fetch(&mut second, &host, Some(200), KEY_A);
    fetch(&mut first, &host, Some(200), KEY_B);
    assert!(second.adopt(&host).is_none());
    assert!(fetch(&mut second, &host, Some(200), KEY_B).is_some());
}

#[test]
fn the_file_wins_over_what_another_module_shares() {
    let host = FakeHost::default();
    let mut worker = feed(&host);
    fetch(&mut worker, &host, Some(200), KEY_A);
    let name = worker.shared("keys");
    let (_, version) = host.shared_data(&name).unwrap();
    assert!(host.set_shared_data(&name, KEY_B, Expected::Version(version)));
    let mut new = feed(&host);
    assert!(new.adopt(&host).is_some());
    assert!(fetch(&mut new, &host, Some(200), KEY_A).is_some());
    assert_eq!(host.shared_data(&name).unwrap().0, KEY_A);

    let (_, version) = host.shared_data(&name).unwrap();
    assert!(host.set_shared_data(&name, KEY_B, Expected::Version(version)));
    for counted in [0, 1, 1] {
        assert_eq!(fetch(&mut worker, &host, Some(200), KEY_A), None);
        assert_eq!(host.count(Counter::SharedKeysReplaced), counted);
    }
    assert_eq!(host.shared_data(&name).unwrap().0, KEY_A);
}

#[test]
fn failures_keep_the_keys_and_are_told_once() {
    let host = FakeHost::default();
    let (mut first, mut second) = (feed(&host), feed(&host));
    fetch(&mut first, &host, Some(200), KEY_A);
    fetch(&mut second, &host, Some(200), KEY_A);
    for _ in 0..3 {
        assert_eq!(fetch(&mut first, &host, Some(200), b"junk"), None);
        assert_eq!(fetch(&mut second, &host, Some(200), b"junk"), None);
    }
    assert_eq!((failures(&host), errors(&host)), (6, 1));
    fetch(&mut first, &host, Some(404), b"");
    assert_eq!(errors(&host), 2);
    assert_eq!(fetch(&mut first, &host, Some(200), KEY_A), None);
    assert!(host.log.borrow().last().unwrap().starts_with("Info: key file /k: 1 key published"));
    fetch(&mut second, &host, Some(200), b"junk");
    assert_eq!(errors(&host), 3);
}

#[test]
fn a_vm_that_cannot_reach_the_file_keeps_quiet_while_others_can() {
    let host = FakeHost::default();
    let (mut worker, mut main_thread) = (feed(&host), feed(&host));
    fetch(&mut main_thread, &host, Some(503), b"");
    fetch(&mut worker, &host, Some(200), KEY_A);
    host.now.set(host.now() + Duration::from_secs(3600));
    fetch(&mut main_thread, &host, Some(503), b"");
    host.reachable.set(false);
    fetch(&mut main_thread, &host, None, b"");
    assert_eq!((failures(&host), errors(&host)), (0, 0));
}

#[test]
fn a_file_that_is_unusable_from_the_start_is_told_of_once() {
    let host = FakeHost::default();
    let (mut worker, mut main_thread) = (feed(&host), feed(&host));
    for _ in 0..20 {
        host.now.set(host.now() + Duration::from_secs(1));
        fetch(&mut main_thread, &host, Some(503), b"");
        fetch(&mut worker, &host, Some(200), b"");
    }
    assert_eq!((failures(&host), errors(&host)), (20, 1));
}

#[test]
fn a_listener_that_nobody_reaches_is_told_of_after_a_while() {
    let host = FakeHost::default();
    let mut feed = feed(&host);
    fetch(&mut feed, &host, Some(503), b"");
    assert_eq!(errors(&host), 0);
    host.now.set(host.now() + START_GRACE * 2);
    fetch(&mut feed, &host, Some(503), b"");
    fetch(&mut feed, &host, None, b"");
    assert_eq!(errors(&host), 1);
}

#[test]
fn one_fetch_is_under_way_at_a_time() {
    let host = FakeHost::default();
    let mut feed = feed(&host);
    assert!(feed.look(&host).is_none() && feed.in_flight);
    host.reachable.set(false);
    assert!(feed.look(&host).is_none() && feed.in_flight);
    feed.answered(&host, &Answer { status: None, body: Vec::new().into() });
    assert!(!feed.in_flight);
}

#[test]
fn keys_that_another_worker_shared_are_taken_before_the_file() {
    let host = FakeHost::default();
    let (mut first, mut second) = (feed(&host), feed(&host));
    fetch(&mut first, &host, Some(200), KEY_A);
    assert!(second.look(&host).is_some());
    assert!(second.look(&host).is_none());
}
