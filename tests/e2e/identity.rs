//! Where the user's identity comes from, and that nothing else is believed.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use harness::filters::{jwt_authn, lua, metadata};
use harness::idp::IdentityProvider;
use harness::keys::A;
use harness::tls::{Authority, dns, uri};
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Capability, Envoy, Host, Request, eventually, only_on};

/// The claims that tell who the user is, in the order `sub user email groups sid name`.
fn who(assertion: &Assertion) -> Value {
    ["sub", "user", "email", "groups", "sid", "name"].iter().map(|name| assertion.claim(name).clone()).collect()
}

#[test]
fn a_token_that_jwt_authn_verified_is_the_default_identity() {
    let provider = IdentityProvider::new();
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(jwt_authn(&provider)).start();
    for (what, claims, expected) in [
        (
            "all claims",
            json!({"sub": "u-1", "user": "ada", "email": "ada@example.com", "groups": ["a", "b"], "sid": "s-1", "name": "Ada"}),
            json!(["u-1", "ada", "ada@example.com", ["a", "b"], "s-1", "Ada"]),
        ),
        ("the subject fills the user", json!({"sub": "u-1"}), json!(["u-1", "u-1", "", [], "", ""])),
        ("the user fills the subject", json!({"user": "ada"}), json!(["ada", "ada", "", [], "", ""])),
        ("one group as a string", json!({"sub": "u-1", "groups": "a"}), json!(["u-1", "u-1", "", ["a"], "", ""])),
        (
            "a group with a comma is one group in a token",
            json!({"sub": "u-1", "groups": "a,b"}),
            json!(["u-1", "u-1", "", ["a,b"], "", ""]),
        ),
        (
            "whole numbers are groups, other members are not",
            json!({"sub": "u-1", "groups": ["a", 7, true, null, {"b": 1}, ["c"], false, 1.5]}),
            json!(["u-1", "u-1", "", ["a", "7"], "", ""]),
        ),
        ("groups of null", json!({"sub": "u-1", "groups": null}), json!(["u-1", "u-1", "", [], "", ""])),
        ("an email of null", json!({"sub": "u-1", "email": null}), json!(["u-1", "u-1", "", [], "", ""])),
        ("a name beyond ASCII", json!({"sub": "u-1", "name": "Zoë 名"}), json!(["u-1", "u-1", "", [], "", "Zoë 名"])),
        ("quotes", json!({"sub": "u\"\\\u{1}\n"}), json!(["u\"\\\u{1}\n", "u\"\\\u{1}\n", "", [], "", ""])),
    ] {
        let request = Request::get("/").header("authorization", provider.bearer(claims));
        let assertion = envoy.attest(&request);
        assert_eq!(who(&assertion), expected, "{what}");
        assert_eq!(assertion.claim("iss"), "app.example.com", "{what}: the provider's iss is not ours");
        assert_eq!(assertion.claim("aud"), "app.example.com", "{what}: the provider's aud is not ours");
        assert_eq!(assertion.members().len(), 11, "{what}: no other claim of the provider's is passed on");
    }
    assert_eq!(who(&envoy.attest(&Request::get("/"))), json!(["", "", "", [], "", ""]), "no token, no identity");
}

#[test]
fn the_client_cannot_say_who_it_is() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    let request = Request::get("/")
        .headers(
            ["x-forwarded-user", "x-auth-request-user", "sub", "user", "x-user", "remote-user"].map(|n| (n, "eve")),
        )
        .header("authorization", IdentityProvider::new().bearer(json!({"sub": "eve"})));
    let assertion = envoy.attest(&request);
    assert_eq!(who(&assertion), json!(["", "", "", [], "", ""]));
    assert!(!assertion.payload_text.contains("eve"));
}

/// One Envoy whose metadata is fixed, asked with one list of sources after another.
fn ask(envoy: &Envoy, what: &str, sources: &Value, expected_subject: &str) {
    let assertion = envoy.reconfigure(what, json!({"signing_key": A, "identity_sources": sources}));
    assert_eq!(assertion.claim("sub"), expected_subject, "{what}: {sources}");
}

#[test]
fn metadata_is_found_by_namespace_and_path() {
    if !only_on(Host::Wasm, "natively an object below a namespace cannot be read") {
        return;
    }
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .filter(metadata("test.one", &json!({"a": "text", "b": {"sub": "from b"}, "c": ["text"], "B": 5})))
        .filter(metadata("test.several", &json!({"a": "text", "b": {"sub": "from b"}, "c": {"sub": "from c"}, "B": 5})))
        .filter(metadata(
            "test.deep",
            &json!({"x": {"y": {"z": {"sub": "from z"}}, "sub": "from x", "list": [{"sub": "in a list"}]}}),
        ))
        .filter(metadata("test.flat", &json!({"sub": "flat", "email": "flat@example.com"})))
        .filter(metadata("test.hollow", &json!({"a": {}})))
        .dynamic()
        .start();
    let at = |namespace: &str| json!([{"metadata": {"namespace": namespace}}]);
    let under = |namespace: &str, path: Value| json!([{"metadata": {"namespace": namespace, "path": path}}]);
    ask(&envoy, "the only member that is an object", &at("test.one"), "from b");
    ask(&envoy, "several members that are objects", &at("test.several"), "");
    ask(&envoy, "one path element", &under("test.several", json!(["c"])), "from c");
    ask(&envoy, "a path to text", &under("test.several", json!(["a"])), "");
    ask(&envoy, "a path to nothing", &under("test.several", json!(["nothing"])), "");
    ask(&envoy, "a long path", &under("test.deep", json!(["x", "y", "z"])), "from z");
    ask(&envoy, "a shorter path", &under("test.deep", json!(["x"])), "from x");
    ask(&envoy, "a path that goes on below a string", &under("test.deep", json!(["x", "sub", "more"])), "");
    ask(&envoy, "a path to a list", &under("test.deep", json!(["x", "list"])), "");
    ask(&envoy, "a namespace without an object", &at("test.flat"), "");
    ask(&envoy, "no such namespace", &at("test.none"), "");
    ask(&envoy, "an empty object", &at("test.hollow"), "");
}

/// Gives the user of a request a department of the type that the request asks for.
const DEPARTMENT: &str = r#"
function envoy_on_request(handle)
  local values = {object = {a = {b = 1}}, text = "sales", list = {"sales", "it"}, number = 7, bool = true}
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("who", "sub", "ann")
  metadata:set("who", "dept", values[handle:headers():get("x-type")])
end
"#;

#[test]
fn odd_values_do_not_spoil_a_member_for_later_users() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "who", "path": []}}],
        "claims": {"dept": {"from": "dept"}},
    }))
    .workers(1)
    .filter(lua(DEPARTMENT))
    .start();
    let department = |kind: &str| envoy.attest(&Request::get("/").header("x-type", kind)).claims.get("dept").cloned();
    (0..20).for_each(|_| drop(department("object")));
    let expected =
        [("text", json!("sales")), ("list", json!(["sales", "it"])), ("number", json!(7)), ("bool", json!(true))];
    for (kind, value) in &expected {
        // A type that is new is found out.
        let found = eventually(kind, || department(kind));
        assert_eq!(found, *value, "{kind}, after values that cannot be read");
    }
    for round in 0..20 {
        for (kind, value) in &expected {
            assert_eq!(department(kind).as_ref(), Some(value), "{kind}, round {round}");
        }
    }
}

/// A dynamic module cannot read what is nested in it, but knows that it is there.
#[test]
fn an_odd_member_is_not_passed_over_for_another() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    for odd in [json!({"address": "ann@example.com"}), json!([["ann@example.com"]]), json!(7.5)] {
        let who = json!({"sub": "u-1", "email": odd, "former_email": "eve@example.com"});
        let envoy = Bootstrap::new(json!({
            "signing_key": A,
            "identity_sources": [{"metadata": {"namespace": "test.flat", "path": []}}],
            "claims": {"email": {"first_of": ["email", "former_email"]}},
        }));
        let envoy = envoy.filter(metadata("test.flat", &who)).start();
        let assertion = envoy.attest(&Request::get("/"));
        assert_eq!((assertion.claim("sub"), assertion.claim("email")), (&json!("u-1"), &json!("")), "{odd}");
    }
}

#[test]
fn an_odd_header_is_not_passed_over_for_another() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-user", "email": "x-email", "former_email": "x-former-email"}}],
        "claims": {"email": {"first_of": ["email", "former_email"]}},
    }))
    .start();
    let ask = |email: &[u8]| {
        let request = Request::get("/").header("x-user", "u-1").header("x-email", email);
        envoy.attest(&request.header("x-former-email", "eve@example.com")).claim("email").clone()
    };
    assert_eq!(ask(b"ann@example.com"), "ann@example.com");
    assert_eq!(ask(b"j\xfcrgen@example.com"), "", "in Latin-1");
    assert_eq!(ask(b""), "eve@example.com");
    assert_eq!(envoy.stat("claims_left_out"), 1);
}

#[test]
fn the_first_source_that_names_somebody_wins() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let envoy = Bootstrap::new(json!({"signing_key": A}))
        .filter(metadata("test.first", &json!({"who": {"sub": "first", "email": "first@example.com"}})))
        .filter(metadata("test.second", &json!({"who": {"sub": "second", "name": "Second"}})))
        .filter(metadata("test.email", &json!({"who": {"email": "only@example.com"}})))
        .filter(metadata("test.hollow", &json!({"who": {}})))
        .dynamic()
        .start();
    let source = |namespace: &str| json!({"metadata": {"namespace": namespace}});
    let [first, second, email, hollow, none] =
        ["test.first", "test.second", "test.email", "test.hollow", "test.none"].map(source);
    let headers = json!({"headers": {"sub": "x-auth-user"}});
    let certificate = json!({"client_certificate": {"sub": "uri_san"}});
    ask(&envoy, "the first of two", &json!([first, second]), "first");
    ask(&envoy, "the other way round", &json!([second, first]), "second");
    ask(&envoy, "after what yields nothing", &json!([none, hollow, headers, certificate, first]), "first");
    ask(&envoy, "an email alone names nobody", &json!([email, first]), "first");
    for (what, required) in [("where an email is required", json!(["email"])), ("where nothing is", json!([]))] {
        let configuration = json!({"signing_key": A, "identity_sources": [email, first], "required_claims": required});
        let assertion = envoy.reconfigure(what, configuration);
        assert_eq!(who(&assertion), json!(["", "", "only@example.com", [], "", ""]), "{what}");
    }
    ask(&envoy, "and sources are not mixed", &json!([second, first]), "second");
    assert_eq!(envoy.attest(&Request::get("/")).claim("email"), "", "the second source has no email");
    let both = json!([headers, first]);
    ask(&envoy, "headers that are not there", &both, "first");
    assert_eq!(envoy.attest(&Request::get("/").header("x-auth-user", "third")).claim("sub"), "third");
}

#[test]
fn trusted_headers_are_an_identity_unless_they_are_ambiguous() {
    let fields = json!({
        "sub": "X-Auth-User",
        "email": "x-auth-email",
        "groups": "x-auth-groups",
        "name": "x-auth-name",
        "sid": "x-auth-session",
    });
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": [{"headers": fields}]})).start();
    let nobody = json!(["", "", "", [], "", ""]);
    for (what, lines, expected) in [
        (
            "all of them",
            vec![
                ("x-auth-user", "u-1"),
                ("X-AUTH-EMAIL", "ada@example.com"),
                ("x-auth-groups", "a,b"),
                ("x-auth-name", "Ada"),
                ("x-auth-session", "s-1"),
            ],
            json!(["u-1", "u-1", "ada@example.com", ["a", "b"], "s-1", "Ada"]),
        ),
        ("the user alone", vec![("x-auth-user", "u-1")], json!(["u-1", "u-1", "", [], "", ""])),
        ("all but the user", vec![("x-auth-email", "a@b.c"), ("x-auth-groups", "a")], nobody.clone()),
        ("none of them", vec![("x-auth-other", "u-1")], nobody.clone()),
        ("the user twice", vec![("x-auth-user", "u-1"), ("x-auth-user", "u-2")], nobody.clone()),
        ("the same user twice", vec![("x-auth-user", "u-1"), ("X-Auth-User", "u-1")], nobody.clone()),
        ("the email twice", vec![("x-auth-user", "u-1"), ("x-auth-email", "a@b.c"), ("x-auth-email", "d@e.f")], nobody),
        (
            "groups twice are one list",
            vec![("x-auth-user", "u-1"), ("x-auth-groups", "a,b"), ("x-auth-groups", "c")],
            json!(["u-1", "u-1", "", ["a", "b", "c"], "", ""]),
        ),
        (
            "a comma in a name is part of the name",
            vec![("x-auth-user", "u-1"), ("x-auth-name", "Lovelace, Ada")],
            json!(["u-1", "u-1", "", [], "", "Lovelace, Ada"]),
        ),
    ] {
        let assertion = envoy.attest(&Request::get("/").headers(lines));
        assert_eq!(who(&assertion), expected, "{what}");
    }
}

#[test]
fn a_client_certificate_is_an_identity_only_where_there_is_one() {
    let authority = Authority::new();
    let fields = json!({"sub": "uri_san", "name": "dns_san", "user": "subject", "sid": "sha256_fingerprint"});
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": [{"client_certificate": fields}]}))
        .transport_socket(authority.transport_socket())
        .start();

    let spiffe = "spiffe://example.com/workload";
    let client = authority.certify("workload", &[uri(spiffe), dns("workload.example.com")]);
    let token = authority.connect(envoy.address(), Some(&client)).send(&Request::get("/")).token();
    let assertion = Assertion::read(&token);
    assert_eq!(assertion.claim("sub"), spiffe);
    assert_eq!(assertion.claim("name"), "workload.example.com");
    assert_eq!(assertion.claim("user"), "CN=workload");
    let fingerprint: String = Sha256::digest(client.der()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(assertion.claim("sid"), &fingerprint);

    let bare = authority.certify("bare", &[]);
    let assertion = Assertion::read(&authority.connect(envoy.address(), Some(&bare)).send(&Request::get("/")).token());
    assert_eq!(assertion.claim("name"), "", "a certificate without alternative names has none");
    assert_eq!(assertion.claim("user"), "CN=bare");

    let anonymous = authority.connect(envoy.address(), None).send(&Request::get("/")).token();
    assert_eq!(who(&Assertion::read(&anonymous)), json!(["", "", "", [], "", ""]), "TLS without a certificate");
}

#[test]
fn a_certificate_source_yields_nothing_on_a_plain_connection() {
    let sources = json!([{"client_certificate": {"sub": "subject"}}]);
    let envoy =
        Bootstrap::new(json!({"signing_key": A, "identity_sources": sources, "on_missing_identity": "deny"})).start();
    let spoofs = ["x-forwarded-client-cert", "x-ssl-client-s-dn", "ssl-client-cert"].map(|name| (name, "CN=eve"));
    assert_eq!(envoy.send(&Request::get("/").headers(spoofs)).status, 401);
}

#[test]
fn a_missing_identity_is_signed_skipped_or_denied() {
    let identified = || Request::get("/").header("x-auth-user", "u-1");
    let sources = json!([{"headers": {"sub": "x-auth-user"}}]);
    for (choice, status, is_signed) in [("sign", 200, true), ("skip", 200, false), ("deny", 401, false)] {
        let envoy = Bootstrap::new(json!({
            "signing_key": A,
            "identity_sources": sources,
            "on_missing_identity": choice,
        }))
        .start();
        let reply = envoy.get("/");
        assert_eq!(reply.status, status, "{choice}");
        let is_forwarded = reply.try_seen().map(|seen| seen.one(ASSERTION_HEADER).is_some());
        assert_eq!(is_forwarded, (status == 200).then_some(is_signed), "{choice}");
        assert_eq!(envoy.upstream_requests(), usize::from(status == 200), "{choice}");
        assert_eq!(envoy.attest(&identified()).claim("sub"), "u-1", "{choice}: an identity is signed");
    }
}

#[test]
fn only_the_listed_groups_are_passed_on() {
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": {"sub": "x-auth-user", "groups": "x-auth-groups"}}],
        "jwt_groups_filter": ["staff", "admins"],
    }))
    .start();
    for (groups, expected) in [
        ("admins,staff", json!(["admins", "staff"])),
        ("other,staff", json!(["staff"])),
        ("other", json!([])),
        ("Admins,admins2", json!([])),
    ] {
        let request = Request::get("/").header("x-auth-user", "u-1").header("x-auth-groups", groups);
        assert_eq!(*envoy.attest(&request).claim("groups"), expected, "{groups}");
    }
}
