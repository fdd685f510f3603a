//! What not every Envoy can do. A test that needs it says so, and sees on an Envoy that lacks it that what the README
//! promises instead is so.

use std::fs;
use std::sync::OnceLock;
use std::thread;

use serde_json::json;

use super::keys::{A, B, KID_A, RSA};
use super::log::the_refusal;
use super::{Bootstrap, Host, Request, paths};

/// What not every Envoy can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// The foreign function `sign`, without which there are no RSA keys and no `signer: host`.
    HostSigns,
    /// Dynamic metadata for a native module.
    FlatMetadata,
    /// A route without a name for a native module, by the cluster that it leads to.
    NamelessRoutes,
    /// Numbers of a native module that come from Envoy's main thread, and not from a request.
    CountsOnMainThread,
    /// Generic secrets for a native module.
    Secrets,
    /// `oauth2` that hands the ID token on.
    ForwardsIdTokens,
}

impl Capability {
    /// Whether the Envoy under test has it, by its version. What only a native module may lack is there for Wasm.
    pub fn is_there(self) -> bool {
        let is_of_both = matches!(self, Self::HostSigns | Self::ForwardsIdTokens);
        if !is_of_both && Host::under_test() == Host::Wasm {
            return true;
        }
        let version = paths::envoy_version();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().expect("a number of a version"));
        let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        match self {
            Self::HostSigns => version >= (1, 37),
            Self::FlatMetadata | Self::NamelessRoutes => version >= (1, 38),
            Self::CountsOnMainThread | Self::ForwardsIdTokens => version >= (1, 39),
            Self::Secrets => version >= (1, 40),
        }
    }

    /// For a test that needs it: false where it is there; true where it is not, once what comes in its place has been
    /// seen.
    pub fn is_lacking(self) -> bool {
        static HOST_SIGNS: OnceLock<()> = OnceLock::new();
        static METADATA_REFUSED: OnceLock<()> = OnceLock::new();
        if self.is_there() {
            return false;
        }
        match self {
            Self::HostSigns => {
                HOST_SIGNS.get_or_init(|| assert_signs_in_wasm(Bootstrap::new(json!({"signing_key": B}))));
            }
            Self::FlatMetadata => {
                METADATA_REFUSED.get_or_init(assert_metadata_is_refused);
            }
            // The tests `versions::` see what is so without these, and the login of `kubernetes::` without the last.
            Self::NamelessRoutes | Self::CountsOnMainThread | Self::Secrets | Self::ForwardsIdTokens => {}
        }
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

/// An Envoy that shows a native module no metadata has its configuration refused, with a line that says what to do.
fn assert_metadata_is_refused() {
    let source = json!({"identity_sources": [{"metadata": {"namespace": "test.flat"}}]});
    let refused = Bootstrap::new(source).start_refused();
    assert!(!refused.status.success(), "{}", refused.status);
    let line = the_refusal(&refused.log);
    for word in ["metadata", "1.38", "set_filter_state"] {
        assert!(line.contains(word), "the line says {word:?}: {line}");
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
