//! FIFOs, devices and directories in the place of a file: what is only read may be one, what is replaced may not.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::from_pomerium::SIGNED_IN;
use crate::support::{Keys, Said, attest, claims, run};

/// How long a command may take that should not wait for anything.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `attest`, and fails where it waits for something that never comes.
fn run_until(arguments: &[&str]) -> Said {
    let mut child = attest().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + DEADLINE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("attest {} does not end", arguments.join(" "));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap().into()
}

fn make_fifo(path: &Path) -> String {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    path.to_str().unwrap().to_owned()
}

/// A shell line in which `$attest`, `$key`, `$keyset` and `$token` are set.
fn run_in_bash(line: &str, keys: &Keys) -> Said {
    let keyset = keys.write("keyset.json", &keys.keyset());
    let mut bash = Command::new("bash");
    bash.args(["-c", line]).env("attest", env!("CARGO_BIN_EXE_attest")).env("key", keys.file());
    bash.env("keyset", keyset).env("token", keys.sign(&claims())).current_dir(keys.directory.path());
    bash.output().unwrap().into()
}

#[test]
fn a_rotation_of_no_regular_file_is_refused() {
    let keys = Keys::new();
    let fifo = make_fifo(&keys.directory.path().join("fifo"));
    let directory = keys.directory.path().to_str().unwrap();
    for (file, what) in [(fifo.as_str(), "is a FIFO"), ("/dev/null", "is a device"), (directory, "is a directory")] {
        let url = "http://127.0.0.1:1/";
        for step in [
            &["stage", file][..],
            &["promote", file, "--now"],
            &["retire", file, "--now"],
            &["auto", file, "--every", "30d", "--jwks-url", url],
        ] {
            let said = run_until(&[&["rotate"][..], step].concat());
            assert_eq!(said.code, 1, "{step:?}");
            assert!(said.stderr.contains(what), "{step:?}: {}", said.stderr);
        }
    }
}

#[test]
fn a_record_that_is_a_fifo_is_refused() {
    let keys = Keys::new();
    make_fifo(&keys.directory.path().join("signing-key.pem.rotation.json"));
    let said = run_until(&["rotate", "stage", keys.file()]);
    assert_eq!((said.code, keys.kids().len()), (1, 1));
    assert!(said.stderr.contains("is a FIFO, not the record of a rotation"), "{}", said.stderr);
}

#[test]
fn keygen_into_a_device_says_what_to_do() {
    let keys = Keys::new();
    let fifo = make_fifo(&keys.directory.path().join("fifo"));
    let directory = keys.directory.path().to_str().unwrap();
    for (file, hint) in [(fifo.as_str(), "without -o"), ("/dev/null", "without -o"), (directory, "a file in it")] {
        let said = run_until(&["keygen", "-o", file]);
        assert_eq!(said.code, 1);
        assert!(said.stderr.contains(hint) && !said.stderr.contains("rotate"), "{}", said.stderr);
    }
}

#[test]
fn what_is_only_read_may_come_through_a_pipe() {
    let keys = Keys::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../envoy/envoy.yaml");
    fs::copy(shipped, keys.directory.path().join("envoy.yaml")).unwrap();
    keys.write("pomerium.yaml", SIGNED_IN);
    for (line, code) in [
        (r#""$attest" jwks <(cat "$key")"#, 0),
        (r#"cat "$key" | "$attest" jwks /dev/stdin"#, 0),
        (r#""$attest" jwks /dev/stdin < "$key""#, 0),
        (r#"mkfifo pipe && (cat "$key" > pipe & "$attest" jwks pipe)"#, 0),
        (r#""$attest" verify "$token" --jwks <(cat "$keyset")"#, 0),
        (r#"cat "$keyset" | "$attest" verify "$token" --jwks /dev/stdin"#, 0),
        (r#""$attest" rotate stage "$key" --key <("$attest" keygen)"#, 0),
        (r#""$attest" check <(cat envoy.yaml)"#, 0),
        (r#"cat envoy.yaml | "$attest" check /dev/stdin"#, 0),
        (r#""$attest" from-pomerium <(cat pomerium.yaml)"#, 0),
    ] {
        let said = run_in_bash(line, &keys);
        assert_eq!(said.code, code, "{line}: {}", said.all());
    }
    let said = run(&["jwks", keys.file()]);
    assert_eq!((said.code, keys.kids().len()), (0, 2));
}
