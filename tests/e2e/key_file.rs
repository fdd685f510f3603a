//! Keys from a file that Envoy reads: their first load, their replacement, and what happens when either goes wrong.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, KID_B, KID_RSA, RSA, openssl, pem, pkcs8};
use harness::log::ours;
use harness::modules;
use harness::{
    Assertion, Bootstrap, Capability, Client, Crowd, Envoy, Host, JWKS_PATH, Request, Secrets, eventually, only_on,
};

const PATH: &str = "/etc/attestation/signing-key.pem";
/// What its path ends with wherever it is.
const NAME: &str = "/signing-key.pem";
const REFRESH: Duration = Duration::from_millis(100);

/// Looks at the file ten times a second.
fn configuration() -> Value {
    json!({"signing_key_file": PATH, "signing_key_refresh": "0.1s", "jwks_max_age": "1s"})
}

/// Waits until every worker signs with this key, and publishes it.
fn wait_until_all_sign_with(envoy: &Envoy, kid: &str) {
    eventually("every worker to sign with the key", || {
        envoy.spread().iter_mut().all(|c| signs_with(c, kid)).then_some(())
    });
    assert!(envoy.keys().kids().contains(&kid), "{kid} is published");
}

fn signs_with(client: &mut Client, kid: &str) -> bool {
    let reply = client.send(&Request::get("/"));
    assert!(matches!(reply.status, 200 | 503), "status {}", reply.status);
    reply.status == 200 && Assertion::read(&reply.token()).kid() == kid
}

/// How often a worker has got an answer to its question for the file. The main thread never gets one.
fn fetches(envoy: &Envoy) -> u64 {
    envoy.admin().stat("http.signing_key.downstream_rq_total")
}

/// Repeats something until both of two workers have looked at the file several times more. How often a native module
/// looks is not counted anywhere.
fn while_refreshing(envoy: &Envoy, mut act: impl FnMut()) {
    let (before, begun) = (fetches(envoy), Instant::now());
    let mut is_over = || {
        act();
        match envoy.host() {
            Host::Wasm => fetches(envoy) >= before + 12,
            Host::Native => begun.elapsed() > 12 * REFRESH,
        }
    };
    eventually("several refreshes", || is_over().then_some(()));
}

fn wait_for_refreshes(envoy: &Envoy) {
    while_refreshing(envoy, || {});
}

/// What the filter logged about its key file at these levels.
fn lines_about_the_file(log: &str, levels: &[&str]) -> Vec<String> {
    let is_meant = |line: &&str| line.contains(NAME) && levels.iter().any(|level| line.contains(level));
    ours(log).into_iter().filter(is_meant).map(str::to_owned).collect()
}

fn complaints(log: &str) -> Vec<String> {
    lines_about_the_file(log, &["[warning]", "[error]", "[critical]"])
}

fn news(log: &str) -> Vec<String> {
    lines_about_the_file(log, &["[info]"])
}

#[test]
fn until_the_file_is_filled_every_request_is_answered_503() {
    let envoy = Bootstrap::new(configuration()).key_file("").workers(2).start();
    let requests = [
        Request::get("/"),
        Request::get(JWKS_PATH),
        Request::get("/.well-known/pomerium"),
        Request::new("OPTIONS", JWKS_PATH),
        Request::new("HEAD", "/"),
        Request::new("POST", "/").body("hello"),
        Request::get("/").host("a:b:c"),
    ];
    let mut count = 0;
    for request in &requests {
        for client in &mut envoy.spread() {
            let reply = client.send(request);
            assert_eq!(reply.status, 503, "{request:?}");
            let delay = reply.header("retry-after").unwrap_or_else(|| panic!("{request:?}: no retry-after"));
            assert!(delay.parse::<u32>().is_ok(), "{request:?}: retry-after: {delay}");
            count += 1;
        }
    }
    assert_eq!(envoy.stat("refused.no_key"), count);
    assert_eq!(envoy.upstream_requests(), 0, "no request went on without an assertion");

    envoy.replace_key_file(pem(A));
    wait_until_all_sign_with(&envoy, KID_A);
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
    assert!(envoy.stat("key_loads") > 0);
    assert_eq!(envoy.stat("keys_published"), 1);
    assert!(news(&envoy.log()).iter().any(|line| line.contains(KID_A)), "the log says so:\n{}", envoy.log());
}

#[test]
fn an_empty_file_is_told_of_once_however_long_it_stays_empty() {
    let envoy = Bootstrap::new(configuration()).key_file("").workers(2).start();
    // Long enough for every VM to lose patience, the main thread's too, which waits for an answer in vain.
    eventually("Envoy to have run for a while", || (uptime(&envoy) >= 8).then_some(()));
    let log = envoy.log();
    let complaints = complaints(&log);
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    assert!(complaints[0].contains("503"), "the line says what becomes of requests: {}", complaints[0]);
    envoy.replace_key_file(pem(A));
    wait_until_all_sign_with(&envoy, KID_A);
}

/// In seconds.
fn uptime(envoy: &Envoy) -> u64 {
    let info = envoy.admin().get("/server_info").json();
    let uptime = info["uptime_current_epoch"].as_str().expect("an uptime");
    uptime.trim_end_matches('s').parse().unwrap_or_else(|e| panic!("{uptime}: {e}"))
}

#[test]
fn a_replaced_file_reaches_every_worker_for_good() {
    for bootstrap in
        [Bootstrap::new(configuration()).key_file(pem(A)), Bootstrap::new(configuration()).key_volume(pem(A))]
    {
        let envoy = bootstrap.workers(3).start();
        wait_until_all_sign_with(&envoy, KID_A);
        let mut contents = vec![(KID_B, pem(B)), (KID_RSA, pem(RSA)), (KID_A, pkcs8(A)), (KID_B, pkcs8(B))];
        if Capability::HostSigns.is_lacking() {
            contents.retain(|(kid, _)| *kid != KID_RSA);
        }
        for (kid, content) in contents {
            let loads = envoy.key_stat("key_loads");
            let replaced = Instant::now();
            envoy.replace_key_file(content);
            wait_until_all_sign_with(&envoy, kid);
            assert!(replaced.elapsed() < Duration::from_secs(5), "{kid}: it took {:?}", replaced.elapsed());
            assert!(envoy.stat("key_loads") > loads, "{kid}: it is counted");
            while_refreshing(&envoy, || {
                assert!(envoy.spread().iter_mut().all(|client| signs_with(client, kid)), "{kid}: an older key is back");
            });
        }
        assert_eq!(envoy.stat("key_load_failures"), 0);
        let age = jsonwebtoken::get_current_timestamp() - envoy.stat("last_key_load_seconds");
        assert!(age < 30, "the last load is said to be {age} seconds ago");
    }
}

/// Contents that are no usable keys, and a word that the log must have about each.
fn unusable() -> Vec<(&'static str, String)> {
    let p384 = openssl(&["ecparam", "-genkey", "-noout", "-name", "secp384r1"], "");
    let cut_off = pem(B)[..120].to_owned();
    vec![("EC PRIVATE KEY", format!("{}{p384}", pem(B))), ("block", String::new()), ("block", cut_off)]
}

#[test]
fn a_bad_file_leaves_the_last_good_keys_and_is_told_of_once_by_all_workers_together() {
    let envoy = Bootstrap::new(configuration()).key_file(pem(A)).workers(2).start();
    wait_until_all_sign_with(&envoy, KID_A);
    // Each of the workers, or the native module once for all.
    let readers = if envoy.host() == Host::Wasm { 2 } else { 1 };
    for round in 0..2 {
        for (word, content) in unusable() {
            let (mark, failures) = (envoy.log().len(), envoy.key_stat("key_load_failures"));
            envoy.replace_key_file(&content);
            // A count that stands still would look as if all were well again.
            let least = failures + 4 * readers;
            eventually("failures to be counted", || (envoy.key_stat("key_load_failures") >= least).then_some(()));
            wait_for_refreshes(&envoy);
            assert!(envoy.spread().iter_mut().all(|client| signs_with(client, KID_A)), "the last good keys");
            assert_eq!(envoy.keys().kids(), [KID_A]);
            let complaints = complaints(&envoy.log_since(mark));
            assert_eq!(complaints.len(), 1, "round {round}, {word}: {complaints:#?}");
            assert!(complaints[0].contains(word), "round {round}: {}", complaints[0]);
            Secrets::of([A, B, &content]).assert_not_in("our lines", complaints.join("\n"));
        }
        // The first recovery brings the old keys back, the second one new keys.
        let (kid, content) = if round == 0 { (KID_A, pem(A)) } else { (KID_B, pem(B)) };
        let mark = envoy.log().len();
        envoy.replace_key_file(content);
        wait_until_all_sign_with(&envoy, kid);
        eventually("the recovery to be told of", || (!news(&envoy.log_since(mark)).is_empty()).then_some(()));
        wait_for_refreshes(&envoy);
        let log = envoy.log_since(mark);
        assert_eq!(news(&log).len(), 1, "round {round}: {:#?}", news(&log));
        assert!(complaints(&log).is_empty(), "round {round}: {:#?}", complaints(&log));
    }
}

#[test]
fn a_configuration_update_answers_no_503() {
    let envoy = Bootstrap::new(configuration()).key_file(pem(A)).workers(2).dynamic().start();
    wait_until_all_sign_with(&envoy, KID_A);
    let crowd = Crowd::start(&[envoy.address()], 4);
    for number in 0..6 {
        match number {
            2 => replace_and_wait_for_failures(&envoy),
            4 => envoy.replace_key_file(format!("{}{}", pem(A), pem(B))),
            _ => {}
        }
        let label = format!("update {number}");
        let mut update = configuration();
        update["audience"] = label.as_str().into();
        envoy.push_accepted(update);
        eventually(&label, || {
            let has_update = |client: &mut Client| {
                let reply = client.send(&Request::get("/"));
                assert_eq!(reply.status, 200, "{label}");
                Assertion::read(&reply.token()).claim("aud") == &label
            };
            envoy.spread().iter_mut().all(has_update).then_some(())
        });
    }
    crowd.wait_until_all_verified(KID_A);
    crowd.assert_flawless();
}

/// From here on new VMs find nothing usable at the file's place.
fn replace_and_wait_for_failures(envoy: &Envoy) {
    envoy.replace_key_file("");
    eventually("a failure to be counted", || (envoy.key_stat("key_load_failures") > 0).then_some(()));
}

#[test]
fn the_main_thread_neither_logs_nor_counts() {
    if !only_on(Host::Wasm, "natively no thread is without the file") {
        return;
    }
    let envoy = Bootstrap::new(configuration()).key_file(pem(A)).workers(2).dynamic().start();
    // One worker without a request and one with, at first; then new VMs.
    eventually("keys", || (envoy.get("/").status == 200).then_some(()));
    eventually("Envoy to have run for a while", || (uptime(&envoy) >= 7).then_some(()));
    let mut update = configuration();
    update["audience"] = "updated".into();
    envoy.push_accepted(update);
    wait_for_refreshes(&envoy);
    wait_until_all_sign_with(&envoy, KID_A);
    wait_for_refreshes(&envoy);
    assert_eq!(envoy.stat("key_load_failures"), 0, "{}", ours(&envoy.log()).join("\n"));
    assert_eq!(complaints(&envoy.log()), [""; 0]);
}

/// A filter with a module that writes another key where the workers share theirs.
pub fn writes_another_key(directory: &Path, path: &str) -> Value {
    let module = directory.join("sharing.wasm");
    fs::write(&module, modules::sharing(&format!("attestation.key_file.keys.signing_key.{path}"), &pem(B))).unwrap();
    json!({
        "name": "another",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "another",
                "vm_config": {
                    "vm_id": "attestation",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                },
            },
        },
    })
}

#[test]
fn the_file_wins_over_what_another_module_shares() {
    if !only_on(Host::Wasm, "natively there is no shared data") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let envoy =
        Bootstrap::new(configuration()).key_file(pem(A)).filter(writes_another_key(directory.path(), PATH)).start();
    eventually("keys", || (envoy.get("/").status == 200).then_some(()));
    let is_back = || envoy.stat("shared_keys_replaced") >= 2;
    eventually("the file's keys to be put back twice", || {
        assert_eq!(Assertion::read(&envoy.get("/").token()).kid(), KID_A);
        assert_eq!(envoy.keys().kids(), [KID_A]);
        is_back().then_some(())
    });
    let lines = complaints(&envoy.log());
    assert!(lines.iter().all(|line| line.contains("something else wrote shared data")), "{lines:#?}");
    assert!(!lines.is_empty(), "a line tells of it");
}

/// What an operator got wrong, and what the log must say about it.
struct Mistake {
    what: &'static str,
    bootstrap: Bootstrap,
    words: &'static [&'static str],
}

#[test]
fn what_is_wired_wrongly_is_named() {
    if !only_on(Host::Wasm, "the native module reads the file itself") {
        return;
    }
    let with_cluster = |name: &str| {
        let mut configuration = configuration();
        configuration["signing_key_cluster"] = name.into();
        Bootstrap::new(configuration)
    };
    let mistakes = [
        Mistake { what: "no such cluster", bootstrap: with_cluster("nowhere").key_file(pem(A)), words: &["nowhere"] },
        Mistake {
            what: "a cluster that leads elsewhere",
            bootstrap: with_cluster("upstream").key_file(pem(A)),
            words: &["PEM"],
        },
        Mistake {
            what: "a route at another path",
            bootstrap: Bootstrap::new(configuration()).key_file(pem(A)).key_route(json!({"path": "/other.pem"})),
            words: &["404"],
        },
        Mistake {
            what: "a route that is a prefix of another path",
            bootstrap: Bootstrap::new(configuration())
                .key_file(pem(A))
                .key_route(json!({"prefix": "/etc/attestation/x"})),
            words: &["404"],
        },
    ];
    let envoys = mistakes.map(|mistake| (mistake.what, mistake.words, mistake.bootstrap.workers(2).start()));
    for (what, words, envoy) in &envoys {
        let line = eventually(what, || complaints(&envoy.log()).first().cloned());
        for word in *words {
            assert!(line.contains(word), "{what}: the line says {word:?}: {line}");
        }
        eventually("Envoy to have run for a while", || (uptime(envoy) >= 8).then_some(()));
        assert_eq!(complaints(&envoy.log()).len(), 1, "{what}: {:#?}", complaints(&envoy.log()));
        for client in &mut envoy.spread() {
            let reply = client.send(&Request::get("/"));
            assert_eq!(reply.status, 503, "{what}");
            assert!(reply.header("retry-after").is_some(), "{what}");
            assert!(reply.try_seen().is_none(), "{what}: the request went on");
        }
    }
}

#[test]
fn nothing_that_envoy_tells_or_logs_has_a_byte_of_the_file() {
    let envoy = Bootstrap::new(configuration())
        .key_file(format!("{}{}", pem(A), pem(RSA)))
        .workers(2)
        .dynamic()
        .log_level("trace")
        .start();
    wait_until_all_sign_with(&envoy, KID_A);
    envoy.replace_key_file(format!("{}{}{}", pem(B), pem(A), pem(B)));
    wait_until_all_sign_with(&envoy, KID_B);
    envoy.replace_key_file(&pem(A)[..150]);
    eventually("a failure to be counted", || (envoy.key_stat("key_load_failures") > 0).then_some(()));
    let mut update = configuration();
    update["audience"] = "updated".into();
    envoy.push_accepted(update);
    let (last, kid) = if Capability::HostSigns.is_lacking() { (pem(B), KID_B) } else { (pem(RSA), KID_RSA) };
    envoy.replace_key_file(last);
    wait_until_all_sign_with(&envoy, kid);
    envoy.assert_tells_nothing_of([A, B, RSA]);
    for path in ["/", PATH, JWKS_PATH, "/.well-known/pomerium", "/.pomerium/user"] {
        Secrets::of([A, B, RSA]).assert_not_in(path, envoy.get(path).body);
    }
}

#[test]
fn a_key_in_the_configuration_is_found_where_envoy_prints_it() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    let dump = envoy.admin().get("/config_dump");
    assert!(Secrets::of([A]).find(&dump.body).is_some(), "the search is known to find a key in a dump");
}
