//! Three steps, in their order and no sooner than is safe; and nothing is ever lost.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Keys, Proxy, Said, attest, kids, mode, run};

/// Times short enough for a test.
const QUICK: [&str; 4] = ["--cache-time", "1s", "--refresh-time", "0s"];

fn rotate(step: &str, keys: &Keys, more: &[&str]) -> Said {
    run(&[&["--json", "rotate", step, keys.file()], more].concat())
}

fn done(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{}", said.all());
    assert_eq!(said.json()["done"], true);
    said.json()
}

fn refused(said: &Said, because: &str) {
    assert_eq!(said.code, 1, "{}", said.all());
    assert!(said.all().contains(because), "{} lacks {because:?}", said.all());
}

fn record(keys: &Keys) -> String {
    format!("{}.rotation.json", keys.file())
}

#[test]
fn three_steps_replace_the_key() {
    let keys = Keys::new();
    let old = keys.kids()[0].clone();
    let before = keys.text();

    let staged = done(&rotate("stage", &keys, &["--now"]));
    let new = staged["kid"].as_str().unwrap().to_owned();
    assert_eq!(keys.kids(), [old.clone(), new.clone()]);
    assert!(keys.text().starts_with(&before), "the old block is untouched");
    assert_eq!(staged["signer"], json!(old));

    let promoted = done(&rotate("promote", &keys, &["--now"]));
    assert_eq!(keys.kids(), [new.clone(), old.clone()]);
    assert!(keys.text().ends_with(&before));
    assert_eq!(promoted["published"], json!([new, old]));

    done(&rotate("retire", &keys, &["--now"]));
    assert_eq!(keys.kids(), [new]);
    assert_eq!(mode(&keys.path), 0o600);
    assert_eq!(fs::read_dir(keys.directory.path()).unwrap().count(), 1, "no record and no temporary file is left");
}

#[test]
fn a_wrong_order_is_refused_and_explained() {
    let keys = Keys::new();
    let text = keys.text();
    refused(&rotate("promote", &keys, &[]), "nothing is staged");
    refused(&rotate("retire", &keys, &[]), "nothing to retire");
    assert_eq!(keys.text(), text);

    done(&rotate("stage", &keys, &[]));
    let text = keys.text();
    refused(&rotate("stage", &keys, &[]), "staged already");
    refused(&rotate("retire", &keys, &[]), "no promotion is on record");
    assert_eq!(keys.text(), text);

    done(&rotate("promote", &keys, &["--now"]));
    let text = keys.text();
    refused(&rotate("promote", &keys, &[]), "promoted already");
    refused(&rotate("stage", &keys, &[]), "not over");
    assert_eq!(keys.text(), text);
}

#[test]
fn steps_in_a_hurry_are_done_with_a_warning() {
    let keys = Keys::new();
    done(&rotate("stage", &keys, &[]));
    let said = rotate("promote", &keys, &["--now"]);
    done(&said);
    assert!(said.stderr.contains("no proxy was looked at") && said.stderr.contains("safe in"), "{}", said.stderr);
}

#[test]
fn the_new_key_is_of_the_old_type_unless_another_is_asked_for() {
    let keys = Keys::of_type("rsa-2048");
    done(&rotate("stage", &keys, &[]));
    let keyset: Value = serde_json::from_str(&keys.keyset()).unwrap();
    assert_eq!(keyset["keys"][1]["n"].as_str().unwrap().len(), 342);

    let keys = Keys::of_type("rsa-2048");
    done(&rotate("stage", &keys, &["--type", "p256"]));
    let keyset: Value = serde_json::from_str(&keys.keyset()).unwrap();
    assert_eq!(keyset["keys"][1]["alg"], "ES256");
}

#[test]
fn a_key_made_elsewhere_can_be_staged() {
    let (keys, other) = (Keys::new(), Keys::new());
    done(&rotate("stage", &keys, &["--key", other.file()]));
    assert_eq!(keys.kids()[1], other.kids()[0]);
    let same = Keys::new();
    refused(&rotate("stage", &same, &["--key", same.file()]), "in the file already");
    assert_eq!(rotate("stage", &same, &["--key", other.file(), "--type", "p256"]).code, 2);
}

#[test]
fn a_key_that_signs_elsewhere_is_left_alone() {
    let (keys, elsewhere) = (Keys::new(), Keys::new());
    let public = public_pem(&elsewhere);
    fs::write(&keys.path, format!("{}{public}", keys.text())).unwrap();
    let (old, foreign) = (keys.kids()[0].clone(), elsewhere.kids()[0].clone());
    done(&rotate("stage", &keys, &[]));
    done(&rotate("promote", &keys, &["--now"]));
    let new = keys.kids()[0].clone();
    assert_eq!(keys.kids(), [new.clone(), old, foreign.clone()]);
    done(&rotate("retire", &keys, &["--now"]));
    assert_eq!(keys.kids(), [new, foreign]);
    assert!(keys.text().contains(&public));
}

fn public_pem(keys: &Keys) -> String {
    use attestation_filter::keys::{Keyring, SigningKey};
    match Keyring::parse(keys.text().as_bytes()).ok().unwrap().signing_key() {
        SigningKey::P256(key) => key.public_key_pem(),
        SigningKey::Rsa(_) => panic!("not P-256"),
    }
}

#[test]
fn a_promotion_by_hand_needs_the_old_key_named_and_can_be_undone() {
    let keys = Keys::new();
    done(&rotate("stage", &keys, &[]));
    fs::remove_file(record(&keys)).unwrap();
    let [old, new] = [keys.kids()[0].clone(), keys.kids()[1].clone()];
    refused(&rotate("retire", &keys, &["--kid", &old]), "signs");
    refused(&rotate("retire", &keys, &["--kid", "x"]), "no key with kid x");
    done(&rotate("promote", &keys, &["--now"]));
    done(&rotate("promote", &keys, &["--now", "--kid", &old]));
    assert_eq!(keys.kids(), [old.clone(), new.clone()], "back to the old key");
    done(&rotate("retire", &keys, &["--now", "--kid", &new]));
    assert_eq!(keys.kids(), [old]);
}

#[test]
fn a_file_that_was_promoted_by_a_killed_command_can_be_retired() {
    let keys = Keys::new();
    done(&rotate("stage", &keys, &[]));
    let staged = fs::read(record(&keys)).unwrap();
    done(&rotate("promote", &keys, &["--now"]));
    fs::write(record(&keys), staged).unwrap();
    let new = keys.kids()[0].clone();
    done(&rotate("retire", &keys, &["--now"]));
    assert_eq!(keys.kids(), [new]);
}

#[test]
fn promotion_waits_until_every_proxy_has_published_the_key_for_as_long_as_clients_cache() {
    let keys = Keys::new();
    let (a, b) = (Proxy::new(&keys.keyset()), Proxy::new(&keys.keyset()));
    let fleet = ["--jwks-url", &a.url, "--jwks-url", &b.url];
    let (quick, old) = ([&fleet[..], &QUICK].concat(), keys.keyset());
    done(&rotate("stage", &keys, &quick));
    let new = keys.kids()[1].clone();
    let staged = keys.text();

    a.publish(&keys.keyset());
    let said = rotate("promote", &keys, &quick);
    assert_eq!(said.code, 1);
    let answer = said.json();
    assert_eq!((&answer["done"], &answer["seconds_left"]), (&json!(false), &json!(null)));
    assert_eq!(
        (&answer["proxies"][0]["state"], &answer["proxies"][0]["seconds_left"]),
        (&json!("waiting"), &json!(1.0))
    );
    assert_eq!((&answer["proxies"][1]["url"], &answer["proxies"][1]["state"]), (&json!(b.url), &json!("missing")));
    assert!(answer["proxies"][1]["message"].as_str().unwrap().contains(&new));

    sleep(Duration::from_millis(1100));
    let said = rotate("promote", &keys, &quick);
    assert_eq!(said.json()["proxies"][0]["state"], "ready", "what was seen is remembered: {}", said.all());
    assert_eq!(said.json()["proxies"][1]["state"], "missing");

    b.publish(&keys.keyset());
    refused(&rotate("promote", &keys, &quick), "waiting");
    a.publish(&old);
    refused(&rotate("promote", &keys, &quick), "missing");
    a.publish(&keys.keyset());
    sleep(Duration::from_millis(1100));
    refused(&rotate("promote", &keys, &quick), "waiting");
    assert_eq!(keys.text(), staged, "nothing was changed so far");
    sleep(Duration::from_millis(1100));
    done(&rotate("promote", &keys, &quick));
    assert_eq!(keys.kids()[0], new);
}

#[test]
fn the_time_to_wait_is_a_cautious_one_or_as_told() {
    let keys = Keys::new();
    done(&rotate("stage", &keys, &[]));
    let cautious = 665.0;
    for (cache_control, more, left) in [
        (Some("max-age=90"), &[][..], cautious),
        (Some("no-store"), &[], cautious),
        (None, &[], cautious),
        (Some("max-age=900"), &[], 905.0),
        (Some("max-age=900"), &["--cache-time", "60s"], 65.0),
        (None, &["--cache-time", "1d", "--refresh-time", "1s"], 86_401.0),
    ] {
        let proxy = Proxy::with_cache_control(&keys.keyset(), cache_control);
        let said = rotate("promote", &keys, &[&["--jwks-url", proxy.url.as_str()][..], more].concat());
        assert_eq!((said.code, &said.json()["seconds_left"]), (1, &json!(left)), "{}", said.all());
    }
}

#[test]
fn a_cache_time_below_the_max_age_is_noted() {
    for (max_age, is_noted) in [(Some("max-age=3600"), true), (Some("max-age=1"), false), (None, false)] {
        let keys = Keys::new();
        let proxy = Proxy::with_cache_control(&keys.keyset(), max_age);
        let at_once = ["--jwks-url", &proxy.url, "--cache-time", "1s", "--refresh-time", "0s", "--wait"];
        let staged = done(&rotate("stage", &keys, &at_once));
        assert_eq!(staged["notes"], json!([]), "clients need not know the new key yet");
        for step in ["promote", "retire"] {
            proxy.publish(&keys.keyset());
            let lifetime = ["--token-lifetime", "0.1s"];
            let more = if step == "retire" { &lifetime[..] } else { &[] };
            let said = rotate(step, &keys, &[&at_once[..], more].concat());
            let expected = format!(
                "--cache-time is 1 s, and the max-age of {} lets clients keep its keyset for 60 min: one that does so may \
                 not know the new key yet",
                proxy.url
            );
            let notes = if is_noted { json!([expected]) } else { json!([]) };
            assert_eq!(done(&said)["notes"], notes, "{step}, {max_age:?}");
            assert_eq!(said.stderr.contains(&format!("note: {expected}")), is_noted, "{}", said.stderr);
        }
    }
}

#[test]
fn retirement_waits_until_all_proxies_sign_with_the_new_key_and_old_tokens_are_gone() {
    let keys = Keys::new();
    done(&rotate("stage", &keys, &[]));
    let staged = keys.keyset();
    done(&rotate("promote", &keys, &["--now"]));
    let proxy = Proxy::new(&staged);
    let quick = [&["--jwks-url", proxy.url.as_str(), "--token-lifetime", "1s"][..], &QUICK].concat();
    let said = rotate("retire", &keys, &quick);
    refused(&said, "does not sign with kid");
    assert_eq!(said.json()["proxies"][0]["state"], "signs_with_other");
    proxy.publish(&keys.keyset());
    let said = rotate("retire", &keys, &quick);
    assert_eq!((said.code, &said.json()["seconds_left"]), (1, &json!(2.0)), "{}", said.all());
    let started = Instant::now();
    done(&rotate("retire", &keys, &[&quick[..], &["--wait"]].concat()));
    assert!(started.elapsed() > Duration::from_millis(1500), "{:?}", started.elapsed());
    assert_eq!(keys.kids().len(), 1);
}

#[test]
fn waiting_follows_a_proxy_that_takes_its_time() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    done(&rotate("stage", &keys, &[]));
    let arguments = [&["rotate", "promote", keys.file(), "--wait", "--jwks-url", &proxy.url][..], &QUICK].concat();
    let child = attest().args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(300));
    refused(&rotate("promote", &keys, &[]), "another attest rotate");
    proxy.publish(&keys.keyset());
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.stderr.contains("does not publish") && said.stderr.contains("left"), "{}", said.stderr);
    assert!(said.stdout.contains("promoted"), "{}", said.stdout);
}

#[test]
fn waiting_ends_with_its_timeout() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    done(&rotate("stage", &keys, &[]));
    let text = keys.text();
    let said = run(&["rotate", "promote", keys.file(), "--wait", "--timeout", "1s", "--jwks-url", &proxy.url]);
    refused(&said, "gave up after 1 s");
    refused(&said, &keys.kids()[1]);
    assert_eq!(keys.text(), text);
}

#[test]
fn a_proxy_that_does_not_answer_stops_the_step() {
    let keys = Keys::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/keys");
    refused(&rotate("stage", &keys, &["--jwks-url", &url]), "nothing listens there");
    refused(&rotate("stage", &keys, &["--jwks-url", &Proxy::new(&Keys::new().keyset()).url]), "does not sign with kid");
    assert_eq!(keys.kids().len(), 1);
    for wrong in ["keys.json", "http://me:secret@proxy/", "ftp://proxy/"] {
        assert_eq!(rotate("stage", &keys, &["--jwks-url", wrong]).code, 2, "{wrong}");
    }
}

#[test]
fn a_step_that_nobody_watches_needs_now() {
    let keys = Keys::new();
    done(&rotate("stage", &keys, &[]));
    let text = keys.text();
    refused(&rotate("promote", &keys, &[]), "--now");
    for wrong in [&["--wait"][..], &["--now", "--wait"], &["--now", "--jwks-url", "http://127.0.0.1:1/"]] {
        assert_eq!(rotate("promote", &keys, wrong).code, 2, "{wrong:?}");
    }
    assert_eq!(keys.text(), text);
    done(&rotate("promote", &keys, &["--now"]));
    refused(&rotate("retire", &keys, &[]), "--jwks-url");
    done(&rotate("retire", &keys, &["--now"]));
}

#[test]
fn the_suggested_commands_are_ready_to_paste() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let led = proxy.url.replace("127.0.0.1", "fleet.example");
    let fleet = ["--jwks-url", proxy.url.as_str(), "--jwks-url", &led, "--connect-to", "fleet.example:127.0.0.1"];
    let times = ["--cache-time", "0.5s", "--refresh-time", "0s"];
    let mut said = done(&rotate("stage", &keys, &[&fleet[..], &times].concat()));
    for (step, more) in [("promote", ""), ("retire", " --token-lifetime 0s")] {
        let next = said["next"].as_str().unwrap();
        let arguments = next.strip_prefix(&format!("attest rotate {step} ")).unwrap_or_else(|| panic!("{next}"));
        proxy.publish(&keys.keyset());
        let pasted = format!("exec \"$ATTEST\" --json rotate {step} {arguments} --timeout 20s{more}");
        let output = Command::new("sh").args(["-c", &pasted]).env("ATTEST", env!("CARGO_BIN_EXE_attest")).output();
        said = done(&Said::from(output.unwrap()));
    }
    assert_eq!(keys.kids().len(), 1);
}

#[test]
fn a_refusal_suggests_a_command_with_all_urls() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let fleet = ["--jwks-url", proxy.url.as_str(), "--refresh-time", "0s"];
    let file = keys.file();
    let next = |step: &str| format!("attest rotate {step} {file} --wait --jwks-url {} --refresh-time 0s", proxy.url);
    refused(&rotate("promote", &keys, &fleet), &format!("attest rotate stage {file} --jwks-url {}", proxy.url));
    done(&rotate("stage", &keys, &fleet));
    refused(&rotate("stage", &keys, &fleet), &next("promote"));
    refused(&rotate("retire", &keys, &fleet), &next("promote"));
    done(&rotate("promote", &keys, &["--now"]));
    refused(&rotate("stage", &keys, &fleet), &next("retire"));
    refused(&rotate("promote", &keys, &fleet), &next("retire"));
}

#[test]
fn every_proxy_behind_one_name_is_asked() {
    let keys = Keys::new();
    let (a, b) = (Proxy::new(&keys.keyset()), Proxy::new(&keys.keyset()));
    let port = |proxy: &Proxy| proxy.url.split(':').nth(2).unwrap().split('/').next().unwrap().to_owned();
    let to = |proxy: &Proxy| format!("fleet.example:127.0.0.1:{}", port(proxy));
    let (to_a, to_b) = (to(&a), to(&b));
    let url = "http://fleet.example/.well-known/pomerium/jwks.json";
    let fleet = [&["--jwks-url", url, "--connect-to", &to_a, "--connect-to", &to_b][..], &QUICK].concat();
    done(&rotate("stage", &keys, &fleet));
    a.publish(&keys.keyset());
    let said = rotate("promote", &keys, &fleet);
    refused(&said, "does not publish");
    let proxies = said.json()["proxies"].clone();
    assert_eq!((&proxies[0]["url"], &proxies[0]["state"]), (&json!(url), &json!("waiting")));
    assert_eq!((&proxies[1]["address"], &proxies[1]["state"]), (&json!(&to_b[14..]), &json!("missing")));
    b.publish(&keys.keyset());
    done(&rotate("promote", &keys, &[&fleet[..], &["--wait"]].concat()));

    let stray = ["--jwks-url", &a.url, "--connect-to", "other.example:127.0.0.1", "--now"];
    refused(&rotate("stage", &Keys::new(), &stray[..4]), "no --jwks-url has the host other.example");
    assert_eq!(rotate("stage", &Keys::new(), &["--connect-to", "a:b", "--jwks-url", &a.url]).code, 2);
}

#[test]
fn ctrl_c_in_a_wait_says_how_the_file_is() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    done(&rotate("stage", &keys, &[]));
    let (text, kids) = (keys.text(), keys.kids());
    for (json, signal) in [(false, "INT"), (true, "INT"), (false, "TERM")] {
        let arguments = ["rotate", "promote", keys.file(), "--wait", "--jwks-url", &proxy.url];
        let json = if json { &["--json"][..] } else { &[] };
        let before = proxy.times_asked();
        let child = attest().args(json).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while proxy.times_asked() < before + 2 {
            assert!(Instant::now() < deadline, "it does not wait");
            sleep(Duration::from_millis(10));
        }
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let said = Said::from(child.wait_with_output().unwrap());
        assert_eq!(said.code, 130, "{}", said.all());
        let told = if json.is_empty() { said.stderr.clone() } else { said.json()["error"].to_string() };
        assert!(
            told.contains("stopped: nothing was changed") && told.contains(&format!("{} signs", kids[0])),
            "{told}"
        );
        assert!(told.contains(&kids[1]), "{told}");
    }
    assert_eq!(keys.text(), text);
    done(&rotate("promote", &keys, &["--now"]));
}

/// The access control list `user::rw-`, `user:65534:r--`, `group::---`, `mask::r--`, `other::---`, as Linux stores it.
const READABLE_BY_NOBODY: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 254, 255, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255, 16, 0, 4,
    0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

#[test]
fn an_access_control_list_is_kept() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    const ATTRIBUTE: &str = "system.posix_acl_access";
    let keys = Keys::new();
    let set = setxattr(&keys.path, ATTRIBUTE, &READABLE_BY_NOBODY, XattrFlags::empty());
    if set == Err(rustix::io::Errno::OPNOTSUPP) {
        eprintln!("skipped: this file system has no access control lists");
        return;
    }
    set.unwrap();
    let before = mode(&keys.path);
    for step in ["stage", "promote", "retire"] {
        done(&rotate(step, &keys, now(step)));
        let mut value = vec![0; 100];
        let length = getxattr(&keys.path, ATTRIBUTE, &mut value).unwrap();
        assert_eq!((&value[..length], mode(&keys.path)), (&READABLE_BY_NOBODY[..], before), "{step}");
    }
}

#[test]
fn a_list_that_a_directory_gives_to_new_files_is_not_taken() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let keys = Keys::new();
    let set = setxattr(keys.directory.path(), "system.posix_acl_default", &READABLE_BY_NOBODY, XattrFlags::empty());
    if set == Err(rustix::io::Errno::OPNOTSUPP) {
        eprintln!("skipped: this file system has no access control lists");
        return;
    }
    set.unwrap();
    done(&rotate("stage", &keys, &[]));
    let list = getxattr(&keys.path, "system.posix_acl_access", &mut [0; 100]);
    assert_eq!((list, mode(&keys.path)), (Err(rustix::io::Errno::NODATA), 0o600));
}

#[test]
fn what_cannot_be_kept_is_named() {
    const NOBODY: Option<u32> = Some(65534);
    for (owner, group, what) in
        [(None, NOBODY, "its group"), (NOBODY, None, "its owner"), (NOBODY, NOBODY, "its owner")]
    {
        let keys = Keys::new();
        if std::os::unix::fs::chown(&keys.path, owner, group).is_err() {
            eprintln!("skipped: only root can give a file away");
            return;
        }
        // As root, and without what lets root give files away.
        let mut command = Command::new("setpriv");
        command.args(["--inh-caps=-chown", "--bounding-set=-chown", env!("CARGO_BIN_EXE_attest")]);
        let said = command.args(["rotate", "stage", keys.file()]).output().unwrap().into();
        refused(&said, &format!("{what} cannot be kept (operation not permitted)"));
        assert_eq!(keys.kids().len(), 1);
    }
}

#[test]
fn no_key_byte_leaves_the_key_file() {
    let keys = Keys::new();
    let proxy = Proxy::new(&keys.keyset());
    let mut said = String::new();
    for (step, more) in [
        ("stage", &[][..]),
        ("promote", &["--jwks-url", proxy.url.as_str()]),
        ("promote", &["--now"]),
        ("retire", &["--now"]),
    ] {
        said += &run(&[&["rotate", step, keys.file()], more].concat()).all();
        said += &rotate(step, &keys, more).all();
        said += &fs::read_to_string(record(&keys)).unwrap_or_default();
        if let Ok(metadata) = fs::metadata(record(&keys)) {
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
        for line in keys.text().lines().filter(|line| !line.starts_with("-----")) {
            assert!(!said.contains(&line[..16]), "{said}");
        }
    }
    assert!(!said.contains("PRIVATE KEY"), "{said}");
}

#[test]
fn a_link_and_a_stricter_mode_stay_what_they_are() {
    let keys = Keys::new();
    let link = keys.directory.path().join("current.pem");
    std::os::unix::fs::symlink("signing-key.pem", &link).unwrap();
    fs::set_permissions(&keys.path, fs::Permissions::from_mode(0o400)).unwrap();
    let said = run(&["rotate", "stage", link.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!((mode(&keys.path), keys.kids().len()), (0o400, 2));
}

/// Steps other than the first need it where no proxy is named.
fn now(step: &str) -> &'static [&'static str] {
    if step == "stage" { &[] } else { &["--now"] }
}

fn time_of_a_step() -> Duration {
    let keys = Keys::new();
    let started = Instant::now();
    done(&rotate("stage", &keys, &[]));
    started.elapsed()
}

/// Killed at any moment, the file is what it was or what it should be, and the next command goes on from there.
#[test]
fn a_kill_at_any_time_loses_nothing() {
    let keys = Keys::new();
    let whole = time_of_a_step();
    let (mut before, mut after) = (0, 0);
    for attempt in 0..60 {
        let old = keys.kids();
        let step = if old.len() == 1 { "stage" } else { "promote" };
        let mut child = attest()
            .args([&["rotate", step, keys.file()][..], now(step)].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(whole * attempt / 30);
        child.kill().unwrap();
        child.wait().unwrap();
        let new = kids(&fs::read(&keys.path).unwrap());
        assert!(old.iter().all(|kid| new.contains(kid)), "{old:?} became {new:?}");
        assert_eq!(mode(&keys.path), 0o600);
        if new == old {
            before += 1
        } else {
            after += 1
        }
        if new.len() == 2 && new != old && step == "promote" {
            let _ = fs::remove_file(record(&keys));
            let said = rotate("retire", &keys, &["--now", "--kid", &new[1]]);
            assert_eq!(said.code, 0, "{}", said.all());
        }
    }
    assert!(before > 0 && after > 0, "killed before {before} times and after {after} times: the test proves nothing");
    if keys.kids().len() == 1 {
        done(&rotate("stage", &keys, &[]));
    }
    done(&rotate("promote", &keys, &["--now"]));
    done(&rotate("retire", &keys, &["--now"]));
    assert_eq!(fs::read_dir(keys.directory.path()).unwrap().count(), 1, "what the killed ones left is cleared away");
}

/// What `jwks` reads, every step reads.
#[test]
fn a_text_that_jwks_reads_is_rotated_too() {
    use base64::Engine as _;
    let forms = |text: &str| {
        let packed = base64::engine::general_purpose::STANDARD.encode(text);
        [
            ("a byte-order mark", format!("\u{feff}{text}").into_bytes()),
            ("a vertical tab in base64", format!("{}\u{b}{}", &packed[..40], &packed[40..]).into_bytes()),
            ("a byte-order mark before base64", format!("\u{feff}{packed}").into_bytes()),
            ("Latin-1 in a comment", [b"# Schl\xfcssel\n", text.as_bytes()].concat()),
        ]
    };
    for form in 0..4 {
        let keys = Keys::new();
        let old = keys.kids()[0].clone();
        let (what, bytes) = forms(&keys.text())[form].clone();
        fs::write(&keys.path, bytes).unwrap();
        assert_eq!(run(&["jwks", keys.file()]).code, 0, "{what}");
        for (step, count) in [("stage", 2), ("promote", 2), ("retire", 1)] {
            let said = rotate(step, &keys, now(step));
            assert_eq!(said.code, 0, "{what}: {step}: {}", said.all());
            assert_eq!(keys.kids().len(), count, "{what}: {step}");
        }
        assert!(!keys.kids().contains(&old), "{what}");
    }
}
