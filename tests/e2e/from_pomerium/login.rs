use serde_json::{Value, json};

use harness::idp::IdentityProvider;
use harness::sign_in::{self, cookies, parameter, token_endpoint};
use harness::{ASSERTION_HEADER, Capability, Envoy, JWKS_PATH, Request, paths};

use super::{get, keys, runnable, start, translate};

const ID_TOKEN: &str = "x-id-token";
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

/// What `jwt_authn` reads when `attest` is not told which Envoy it writes for, and when it is: a header where that Envoy
/// has `forward_id_token`.
fn forms() -> [Vec<String>; 2] {
    [vec![], vec!["--envoy-version".into(), paths::envoy_version()]]
}

fn forwards(form: &[String]) -> bool {
    !form.is_empty() && Capability::ForwardsIdTokens.is_there()
}

/// The written configuration, with a provider that signs everybody in as this user.
fn signing_in(form: &[String], claims: Value) -> (Envoy, IdentityProvider) {
    signing_in_with(CONFIG, form, claims)
}

fn signing_in_with(config: &str, form: &[String], claims: Value) -> (Envoy, IdentityProvider) {
    let provider = IdentityProvider::new();
    let token = id_token(&provider, claims);
    let (code, mut envoy, _) = translate(config, &form.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, 0);
    for secret in envoy["static_resources"]["secrets"].as_array_mut().unwrap() {
        secret["generic_secret"]["secret"] = json!({"inline_string": "a secret of the test"});
    }
    let mut shipped = runnable(envoy).trusting(&provider).cluster(token_endpoint("provider", &token));
    let oauth2 = &mut shipped.filter("envoy.filters.http.oauth2")["typed_config"]["config"];
    assert_eq!(oauth2["forward_id_token"].is_object(), forwards(form));
    oauth2["token_endpoint"]["cluster"] = "provider".into();
    (start(shipped), provider)
}

fn id_token(provider: &IdentityProvider, claims: Value) -> String {
    provider.bearer(claims).strip_prefix("Bearer ").unwrap().to_owned()
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
    for form in forms() {
        let (envoy, _) = signing_in(&form, json!({"sub": "1", "email": "ann@example.com", "groups": ["staff"]}));
        let session = sign_in(&envoy);
        let user = |target: &str| get(target).header("cookie", format!("theme=dark; {session}"));
        let seen = envoy.send(&user("/staff")).seen();
        let assertion = keys(&envoy).verify(&seen.one(ASSERTION_HEADER).unwrap());
        assert_eq!((assertion.claim("sub"), assertion.claim("aud")), (&json!("1"), &json!("app.example.com")));
        assert_eq!(seen.one("cookie").as_deref(), Some("theme=dark"), "the session stays with Envoy");
        assert_eq!(seen.one(ID_TOKEN), None, "the ID token stays with Envoy");
        assert_eq!(envoy.send(&user("/admins")).status, 403, "a policy that does not fit");
        let public = envoy.send(&user("/public")).seen();
        assert_eq!((public.one("cookie").as_deref(), public.one(ASSERTION_HEADER)), (Some("theme=dark"), None));
        let out = envoy.send(&user("/.pomerium/sign_out"));
        assert!(out.status == 302 && !cookies(&out).contains("OauthHMAC"), "{}", out.text_lossy());
    }
}

#[test]
fn without_a_session_only_what_is_public_answers() {
    for form in forms() {
        let (envoy, _) = signing_in(&form, json!({"sub": "1", "email": "ann@example.com"}));
        let unsigned =
            "IdToken=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.; OauthHMAC=x; OauthExpires=9999999999; BearerToken=x";
        for request in [get("/staff"), get("/staff").header("cookie", unsigned), get("/.well-known/pomerium-admin")] {
            assert_sent_away(&envoy, &request);
        }
        assert_eq!(envoy.send(&get("/staff").header("accept", "application/json")).status, 401);
        let public = get("/public").header(ASSERTION_HEADER, "forged");
        assert_eq!(envoy.send(&public).seen().one(ASSERTION_HEADER), None);
        for path in
            [JWKS_PATH, "/.well-known/pomerium", "/.well-known/pomerium/", "/.well-known/pomerium/jwks.json?x=1"]
        {
            assert_eq!(envoy.send(&get(path)).status, 200, "{path}");
        }
    }
}

#[test]
fn an_id_token_of_the_client_is_no_login() {
    for form in forms() {
        let (envoy, provider) = signing_in(&form, json!({"sub": "1", "email": "ann@example.com"}));
        let session = sign_in(&envoy);
        let eve = id_token(&provider, json!({"sub": "eve", "email": "eve@example.com"}));
        for name in [ID_TOKEN, "X-ID-TOKEN", "x_id_token"] {
            assert_sent_away(&envoy, &get("/staff").header(name, &eve));
            let seen = envoy.send(&get("/staff").header("cookie", &session).header(name, &eve)).seen();
            assert_eq!(keys(&envoy).verify(&seen.one(ASSERTION_HEADER).unwrap()).claim("sub"), "1", "{name}");
            let public = envoy.send(&get("/public").header(name, &eve)).seen();
            assert_eq!(public.one(name).is_none(), forwards(&form), "{name}: is it a header like any other?");
        }
    }
}

#[test]
fn a_bearer_token_is_taken_beside_a_login() {
    for form in forms() {
        let config = format!("bearer_token_format: idp_identity_token\n{CONFIG}");
        let (envoy, provider) = signing_in_with(&config, &form, json!({"sub": "1", "email": "ann@example.com"}));
        let session = sign_in(&envoy);
        let bob = provider.bearer(json!({"sub": "2", "email": "bob@example.com"}));
        let bearer = || get("/staff").header("authorization", &bob);
        for (request, sub) in [(get("/staff").header("cookie", &session), "1"), (bearer(), "2")] {
            let seen = envoy.send(&request).seen();
            assert_eq!(keys(&envoy).verify(&seen.one(ASSERTION_HEADER).unwrap()).claim("sub"), sub);
            assert_eq!(["cookie", "authorization", ID_TOKEN].map(|name| seen.one(name)), [None, None, None]);
        }
        // oauth2 passes by, and leaves the cookie of the ID token encrypted: jwt_authn takes it for a token.
        let both = envoy.send(&bearer().header("cookie", &session)).status;
        assert_eq!(both, if forwards(&form) { 200 } else { 401 });
    }
}

fn assert_sent_away(envoy: &Envoy, request: &Request) {
    let reply = envoy.send(request);
    let location = reply.header("location");
    assert!(location.is_some_and(|to| to.starts_with("https://sso.example.com/")), "{}", reply.status);
}
