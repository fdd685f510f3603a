//! What `attest from-pomerium` writes runs, and lets those pass who have passed before.

/// A browser's way through the login that is written.
mod login;
/// Ten configurations as people have them.
mod shapes;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use harness::idp::IdentityProvider;
use harness::keys::KID_A;
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, Host, JWKS_PATH, KeySet, Request, Shipped, eventually, paths};

/// One route for each way to say who may pass.
const POLICIES: &str = r#"
insecure_server: true
idp_provider: oidc
idp_provider_url: https://sso.example.com/realms/staff
idp_client_id: client
pass_identity_headers: true
jwt_claims_headers: [email]
routes:
- from: https://app.example.com
  prefix: /domain
  to: http://app:8000
  policy: [{allow: {or: [{domain: {is: example.com}}]}}]
- from: https://app.example.com
  prefix: /lists
  to: http://app:8000
  allowed_users: [ann@example.com]
  allowed_groups: [admins]
- from: https://app.example.com
  prefix: /claim
  to: http://app:8000
  policy: [{allow: {and: [{claim/department: research}, {http_method: {is: GET}}]}}]
- from: https://app.example.com
  prefix: /denied
  to: http://app:8000
  policy: {allow: {or: [{authenticated_user: true}]}, deny: {or: [{email: {starts_with: mallory}}]}}
- from: https://app.example.com
  prefix: /device
  to: http://app:8000
  policy: [{allow: {or: [{device: {is: laptop}}]}}]
- from: https://app.example.com
  prefix: /nobody
  to: http://app:8000
- from: https://app.example.com
  prefix: /silent
  to: http://app:8000
  allow_any_authenticated_user: true
  pass_identity_headers: false
- from: https://app.example.com
  prefix: /bearer
  to: http://app:8000
  allow_any_authenticated_user: true
  pass_identity_headers: false
  set_request_headers: {Authorization: "Bearer ${pomerium.jwt}", X-Percent: "100%"}
- from: https://app.example.com
  prefix: /uri
  to: http://app:8000
  allow_any_authenticated_user: true
  jwt_issuer_format: uri
- from: https://app.example.com
  prefix: /cors
  to: http://app:8000
  allow_any_authenticated_user: true
  cors_allow_preflight: true
- from: https://app.example.com
  prefix: /
  to: http://app:8000
  allow_public_unauthenticated_access: true
"#;

/// The exit code, Envoy's configuration, and what is left.
pub fn translate(config: &str, arguments: &[&str]) -> (i32, Value, Value) {
    let host = if Host::under_test() == Host::Native { "native" } else { "wasm" };
    let mut command = Command::new(paths::attest());
    command.args(["from-pomerium", "-", "--host", host, "--json"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let mut said: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), said["envoy"].take(), said["left"].take())
}

/// The configuration with an upstream of the test in the place of every route's.
pub fn runnable(mut envoy: Value) -> Shipped {
    let clusters = envoy["static_resources"]["clusters"].as_array_mut().unwrap();
    clusters.retain(|cluster| cluster["name"] == "signing_key");
    lead_to_the_upstream(&mut envoy);
    Shipped::of(envoy)
}

fn lead_to_the_upstream(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(lead_to_the_upstream),
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(cluster) if name == "cluster" && cluster.starts_with("route-") => *value = "upstream".into(),
                    _ => lead_to_the_upstream(value),
                }
            }
        }
        _ => {}
    }
}

pub fn start(shipped: Shipped) -> Envoy {
    let envoy = Bootstrap::shipped(shipped).start();
    eventually("a key", || {
        (envoy.send(&get(JWKS_PATH)).status == 200 && envoy.key_stat("keys_published") > 0).then_some(())
    });
    envoy
}

/// The keyset as an app fetches it, without an identity.
pub fn keys(envoy: &Envoy) -> KeySet {
    KeySet::from_json(envoy.send(&get(JWKS_PATH)).json())
}

pub fn get(target: &str) -> Request {
    Request::get(target).host("app.example.com")
}

fn policies() -> (Envoy, IdentityProvider) {
    let provider = IdentityProvider::new();
    let (code, envoy, _) = translate(POLICIES, &["--bearer"]);
    assert_eq!(code, 1, "a policy is not carried over");
    (start(runnable(envoy).trusting(&provider)), provider)
}

#[test]
fn each_policy_lets_the_same_people_pass() {
    let (envoy, provider) = policies();
    let ann = json!({"sub": "1", "email": "ann@example.com", "groups": ["staff"], "department": "research"});
    let bob = json!({"sub": "2", "email": "bob@example.org", "groups": ["admins", "staff"], "department": ["sales"]});
    let mallory = json!({"sub": "3", "email": "mallory@notexample.com"});
    let people = [Some(ann), Some(bob), Some(mallory), None];
    for (path, expected) in [
        ("/domain", [200, 403, 403, 401]),
        ("/lists", [200, 200, 403, 401]),
        ("/claim", [200, 403, 403, 401]),
        ("/denied", [200, 200, 403, 401]),
        ("/device", [403, 403, 403, 401]),
        ("/nobody", [403, 403, 403, 401]),
        ("/other", [200, 200, 200, 200]),
        ("/cors", [200, 200, 200, 401]),
    ] {
        let statuses = people.each_ref().map(|person| {
            let request = get(path);
            let bearer = person.as_ref().map(|claims| provider.bearer(claims.clone()));
            envoy
                .send(&bearer.into_iter().fold(request, |request, bearer| request.header("authorization", bearer)))
                .status
        });
        assert_eq!(statuses, expected, "{path}");
    }
    let elsewhere = Request::get("/other").host("other.example.com");
    let elsewhere = elsewhere.header("authorization", provider.bearer(json!({"sub": "1"})));
    assert_eq!(envoy.send(&elsewhere).status, 403, "a host without a route");
}

#[test]
fn the_assertion_is_as_in_pomerium() {
    let (envoy, provider) = policies();
    let ann = provider.bearer(json!({"sub": "1", "email": "ann@example.com", "groups": ["a"]}));
    let user = |target: &str| get(target).header("authorization", &ann);

    let forged = user("/domain").header("x-pomerium-claim-email", "root").header(ASSERTION_HEADER, "forged");
    let seen = envoy.send(&forged).seen();
    assert_eq!(seen.all("x-pomerium-claim-email"), ["ann@example.com"]);
    let assertion = keys(&envoy).verify(&seen.one(ASSERTION_HEADER).unwrap());
    assert_eq!(assertion.kid(), KID_A);
    for (claim, expected) in [
        ("iss", json!("app.example.com")),
        ("aud", json!("app.example.com")),
        ("sub", json!("1")),
        ("email", json!("ann@example.com")),
        ("groups", json!(["a"])),
    ] {
        assert_eq!(assertion.claim(claim), &expected, "{claim}");
    }
    let seen = envoy.send(&user("/silent")).seen();
    assert_eq!((seen.one(ASSERTION_HEADER), seen.one("x-pomerium-claim-email")), (None, None));
    let seen = envoy.send(&user("/bearer")).seen();
    let bearer = seen.one("authorization").unwrap();
    let token = bearer.strip_prefix("Bearer ").unwrap();
    assert_eq!(keys(&envoy).verify(token).claim("sub"), "1");
    assert_eq!(seen.one("x-percent").as_deref(), Some("100%"));
    let uri = envoy.send(&user("/uri")).token();
    assert_eq!(keys(&envoy).verify(&uri).claim("iss"), "https://app.example.com/");
}

#[test]
fn nobody_is_named_where_nobody_signed_in() {
    let (envoy, _) = policies();
    let seen = envoy.send(&get("/other").header(ASSERTION_HEADER, "forged")).seen();
    assert_eq!(seen.one(ASSERTION_HEADER), None);
    let preflight = |target: &str| {
        let request = Request::new("OPTIONS", target).host("app.example.com").header("origin", "https://b.example");
        envoy.send(&request.header("access-control-request-method", "PUT"))
    };
    assert_eq!(preflight("/cors").seen().one(ASSERTION_HEADER), None);
    assert_eq!(preflight("/domain").status, 401);
}
