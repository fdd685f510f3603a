//! What this Envoy can do, found out and not looked up. `make test-matrix` makes the tables of the documentation of it.

/// What not every Envoy does for a native module.
mod native;

use std::fs;

use serde_json::{Value, json};

use harness::filters::{access_log, metadata};
use harness::keys::{A, B, KID_A, KID_B, RSA, pem};
use harness::modules;
use harness::tls::Authority;
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Capability, Envoy, Host, Request, eventually, only_on, paths};

/// Notes what was found out. It must be what is expected of this version.
fn found(order: u32, what: &str, value: &str, expected: &str) {
    if let Some(directory) = paths::findings() {
        let finding = json!({"order": order, "what": what, "value": value});
        fs::write(directory.join(format!("found {order}")), finding.to_string()).expect("write what was found");
    }
    println!("{what}: {value}");
    assert_eq!(value, expected, "{what}");
}

fn yes(order: u32, what: &str, is_so: bool) {
    found(order, what, if is_so { "yes" } else { "no" }, "yes");
}

fn expected(capability: Capability, there: &'static str, lacking: &'static str) -> &'static str {
    if capability.is_there() { there } else { lacking }
}

fn from_file() -> Value {
    json!({"signing_key_file": "/signing-key.pem", "signing_key_refresh": "0.1s"})
}

fn wait_for_key(envoy: &Envoy) {
    eventually("a key", || (envoy.get("/").status == 200).then_some(()));
}

#[test]
fn what_signs() {
    if !only_on(Host::Wasm, "the native module signs by itself") {
        return;
    }
    const HOST: &str = "its BoringSSL, or Wasm";
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    assert_eq!(envoy.attest(&Request::get("/")).kid(), KID_A);
    let signer = match (envoy.stat("signed.host"), envoy.stat("signed.wasm")) {
        (1, 0) => HOST,
        (0, 1) => "Wasm",
        counts => panic!("one signature, counted as {counts:?}"),
    };
    found(1, "signs with", signer, expected(Capability::HostSigns, HOST, "Wasm"));
}

#[test]
fn rsa_keys() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let is_accepted = envoy.push(&json!({"signing_key": RSA}).into()).is_accepted;
    if is_accepted {
        let signs = || (Assertion::read(&envoy.get("/").token()).header["alg"] == "RS256").then_some(());
        eventually("a signature with RSA", signs);
        envoy.attest(&Request::get("/"));
    }
    let answer = if is_accepted { "yes" } else { "refused" };
    found(2, "RSA keys", answer, expected(Capability::HostSigns, "yes", "refused"));
}

#[test]
fn a_replaced_key_file() {
    const WATCHED: &str = "within `signing_key_refresh`";
    const UNSEEN: &str = "with the next start";
    let bootstrap = || Bootstrap::new(from_file());
    let [file, volume] = [bootstrap().key_file(pem(A)), bootstrap().key_volume(pem(A))].map(|bootstrap| {
        let envoy = bootstrap.start();
        wait_for_key(&envoy);
        envoy.replace_key_file(pem(B));
        let fetches = || envoy.admin().stat("http.signing_key.downstream_rq_total");
        let before = fetches();
        eventually("the new key, or many refreshes", || {
            let assertion = Assertion::read(&envoy.get("/").token());
            (assertion.kid() == KID_B).then_some(WATCHED).or_else(|| (fetches() > before + 60).then_some(UNSEEN))
        })
    });
    println!("by a rename: {file}; by the link of a Kubernetes Secret: {volume}");
    let answer = if file == volume { file } else { UNSEEN };
    found(4, "replaced key file", answer, WATCHED);
}

#[test]
fn a_key_file() {
    let envoy = Bootstrap::new(from_file()).key_file(pem(A)).start();
    wait_for_key(&envoy);
    let dump = envoy.admin().get("/config_dump").text();
    yes(3, "key file, in no dump", envoy.keys().kids() == [KID_A] && !dump.contains("BEGIN"));
}

#[test]
fn settings_by_discovery() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).dynamic().start();
    let label = envoy.reconfigure("updated", json!({"signing_key": A}));
    let rejected = !envoy.push(&json!({"no_such_field": true}).into()).is_accepted;
    let serves_on = envoy.attest(&Request::get("/")).claim("aud") == "updated";
    let answers = label.claim("aud") == "updated" && rejected && serves_on;
    yes(5, "settings by discovery, a bad one leaves the last good", answers);
}

#[test]
fn names_in_the_access_log() {
    let format = "JTI %FILTER_STATE(wasm.attestation.jti:PLAIN)% %FILTER_STATE(wasm.attestation.kid:PLAIN)%\n";
    let log = access_log(&json!({"text_format_source": {"inline_string": format}}));
    let envoy = Bootstrap::new(json!({"signing_key": A})).http(log).start();
    let assertion = envoy.attest(&Request::get("/named"));
    let line = format!("JTI {} {KID_A}", assertion.claim("jti").as_str().expect("a jti"));
    let logged = eventually("a line of the access log", || {
        let log = envoy.log();
        let lines = log.lines().filter(|line| line.starts_with("JTI ")).count();
        (lines >= 2).then(|| log.contains(&line))
    });
    yes(6, "`jti` and `kid` in access logs", logged);
}

#[test]
fn a_crashed_vm_comes_back() {
    if !only_on(Host::Wasm, "there is no VM") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let module = directory.path().join("trapping.wasm");
    fs::write(&module, modules::trapping()).expect("write a module");
    let envoy = Bootstrap::new(json!({})).module(module).may_trap().start();
    assert_eq!(envoy.get("/").status, 503);
    let reloads = || envoy.admin().stats().iter().any(|(name, count)| name.contains("vm_reload_success") && *count > 0);
    let comes_back = eventually("a reload", || {
        assert_eq!(envoy.get("/").status, 503, "never on without the filter");
        reloads().then_some(true)
    });
    yes(7, "a VM that crashed comes back (`FAIL_RELOAD`)", comes_back);
}

#[test]
fn removal_before_routing() {
    let removal = json!({"early_header_mutation_extensions": [{
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type":
                "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"remove_on_match": {"key_matcher": {"safe_regex": {"regex": "x-claim-.*"}}}}],
        },
    }]});
    let by_header = json!({
        "match": {"prefix": "/", "headers": [{"name": "x-claim-admin", "present_match": true}]},
        "direct_response": {"status": 418},
    });
    let envoy = Bootstrap::new(json!({"signing_key": A})).http(removal).route(by_header).start();
    let reply = envoy.send(&Request::get("/").header("x-claim-admin", "1").header(ASSERTION_HEADER, "forged"));
    yes(8, "forged headers are removed before routing", reply.status == 200 && reply.token() != "forged");
}

#[test]
fn identities() {
    let authority = Authority::new();
    let configuration = json!({"signing_key": A, "identity_sources": [
        {"metadata": {"namespace": "test", "path": ["who"]}},
        {"client_certificate": {"sub": "subject"}},
    ]});
    let envoy = Bootstrap::new(configuration.clone())
        .filter(metadata("test", &json!({"who": {"sub": "u-1", "groups": ["a", 1]}})))
        .start();
    let assertion = envoy.attest(&Request::get("/"));
    let by_metadata = assertion.claim("sub") == "u-1" && *assertion.claim("groups") == json!(["a", "1"]);
    let envoy = Bootstrap::new(configuration).transport_socket(authority.transport_socket()).start();
    let certificate = authority.certify("workload", &[]);
    let reply = authority.connect(envoy.address(), Some(&certificate)).send(&Request::get("/"));
    let assertion = envoy.keys_over(&authority).verify(&reply.token());
    let by_certificate = assertion.claim("sub").as_str().is_some_and(|subject| subject.contains("workload"));
    yes(9, "identity from metadata and client certificates", by_metadata && by_certificate);
}
