//! `rotate --secret`: a keyring in a Secret of Kubernetes.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::auto::{asked_until, watched};
use crate::cluster::{Fake, Files, NAME, Trouble, keyring};
use crate::fleet::{Follower, options, verify_until};
use crate::support::{Keys, Proxy, Said, ask_until_done, kids};

const QUICK: [&str; 8] = ["--cache-time", "0.2s", "--refresh-time", "0s", "--token-lifetime", "0.2s", "--every", "0s"];

fn run(files: &Files, arguments: &[&str]) -> Said {
    files.attest().args(arguments).output().unwrap().into()
}

fn auto(files: &Files, proxy: &Proxy) -> Value {
    let arguments = [&["--json", "rotate", "auto", "--secret", NAME, "--jwks-url", &proxy.url][..], &QUICK].concat();
    let said = run(files, &arguments);
    assert_eq!(said.code, 0, "{}", said.all());
    said.json()
}

fn until_done(files: &Files, proxy: &Proxy) -> Value {
    ask_until_done(|| auto(files, proxy))
}

fn publish(proxy: &Proxy, text: &[u8]) {
    proxy.publish(&attestation_filter::keys::Keyring::parse(text).ok().unwrap().keyset().json());
}

#[test]
fn a_secret_goes_through_a_rotation() {
    let keys = Keys::new();
    let (server, proxy, old) = (Fake::new(&keys), Proxy::new(&keys.keyset()), keys.kids()[0].clone());
    let staged = auto(&server.files, &proxy);
    assert_eq!((&staged["step"], &staged["signer"]), (&json!("stage"), &json!(old)));
    assert_eq!(server.state().writes, 2, "what was seen is written, and then keyring and record at once");
    for step in ["promote", "retire"] {
        publish(&proxy, &keyring(&server.state().secret));
        assert_eq!(until_done(&server.files, &proxy)["step"], step);
    }
    let secret = server.state().secret.clone();
    assert_eq!(json!(kids(&keyring(&secret))), json!([staged["kid"]]));
    assert_eq!(secret["data"]["other"], json!("bGVmdCBhbG9uZQ=="), "what is no key stays");
    assert_eq!(secret["metadata"]["labels"], json!({ "team": "edge" }));
    let record = secret["metadata"]["annotations"]["attestation-filter/rotation"].as_str().unwrap();
    assert!(record.contains("settled") && !record.contains("PRIVATE"), "{record}");
}

#[test]
fn steps_by_hand_work_on_a_secret() {
    let keys = Keys::new();
    let server = Fake::new(&keys);
    let by_hand = |step: &str, more: &[&str]| {
        let said = run(&server.files, &[&["rotate", step, "--secret", NAME][..], more].concat());
        assert_eq!(said.code, 0, "{}", said.all());
        said.stdout
    };
    let staged = by_hand("stage", &[]);
    assert!(staged.contains(&format!("attest rotate promote --secret {NAME} --wait --jwks-url")), "{staged}");
    by_hand("promote", &["--now"]);
    by_hand("retire", &["--now"]);
    let secret = server.state().secret.clone();
    assert_eq!(kids(&keyring(&secret)).len(), 1);
    assert_eq!(secret["metadata"]["annotations"], json!({}), "the record is removed by the last step");
}

#[test]
fn a_conflict_is_no_error_and_loses_no_key() {
    let keys = Keys::new();
    let (server, proxy) = (Fake::new(&keys), Proxy::new(&keys.keyset()));
    server.state().trouble = Some(Trouble::Conflict);
    let answer = auto(&server.files, &proxy);
    assert_eq!((&answer["outlook"], &answer["done"]), (&json!("busy"), &json!(false)));
    assert_eq!(kids(&keyring(&server.state().secret)), keys.kids());
    server.state().trouble = Some(Trouble::Conflict);
    let said = run(&server.files, &["rotate", "stage", "--secret", NAME]);
    assert!(said.code == 1 && said.stderr.contains("was changed by something else meanwhile"), "{}", said.all());
    assert_eq!(auto(&server.files, &proxy)["step"], "stage", "it looks again");
}

#[test]
fn an_answer_that_is_lost_stages_no_second_key() {
    let keys = Keys::new();
    let server = Fake::new(&keys);
    for (trouble, expected) in [(Trouble::LostRequest, 1), (Trouble::LostAnswer, 2)] {
        server.state().trouble = Some(trouble);
        let said = run(&server.files, &["rotate", "stage", "--secret", NAME]);
        assert!(said.code == 1 && said.stderr.contains("run this again, it looks first"), "{}", said.all());
        assert_eq!(kids(&keyring(&server.state().secret)).len(), expected, "{trouble:?}");
    }
    let said = run(&server.files, &["rotate", "stage", "--secret", NAME]);
    assert!(said.code == 1 && said.stderr.contains("a key is staged already"), "{}", said.all());
}

#[test]
fn an_expired_token_is_read_again() {
    let keys = Keys::new();
    let (server, proxy) = (Fake::new(&keys), Proxy::new(&keys.keyset()));
    let mut command = server.files.attest();
    command.args(["rotate", "auto", "--secret", NAME, "--jwks-url", &proxy.url]).args(QUICK);
    let (mut daemon, url) = watched(command);
    let ready = format!("{url}/readyz");
    asked_until(&ready, |status, _| status == 200);
    // The daemon has connected with the first token; now only a second one counts.
    server.state().tokens = ["second".to_owned()].into();
    let why = asked_until(&ready, |status, _| status == 503);
    assert!(why.contains("(401)") && why.contains("expired") && !why.contains("first"), "{why}");
    fs::write(&server.files.token, "second").unwrap();
    asked_until(&ready, |status, _| status == 200);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn what_is_missing_is_named_with_its_cure() {
    let keys = Keys::new();
    let server = Fake::new(&keys);
    let stage = |name: &str, more: &[&str]| {
        let said = run(&server.files, &[&["rotate", "stage", "--secret", name][..], more].concat());
        assert_eq!(said.code, 1, "{}", said.all());
        assert!(!said.all().contains("PRIVATE KEY") && !said.all().contains("first"), "{}", said.all());
        said.stderr
    };
    assert!(
        stage("envoy/none", &[]).contains("kubectl -n envoy create secret generic none --from-file=signing-key.pem")
    );
    assert!(stage(NAME, &["--secret-key", "tls.key"]).contains("it has other, signing-key.pem"));
    for verb in ["get", "update"] {
        server.state().forbidden = Some(verb);
        let said = stage(NAME, &[]);
        let rule =
            "{apiGroups: [\"\"], resources: [secrets], resourceNames: [attestation-signing-key], verbs: [get, update]}";
        assert!(said.contains(&format!("let this account {verb} Secret")) && said.contains(rule), "{said}");
    }
    server.state().forbidden = None;
    server.state().secret["immutable"] = json!(true);
    assert!(stage(NAME, &[]).contains("without `immutable: true`"));
    server.state().secret["data"]["signing-key.pem"] = json!("bm8ga2V5");
    assert!(stage(NAME, &[]).contains("signing-key.pem of Secret envoy/attestation-signing-key is no key file"));
}

#[test]
fn credentials_that_cannot_be_used_are_told() {
    let keys = Keys::new();
    let stage = |edit: &dyn Fn(&mut Value)| {
        let server = Fake::new(&keys);
        let mut config: Value = serde_json::from_slice(&fs::read(&server.files.kubeconfig).unwrap()).unwrap();
        edit(&mut config);
        fs::write(&server.files.kubeconfig, config.to_string()).unwrap();
        let said = run(&server.files, &["rotate", "stage", "--secret", NAME]);
        assert_eq!((said.code, server.state().writes), (1, 0), "{}", said.all());
        said.stderr
    };
    let cluster = |name: &'static str, value: Value| {
        move |config: &mut Value| config["clusters"][0]["cluster"][name] = value.clone()
    };
    assert!(stage(&|config| config["current-context"] = json!("none")).contains("current-context"));
    assert!(stage(&cluster("server", json!("http://192.0.2.1:6443"))).contains("begins with http://"));
    assert!(stage(&cluster("insecure-skip-tls-verify", json!(true))).contains("name its authority"));
    assert!(stage(&cluster("certificate-authority", json!("/none"))).contains("certificate-authority"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = stage(&cluster("server", json!(format!("http://{closed}"))));
    assert!(said.contains("cannot be reached: connection refused"), "{said}");
    let said: Said = crate::support::attest()
        .env("HOME", keys.directory.path())
        .args(["rotate", "stage", "--secret", NAME])
        .output()
        .unwrap()
        .into();
    assert!(said.code == 1 && said.stderr.contains("no Kubernetes credentials"), "{}", said.all());
}

#[test]
fn a_file_and_a_secret_exclude_each_other() {
    for arguments in [
        &["rotate", "stage"][..],
        &["rotate", "stage", "key.pem", "--secret", NAME],
        &["rotate", "stage", "key.pem", "--secret-key", "tls.key"],
        &["rotate", "stage", "--secret", "attestation-signing-key"],
    ] {
        assert_eq!(crate::support::run(arguments).code, 2, "{arguments:?}");
    }
}

fn daemon(files: &Files, fleet: &[Follower]) -> Child {
    let mut command = files.attest();
    command.args(["rotate", "auto", "--secret", NAME, "--stay"]).args(options(fleet));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Rotates with two daemons that know nothing of each other and are killed at any time, and counts what does not verify.
pub(crate) fn rotate_with_two_daemons<R: Fn() -> Vec<u8> + Send + 'static>(files: &Files, reader: impl Fn() -> R) {
    let rotations = std::env::var("ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let stop = Arc::new(AtomicBool::new(false));
    let lags = [0, 150, 300].map(Duration::from_millis);
    let fleet: Vec<Follower> = lags.into_iter().map(|lag| Follower::new(reader(), lag, &stop)).collect();
    let (failures, verified) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let read = reader();
    let mut signers = vec![kids(&read())[0].clone()];
    thread::scope(|scope| {
        scope.spawn(|| verify_until(&stop, &fleet, &failures, &verified));
        let deadline = Instant::now() + Duration::from_secs(30 + 20 * rotations);
        let mut daemons = [daemon(files, &fleet), daemon(files, &fleet)];
        let mut turn: u64 = 0;
        while signers.len() as u64 <= rotations && Instant::now() < deadline {
            turn += 1;
            sleep(Duration::from_millis(40 + turn * 97 % 700));
            let which = usize::try_from(turn % 2).unwrap();
            daemons[which].kill().unwrap();
            daemons[which].wait().unwrap();
            daemons[which] = daemon(files, &fleet);
            let now = kids(&read());
            assert!((1..=2).contains(&now.len()), "{now:?}");
            if signers.last() != now.first() {
                signers.push(now[0].clone());
            }
        }
        stop.store(true, Ordering::SeqCst);
        for daemon in &mut daemons {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    });
    assert_eq!(failures.load(Ordering::SeqCst), 0, "of {}", verified.load(Ordering::SeqCst));
    assert!(signers.len() as u64 > rotations, "rotated {} times only", signers.len() - 1);
}

#[test]
fn two_daemons_on_one_secret_lose_no_key() {
    let keys = Keys::new();
    let server = Fake::new(&keys);
    rotate_with_two_daemons(&server.files, || server.reader());
}
