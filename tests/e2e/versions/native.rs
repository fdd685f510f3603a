//! What not every Envoy does for a native module.

use serde_json::{Value, json};

use harness::filters::metadata;
use harness::keys::{A, KID_A, pem};
use harness::{Bootstrap, Capability, Host, JWKS_PATH, Request, eventually, only_on};

use super::{expected, found, from_file};

fn is_native() -> bool {
    only_on(Host::Native, "it is about native modules")
}

#[test]
fn flat_metadata() {
    if !is_native() {
        return;
    }
    let answer = if Capability::FlatMetadata.is_lacking() {
        "refused"
    } else {
        let source = json!({"metadata": {"namespace": "test.flat"}});
        let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": [source]}));
        let envoy = envoy.filter(metadata("test.flat", &json!({"sub": "u-1", "groups": ["a"]}))).start();
        let assertion = envoy.attest(&Request::get("/"));
        assert_eq!((assertion.claim("sub"), assertion.claim("groups")), (&json!("u-1"), &json!(["a"])));
        "yes"
    };
    found(11, "a `metadata` source", answer, expected(Capability::FlatMetadata, "yes", "refused"));
}

#[test]
fn routes_without_a_name() {
    if !is_native() {
        return;
    }
    let status = |route: Value| {
        let hosts = json!([{"name": "all", "domains": ["*"], "routes": [route]}]);
        let settings = json!({
            "signing_key": A,
            "user_endpoints": true,
            "identity_sources": [{"headers": {"sub": "x-user"}}],
        });
        let envoy = Bootstrap::new(settings).http(json!({"route_config": {"virtual_hosts": hosts}})).start();
        envoy.send(&Request::get("/.pomerium/jwt").header("x-user", "u-1")).status
    };
    let everything = json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}});
    let mut named = everything.clone();
    named["name"] = "everything".into();
    assert_eq!(status(named), 200);
    let answer = if status(everything) == 200 { "yes" } else { "404" };
    found(12, "`user_endpoints` at a route without a name", answer, expected(Capability::NamelessRoutes, "yes", "404"));
}

#[test]
fn numbers_without_a_request() {
    const AT_ONCE: &str = "at once";
    const LATER: &str = "with the next request";
    if !is_native() {
        return;
    }
    let envoy = Bootstrap::new(from_file()).key_file(pem(A)).start();
    let uptime = || envoy.admin().stat("server.uptime");
    let answer = eventually("a loaded key, or some seconds", || {
        let is_counted = envoy.stat("keys_published") == 1;
        is_counted.then_some(AT_ONCE).or_else(|| (uptime() > 5).then_some(LATER))
    });
    assert_eq!(envoy.keys().kids(), [KID_A]);
    eventually("the count", || (envoy.get(JWKS_PATH).status == 200 && envoy.stat("keys_published") == 1).then_some(()));
    found(13, "a loaded key is counted", answer, expected(Capability::CountsOnMainThread, AT_ONCE, LATER));
}

#[test]
fn secrets() {
    if !is_native() {
        return;
    }
    let answer = if Capability::Secrets.is_lacking() {
        let refused = Bootstrap::new(json!({"signing_key_secret": "signing-key"})).start_refused();
        assert!(refused.log.contains("signing_key_secret"), "{}", refused.log);
        "refused"
    } else {
        let secret = json!({"name": "signing-key", "generic_secret": {"secret": {"inline_string": pem(A)}}});
        let envoy = Bootstrap::new(json!({"signing_key_secret": "signing-key"})).secret(secret).start();
        eventually("the key", || (envoy.keys().kids() == [KID_A]).then_some(()));
        "yes"
    };
    found(14, "`signing_key_secret`", answer, expected(Capability::Secrets, "yes", "refused"));
}
