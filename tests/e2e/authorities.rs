//! Each of Envoy's own ways to find out who is calling, in front of the filter: what it says becomes the identity, what
//! it does not say is nobody, and the client cannot put in a word.

use rcgen::DnType;
use serde_json::{Value, json};

use harness::authorization::{Verdict, over_grpc, over_http};
use harness::filters::{ext_authz_grpc, ext_authz_http, jwt_authn};
use harness::idp::IdentityProvider;
use harness::keys::A;
use harness::log::ours;
use harness::tls::{Authority, dns, uri};
use harness::{Assertion, Bootstrap, Capability, Envoy, Host, Reply, Request, only_on};

/// The subject that reached the upstream; none where the request was answered 401 by the filter.
fn subject(reply: &Reply, what: &str) -> Option<String> {
    match reply.status {
        401 => {
            assert_eq!(reply.text(), "no identity", "{what}: it is the filter that refuses");
            None
        }
        _ => Some(Assertion::read(&reply.token()).claim("sub").as_str().expect(what).to_owned()),
    }
}

fn badge(name: &str) -> Request {
    Request::get("/").header("authorization", format!("badge {name}"))
}

fn claims(assertion: &Assertion, names: &[&str]) -> Value {
    names.iter().map(|name| assertion.claim(name).clone()).collect()
}

/// The keyset is for everybody, also where everything else asks who is calling.
fn public_keyset() -> Value {
    json!({
        "match": {"prefix": "/.well-known/pomerium"},
        "route": {"cluster": "upstream"},
        "typed_per_filter_config": {"envoy.filters.http.ext_authz": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
            "disabled": true,
        }},
    })
}

/// An authorization service that answers with headers.
fn by_headers(authorization: &str) -> Verdict {
    match authorization {
        "badge ann" => Verdict::with_headers(&[
            ("x-auth-user", "ann"),
            ("x-auth-email", "ann@example.com"),
            ("x-auth-groups", "admins, ops"),
            ("x-auth-name", "Lovelace, Ann"),
        ]),
        "badge zoe" => Verdict::with_headers(&[("x-auth-user", "zoë"), ("x-auth-email", "")]),
        "badge ghost" => Verdict::allow(),
        "badge blank" => Verdict::with_headers(&[("x-auth-user", ""), ("x-auth-email", ""), ("x-auth-groups", "")]),
        _ => Verdict::Deny,
    }
}

#[test]
fn an_authorization_service_over_http_says_it_in_headers() {
    let fields =
        json!({"sub": "x-auth-user", "email": "x-auth-email", "groups": "x-auth-groups", "name": "x-auth-name"});
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"headers": fields}],
        "on_missing_identity": "deny",
    }))
    .filter(ext_authz_http("authorization"))
    .route(public_keyset())
    .cluster(over_http("authorization", by_headers))
    .start();
    let names = ["sub", "user", "email", "groups", "name"];
    let ann = json!(["ann", "ann", "ann@example.com", ["admins", "ops"], "Lovelace, Ann"]);
    assert_eq!(claims(&envoy.attest(&badge("ann")), &names), ann);
    let spoof = badge("ann").header("x-auth-user", "eve").header("x-auth-email", "eve@example.com");
    assert_eq!(claims(&envoy.attest(&spoof), &names), ann, "what the service says replaces what the client says");
    assert_eq!(claims(&envoy.attest(&badge("zoe")), &names), json!(["zoë", "zoë", "", [], ""]));

    assert_eq!(subject(&envoy.send(&badge("ghost")), "allowed, but nobody"), None);
    let spoof = badge("blank").header("x-auth-user", "eve").header("x-auth-groups", "admins");
    assert_eq!(subject(&envoy.send(&spoof), "said to be nobody"), None);
    let before = envoy.upstream_requests();
    assert_eq!(envoy.send(&badge("eve")).status, 403);
    assert_eq!(envoy.get("/").status, 403);
    assert_eq!(envoy.upstream_requests(), before);
}

#[test]
fn an_authorization_service_over_http_says_it_in_metadata() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "envoy.filters.http.ext_authz", "path": []}}],
        "on_missing_identity": "deny",
        "claims": {
            "sub": {"from": "x-auth-user"},
            "email": {"from": "x-auth-email"},
            "groups": {"from": "x-auth-groups"},
        },
    }))
    .filter(ext_authz_http("authorization"))
    .route(public_keyset())
    .cluster(over_http("authorization", by_headers))
    .start();
    let assertion = envoy.attest(&badge("ann").header("x-auth-user", "eve"));
    let names = ["sub", "user", "email", "groups"];
    assert_eq!(claims(&assertion, &names), json!(["ann", "ann", "ann@example.com", ["admins, ops"]]));
    let spoof = badge("ghost").header("x-auth-user", "eve");
    assert_eq!(subject(&envoy.send(&spoof), "allowed, but nobody"), None);
}

/// An authorization service that answers with metadata.
fn by_metadata(authorization: &str) -> Verdict {
    match authorization {
        "badge ann" => Verdict::with_metadata(json!({
            "sub": "ann",
            "email": "ann@example.com",
            "groups": ["admins", "ops", 7],
            "level": 3,
            "is_staff": true,
            "org": {"unit": {"name": "research"}, "floors": [1, 2]},
            "nothing": null,
        })),
        "badge session" => Verdict::with_metadata(json!({"sub": "outer", "session": {"user": {"sub": "inner"}}})),
        "badge ghost" => Verdict::allow(),
        "badge blank" => Verdict::with_metadata(json!({"sub": "", "groups": [], "email": null})),
        "badge session of nobody" => Verdict::with_metadata(json!({"session": {"user": {"sub": ""}}})),
        _ => Verdict::Deny,
    }
}

#[test]
fn an_authorization_service_over_grpc_says_it_in_metadata() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let ext_authz = |path: Value| json!({"metadata": {"namespace": "envoy.filters.http.ext_authz", "path": path}});
    let envoy = Bootstrap::new(json!({
        "signing_key": A,
        "identity_sources": [ext_authz(json!(["session", "user"])), ext_authz(json!([]))],
        "on_missing_identity": "deny",
        "claims": {
            "level": {"from": "level"},
            "staff": {"from": "is_staff"},
            "unit": {"from": ["org", "unit", "name"]},
            "floors": {"from": ["org", "floors"]},
            "nothing": {"from": "nothing"},
        },
    }))
    .filter(ext_authz_grpc("authorization"))
    .route(public_keyset())
    .cluster(over_grpc("authorization", by_metadata))
    .start();
    let assertion = envoy.attest(&badge("ann").header("x-auth-user", "eve"));
    assert_eq!(
        claims(&assertion, &["sub", "user", "email", "level", "staff"]),
        json!(["ann", "ann", "ann@example.com", 3, true])
    );
    // Natively only texts, numbers, bools and lists of texts can be read.
    let nested = match envoy.host() {
        Host::Wasm => json!([["admins", "ops", "7"], "research", [1, 2]]),
        Host::Native => json!([[], null, null]),
    };
    assert_eq!(claims(&assertion, &["groups", "unit", "floors"]), nested);
    assert!(assertion.payload_text.contains(r#""level":3,"#), "an integer stays one: {}", assertion.payload_text);
    assert_eq!(envoy.attest(&badge("session")).claim("sub"), "inner", "the longer path is the first source");
    assert_eq!(subject(&envoy.send(&badge("ghost")), "allowed, but nobody"), None);
    let before = envoy.upstream_requests();
    assert_eq!(envoy.send(&badge("eve")).status, 403);
    assert_eq!(envoy.upstream_requests(), before);
}

#[test]
fn what_envoy_itself_adds_to_the_metadata_is_nobody() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let source = |path: Value| json!([{"metadata": {"namespace": "envoy.filters.http.ext_authz", "path": path}}]);
    for (path, name) in [(json!(["session", "user"]), "session of nobody"), (json!([]), "blank")] {
        let envoy = Bootstrap::new(json!({
            "signing_key": A,
            "identity_sources": source(path.clone()),
            "on_missing_identity": "deny",
            "claims": {"duration": {"from": "ext_authz_duration"}},
        }))
        .filter(ext_authz_grpc("authorization"))
        .cluster(over_grpc("authorization", by_metadata))
        .start();
        let reply = envoy.send(&badge(name));
        let claims = reply.try_seen().map(|_| Assertion::read(&reply.token()).claims);
        assert_eq!(claims, None, "path {path}: the service named nobody");
    }
}

/// A jwt_authn that also writes the token's header, and why a token was refused, into its metadata.
fn talkative_jwt_authn(provider: &IdentityProvider, header_name: &str) -> Value {
    let mut filter = jwt_authn(provider);
    let settings = &mut filter["typed_config"]["providers"]["idp"];
    settings["header_in_metadata"] = header_name.into();
    settings["failed_status_in_metadata"] = "status".into();
    filter["typed_config"]["rules"][0]["requires"] =
        json!({"requires_any": {"requirements": [{"provider_name": "idp"}, {"allow_missing_or_failed": {}}]}});
    filter
}

#[test]
fn the_payload_of_a_token_is_told_from_its_header_and_its_failures() {
    let provider = IdentityProvider::new();
    let source = json!({"metadata": {"namespace": "envoy.filters.http.jwt_authn", "path": ["payload"]}});
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": [source], "on_missing_identity": "deny"}))
        .filter(talkative_jwt_authn(&provider, "header"))
        .start();
    let with = |bearer: String| Request::get("/").header("authorization", bearer);
    let ann = || provider.bearer(json!({"sub": "ann"}));
    assert_eq!(subject(&envoy.send(&with(ann())), "a good token"), Some("ann".into()));
    let stranger = IdentityProvider::new().bearer(json!({"sub": "ann"}));
    for (what, bearer) in [
        ("somebody else's key", stranger),
        ("cut off", ann()[..100].to_owned()),
        ("damaged", ann().replace("Bearer e", "Bearer f")),
        ("no token at all", "Bearer".into()),
    ] {
        assert_eq!(subject(&envoy.send(&with(bearer)), what), None, "{what}");
    }
    assert_eq!(subject(&envoy.get("/"), "no header"), None);
}

#[test]
fn the_keyset_is_for_everybody_where_every_other_path_needs_a_token() {
    let provider = IdentityProvider::new();
    let mut filter = jwt_authn(&provider);
    filter["typed_config"]["rules"] = json!([
        {"match": {"prefix": "/.well-known/pomerium"}},
        {"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}},
    ]);
    let envoy = Bootstrap::new(json!({"signing_key": A})).filter(filter).start();
    assert_eq!(envoy.get("/").status, 401);
    let request = Request::get("/").header("authorization", provider.bearer(json!({"sub": "ann"})));
    assert_eq!(envoy.attest(&request).claim("sub"), "ann", "verified with keys that were fetched without a token");
}

#[test]
fn without_a_path_several_objects_are_nobody() {
    if !only_on(Host::Wasm, "natively an object below a namespace cannot be read") {
        return;
    }
    let provider = IdentityProvider::new();
    let source = json!({"metadata": {"namespace": "envoy.filters.http.jwt_authn"}});
    let configuration = json!({
        "signing_key": A,
        "identity_sources": [source],
        "claims": {"algorithm": {"from": "alg"}, "failure": {"from": "code"}},
    });
    for header_name in ["zzz", "aaa"] {
        let envoy = Bootstrap::new(configuration.clone()).filter(talkative_jwt_authn(&provider, header_name)).start();
        let request = Request::get("/").header("authorization", provider.bearer(json!({"sub": "ann"})));
        let names = ["sub", "algorithm", "failure"];
        for _ in 0..3 {
            let assertion = envoy.attest(&request);
            assert_eq!(claims(&assertion, &names), json!(["", null, null]), "{header_name} and payload");
        }
        let log = envoy.log();
        let lines: Vec<&str> = ours(&log).into_iter().filter(|line| line.contains("set path")).collect();
        assert_eq!(lines.len(), 1, "said once: {lines:#?}");
        assert!(lines[0].contains("[warning]") && lines[0].contains("jwt_authn"), "{lines:?}");
        let assertion = envoy.attest(&Request::get("/").header("authorization", "Bearer damaged"));
        assert_eq!(claims(&assertion, &names), json!(["", null, null]), "a failure is nobody");
    }
}

#[test]
fn a_certificate_says_one_thing_where_it_has_several_names() {
    let authority = Authority::new();
    let fields = json!({"sub": "uri_san", "email": "dns_san", "name": "subject"});
    let start = |required: &[&str]| {
        Bootstrap::new(json!({
            "signing_key": A,
            "identity_sources": [{"client_certificate": fields}],
            "required_claims": required,
            "on_missing_identity": "deny",
            "provenance": true,
        }))
        .transport_socket(authority.transport_socket())
        .start()
    };
    let envoy = start(&["sub"]);
    let attest = |envoy: &Envoy, identity| {
        let mut connection = authority.connect(envoy.address(), Some(&identity));
        let first = connection.send(&Request::get("/"));
        let second = connection.send(&Request::get("/").header("x-forwarded-client-cert", "URI=spiffe://evil/eve"));
        let [first, second] = [first, second].map(|reply| Assertion::read(&reply.token()));
        let names = ["sub", "email", "name", "idsrc"];
        assert_eq!(claims(&first, &names), claims(&second, &names), "the same on each request of a connection");
        claims(&first, &names)
    };
    let names = [
        uri("spiffe://example.com/ns/web/sa/one"),
        uri("spiffe://example.com/ns/web/sa/two"),
        dns("one.example.com"),
        dns("two.example.com"),
    ];
    let subject_of = [(DnType::OrganizationName, "Example, Inc."), (DnType::CommonName, "workload")];
    let certificate = authority.certify_subject(&subject_of, &names);
    assert_eq!(
        attest(&envoy, certificate),
        json!([
            "spiffe://example.com/ns/web/sa/one",
            "one.example.com",
            r"CN=workload,O=Example\, Inc.",
            "client_certificate"
        ]),
        "the first of each kind; RFC 2253 for the subject"
    );
    let only = || authority.certify_subject(&[], &[dns("only.example.com")]);
    let reply = authority.connect(envoy.address(), Some(&only())).send(&Request::get("/"));
    assert_eq!(subject(&reply, "a certificate without the required name"), None);
    let by_email = start(&["email"]);
    assert_eq!(attest(&by_email, only()), json!(["", "only.example.com", "", "client_certificate"]));

    let bare = authority.certify_subject(&[], &[]);
    for envoy in [envoy, by_email, start(&[])] {
        let reply = authority.connect(envoy.address(), Some(&bare)).send(&Request::get("/"));
        assert_eq!(subject(&reply, "a certificate with no name at all"), None);
    }
}

/// One Envoy with every authority; each test row says which of them speak.
fn every_authority(provider: &IdentityProvider, authority: &Authority) -> Envoy {
    let metadata = |name: &str, path: Value| json!({"metadata": {"namespace": name, "path": path}});
    Bootstrap::new(json!({
        "signing_key": A,
        "provenance": true,
        "identity_sources": [
            metadata("envoy.filters.http.jwt_authn", json!(["payload"])),
            metadata("envoy.filters.http.ext_authz", json!([])),
            {"headers": {"sub": "x-auth-user"}},
            {"client_certificate": {"sub": "uri_san"}},
        ],
    }))
    .filter(jwt_authn(provider))
    .filter(ext_authz_grpc("authorization"))
    .route(public_keyset())
    .cluster(over_grpc("authorization", by_badge))
    .transport_socket(authority.transport_socket())
    .start()
}

/// A service for which bearer tokens are somebody else's business; jwt_authn takes those away.
fn by_badge(authorization: &str) -> Verdict {
    match authorization {
        "badge" => Verdict::with_metadata(json!({"sub": "from the badge"})),
        _ => Verdict::allow(),
    }
}

#[test]
fn among_several_authorities_the_first_in_the_list_wins_and_is_named() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let (provider, authority) = (IdentityProvider::new(), Authority::new());
    let envoy = every_authority(&provider, &authority);
    let certificate = authority.certify("workload", &[uri("spiffe://example.com/workload")]);
    let ask = |[token, badge, header, has_certificate]: [bool; 4]| {
        let query = if token { format!("?access_token={}", query_token(&provider)) } else { String::new() };
        let request = Request::get(&format!("/{query}"))
            .headers(badge.then_some(("authorization", "badge")))
            .headers(header.then_some(("x-auth-user", "from the header")));
        let identity = has_certificate.then_some(&certificate);
        Assertion::read(&authority.connect(envoy.address(), identity).send(&request).token())
    };
    let of_tokens = match envoy.host() {
        Host::Wasm => "metadata:envoy.filters.http.jwt_authn",
        Host::Native => "filter_state:envoy.filters.http.jwt_authn:payload",
    };
    let sources = [
        ("from the token", of_tokens),
        ("from the badge", "metadata:envoy.filters.http.ext_authz"),
        ("from the header", "headers"),
        ("spiffe://example.com/workload", "client_certificate"),
    ];
    for row in 0..16_u8 {
        let bits = [row & 8, row & 4, row & 2, row & 1].map(|bit| bit != 0);
        let assertion = ask(bits);
        let winner = bits.iter().position(|speaks| *speaks).map(|place| sources[place]);
        let expected = winner.map_or(json!(["", null]), |(subject, label)| json!([subject, label]));
        assert_eq!(claims(&assertion, &["sub", "idsrc"]), expected, "token, badge, header, certificate: {bits:?}");
        assert_eq!(assertion.members().contains(&"idsrc".to_owned()), winner.is_some(), "{bits:?}");
    }
}

/// A token for the query string, the other place where jwt_authn looks.
fn query_token(provider: &IdentityProvider) -> String {
    let bearer = provider.bearer(json!({"sub": "from the token"}));
    bearer.strip_prefix("Bearer ").expect("a bearer token").to_owned()
}
