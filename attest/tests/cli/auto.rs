//! `rotate auto`: a key that is replaced while nobody looks.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fleet::{Follower, REFRESH, options, verify_until};
use crate::support::{Keys, Proxy, Said, ask_until_done, attest, run};

const RULES: &str = include_str!("../../../envoy/observability/rules.yaml");
const QUICK: [&str; 6] = ["--cache-time", "0.2s", "--refresh-time", "0s", "--token-lifetime", "0.2s"];

fn auto(keys: &Keys, more: &[&str]) -> Value {
    let said = run(&[&["--json", "rotate", "auto", keys.file()], more].concat());
    assert_eq!(said.code, 0, "{}", said.all());
    said.json()
}

/// Runs it until a step is done.
fn until_done(keys: &Keys, more: &[&str]) -> Value {
    ask_until_done(|| auto(keys, more))
}

#[test]
fn each_run_takes_the_step_that_is_due() {
    let keys = Keys::new();
    let old = keys.kids()[0].clone();
    let proxy = Proxy::new(&keys.keyset());
    let fleet = [&["--jwks-url", &proxy.url, "--every", "0s"][..], &QUICK].concat();
    let staged = auto(&keys, &fleet);
    assert_eq!((&staged["step"], &staged["signer"]), (&json!("stage"), &json!(old)));
    let held = auto(&keys, &fleet);
    assert_eq!((&held["outlook"], &held["step"], &held["done"]), (&json!("held"), &json!("promote"), &json!(false)));
    assert_eq!(held["proxies"][0]["state"], "missing");
    proxy.publish(&keys.keyset());
    assert_eq!(auto(&keys, &fleet)["proxies"][0]["state"], "waiting");
    let promoted = until_done(&keys, &fleet);
    assert_eq!((&promoted["step"], &promoted["signer"]), (&json!("promote"), &staged["kid"]));
    let is_noted = |done: &Value| done["notes"][0].as_str().is_some_and(|note| note.contains("max-age"));
    assert!(is_noted(&promoted), "the proxy says 60 s: {promoted}");
    proxy.publish(&keys.keyset());
    let retired = until_done(&keys, &fleet);
    assert_eq!(retired["step"], "retire");
    assert!(is_noted(&retired), "{retired}");
    assert_eq!(json!(keys.kids()), json!([staged["kid"]]));
    proxy.publish(&keys.keyset());
    assert_eq!(auto(&keys, &fleet)["step"], "stage", "the next rotation");
}

#[test]
fn nothing_is_due_before_its_time() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let monthly = ["--jwks-url", proxy.url.as_str(), "--every", "30d"];
    let answer = auto(&keys, &monthly);
    assert_eq!((&answer["outlook"], &answer["step"]), (&json!("not_due"), &json!("stage")));
    let left = answer["seconds_left"].as_f64().unwrap();
    assert!((2_591_900.0..=2_592_000.0).contains(&left), "{left}");
    assert_eq!(proxy.times_asked(), 0, "nobody is asked in vain");

    sleep(Duration::from_millis(1100));
    fs::write(&keys.path, keys.text()).unwrap();
    let later = auto(&keys, &monthly)["seconds_left"].as_f64().unwrap();
    assert!(later < left, "a file that is written again is no new key: {later} after {left}");

    let said = run(&["rotate", "auto", keys.file(), "--every", "30d", "--jwks-url", &proxy.url]);
    assert!(said.stdout.contains("nothing is due: stage comes in 29 days"), "{}", said.stdout);
    let said = run(&["rotate", "auto", keys.file(), "--every", "30d"]);
    assert!(said.code == 1 && said.stderr.contains("--jwks-url"), "{}", said.all());
}

#[test]
fn the_next_key_is_due_so_long_after_the_last_promotion() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let fleet = ["--jwks-url", proxy.url.as_str()];
    let at_once = [&fleet[..], &["--every", "0s"], &QUICK].concat();
    for step in ["stage", "promote", "retire"] {
        assert_eq!(until_done(&keys, &at_once)["step"], step);
        proxy.publish(&keys.keyset());
    }
    let answer = auto(&keys, &[&fleet[..], &["--every", "1h"], &QUICK].concat());
    let left = answer["seconds_left"].as_f64().unwrap();
    assert!(left <= 3600.0 && left > 3500.0, "{left}");
}

#[test]
fn a_period_without_a_unit_is_refused() {
    let said = run(&["rotate", "auto", "key.pem", "--every", "30", "--jwks-url", "http://127.0.0.1:1/"]);
    assert!(said.code == 2 && said.stderr.contains("write 30d for days, or 30s for seconds"), "{}", said.all());
}

#[test]
fn a_dry_run_changes_nothing() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let dry = [&["--jwks-url", proxy.url.as_str(), "--every", "0s", "--dry-run"][..], &QUICK].concat();
    let answer = auto(&keys, &dry);
    assert_eq!((&answer["outlook"], &answer["step"]), (&json!("would"), &json!("stage")));
    assert_eq!(fs::read_dir(keys.directory.path()).unwrap().count(), 1);
    assert_eq!(keys.kids().len(), 1);
}

#[test]
fn a_second_one_leaves_the_first_alone() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    assert_eq!(run(&["rotate", "stage", keys.file()]).code, 0);
    let wait = ["rotate", "promote", keys.file(), "--wait", "--jwks-url", &proxy.url];
    let mut waiting = attest().args(wait).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while proxy.times_asked() == 0 {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(10));
    }
    let answer = auto(&keys, &["--jwks-url", &proxy.url, "--every", "0s"]);
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert_eq!((&answer["outlook"], &answer["done"]), (&json!("busy"), &json!(false)));
}

#[test]
fn a_proxy_that_is_gone_stops_every_step() {
    let keys = Keys::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (proxy, gone) = (Proxy::new(&keys.keyset()), format!("http://{free}/keys"));
    let fleet = [&["--jwks-url", proxy.url.as_str(), "--jwks-url", &gone, "--every", "0s"][..], &QUICK].concat();
    let answer = auto(&keys, &fleet);
    assert_eq!((&answer["outlook"], &answer["seconds_left"]), (&json!("held"), &json!(null)));
    assert_eq!(answer["proxies"][1]["state"], "unreachable");
    assert_eq!(keys.kids().len(), 1);
}

#[test]
fn proxies_that_hang_are_asked_at_once() {
    let keys = Keys::new();
    let hanging = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let urls = hanging.each_ref().map(|listener| format!("http://{}/keys", listener.local_addr().unwrap()));
    let fleet = urls.iter().flat_map(|url| ["--jwks-url", url]).chain(["--every", "0s"]).collect::<Vec<_>>();
    let started = Instant::now();
    let answer = auto(&keys, &fleet);
    assert!(answer["proxies"].as_array().unwrap().iter().all(|proxy| proxy["state"] == "unreachable"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(20), "each takes 10 s: {:?}", started.elapsed());
}

#[test]
fn a_clock_that_was_set_forward_ends_no_wait() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let fleet = ["--jwks-url", proxy.url.as_str(), "--every", "0s"];
    assert_eq!(auto(&keys, &fleet)["step"], "stage");
    proxy.publish(&keys.keyset());
    assert_eq!(auto(&keys, &fleet)["proxies"][0]["state"], "waiting");
    // What the record would have said, had the clock been an hour behind until now.
    let path = format!("{}.rotation.json", keys.file());
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let back = |value: &mut Value| *value = json!(value.as_f64().unwrap() - 3600.0);
    back(&mut record["clock"]["ahead"]);
    back(&mut record["staged"]["at"]);
    for since in record["proxies"][&proxy.url]["published"].as_object_mut().unwrap().values_mut() {
        back(since);
    }
    fs::write(&path, record.to_string()).unwrap();
    let answer = auto(&keys, &fleet);
    assert_eq!((&answer["outlook"], &answer["proxies"][0]["state"]), (&json!("held"), &json!("waiting")));
    assert!(answer["seconds_left"].as_f64().unwrap() > 50.0, "{answer}");
}

#[test]
fn staying_ends_with_a_signal_and_a_word() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let arguments = ["rotate", "auto", keys.file(), "--every", "30d", "--stay", "--jwks-url", &proxy.url];
    let mut child = attest().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut first).unwrap();
    assert!(first.contains("nothing is due"), "{first}");
    assert!(Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().unwrap().success());
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.stderr.contains("stopped:") && said.stderr.contains("signs"), "{}", said.stderr);
}

/// A daemon with a port, and where that is.
pub(crate) fn watched(mut command: Command) -> (Child, String) {
    command.args(["--stay", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let listening = lines.find_map(|line| line.unwrap().split_once("listening  ").map(|(_, url)| url.to_owned()));
    // Somebody has to read on.
    thread::spawn(move || lines.count());
    (child, listening.unwrap())
}

fn asked(url: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let mut answer = config.new_agent().get(url).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// Asks until the answer is as expected.
pub(crate) fn asked_until(url: &str, is_so: impl Fn(u16, &str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, body) = asked(url);
        if is_so(status, &body) {
            return body;
        }
        assert!(Instant::now() < deadline, "{status} {body}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_daemon_shows_its_state_at_its_port() {
    let keys = Keys::new();
    let old = keys.kids()[0].clone();
    let proxy = Proxy::new(&keys.keyset());
    let mut command = attest();
    command.args(["rotate", "auto", keys.file(), "--jwks-url", &proxy.url, "--every", "0s"]).args(QUICK);
    let (mut child, url) = watched(command);
    let metrics = format!("{url}/metrics");
    let held = asked_until(&metrics, |_, text| text.contains("attest_rotation_held 1\n"));
    for line in [
        "attest_rotation_phase{phase=\"staged\"} 1",
        "attest_rotation_next_step_info{step=\"promote\"} 1",
        "attest_rotation_steps_total{step=\"stage\"} 1",
        "attest_rotation_proxies{state=\"lagging\"} 1",
        "attest_rotation_last_look_success 1",
        &format!("attest_rotation_key_info{{kid=\"{old}\",role=\"signs\"}} 1"),
    ] {
        assert!(held.lines().any(|there| there == line), "{line} is not in\n{held}");
    }
    for alert in RULES.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
        let metrics = alert.split(' ').filter(|word| word.starts_with("attest_rotation_"));
        metrics.for_each(|metric| assert!(held.contains(&format!("\n{metric} ")), "an alert asks for {metric}"));
    }
    proxy.publish(&keys.keyset());
    asked_until(&metrics, |_, text| text.contains("attest_rotation_steps_total{step=\"promote\"} 1\n"));
    assert_eq!(asked(&format!("{url}/healthz")), (200, "alive\n".to_owned()));
    assert_eq!(asked(&format!("{url}/readyz")), (200, "ready\n".to_owned()));
    let text = keys.text();
    fs::write(&keys.path, "no key").unwrap();
    let why = asked_until(&format!("{url}/readyz"), |status, _| status == 503);
    assert!(why.contains("no key file that the filter takes"), "{why}");
    assert!(asked(&metrics).1.contains("attest_rotation_last_look_success 0\n"));
    fs::write(&keys.path, text).unwrap();
    asked_until(&format!("{url}/readyz"), |status, _| status == 200);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_port_needs_stay_and_a_free_address() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let fleet = ["rotate", "auto", keys.file(), "--every", "30d", "--jwks-url", &proxy.url];
    let said = run(&[&fleet[..], &["--listen", "127.0.0.1:0"]].concat());
    assert!(said.code == 2 && said.stderr.contains("--stay"), "{}", said.all());
    let said = run(&[&fleet[..], &["--stay", "--listen", "9464"]].concat());
    assert!(said.code == 2 && said.stderr.contains("write ADDRESS:PORT"), "{}", said.all());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let holder = std::net::TcpListener::bind(&taken).unwrap();
    let said = run(&[&fleet[..], &["--stay", "--listen", &taken]].concat());
    drop(holder);
    assert!(said.code == 1 && said.stderr.contains("port 0 takes a free one"), "{}", said.all());
}

fn daemon(keys: &Keys, fleet: &[Follower]) -> Child {
    let mut command = attest();
    command.args(["rotate", "auto", keys.file(), "--stay"]).args(options(fleet));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Three proxies that lag, clients that cache as they are told, two daemons that are killed at any time.
#[test]
fn no_assertion_fails_while_daemons_are_killed() {
    let rotations = std::env::var("ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let keys = Keys::new();
    let stop = Arc::new(AtomicBool::new(false));
    let lags = [0, 150, 300].map(Duration::from_millis);
    assert!(lags.iter().all(|lag| *lag < REFRESH));
    let reader = || {
        let path = keys.path.clone();
        move || fs::read(&path).unwrap()
    };
    let fleet: Vec<Follower> = lags.into_iter().map(|lag| Follower::new(reader(), lag, &stop)).collect();
    let (failures, verified) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut signers = vec![keys.kids()[0].clone()];
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| verify_until(&stop, &fleet, &failures, &verified));
        }
        let deadline = Instant::now() + Duration::from_secs(20 + 20 * rotations);
        let mut daemons = [daemon(&keys, &fleet), daemon(&keys, &fleet)];
        let mut turn: u64 = 0;
        while signers.len() as u64 <= rotations && Instant::now() < deadline {
            turn += 1;
            sleep(Duration::from_millis(40 + turn * 97 % 700));
            let which = usize::try_from(turn % 2).unwrap();
            daemons[which].kill().unwrap();
            daemons[which].wait().unwrap();
            daemons[which] = daemon(&keys, &fleet);
            let signer = keys.kids()[0].clone();
            if signers.last() != Some(&signer) {
                signers.push(signer);
            }
        }
        stop.store(true, Ordering::SeqCst);
        for daemon in &mut daemons {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    });
    assert_eq!(failures.load(Ordering::SeqCst), 0, "of {}", verified.load(Ordering::SeqCst));
    assert!(verified.load(Ordering::SeqCst) > 1000);
    assert!(signers.len() as u64 > rotations, "rotated {} times only", signers.len() - 1);
    let mut once = signers.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), signers.len(), "no key comes back");
}
