//! What not every Envoy can do. A test that needs it says so, and sees on an Envoy that lacks it that what the README
//! promises instead is so.

use std::fs;
use std::sync::OnceLock;
use std::thread;

use serde_json::json;

use super::keys::{A, B, KID_A, KID_B, RSA, pem};
use super::log::the_refusal;
use super::{Bootstrap, Envoy, Request, eventually, paths};

/// What not every Envoy can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// The foreign function `sign`, without which there are no RSA keys and no `signer: host`.
    HostSigns,
    /// It sees that a key file was replaced.
    WatchesKeyFile,
}

impl Capability {
    /// Whether the Envoy under test has it, by its version.
    pub fn is_there(self) -> bool {
        let version = paths::envoy_version();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().expect("a number of a version"));
        let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        match self {
            Self::HostSigns | Self::WatchesKeyFile => version >= (1, 37),
        }
    }

    /// For the first line of a test that needs it: false where it is there; true where it is not, once what comes in its
    /// place has been seen.
    pub fn is_lacking(self) -> bool {
        static HOST_SIGNS: OnceLock<()> = OnceLock::new();
        static WATCHES_KEY_FILE: OnceLock<()> = OnceLock::new();
        if self.is_there() {
            return false;
        }
        match self {
            Self::HostSigns => {
                HOST_SIGNS.get_or_init(|| assert_signs_in_wasm(Bootstrap::new(json!({"signing_key": B}))))
            }
            Self::WatchesKeyFile => WATCHES_KEY_FILE.get_or_init(assert_keeps_the_first_file),
        };
        note(self);
        true
    }
}

/// Tells `make test-matrix` which test ended here.
fn note(capability: Capability) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    println!("{name}: this Envoy lacks {capability:?}");
    if let Some(directory) = paths::findings() {
        let path = directory.join(format!("lacks {}", name.replace("::", " ")));
        fs::write(path, format!("{capability:?}")).expect("write what is lacking");
    }
}

/// An Envoy that cannot sign has P-256 signed in Wasm, and refuses what only the host could do with a line that says so.
/// Starts with another key than [`A`].
pub fn assert_signs_in_wasm(bootstrap: Bootstrap) {
    let envoy = bootstrap.dynamic().start();
    for (what, configuration) in
        [("auto", json!({"signing_key": A})), ("wasm", json!({"signing_key": A, "signer": "wasm"}))]
    {
        envoy.reconfigure(what, configuration);
        let before = (envoy.stat("signed.host"), envoy.stat("signed.wasm"));
        (0..5).for_each(|_| assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A));
        assert_eq!((envoy.stat("signed.host"), envoy.stat("signed.wasm")), (before.0, before.1 + 5), "{what}");
    }
    for (what, configuration, words) in [
        ("host", json!({"signing_key": A, "signer": "host"}), ["signer", "sign", "1.37"]),
        ("RSA", json!({"signing_key": RSA}), ["RSA", "sign", "1.37"]),
        ("RSA on the host", json!({"signing_key": RSA, "signer": "host"}), ["signer", "sign", "1.37"]),
    ] {
        let line = the_refusal(&envoy.push_rejected(configuration));
        for word in words {
            assert!(line.contains(word), "{what}: the line says {word:?}: {line}");
        }
        assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A, "{what}: the last good configuration serves");
    }
    assert_eq!(envoy.stat("sign_fallbacks"), 0, "nothing failed: there is nothing to fall back from");
}

/// An Envoy that does not watch the key file goes on with what it read at its start, and reads the file at its next.
fn assert_keeps_the_first_file() {
    let configuration = json!({"signing_key_file": "/signing-key.pem", "signing_key_refresh": "0.1s"});
    let start = |keys: &str, kid: &str| {
        let envoy = Bootstrap::new(configuration.clone()).key_file(keys).start();
        eventually("the file's key", || (envoy.get("/").status == 200).then_some(()));
        assert_eq!(envoy.attest(&Request::get("/")).kid(), kid);
        envoy
    };
    let envoy = start(&pem(A), KID_A);
    envoy.replace_key_file(pem(B));
    wait_for_refreshes(&envoy);
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
    assert_eq!(envoy.keys().kids(), [KID_A]);
    assert_eq!(envoy.stat("key_load_failures"), 0);
    drop(envoy);
    start(&pem(B), KID_B);
}

fn wait_for_refreshes(envoy: &Envoy) {
    let fetches = || envoy.admin().stat("http.signing_key.downstream_rq_total");
    let before = fetches();
    eventually("many refreshes", || (fetches() >= before + 30).then_some(()));
}
