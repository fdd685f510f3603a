//! `docs/recipes.md`: each of its configurations, as it stands there.

use serde_json::{Value, json};

use harness::filters::jwt_authn;
use harness::idp::IdentityProvider;
use harness::keys::A;
use harness::snippet::{names, snippet};
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, Host, Reply, Request, Shipped};

use crate::applied::claims;

const PAGE: &str = "docs/recipes.md";
const LDAP: [&str; 2] = ["CN=Ops,OU=Groups", "CN=Sales,OU=Groups"];

/// An Envoy with a recipe, and a user whom jwt_authn verifies.
struct Cook {
    provider: IdentityProvider,
    envoy: Envoy,
}

impl Cook {
    fn new(name: &str) -> Self {
        let provider = IdentityProvider::new();
        let mut settings = snippet(PAGE, name);
        settings["signing_key"] = A.into();
        let envoy = Bootstrap::new(settings).filter(jwt_authn(&provider)).start();
        Self { provider, envoy }
    }

    fn ask(&self, token: Value) -> Reply {
        self.envoy.send(&Request::get("/").header("authorization", self.provider.bearer(token)))
    }
}

#[test]
fn each_recipe_has_its_test() {
    let tested = ["second-header", "user-name", "first-of", "iat-backdate", "groups-separator", "groups-json"];
    assert_eq!(names(PAGE), tested);
}

/// The shipped configuration of the host under test, with the virtual host that a document shows, and a public page.
fn shipped_with(document: &str, name: &str, provider: &IdentityProvider) -> Shipped {
    let path = match Host::under_test() {
        Host::Wasm => "envoy/envoy.yaml",
        Host::Native => "envoy/native/envoy.yaml",
    };
    let mut host = snippet(document, name);
    host["routes"][0]["route"]["cluster"] = "upstream".into();
    let public = json!({"match": {"path": "/healthz"}, "route": {"cluster": "upstream"},
        "metadata": {"filter_metadata": {"attestation": {"on_missing_identity": "skip"}}}});
    Shipped::read(path).trusting(provider).virtual_host(host).route(public)
}

#[test]
fn a_second_header_has_the_assertion_and_no_forgery() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::shipped(shipped_with(PAGE, "second-header", &provider)).start();
    let forged = |path: &str| Request::get(path).header("x-id-assertion", "forged").header(ASSERTION_HEADER, "forged");
    let reply = envoy.send(&forged("/").header("authorization", provider.bearer(json!({"sub": "ann"}))));
    assert_eq!(claims(&reply)["sub"], "ann");
    assert_eq!(reply.seen().all("x-id-assertion"), [reply.token()]);
    let seen = envoy.send(&forged("/healthz").header("x_id_assertion", "an alias")).seen();
    assert_eq!(seen.one("x_id_assertion").as_deref(), Some("an alias"), "what the page says is left to do");
    assert!(seen.all("x-id-assertion").is_empty() && seen.all(ASSERTION_HEADER).is_empty(), "{seen:?}");
}

#[test]
fn a_bearer_token_stands_beside_the_header() {
    let provider = IdentityProvider::new();
    let shipped = shipped_with("docs/from-pomerium.md", "bearer", &provider).forwarding_tokens();
    let envoy = Bootstrap::shipped(shipped).start();
    let theirs = provider.bearer(json!({"sub": "ann"}));
    let reply = envoy.send(&Request::get("/").header("authorization", theirs));
    assert_eq!(reply.seen().all("authorization"), [format!("Bearer {}", reply.token())], "ours, and not the client's");
    assert_eq!(envoy.keys().verify(&reply.token()).claim("sub"), "ann");
    let nobody = envoy.get("/healthz").seen();
    assert_eq!(nobody.one("authorization").as_deref().map(str::trim_end), Some("Bearer"), "what the page says of it");
}

#[test]
fn a_user_name_is_shown_beside_the_stable_sub() {
    let cook = Cook::new("user-name");
    let reply = cook.ask(json!({"sub": "248289761001", "preferred_username": "ann"}));
    let claims = claims(&reply);
    assert_eq!(
        (&claims["sub"], &claims["user"], &claims["name"]),
        (&json!("248289761001"), &json!("ann"), &json!("ann"))
    );
    assert_eq!(reply.seen().one("x-remote-user").as_deref(), Some("ann"));
    let named = crate::applied::claims(&cook.ask(json!({"sub": "1", "preferred_username": "ann", "name": "Ann Lee"})));
    assert_eq!((&named["user"], &named["name"]), (&json!("ann"), &json!("Ann Lee")));
    let forged = Request::get("/").header("x-remote-user", "admin");
    assert!(!cook.envoy.send(&forged).seen().contains("admin"));
}

#[test]
fn first_of_takes_the_first_that_is_there() {
    let cook = Cook::new("first-of");
    for (token, email) in [
        (json!({"sub": "1", "email": "a@b.c", "upn": "no"}), "a@b.c"),
        (json!({"sub": "1", "email": "", "upn": "u@b.c", "emails": ["no"]}), "u@b.c"),
        (json!({"sub": "1", "emails": ["first@b.c", "no"]}), "first@b.c"),
        (json!({"sub": "1", "preferred_username": "p@b.c"}), "p@b.c"),
    ] {
        assert_eq!(claims(&cook.ask(token.clone()))["email"], email, "{token}");
    }
    assert_eq!(cook.ask(json!({"sub": "1", "emails": []})).status, 401);
}

#[test]
fn iat_is_back_dated_and_exp_is_not() {
    let cook = Cook::new("iat-backdate");
    let before = jsonwebtoken::get_current_timestamp();
    let claims = claims(&cook.ask(json!({"sub": "1"})));
    let after = jsonwebtoken::get_current_timestamp();
    let [iat, exp] = ["iat", "exp"].map(|name| claims[name].as_u64().unwrap());
    assert!((before..=after).contains(&(iat + 5)), "{iat} between {before} and {after}");
    assert_eq!(exp, iat + 65);
}

#[test]
fn groups_of_ldap_stay_whole() {
    for (name, value) in [("groups-separator", LDAP.join("|")), ("groups-json", json!(LDAP).to_string())] {
        let cook = Cook::new(name);
        let request = Request::get("/").header("x-auth-user", "ann").header("x-auth-groups", value);
        assert_eq!(claims(&cook.envoy.send(&request))["groups"], json!(LDAP), "{name}");
    }
    let plain = Request::get("/").header("x-auth-user", "ann").header("x-auth-groups", "admins,ops");
    assert_eq!(claims(&Cook::new("groups-json").envoy.send(&plain))["groups"], json!([]));
}
