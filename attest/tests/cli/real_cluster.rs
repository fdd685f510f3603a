//! The same against a real kube-apiserver, with the shipped account: `make kubernetes-api` builds the server and runs this.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::auto::{asked_until, watched};
use crate::cluster::{Files, NAME, keyring, secret};
use crate::secret::rotate_with_two_daemons;
use crate::support::{Keys, Proxy, Said, kids};

const ROTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../envoy/kubernetes/rotation");

/// A kube-apiserver with its store.
struct Real {
    directory: TempDir,
    port: u16,
    child: Child,
    admin: Files,
}

impl Real {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("service-account.key");
        let said = crate::support::run(&["keygen", "--type", "rsa-2048", "-o", key.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{}", said.all());
        fs::write(directory.path().join("tokens.csv"), "admin-token,admin,1,\"system:masters\"\n").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = start(directory.path(), port);
        let certificate = directory.path().join("apiserver.crt");
        let admin = Files::new(&format!("https://127.0.0.1:{port}"), Some(&certificate), "admin-token");
        let real = Self { directory, port, child, admin };
        real.until_ready();
        real
    }

    fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.kubectl(&["get", "--raw", "/readyz"], None).1 {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(self.directory.path().join("log")).unwrap());
            sleep(Duration::from_millis(200));
        }
    }

    fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> (String, bool) {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", &self.admin.kubeconfig).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl is needed for this");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.unwrap_or_default().as_bytes()).unwrap();
        let said = Said::from(child.wait_with_output().unwrap());
        (said.all(), said.code == 0)
    }

    fn must(&self, arguments: &[&str], input: Option<&str>) -> String {
        let (said, succeeded) = self.kubectl(arguments, input);
        assert!(succeeded, "{arguments:?}: {said}");
        said
    }

    fn secret(&self) -> Value {
        let said = self.must(&["-n", "envoy", "get", "secret", "attestation-signing-key", "-o", "json"], None);
        serde_json::from_str(&said).unwrap()
    }

    /// What the shipped account may do, with a token of its own.
    fn account(&self) -> Files {
        let token = self.must(&["-n", "envoy", "create", "token", "attestation-rotate"], None);
        let certificate = self.directory.path().join("apiserver.crt");
        Files::new(&format!("https://127.0.0.1:{}", self.port), Some(&certificate), token.trim())
    }

    /// Without a word to anybody.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(directory: &Path, port: u16) -> Child {
    let program = std::env::var_os("KUBE_APISERVER").expect("KUBE_APISERVER names the server: make kubernetes-api");
    let log = fs::File::create(directory.join("log")).unwrap();
    let mut command = Command::new(program);
    command.arg(directory).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap()
}

#[test]
#[ignore = "make kubernetes-api"]
fn a_real_api_server_takes_whole_rotations() {
    let keys = Keys::new();
    let mut real = Real::new();
    real.must(&["create", "namespace", "envoy"], None);
    real.must(&["apply", "-f", "-"], Some(&secret(&keys).to_string()));
    real.must(&["apply", "-n", "envoy", "-k", ROTATION], None);
    real.must(&["-n", "envoy", "create", "secret", "generic", "another", "--from-literal=signing-key.pem=x"], None);
    let account = real.account();

    // What the shipped Role does not allow, and what is not there.
    let stage = |files: &Files, name: &str| {
        let said: Said = files.attest().args(["rotate", "stage", "--secret", name]).output().unwrap().into();
        assert_eq!(said.code, 1, "{}", said.all());
        said.stderr
    };
    assert!(stage(&account, "envoy/another").contains("(403); add to its Role in namespace envoy"));
    assert!(stage(&account, "default/attestation-signing-key").contains("(403)"));
    assert!(stage(&real.admin, "envoy/none").contains("(404); make it with"));
    let refused = Files::new(
        &format!("https://127.0.0.1:{}", real.port),
        Some(&real.directory.path().join("apiserver.crt")),
        "no-such-token",
    );
    assert!(stage(&refused, NAME).contains("(401)"));
    let untrusted = Files::new(&format!("https://127.0.0.1:{}", real.port), None, "admin-token");
    assert!(stage(&untrusted, NAME).contains("not signed by the certificate-authority"));

    // Two daemons, killed at any time, with the rights of the shipped account.
    rotate_with_two_daemons(&account, || {
        let read = real.admin.kubeconfig.clone();
        move || read_secret(&read)
    });
    let after = real.secret();
    assert_eq!(after["data"]["other"], secret(&keys)["data"]["other"]);
    assert_eq!(after["metadata"]["labels"], json!({ "team": "edge" }));
    assert!(!kids(&keyring(&after)).contains(&keys.kids()[0]));

    // The server goes away and comes back; a token that it does not know is replaced in its file.
    let proxy = Proxy::new(&keys.keyset());
    let mut command = account.attest();
    command.args(["rotate", "auto", "--secret", NAME, "--every", "0s", "--jwks-url", &proxy.url]);
    let (mut daemon, url) = watched(command);
    let ready = format!("{url}/readyz");
    asked_until(&ready, |status, _| status == 200);
    real.kill();
    let why = asked_until(&ready, |status, _| status == 503);
    assert!(why.contains("cannot be reached"), "{why}");
    fs::write(&account.token, "no-such-token").unwrap();
    real.child = start(real.directory.path(), real.port);
    real.until_ready();
    asked_until(&ready, |_, why| why.contains("(401)"));
    fs::write(&account.token, real.must(&["-n", "envoy", "create", "token", "attestation-rotate"], None).trim())
        .unwrap();
    asked_until(&ready, |status, _| status == 200);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

fn read_secret(kubeconfig: &Path) -> Vec<u8> {
    let arguments = ["-n", "envoy", "get", "secret", "attestation-signing-key", "-o", "json"];
    let output = Command::new("kubectl").env("KUBECONFIG", kubeconfig).args(arguments).output().unwrap();
    keyring(&serde_json::from_slice(&output.stdout).unwrap())
}
