use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use harness::tls::{Authority, dns};
use harness::{Host, keys, paths, places};

/// What stands for a secret in each of them.
const SECRET: &str = "SECRET";

/// The paths of the configurations.
fn shapes() -> Vec<PathBuf> {
    let directory = fs::read_dir(places::repository().join("tests/pomerium")).unwrap();
    let mut all: Vec<_> = directory.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// What `attest` says to these arguments.
fn attest(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(paths::attest()).args(arguments).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), stdout, stderr)
}

/// Files that a configuration names, in a directory of the test.
fn files(directory: &Path) {
    let authority = Authority::new();
    let identity = authority.certify("app.example.com", &[dns("app.example.com")]);
    for (name, text) in [
        ("cert.pem", identity.pem()),
        ("key.pem", identity.key_pem()),
        ("fullchain.pem", identity.pem()),
        ("privkey.pem", identity.key_pem()),
        ("signing-key.pem", keys::pem(keys::A)),
        ("client-secret", "secret".into()),
        ("hmac-secret", "secret".into()),
    ] {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// The text with the files of the test, and the certificate that is only a word in its place.
fn placed(text: &str, directory: &Path) -> String {
    let certificate = fs::read(directory.join("cert.pem")).unwrap();
    let module = if Host::under_test() == Host::Wasm { paths::module() } else { directory.join("none") };
    let mut text = text.replace("/etc/envoy/attestation_filter.wasm", module.to_str().unwrap());
    for path in ["/run/secrets/attestation", "/etc/envoy/tls", "/pki"] {
        text = text.replace(path, directory.to_str().unwrap());
    }
    text.replace("inline_bytes: U0VDUkVU", &format!("inline_bytes: {}", STANDARD.encode(certificate)))
}

fn validate(bootstrap: &Path) -> (bool, String) {
    let mut command = Command::new(paths::envoy());
    command.args(["--mode", "validate", "--log-level", "warning", "-c"]).arg(bootstrap);
    command.envs(Host::under_test().environment().unwrap());
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn each_public_shape_is_taken_by_envoy() {
    let host = if Host::under_test() == Host::Native { "native" } else { "wasm" };
    let all = shapes();
    assert_eq!(all.len(), 10);
    let version = paths::envoy_version();
    for shape in all {
        let name = shape.file_name().unwrap().to_str().unwrap().to_owned();
        let directory = tempfile::tempdir().unwrap();
        files(directory.path());
        for front in [&[][..], &["--bearer"], &["--envoy-version", &version]] {
            let arguments = [&["from-pomerium", shape.to_str().unwrap(), "--host", host], front].concat();
            let (code, written, said) = attest(&arguments);
            assert_eq!(code == 1, said.contains("closed: "), "{name}: {said}");
            assert!(!written.contains(SECRET) && !said.contains(SECRET), "{name}: a secret came out");
            let bootstrap = directory.path().join("envoy.yaml");
            fs::write(&bootstrap, placed(&written, directory.path())).unwrap();
            let (code, findings, _) =
                attest(&["check", "--json", "--envoy-version", &version, bootstrap.to_str().unwrap()]);
            let findings: Value = serde_json::from_str(&findings).unwrap();
            let bad: Vec<_> =
                findings["findings"].as_array().unwrap().iter().filter(|it| it["severity"] != "note").collect();
            assert_eq!((code, bad.len()), (0, 0), "{name}: {bad:#?}");
            let (is_valid, log) = validate(&bootstrap);
            assert!(is_valid, "{name} {front:?}: {log}");
        }
    }
}
