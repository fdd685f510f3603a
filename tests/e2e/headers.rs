//! What is removed from a request, what is set on it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use harness::filters::metadata;
use harness::keys::A;
use harness::message::folded;
use harness::{ASSERTION_HEADER, Bootstrap, Envoy, Request, Seen};

const FORGED: &str = "forged-by-the-client";

/// The spellings of a header name that some server folds into it.
fn spellings(name: &str) -> BTreeSet<String> {
    let separators = ["-", "_", "."];
    let whole = separators.iter().map(|s| name.replace('-', s));
    let first = separators.iter().map(|s| name.replacen('-', s, 1));
    let last =
        separators.iter().filter_map(|s| Some(name.rsplit_once('-')?).map(|(head, tail)| format!("{head}{s}{tail}")));
    let mixed = [name.replacen('-', "_", 1).replacen('-', ".", 1)];
    let lower: BTreeSet<String> = whole.chain(first).chain(last).chain(mixed).collect();
    let upper = lower.iter().map(|name| name.to_uppercase());
    let title = lower.iter().map(|name| title_case(name));
    lower.iter().cloned().chain(upper).chain(title).collect()
}

fn title_case(name: &str) -> String {
    let mut previous = '-';
    name.chars()
        .map(|c| {
            let cased = if previous.is_ascii_alphanumeric() { c } else { c.to_ascii_uppercase() };
            previous = c;
            cased
        })
        .collect()
}

/// A configuration, the header names it must strip, and what happens to a request that has them.
struct Stripping {
    what: &'static str,
    configuration: Value,
    names: Vec<&'static str>,
    is_signed: bool,
}

fn strippings() -> Vec<Stripping> {
    let claim_headers = ["x-pomerium-claim-email", "x-pomerium-claim-anything-at-all"];
    let usual = || [&[ASSERTION_HEADER][..], &claim_headers].concat();
    vec![
        Stripping { what: "signed", configuration: json!({}), names: usual(), is_signed: true },
        Stripping {
            what: "not injected",
            configuration: json!({"pass_identity_headers": false}),
            names: usual(),
            is_signed: false,
        },
        Stripping {
            what: "skipped for want of an identity",
            configuration: json!({"on_missing_identity": "skip"}),
            names: usual(),
            is_signed: false,
        },
        Stripping {
            what: "claim headers in a map",
            configuration: json!({"jwt_claims_headers": {"X-Email": "email", "X-Dept-Name": "dept"}}),
            names: [&usual()[..], &["x-email", "x-dept-name"]].concat(),
            is_signed: true,
        },
        Stripping {
            what: "claim headers in a map, not injected",
            configuration: json!({"jwt_claims_headers": {"X-Email": "email"}, "pass_identity_headers": false}),
            names: [&usual()[..], &["x-email"]].concat(),
            is_signed: false,
        },
        Stripping {
            what: "another assertion header",
            configuration: json!({"assertion_header": "X-Forwarded-Assertion"}),
            names: [&["x-forwarded-assertion"][..], &claim_headers].concat(),
            is_signed: true,
        },
    ]
}

#[test]
fn no_spelling_of_a_spoof_reaches_the_upstream() {
    for case in strippings() {
        let mut configuration = case.configuration.clone();
        configuration["signing_key"] = A.into();
        let envoy = Bootstrap::new(configuration).http(many_headers()).start();
        for name in case.names.iter().flat_map(|name| spellings(name)) {
            let context = format!("{}: {name}", case.what);
            check_stripped(&envoy, &context, &Request::get("/").header(&name, FORGED), case.is_signed);
            let twice = Request::get("/").header(&name, FORGED).header(&name, FORGED);
            check_stripped(&envoy, &format!("{context}, twice"), &twice, case.is_signed);
            let trailer = Request::new("POST", "/").body("hello").trailer(&name, FORGED).trailer("x-kept", "kept");
            let seen = check_stripped(&envoy, &format!("{context}, in a trailer"), &trailer, case.is_signed);
            assert_eq!(seen.trailer_names(), ["x-kept"], "{context}, in a trailer");
        }
        let all = case.names.iter().flat_map(|name| spellings(name)).map(|name| (name, FORGED));
        check_stripped(&envoy, case.what, &Request::get("/").headers(all), case.is_signed);
    }
}

/// Room for all spellings at once; Envoy allows a hundred lines by default.
fn many_headers() -> Value {
    json!({"common_http_protocol_options": {"max_headers_count": 1000}})
}

fn check_stripped(envoy: &Envoy, context: &str, request: &Request, is_signed: bool) -> Seen {
    let reply = envoy.send(request);
    assert_eq!(reply.status, 200, "{context}");
    let seen = reply.seen();
    assert!(!seen.contains(FORGED), "{context} reached the upstream: {seen:?}");
    let assertions = seen.names().iter().filter(|name| folded(name).ends_with("-assertion")).count();
    assert_eq!(assertions, usize::from(is_signed), "{context}: assertions at the upstream: {seen:?}");
    seen
}

#[test]
fn a_spoof_is_stripped_where_the_answer_is_401() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "on_missing_identity": "deny"})).start();
    let reply = envoy.send(&Request::get("/").header(ASSERTION_HEADER, FORGED));
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header(ASSERTION_HEADER), None);
    assert_eq!(envoy.upstream_requests(), 0);
}

#[test]
fn neighbours_of_the_stripped_names_pass() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "jwt_claims_headers": {"X-Email": "email"}})).start();
    let neighbours = [
        "x-pomerium-jwt-assertions",
        "x-pomerium-jwt",
        "my-x-pomerium-jwt-assertion",
        "x-pomerium-claims",
        "x-pomerium-other",
        "x-emails",
        "xemail",
        "email",
        "authorization",
        "under_score",
    ];
    let request = Request::get("/").headers(neighbours.map(|name| (name, "kept")));
    let seen = envoy.send(&request).seen();
    for name in neighbours {
        assert_eq!(seen.one(name).as_deref(), Some("kept"), "{name}");
    }
    let trailers = Request::new("POST", "/").body("x").trailer("x-emails", "kept").trailer("x-pomerium-claims", "kept");
    assert_eq!(envoy.send(&trailers).seen().trailer_names(), ["x-emails", "x-pomerium-claims"]);
}

#[test]
fn the_client_cannot_have_the_assertion_removed_as_a_hop_by_hop_header() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).start();
    for connection in [ASSERTION_HEADER, "X-Pomerium-Jwt-Assertion", "close, x-pomerium-jwt-assertion"] {
        let assertion = envoy.attest(&Request::get("/").header("connection", connection));
        assert_eq!(assertion.claim("sub"), "", "{connection}");
    }
}

/// An identity from headers that the operator trusts, and the claim headers made of it.
fn identity() -> Value {
    json!([{"headers": {"sub": "x-auth-user", "email": "x-auth-email", "groups": "x-auth-groups", "dept": "x-auth-dept"}}])
}

fn identified() -> Request {
    Request::get("/")
        .header("x-auth-user", "u-1")
        .header("x-auth-email", "ada@example.com")
        .header("x-auth-groups", "admins,staff")
        .header("x-auth-dept", "research")
}

#[test]
fn claim_headers_come_in_three_forms() {
    let forms = [
        (
            json!({"X-Email": "email", "X-Groups": "groups", "X-User": "user", "X-Dept": "dept", "X-None": "none"}),
            ["x-email", "x-groups", "x-user", "x-dept", "x-none"],
        ),
        (
            json!(["email", "groups", "user", "dept", "none"]),
            [
                "x-pomerium-claim-email",
                "x-pomerium-claim-groups",
                "x-pomerium-claim-user",
                "x-pomerium-claim-dept",
                "x-pomerium-claim-none",
            ],
        ),
        (
            json!("email,groups,user,dept,none"),
            [
                "x-pomerium-claim-email",
                "x-pomerium-claim-groups",
                "x-pomerium-claim-user",
                "x-pomerium-claim-dept",
                "x-pomerium-claim-none",
            ],
        ),
    ];
    for (form, [email, groups, user, dept, none]) in forms {
        let envoy = Bootstrap::new(json!({
            "signing_key": A,
            "identity_sources": identity(),
            "jwt_claims_headers": form,
        }))
        .start();
        let reply = envoy.send(&identified().header(email, FORGED).header(none, FORGED));
        let seen = reply.seen();
        let assertion = envoy.keys().verify(&reply.token());
        assert_eq!(seen.one(email).as_deref(), Some("ada@example.com"), "{form}");
        assert_eq!(seen.one(groups).as_deref(), Some("admins,staff"), "{form}: lists are joined with commas");
        assert_eq!(seen.one(user).as_deref(), Some("u-1"), "{form}: the user is filled from the subject");
        assert_eq!(seen.one(dept).as_deref(), Some("research"), "{form}");
        assert_eq!(seen.one(none), envoy.host().empty_header(), "{form}: a missing claim is an empty value");
        assert_eq!(assertion.claim("dept"), "research", "{form}: the claim is added to the assertion");
    }
}

#[test]
fn a_claim_name_ends_the_header_name_as_it_is() {
    let sources = json!([{"headers": {"sub": "x-auth-user", "family_name": "x-auth-family"}}]);
    for form in [json!(["family_name"]), json!("family_name")] {
        let envoy = Bootstrap::new(json!({
            "signing_key": A,
            "identity_sources": sources,
            "jwt_claims_headers": form,
        }))
        .start();
        let reply = envoy.send(&Request::get("/").header("x-auth-user", "u-1").header("x-auth-family", "Lovelace"));
        assert_eq!(reply.seen().one("x-pomerium-claim-family_name").as_deref(), Some("Lovelace"), "{form}");
        assert_eq!(reply.seen().one("x-pomerium-claim-family-name"), None, "{form}");
        assert_eq!(envoy.keys().verify(&reply.token()).claim("family_name"), "Lovelace", "{form}");
    }
}

#[test]
fn claim_headers_are_sent_only_with_an_assertion() {
    for (field, value) in [("pass_identity_headers", json!(false)), ("on_missing_identity", json!("skip"))] {
        let mut configuration = json!({"signing_key": A, "jwt_claims_headers": {"X-Email": "email"}});
        configuration[field] = value;
        let envoy = Bootstrap::new(configuration).start();
        let seen = envoy.get("/").seen();
        assert_eq!(seen.one("x-email"), None, "{field}");
        assert_eq!(seen.one(ASSERTION_HEADER), None, "{field}");
    }
    let envoy = Bootstrap::new(json!({"signing_key": A, "jwt_claims_headers": {"X-Email": "email"}})).start();
    let email = envoy.get("/").seen().one("x-email");
    assert_eq!(email, envoy.host().empty_header(), "an anonymous assertion has an empty email");
}

#[test]
fn a_value_that_no_header_can_hold_is_not_sent() {
    let values = [
        ("x-newline", "newline", "a\nx-injected: yes"),
        ("x-return", "return", "a\r\nx-injected: yes"),
        ("x-nul", "nul", "a\u{0}b"),
        ("x-escape", "escape", "\u{1b}[31m"),
        ("x-delete", "delete", "a\u{7f}b"),
    ];
    let identity: Value = values
        .iter()
        .map(|(_, claim, value)| ((*claim).to_owned(), json!(value)))
        .chain([("sub".to_owned(), json!("u-1"))])
        .collect::<serde_json::Map<_, _>>()
        .into();
    let claim_headers: Value = values
        .iter()
        .map(|(header, claim, _)| ((*header).to_owned(), json!(claim)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "test.identity"}}],
        "jwt_claims_headers": claim_headers,
    }))
    .filter(metadata("test.identity", &json!({"who": identity})))
    .start();
    let request = Request::get("/").headers(values.map(|(header, _, _)| (header, FORGED)));
    let reply = envoy.send(&request);
    assert_eq!(reply.status, 200);
    let seen = reply.seen();
    assert_eq!(seen.one("x-injected"), None);
    let assertion = envoy.keys().verify(&reply.token());
    for (header, claim, value) in values {
        assert_eq!(seen.one(header), None, "{header}");
        assert_eq!(assertion.claim(claim), value, "{claim}: in the assertion it is only a string");
    }
}
