//! Three real Envoys whose key `attest rotate auto` replaces, while apps verify what they sign.
//!
//! `make rotation-proof` runs it for longer, on both hosts (`FLEET_ROTATIONS`).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use harness::environment::number;
use harness::keys::{A, KID_A, pem};
use harness::{Bootstrap, Crowd, Envoy, JWKS_PATH, eventually, paths};

/// Three proxies. `attest` replaces the key file of the first; the others get it a moment later, as an operator's tool would
/// bring it there.
pub(crate) struct Fleet {
    pub(crate) envoys: Vec<Envoy>,
    stop: Arc<AtomicBool>,
    bringer: Option<JoinHandle<()>>,
}

impl Fleet {
    pub(crate) fn start(token_lifetime: &str) -> Self {
        let settings = json!({
            "signing_key_file": "/signing-key.pem", "signing_key_refresh": "0.2s", "jwks_max_age": "2s",
            "token_lifetime": token_lifetime,
        });
        let start = |_| Bootstrap::new(settings.clone()).key_file(pem(A)).workers(2).start();
        let envoys: Vec<Envoy> = (0..3).map(start).collect();
        for envoy in &envoys {
            eventually("a key", || (envoy.get("/").status == 200).then_some(()));
        }
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(envoys[0].key_file(), private).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let bringer = bring(envoys.iter().map(Envoy::key_file).collect(), Arc::clone(&stop));
        Self { envoys, stop, bringer: Some(bringer) }
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.envoys.iter().map(Envoy::address).collect()
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.envoys.iter().map(|envoy| format!("http://{}{JWKS_PATH}", envoy.address())).collect()
    }

    /// The key that signs, by the file.
    pub(crate) fn signer(&self) -> String {
        let text = fs::read(self.envoys[0].key_file()).unwrap();
        let keys = attestation_filter::keys::Keyring::parse(&text).unwrap();
        keys.signing_key().public_key().kid().to_owned()
    }

    /// A daemon for this fleet; `every` is how long a key signs.
    pub(crate) fn daemon(&self, every: &str, token_lifetime: &str, more: &[&str]) -> Command {
        let mut command = Command::new(paths::attest());
        command.env_clear().stdin(Stdio::null()).args(["rotate", "auto"]).arg(self.envoys[0].key_file());
        command.args([
            "--every",
            every,
            "--token-lifetime",
            token_lifetime,
            "--refresh-time",
            "1s",
            "--cache-time",
            "2s",
            "--stay",
        ]);
        for url in self.urls() {
            command.args(["--jwks-url", &url]);
        }
        command.args(more);
        command
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(bringer) = self.bringer.take() {
            let _ = bringer.join();
        }
    }
}

/// Copies the first file over the others whenever it has changed.
fn bring(files: Vec<PathBuf>, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        let (first, others) = files.split_first().unwrap();
        let mut brought = fs::read(first).unwrap();
        while !stop.load(Ordering::SeqCst) {
            let text = fs::read(first).unwrap();
            if text != brought {
                for file in others {
                    thread::sleep(Duration::from_millis(300));
                    replace(file, &text);
                }
                brought = text;
            }
            thread::sleep(Duration::from_millis(50));
        }
    })
}

fn replace(file: &Path, text: &[u8]) {
    let staged = file.with_extension("brought");
    fs::write(&staged, text).unwrap();
    fs::rename(&staged, file).unwrap();
}

/// Two daemons, each killed after some random time and started again.
#[test]
fn a_fleet_rotates_while_daemons_are_killed() {
    let rotations: usize = number("FLEET_ROTATIONS", 1);
    let fleet = Fleet::start("2s");
    let crowd = Crowd::start(&fleet.addresses(), 4);
    crowd.wait_until_all_verified(KID_A);
    let start = || fleet.daemon("0s", "2s", &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut daemons = [start(), start()];
    let mut signers = vec![KID_A.to_owned()];
    let deadline = Instant::now() + Duration::from_secs(60 + 30 * u64::try_from(rotations).unwrap());
    for turn in 0_u64.. {
        thread::sleep(Duration::from_millis(60 + turn * 193 % 1100));
        let killed = &mut daemons[usize::try_from(turn % 2).unwrap()];
        end(killed);
        *killed = start();
        let signer = fleet.signer();
        if signers.last() != Some(&signer) {
            signers.push(signer);
        }
        if signers.len() > rotations || Instant::now() > deadline {
            break;
        }
    }
    for daemon in &mut daemons {
        end(daemon);
    }
    crowd.wait_until_all_verified(signers.last().unwrap());
    crowd.assert_flawless();
    assert!(signers.len() > rotations, "{} rotations only", signers.len() - 1);
    println!("fleet: {rotations} rotations of three Envoys, nothing failed to verify");
}

pub(crate) fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
