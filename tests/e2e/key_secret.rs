//! Keys from a generic secret of SDS: static, from a watched file, and over gRPC. Natively, with Envoy 1.40 and later.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use harness::keys::{A, B, KID_A, KID_B, KID_RSA, RSA, pem};
use harness::secret_service::SecretService;
use harness::{
    Assertion, Bootstrap, Capability, Crowd, Envoy, Host, JWKS_PATH, Request, eventually, grpc_source, http2_cluster,
    only_on, watched_file,
};

const NAME: &str = "signing-key";

/// Whether this Envoy hands secrets to a native module; where not, it is seen that the field is refused.
fn has_secrets() -> bool {
    if !only_on(Host::Native, "a Wasm module cannot have a secret") {
        return false;
    }
    if Capability::Secrets.is_lacking() {
        let refused = Bootstrap::new(json!({"signing_key_secret": NAME})).start_refused();
        assert!(refused.log.contains("signing_key_secret"), "{}", refused.log);
        return false;
    }
    true
}

fn over(source: Value) -> Value {
    json!({"signing_key_secret": {"name": NAME, "sds_config": source}, "jwks_max_age": "1s"})
}

fn signs_with(envoy: &Envoy, kid: &str) -> bool {
    envoy.spread().iter_mut().all(|client| {
        let reply = client.send(&Request::get("/"));
        reply.status == 200 && Assertion::read(&reply.token()).kid() == kid
    })
}

fn wait_until_all_sign_with(envoy: &Envoy, kid: &str) {
    eventually("every worker to sign with the key", || signs_with(envoy, kid).then_some(()));
    assert!(envoy.keys().kids().contains(&kid), "{kid} is published");
}

#[test]
fn a_static_secret_signs_and_shows_nowhere() {
    if !has_secrets() {
        return;
    }
    let secret = json!({"name": NAME, "generic_secret": {"secret": {"inline_string": pem(A)}}});
    let envoy = Bootstrap::new(json!({"signing_key_secret": NAME})).secret(secret).start();
    wait_until_all_sign_with(&envoy, KID_A);
    envoy.assert_tells_nothing_of([A]);

    let refused = Bootstrap::new(json!({"signing_key_secret": "another"})).start_refused();
    assert!(refused.log.contains("signing_key_secret"), "{}", refused.log);
}

/// Puts a file in its place in one step, which is what Envoy watches for.
fn put(file: &Path, content: &str) {
    let next = file.with_extension("next");
    fs::write(&next, content).unwrap();
    fs::rename(next, file).unwrap();
}

#[test]
fn a_secret_in_a_watched_file_is_followed() {
    if !has_secrets() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (key, resources) = (directory.path().join("key.pem"), directory.path().join("sds.json"));
    put(&key, &pem(A));
    // With the key itself in this file, Envoy would print it in its debug log.
    let resource = json!({"resources": [{
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": NAME,
        "generic_secret": {"secret": {"filename": key, "watched_directory": {"path": directory.path()}}},
    }]});
    put(&resources, &resource.to_string());
    let mut source = watched_file(&resources);
    source["resource_api_version"] = "V3".into();
    let envoy = Bootstrap::new(over(source)).workers(2).log_level("trace").start();
    wait_until_all_sign_with(&envoy, KID_A);
    put(&key, &pem(RSA));
    wait_until_all_sign_with(&envoy, KID_RSA);
    let failures = envoy.stat("key_load_failures");
    put(&key, "no key");
    eventually("the failure, again and again", || (envoy.stat("key_load_failures") > failures + 2).then_some(()));
    assert!(signs_with(&envoy, KID_RSA), "the last good keys serve on");
    envoy.assert_tells_nothing_of([A, RSA]);
}

/// Requests wait for the first secret; then it is rotated under load, and nothing fails to verify.
#[test]
fn a_secret_over_grpc_is_rotated_under_load() {
    if !has_secrets() {
        return;
    }
    let service = SecretService::start(NAME, "");
    let mut source = grpc_source("secrets");
    source["resource_api_version"] = "V3".into();
    source["initial_fetch_timeout"] = "1s".into();
    let mut configuration = over(source);
    configuration["signing_key_wait"] = "20s".into();
    let envoy = Bootstrap::new(configuration)
        .cluster(http2_cluster("secrets", service.port()))
        .workers(2)
        .log_level("trace")
        .start();
    std::thread::scope(|scope| {
        let mut client = envoy.connect();
        let held = scope.spawn(move || client.send(&Request::get("/")).status);
        service.serve(&pem(A));
        assert_eq!(held.join().unwrap(), 200, "a request waits for the secret");
    });
    let crowd = Crowd::start(&[envoy.address()], 3);
    let steps = [pem(A) + &pem(B), pem(B) + &pem(A), pem(B)];
    for (content, kid) in steps.iter().zip([KID_A, KID_B, KID_B]) {
        service.serve(content);
        wait_until_all_sign_with(&envoy, kid);
        let keys = content.matches("-----BEGIN").count();
        eventually("the keyset", || (envoy.keys().kids().len() == keys).then_some(()));
        crowd.outlive_caches();
    }
    crowd.wait_until_all_verified(KID_B);
    crowd.assert_flawless();
    assert_eq!(envoy.get(JWKS_PATH).status, 200);
    envoy.assert_tells_nothing_of([A, B]);
}
