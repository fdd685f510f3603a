use serde_json::{Value, json};

use harness::idp::IdentityProvider;
use harness::sign_in::{self, cookies, parameter, token_endpoint};
use harness::{ASSERTION_HEADER, Envoy, JWKS_PATH};

use super::{get, keys, runnable, start, translate};

const CONFIG: &str = r#"
insecure_server: true
authenticate_service_url: https://login.example.com
authenticate_callback_path: /back
idp_provider: oidc
idp_provider_url: https://sso.example.com/realms/staff
idp_client_id: client
idp_client_secret: SECRET
pass_identity_headers: true
routes:
- from: https://app.example.com
  prefix: /staff
  to: http://app:8000
  policy: [{allow: {or: [{domain: {is: example.com}}]}}]
- from: https://app.example.com
  prefix: /admins
  to: http://app:8000
  policy: [{allow: {or: [{groups: {has: admins}}]}}]
- from: https://app.example.com
  prefix: /public
  to: http://app:8000
  allow_public_unauthenticated_access: true
"#;

/// The written configuration, with a provider that signs everybody in as this user.
fn signing_in(claims: Value) -> Envoy {
    let provider = IdentityProvider::new();
    let bearer = provider.bearer(claims);
    let (code, mut envoy, _) = translate(CONFIG, &[]);
    assert_eq!(code, 0);
    for secret in envoy["static_resources"]["secrets"].as_array_mut().unwrap() {
        secret["generic_secret"]["secret"] = json!({"inline_string": "a secret of the test"});
    }
    let mut shipped = runnable(envoy)
        .trusting(&provider)
        .cluster(token_endpoint("provider", bearer.strip_prefix("Bearer ").unwrap()));
    shipped.filter("envoy.filters.http.oauth2")["typed_config"]["config"]["token_endpoint"]["cluster"] =
        "provider".into();
    start(shipped)
}

/// Goes to the provider and comes back. Returns the cookies of the session.
fn sign_in(envoy: &Envoy) -> String {
    let (away, session) = sign_in::sign_in(envoy, get, "/staff?x=1", "/back");
    let location = away.header("location").unwrap();
    assert!(location.starts_with("https://sso.example.com/realms/staff/protocol/openid-connect/auth?"), "{location}");
    assert_eq!(parameter(&away, "redirect_uri").as_deref(), Some("https%3A%2F%2Fapp.example.com%2Fback"));
    assert_eq!(parameter(&away, "client_id").as_deref(), Some("client"));
    session
}

#[test]
fn a_login_ends_in_a_verified_request() {
    let envoy = signing_in(json!({"sub": "1", "email": "ann@example.com", "groups": ["staff"]}));
    let session = sign_in(&envoy);
    let user = |target: &str| get(target).header("cookie", format!("theme=dark; {session}"));
    let seen = envoy.send(&user("/staff")).seen();
    let assertion = keys(&envoy).verify(&seen.one(ASSERTION_HEADER).unwrap());
    assert_eq!((assertion.claim("sub"), assertion.claim("aud")), (&json!("1"), &json!("app.example.com")));
    assert_eq!(seen.one("cookie").as_deref(), Some("theme=dark"), "the session stays with Envoy");
    assert_eq!(envoy.send(&user("/admins")).status, 403, "a policy that does not fit");
    let public = envoy.send(&user("/public")).seen();
    assert_eq!((public.one("cookie").as_deref(), public.one(ASSERTION_HEADER)), (Some("theme=dark"), None));
    let out = envoy.send(&user("/.pomerium/sign_out"));
    assert!(out.status == 302 && !cookies(&out).contains("OauthHMAC"), "{}", out.text_lossy());
}

#[test]
fn without_a_session_only_what_is_public_answers() {
    let envoy = signing_in(json!({"sub": "1", "email": "ann@example.com"}));
    let unsigned = "IdToken=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.; OauthHMAC=x; OauthExpires=9999999999; BearerToken=x";
    for request in [get("/staff"), get("/staff").header("cookie", unsigned), get("/.well-known/pomerium-admin")] {
        let reply = envoy.send(&request);
        assert!(
            reply.header("location").is_some_and(|to| to.starts_with("https://sso.example.com/")),
            "{}",
            reply.status
        );
    }
    assert_eq!(envoy.send(&get("/staff").header("accept", "application/json")).status, 401);
    assert_eq!(envoy.send(&get("/public").header(ASSERTION_HEADER, "forged")).seen().one(ASSERTION_HEADER), None);
    for path in [JWKS_PATH, "/.well-known/pomerium", "/.well-known/pomerium/", "/.well-known/pomerium/jwks.json?x=1"] {
        assert_eq!(envoy.send(&get(path)).status, 200, "{path}");
    }
}
