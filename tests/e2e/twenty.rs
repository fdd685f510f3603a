//! Twenty ways to break the README's configuration, chosen before `attest check` was run on any of them: what someone gets
//! wrong who knows Envoy. Each is started on a real Envoy, and something must tell the cause.
//!
//! On the first run nineteen were told. The twentieth, `clear_route_cache` of jwt_authn, was a fault of `attest check`, which
//! looked for that field at the filter and not at its providers. It has been mended.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use harness::snippet::block;
use harness::{Client, Host, Launch, Request, eventually, only_on, paths, places};

use crate::readme::{README, Reader};
use ways::Change::{self, KeyFile, Swap, Text, Without};
use ways::Told::{self, Check, Doctor, Log};
use ways::WAYS;

mod ways;

/// The lines of a filter in the README's configuration.
fn filter<'a>(text: &'a str, name: &str) -> &'a str {
    let start = [" ", "\n"].iter().find_map(|end| text.find(&format!("          - name: {name}{end}")));
    let start = start.unwrap_or_else(|| panic!("a filter {name}"));
    let rest = &text[start..];
    let ends = ["\n          - name: ", "\n          route_config:"].map(|end| rest.find(end));
    &rest[..=ends.into_iter().flatten().min().unwrap()]
}

fn change(text: &str, change: Change) -> String {
    match change {
        Text(from, to) => {
            assert_eq!(text.matches(from).count(), 1, "once in the README: {from}");
            text.replace(from, to)
        }
        Swap(one, other) => {
            let (one, other) = (filter(text, one), filter(text, other));
            text.replacen(one, "\u{1}", 1).replacen(other, one, 1).replacen('\u{1}', other, 1)
        }
        Without(name) => text.replacen(filter(text, name), "", 1),
        KeyFile(_) => text.to_owned(),
    }
}

/// The README's configuration, broken in this way, where Envoy finds it.
fn broken(reader: &mut Reader, changes: &[Change]) -> PathBuf {
    reader.prepare();
    let text = changes.iter().fold(block(README, "envoy.yaml", "yaml"), |text, it| change(&text, *it));
    for it in changes {
        if let KeyFile(path) = it {
            fs::copy(places::repository().join(path), reader.path("etc/attestation/signing-key.pem")).unwrap();
        }
    }
    let file = reader.path("etc/envoy/envoy.yaml");
    // The kernel's ports, which nobody else can have taken meanwhile.
    let text =
        ["10000", "9901"].iter().fold(text, |text, port| text.replace(&format!("port_value: {port}"), "port_value: 0"));
    fs::write(&file, reader.here(&reader.own(&text))).unwrap();
    file
}

/// What `attest` prints as JSON.
fn attest(arguments: &[&str]) -> Value {
    let output = Command::new(paths::attest()).args(arguments).arg("--json").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Everything that is told of a way, in the words of [`Told`].
#[derive(Debug, Default)]
struct Heard {
    check: Vec<String>,
    doctor: Vec<String>,
    log: String,
}

impl Heard {
    fn has(&self, told: Told) -> bool {
        match told {
            Check(id) => self.check.iter().any(|it| it == id),
            Doctor(name) => self.doctor.iter().any(|it| it == name),
            Log(words) => self.log.contains(words),
        }
    }
}

/// The texts of a member of each object that fits.
fn texts(list: &Value, member: &str, fits: impl Fn(&Value) -> bool) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("a list: {list}"));
    list.iter().filter(|it| fits(it)).map(|it| it[member].as_str().unwrap().to_owned()).collect()
}

fn hear(reader: &Reader, file: &Path, serves: bool) -> Heard {
    let check = texts(&attest(&["check", file.to_str().unwrap()])["findings"], "id", |_| true);
    let said = Command::new(paths::envoy()).args(["--mode", "validate", "-c"]).arg(file).output().unwrap();
    assert_eq!(said.status.success(), serves, "{}", String::from_utf8_lossy(&said.stderr));
    if !serves {
        return Heard { check, log: String::from_utf8_lossy(&said.stderr).into_owned(), ..Heard::default() };
    }
    let log = reader.path("run/envoy.log");
    let launch = Launch::new(&paths::envoy(), file, log.parent().unwrap()).workers(1).log_level("info");
    let envoy = launch.start().unwrap();
    let (admin, address) = envoy.serving("ingress").unwrap();
    use_it(reader, address);
    let admin = format!("http://{}", admin.address());
    let mut heard = Heard { check, ..Heard::default() };
    // What is wrong with a key is logged some seconds after the start.
    eventually("a word about the key", || {
        heard.log = fs::read_to_string(&log).unwrap();
        (heard.log.contains("published, signing in") || heard.log.contains("key file ")).then_some(())
    });
    let listener = format!("http://{address}");
    heard.doctor = texts(&attest(&["doctor", "--admin", &admin, "--listener", &listener])["signs"], "name", |it| {
        it["state"] == "unhealthy"
    });
    heard
}

/// A signed-in user makes more than a hundred requests, but gives up where there is no key: each would wait for it.
fn use_it(reader: &Reader, address: SocketAddr) {
    let bearer = reader.provider.bearer(json!({"sub": "ann"}));
    let mut client = Client::connect(address);
    for _ in 0..110 {
        if client.send(&Request::get("/").header("authorization", &bearer)).body.starts_with(b"no signing key") {
            break;
        }
    }
}

#[test]
fn twenty_mistakes_are_told() {
    if !only_on(Host::Wasm, "it is the README's Wasm configuration") {
        return;
    }
    let mut wrong = Vec::new();
    for (name, changes, serves, told) in WAYS {
        let mut reader = Reader::new();
        let file = broken(&mut reader, changes);
        let heard = hear(&reader, &file, serves);
        let log: Vec<_> =
            heard.log.lines().filter(|line| line.contains("[warning]") || line.contains("[error]")).collect();
        println!("{name}: {:?} {:?} {log:#?}", heard.check, heard.doctor);
        let silent: Vec<_> = told.iter().filter(|told| !heard.has(**told)).collect();
        if !silent.is_empty() {
            wrong.push((name, silent));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The README's configuration as it stands: nothing is told of it, so that what is told above is of the mistake.
#[test]
fn nothing_is_told_without_a_mistake() {
    if !only_on(Host::Wasm, "it is the README's Wasm configuration") {
        return;
    }
    let mut reader = Reader::new();
    let file = broken(&mut reader, &[]);
    let heard = hear(&reader, &file, true);
    assert!(heard.check.is_empty() && heard.doctor.is_empty(), "{heard:?}");
    let told = WAYS.iter().flat_map(|(.., told)| *told);
    assert_eq!(told.filter(|told| heard.has(**told)).count(), 0, "{heard:?}");
}
