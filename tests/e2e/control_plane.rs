//! One control plane hands the settings to a fleet over gRPC. Keys stay out of it: each proxy has a key file.

use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, KID_B, pem};
use harness::log::the_refusal;
use harness::{Assertion, Bootstrap, ControlPlane, Crowd, Envoy, Host, Request, Secrets, eventually};

/// The proxies' names.
const NODES: [&str; 3] = ["edge-1", "edge-2", "edge-3"];

/// Settings that can be told by the audience of the assertions. One path names every Wasm filter's key file, as it is a
/// path of Envoy's answer; a native module has its file from the environment.
fn settings(audience: &str) -> Value {
    let mut settings = json!({"signing_key_refresh": "0.1s", "jwks_max_age": "1s", "audience": audience});
    if Host::under_test() == Host::Wasm {
        settings["signing_key_file"] = "/signing-key.pem".into();
    }
    settings
}

fn start(control_plane: &ControlPlane, node: &str) -> Envoy {
    Bootstrap::controlled_by(control_plane, node).key_file(pem(A)).workers(2).start()
}

/// Waits until every worker of every proxy signs for this audience.
fn wait_until_all_sign_for(fleet: &[Envoy], audience: &str) {
    eventually("every worker to sign for the audience", || {
        fleet.iter().all(|envoy| signs_for(envoy, audience)).then_some(())
    });
}

fn signs_for(envoy: &Envoy, audience: &str) -> bool {
    envoy.spread().iter_mut().all(|client| {
        let reply = client.send(&Request::get("/"));
        reply.status == 200 && Assertion::read(&reply.token()).claim("aud") == audience
    })
}

/// Three proxies that sign for this audience, and busy clients of all of them.
fn busy_fleet(control_plane: &ControlPlane, audience: &str) -> (Vec<Envoy>, Crowd) {
    let fleet: Vec<Envoy> = NODES.iter().map(|node| start(control_plane, node)).collect();
    wait_until_all_sign_for(&fleet, audience);
    let addresses: Vec<_> = fleet.iter().map(Envoy::address).collect();
    let crowd = Crowd::start(&addresses, 4);
    crowd.wait_until_all_verified(KID_A);
    (fleet, crowd)
}

#[test]
fn a_change_reaches_every_proxy_and_those_that_start_later() {
    let control_plane = ControlPlane::start(&settings("first"));
    let (mut fleet, crowd) = busy_fleet(&control_plane, "first");
    control_plane.assert_accepted_by(&NODES);
    control_plane.serve(&settings("second"));
    control_plane.assert_accepted_by(&NODES);
    wait_until_all_sign_for(&fleet, "second");
    fleet.push(start(&control_plane, "edge-4"));
    control_plane.assert_accepted_by(&["edge-4"]);
    wait_until_all_sign_for(&fleet, "second");
    let versions: Vec<u64> = fleet.iter().map(|envoy| stat(envoy, "version")).collect();
    assert!(versions.iter().all(|version| *version == versions[0]), "one version everywhere: {versions:?}");
    crowd.assert_flawless();
}

/// Settings that the filter rejects, each with the field that is to blame. Some have a key in them.
fn bad_settings() -> [(&'static str, Value); 4] {
    let with = |field: &'static str, value: Value| {
        let mut settings = settings("wrong");
        settings[field] = value;
        (field, settings)
    };
    [
        with("token_lifetime", json!("5m")),
        with("audiense", json!("app")),
        ("signer", json!({"signing_key": B, "signer": "gpu"})),
        ("signing_key", json!({"signing_key": format!("{}{}", pem(B), &pem(A)[..100])})),
    ]
}

#[test]
fn a_bad_update_is_rejected_by_every_proxy_and_the_last_good_one_serves() {
    let control_plane = ControlPlane::start(&settings("good"));
    let (fleet, crowd) = busy_fleet(&control_plane, "good");
    for (number, (field, settings)) in (1..).zip(bad_settings()) {
        let marks: Vec<usize> = fleet.iter().map(|envoy| envoy.log().len()).collect();
        control_plane.serve(&settings);
        for rejection in control_plane.rejections_by(&NODES) {
            let named = if Host::under_test() == Host::Wasm { "attestation" } else { "dynamic module" };
            assert!(rejection.contains(named), "{field}: Envoy says what it is about: {rejection}");
            Secrets::of([A, B]).assert_not_in("the rejection", &rejection);
        }
        // Why, only the log says: Envoy has no place for a filter's words in what it answers.
        for (envoy, mark) in fleet.iter().zip(marks) {
            let line = the_refusal(&envoy.log_since(mark));
            assert!(line.contains(field), "the line names {field}: {line}");
            Secrets::of([A, B]).assert_not_in("the refusal", &line);
            assert_eq!(stat(envoy, "update_rejected"), number, "{field}");
        }
        crowd.outlive_caches();
    }
    wait_until_all_sign_for(&fleet, "good");
    control_plane.serve(&settings("next"));
    control_plane.assert_accepted_by(&NODES);
    wait_until_all_sign_for(&fleet, "next");
    crowd.assert_flawless();
}

/// It has no good one to go by. It answers nothing rather than pass requests on without an assertion.
#[test]
fn a_proxy_that_starts_on_a_bad_update_answers_500_until_a_good_one_comes() {
    let [(_, bad), ..] = bad_settings();
    let control_plane = ControlPlane::start(&bad);
    let envoy = start(&control_plane, NODES[0]);
    control_plane.rejections_by(&NODES[..1]);
    assert_eq!(envoy.get("/").status, 500);
    assert_eq!(envoy.upstream_requests(), 0);
    control_plane.serve(&settings("good"));
    wait_until_all_sign_for(&[envoy], "good");
}

#[test]
fn without_the_control_plane_everything_goes_on() {
    let control_plane = ControlPlane::start(&settings("before"));
    let port = control_plane.port();
    let (fleet, crowd) = busy_fleet(&control_plane, "before");
    assert!(fleet.iter().all(|envoy| stat(envoy, "control_plane.connected_state") == 1));
    drop(control_plane);
    eventually("every proxy to notice", || {
        let is_alone = |envoy| stat(envoy, "control_plane.connected_state") == 0;
        fleet.iter().all(is_alone).then_some(())
    });
    crowd.outlive_caches();
    for envoy in &fleet {
        envoy.replace_key_file(format!("{}{}", pem(A), pem(B)));
    }
    wait_until_all_publish(&fleet);
    crowd.outlive_caches();
    wait_until_all_sign_for(&fleet, "before");

    let control_plane = ControlPlane::start_at(port, &settings("after"));
    control_plane.assert_accepted_by(&NODES);
    wait_until_all_sign_for(&fleet, "after");
    crowd.assert_flawless();
}

/// A statistic of the subscription, by the name that docs/fleets.md gives it.
fn stat(envoy: &Envoy, name: &str) -> u64 {
    envoy.admin().stat(&format!("extension_config_discovery.http_filter.attestation.{name}"))
}

fn wait_until_all_publish(fleet: &[Envoy]) {
    eventually("every proxy to publish both keys", || {
        fleet.iter().all(|envoy| envoy.keys().kids() == [KID_A, KID_B]).then_some(())
    });
}
