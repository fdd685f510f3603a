//! `attest check` and `attest doctor` on a running Envoy: what they say of it is so.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use serde_json::{Value, json};

use harness::idp::IdentityProvider;
use harness::process::PATIENCE;
use harness::{Bootstrap, Envoy, Host, JWKS_PATH, Request, Shipped, eventually, keys, paths};

const WASM: &str = "envoy/kubernetes/plain/envoy.yaml";
const NATIVE: &str = "envoy/native/envoy.yaml";
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

fn shipped() -> Shipped {
    Shipped::read(if Host::under_test() == Host::Native { NATIVE } else { WASM })
}

fn start(shipped: Shipped) -> Envoy {
    let envoy = begin(shipped);
    // A native module before Envoy 1.39 counts with the next request.
    eventually("a key", || (envoy.get(JWKS_PATH).status == 200 && envoy.key_stat("keys_published") > 0).then_some(()));
    envoy
}

/// Does not wait for a key.
fn begin(shipped: Shipped) -> Envoy {
    let envoy = Bootstrap::shipped(shipped).start();
    std::fs::set_permissions(envoy.key_file(), Permissions::from_mode(0o600)).unwrap();
    envoy
}

/// The exit code of the doctor, and what it says.
pub fn doctor(envoy: &Envoy) -> (i32, Value) {
    let admin = format!("http://{}", envoy.admin().address());
    let output = Command::new(paths::attest()).args(["doctor", "--json", "--admin", &admin]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code().unwrap(), said)
}

fn sign<'a>(said: &'a Value, name: &str) -> &'a str {
    let signs = said["signs"].as_array().unwrap();
    let sign = signs.iter().find(|sign| sign["name"] == name).unwrap_or_else(|| panic!("no {name}: {said:#}"));
    sign["state"].as_str().unwrap()
}

/// The names of what is found in the configuration, without notes.
pub fn found(said: &Value) -> Vec<&str> {
    let found = said["findings"].as_array().unwrap().iter();
    found.filter(|it| it["severity"] != "note").map(|it| it["id"].as_str().unwrap()).collect()
}

#[test]
fn a_healthy_envoy_is_called_healthy() {
    let provider = IdentityProvider::new();
    let envoy = start(shipped().trusting(&provider));
    envoy.attest(&Request::get("/").header("authorization", provider.bearer(json!({"sub": "u-1"}))));
    let (code, said) = doctor(&envoy);
    assert_eq!(found(&said), Vec::<&str>::new(), "{said:#}");
    for name in ["envoy", "keys", "key age", "key loads", "keyset", "key file", "identities"] {
        assert_eq!(sign(&said, name), "healthy", "{said:#}");
    }
    assert_eq!(code, 0, "{said:#}");
}

#[test]
fn keys_that_come_from_no_file_are_in_no_file() {
    let inline = Bootstrap::new(json!({"signing_key": keys::A}));
    let environment = Bootstrap::new(json!({})).env("SIGNING_KEY", keys::A);
    for envoy in [inline.start(), environment.start(), Bootstrap::new(json!({})).start()] {
        // A native module before Envoy 1.39 counts with the next request.
        envoy.get(JWKS_PATH);
        let (_, said) = doctor(&envoy);
        let signs = said["signs"].to_string();
        assert!(signs.contains("key loads") && !signs.contains("file"), "{signs}");
    }
}

#[test]
fn a_payload_that_is_not_handed_on_is_told() {
    let provider = IdentityProvider::new();
    let mut shipped = shipped().trusting(&provider);
    let providers = shipped.filter(JWT_AUTHN)["typed_config"]["providers"].as_object_mut().unwrap();
    providers.values_mut().for_each(|provider| {
        provider.as_object_mut().unwrap().remove("payload_in_metadata");
    });
    let envoy = start(shipped);
    let bearer = provider.bearer(json!({"sub": "u-1"}));
    assert_eq!(envoy.send(&Request::get("/").header("authorization", bearer)).status, 401, "a user with a good token");
    let (code, said) = doctor(&envoy);
    assert!(found(&said).contains(&"no-payload-in-metadata"), "{said:#}");
    assert_eq!((code, sign(&said, "identities")), (1, "unhealthy"), "{said:#}");
}

#[test]
fn a_keyset_behind_a_login_is_told() {
    let provider = IdentityProvider::new();
    let mut shipped = shipped().trusting(&provider);
    let rules = &mut shipped.filter(JWT_AUTHN)["typed_config"]["rules"];
    let name = shipped_provider(&rules[0]["requires"]);
    *rules = json!([{"match": {"prefix": "/"}, "requires": {"provider_name": name}}]);
    let (code, said) = doctor(&begin(shipped));
    assert_eq!(found(&said), ["keyset-behind-login"], "{said:#}");
    assert_eq!((code, sign(&said, "keyset")), (1, "unhealthy"), "{said:#}");
}

/// A doctor that goes on looking, and each of its lines.
struct Watch(Child, Receiver<Value>);

impl Watch {
    fn new(envoy: &Envoy) -> Self {
        let admin = format!("http://{}", envoy.admin().address());
        let mut doctor = Command::new(paths::attest());
        doctor.args(["doctor", "--json", "--watch", "--every", "1s", "--admin", &admin]);
        let mut child = doctor.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (to, from) = mpsc::channel();
        // It ends with the doctor, or with the test.
        thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| to.send(serde_json::from_str(&line).unwrap()))
        });
        Self(child, from)
    }

    fn next(&self) -> Value {
        self.1.recv_timeout(PATIENCE).unwrap()
    }

    /// The first line from now on that says so of the key file; whether anything had changed is for the test.
    fn until(&self, state: &str) -> Vec<Value> {
        let mut lines = vec![self.next()];
        while sign(lines.last().unwrap(), "key file") != state {
            lines.push(self.next());
        }
        lines
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn states(said: &Value) -> Vec<(String, String)> {
    let signs = said["signs"].as_array().unwrap();
    signs.iter().map(|sign| (sign["name"].to_string(), sign["state"].to_string())).collect()
}

#[test]
fn a_watching_doctor_tells_of_changes_alone() {
    let provider = IdentityProvider::new();
    let envoy = start(shipped().trusting(&provider));
    let watch = Watch::new(&envoy);
    let mut lines = watch.until("healthy");
    let good = fs::read(envoy.key_file()).unwrap();
    let bearer = provider.bearer(json!({"sub": "u-1"}));
    envoy.attest(&Request::get("/").header("authorization", bearer));
    // Written in place: Envoy does not notice, and the doctor does.
    fs::write(envoy.key_file(), "no key").unwrap();
    lines.extend(watch.until("unhealthy"));
    fs::write(envoy.key_file(), good).unwrap();
    lines.extend(watch.until("healthy"));
    for pair in lines.windows(2) {
        assert_ne!(states(&pair[0]), states(&pair[1]), "counts and ages are no news");
    }
    drop(envoy);
    assert!(watch.next()["error"].as_str().is_some_and(|error| error.contains("does not answer")));
}

fn shipped_provider(requires: &Value) -> String {
    requires["requires_any"]["requirements"][0]["provider_name"].as_str().unwrap().to_owned()
}
