use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::config::Platform;
use crate::host::fake::{FakeHost, Sign};
use crate::keys::Keyring;
use crate::keys::SigningKey;
use crate::value::protobuf::{build, put_bytes};

const KEY_A: &str = include_str!("../../tests/vectors/signing-key-a.b64");
const KEY_B: &str = include_str!("../../tests/vectors/signing-key-b.b64");
const HEADER: &str = "x-pomerium-jwt-assertion";
const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";

/// The filter in one thread.
struct Filter {
    attester: Attester,
    worker: Worker,
}

impl Filter {
    fn new(config: &[u8], host: &FakeHost) -> Self {
        let attester = Attester::new(Config::read(Platform::Wasm, config, |_| None).unwrap(), host).ok().unwrap();
        Self { worker: attester.worker(), attester }
    }

    fn on_request(&self, host: &FakeHost) -> Decision {
        self.attester.on_request(&self.worker, host)
    }

    fn use_keys(&self, text: &str) {
        let keyring = ActiveKeyring::from_text(text.as_bytes(), SignerChoice::Auto, &FakeHost::default());
        self.attester.use_keys(keyring.ok().unwrap());
    }
}

fn attester(mut config: Json) -> Filter {
    let members = config.as_object_mut().unwrap();
    members.entry("signing_key").or_insert(KEY_A.into());
    Filter::new(config.to_string().as_bytes(), &FakeHost::default())
}

fn get(authority: &str) -> FakeHost {
    FakeHost::request(&[(":method", "GET"), (":path", "/app"), (":scheme", "https"), (":authority", authority)])
}

fn forwarded(attester: &Filter, host: &FakeHost) -> Changes {
    match attester.on_request(host) {
        Decision::Forward(changes) => changes,
        Decision::Respond(response) => panic!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
        Decision::Wait => panic!("waits"),
    }
}

fn refused(attester: &Filter, host: &FakeHost) -> u32 {
    match attester.on_request(host) {
        Decision::Respond(response) => response.status,
        other => panic!("{other:?}"),
    }
}

fn value<'a>(changes: &'a Changes, name: &str) -> Option<&'a str> {
    changes.set.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// The claims of the assertion that the request gets.
fn claims(attester: &Filter, host: &FakeHost) -> Json {
    let changes = forwarded(attester, host);
    let token = value(&changes, HEADER).unwrap();
    serde_json::from_slice(&decode(token.split('.').nth(1).unwrap())).unwrap()
}

#[test]
fn an_assertion_is_exactly_what_was_asked_for() {
    let host = get("[::1]:8443").with_metadata(
        &json!({JWT_AUTHN: {"payload": {"sub": "u1", "email": "ann@example.com", "groups": ["a", "b"], "name": "Ann \"A\" Ü"}}}),
    );
    let changes = forwarded(&attester(json!({})), &host);
    let token = value(&changes, HEADER).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(
        String::from_utf8(decode(parts[0])).unwrap(),
        r#"{"alg":"ES256","kid":"e05015c36b1fccdee6ec1c45a4988acafcc1118c5d01e1120ee5be64ba176d22","typ":"JWT"}"#
    );
    let payload = String::from_utf8(decode(parts[1])).unwrap();
    let jti = host.filter_state.borrow()["attestation.jti"].clone();
    assert_eq!(
        payload,
        format!(
            r#"{{"aud":"::1","email":"ann@example.com","exp":1686870980,"groups":["a","b"],"iat":1686870680,"iss":"::1","jti":"{jti}","name":"Ann \"A\" Ü","sid":"","sub":"u1","user":"u1"}}"#
        )
    );
    let keys = Keyring::parse(KEY_A.as_bytes()).ok().unwrap();
    let SigningKey::P256(key) = keys.signing_key() else { panic!("not P-256") };
    let signature = p256::ecdsa::Signature::from_slice(&decode(parts[2])).unwrap();
    let signed = format!("{}.{}", parts[0], parts[1]);
    key.signing_key().verifying_key().verify(signed.as_bytes(), &signature).unwrap();
}

#[test]
fn issuer_and_audience_follow_the_host_or_the_configuration() {
    let of = |config: Json, authority: &str| {
        let claims = claims(&attester(config), &get(authority));
        (claims["iss"].clone(), claims["aud"].clone())
    };
    assert_eq!(of(json!({}), "App.example.com:8443"), (json!("app.example.com"), json!("app.example.com")));
    assert_eq!(of(json!({"jwt_issuer_format": "uri"}), "[::1]:8443"), (json!("https://[::1]/"), json!("::1")));
    assert_eq!(of(json!({"issuer": "i", "audience": "a"}), "%ff"), (json!("i"), json!("a")));
    assert_eq!(of(json!({"issuer": "i", "audience": ["a"]}), ""), (json!("i"), json!(["a"])));
    for (config, authority) in [(json!({}), "a:b:c"), (json!({"issuer": "i"}), ""), (json!({"audience": "a"}), "[]")] {
        assert_eq!(refused(&attester(config), &get(authority)), 400);
    }
}

#[test]
fn an_anonymous_request_is_signed_skipped_or_denied() {
    let host = get("a");
    let empty = claims(&attester(json!({})), &host);
    for name in ["sub", "user", "email", "name", "sid"] {
        assert_eq!(empty[name], "", "{name}");
    }
    assert_eq!(empty["groups"], json!([]));
    let skipped = forwarded(&attester(json!({"on_missing_identity": "skip", "jwt_claims_headers": ["email"]})), &host);
    assert_eq!(skipped, Changes::default());
    assert_eq!(refused(&attester(json!({"on_missing_identity": "deny"})), &host), 401);
    let deny = json!({"on_missing_identity": "deny", "pass_identity_headers": false});
    assert_eq!(refused(&attester(deny), &host), 401);
}

#[test]
fn odd_identities_lose_only_what_cannot_be_represented() {
    let host = get("a").with_metadata(&json!({JWT_AUTHN: {"p": {
        "user": 12345, "email": ["x"], "name": null, "sid": true,
        "groups": ["a", 5, true, null, ["b"], {"c": 1}, 1.5], "n": 1e300, "deep": {"b": 1, "a": [null, {}]},
    }}}));
    let config = json!({"claims": {
        "n": {"from": "n"}, "deep": {"from": "deep"}, "inner": {"from": ["deep", "b"]}, "none": {"from": ["deep", "x"]},
    }});
    let claims = claims(&attester(config), &host);
    assert_eq!((&claims["sub"], &claims["user"]), (&json!("12345"), &json!("12345")));
    assert_eq!((&claims["email"], &claims["name"], &claims["sid"]), (&json!(""), &json!(""), &json!("")));
    assert_eq!(claims["groups"], json!(["a", "5"]));
    assert_eq!(claims["deep"], json!({"a": [null, {}], "b": 1}));
    assert_eq!((claims.get("n"), &claims["inner"], claims.get("none")), (None, &json!(1), None));
    let named =
        |claim: &str| host.log.borrow().iter().filter(|line| line.contains(&format!("claim {claim:?}"))).count();
    assert_eq!(["n", "groups", "email", "sid", "deep", "name"].map(named), [1, 1, 1, 1, 0, 0]);
}

#[test]
fn numbers_that_a_double_may_merge_are_left_out() {
    const MAX: i64 = (1 << 53) - 1;
    let config = || json!({"claims": {"n": {"from": "n"}, "c": {"value": 1.0}}, "jwt_claims_headers": {"x-n": "n"}});
    let of = |number: Json| {
        let host = get("a").with_metadata(&json!({JWT_AUTHN: {"p": {"sub": number, "n": [number]}}}));
        (claims(&attester(config()), &host), forwarded(&attester(config()), &host), host)
    };
    for number in [json!(MAX), json!(-MAX), json!(0), json!(-0.0)] {
        let (claims, changes, host) = of(number.clone());
        let text = number.as_f64().unwrap().to_string().replace("-0", "0");
        assert_eq!((&claims["sub"], &claims["n"][0].to_string(), &claims["c"]), (&json!(text), &text, &json!(1)));
        assert_eq!((value(&changes, "x-n"), host.count(Counter::ClaimsLeftOut)), (Some(text.as_str()), 0));
    }
    for number in [json!(MAX + 1), json!(-MAX - 1), json!(281_474_976_710_656_000_u64), json!(1e300)] {
        let (claims, changes, host) = of(number);
        assert_eq!((&claims["sub"], claims.get("n"), value(&changes, "x-n")), (&json!(""), None, Some("")));
        assert_eq!((host.count(Counter::Anonymous), host.count(Counter::IncompleteIdentities)), (2, 2));
    }
    let (fraction, _, host) = of(json!(1.5));
    assert_eq!((&fraction["sub"], host.count(Counter::Anonymous)), (&json!(""), 2));
}

#[test]
fn an_identity_has_what_is_required_of_it() {
    let payload = |payload: Json| get("a").with_metadata(&json!({JWT_AUTHN: {"p": payload}}));
    let verdict = |config: Json, identity: Json| {
        let mut config = config;
        config["on_missing_identity"] = "deny".into();
        match attester(config).on_request(&payload(identity)) {
            Decision::Forward(_) => 200,
            Decision::Respond(response) => response.status,
            Decision::Wait => panic!("waits"),
        }
    };
    for (config, identity, expected) in [
        (json!({}), json!({"exp": 1, "azp": "x"}), 401),
        (json!({}), json!({"user": "ann"}), 200),
        (json!({}), json!({"sub": true}), 401),
        (json!({}), json!({"sub": ["ann"]}), 401),
        (json!({"required_claims": []}), json!({"exp": 1}), 200),
        (json!({"required_claims": ["email", "groups"]}), json!({"sub": "ann", "email": "a@b"}), 401),
        (json!({"required_claims": ["email", "groups"]}), json!({"email": "a@b", "groups": ["x"]}), 200),
        (json!({"required_claims": ["groups"], "jwt_groups_filter": ["y"]}), json!({"groups": ["x"]}), 200),
        (json!({"claims": {"sub": {"value": "all"}}}), json!({"exp": 1}), 401),
        (json!({"claims": {"sub": {"from": "uid"}}}), json!({"uid": 7}), 200),
        (json!({"claims": {"sub": {"from": "uid"}}}), json!({"uid": 281_674_916_028_284_928_u64}), 401),
        (json!({"claims": {"sub": {"first_of": ["a", ["emails", 0]]}}}), json!({"a": "", "emails": ["ann"]}), 200),
    ] {
        assert_eq!(verdict(config.clone(), identity.clone()), expected, "{config} {identity}");
    }
}

#[test]
fn an_identity_of_empty_values_is_none() {
    let config = json!({"on_missing_identity": "deny", "identity_sources": [
        {"metadata": {"namespace": "n", "path": []}}, {"headers": {"sub": "authorization"}},
    ]});
    let nothing = json!({"n": {"sub": "", "groups": [], "email": null, "o": {}}});
    assert_eq!(refused(&attester(config.clone()), &get("a").with_metadata(&nothing)), 401);
    forwarded(&attester(config.clone()), &get("a").with_headers(&[("authorization", "ann")]));
    assert_eq!(refused(&attester(config), &get("a").with_headers(&[("authorization", "ann,bob")])), 401);
}

#[test]
fn the_first_source_that_yields_anything_wins() {
    let sources = json!([
        {"metadata": {"namespace": "authz", "path": []}},
        {"headers": {"sub": "x-user", "groups": "x-groups"}},
        {"client_certificate": {"sub": "uri_san"}},
    ]);
    let attester = attester(json!({"identity_sources": sources}));
    let mut host = get("a");
    host.certificate = Some(b"spiffe://cluster/ann".to_vec());
    assert_eq!(claims(&attester, &host)["sub"], "spiffe://cluster/ann");
    let host = host.with_headers(&[("x-user", "header-ann"), ("x-groups", "a, b,,c"), ("x-groups", "d")]);
    let by_header = claims(&attester, &host);
    assert_eq!((&by_header["sub"], &by_header["groups"]), (&json!("header-ann"), &json!(["a", "b", "c", "d"])));
    let host = host.with_metadata(&json!({"authz": {"sub": "metadata-ann"}}));
    assert_eq!(claims(&attester, &host)["sub"], "metadata-ann");
    let twice = get("a").with_headers(&[("x-user", "ann"), ("x-user", "bob"), ("x-groups", "a")]);
    assert_eq!(claims(&attester, &twice)["groups"], json!([]));
}

#[test]
fn claims_are_remapped_added_and_filtered() {
    let host = get("a").with_metadata(&json!({JWT_AUTHN: {"p": {
        "sub": "u1", "mail": "ann@example.com", "groups": "admin", "roles": ["admin", "dev"],
    }}}));
    let claims = claims(
        &attester(json!({
            "claims": {"email": {"from": "mail"}, "groups": {"from": "roles"}, "env": {"value": "prod"}, "sid": {"value": "s"}},
            "jwt_groups_filter": ["dev", "ops"],
        })),
        &host,
    );
    assert_eq!(
        (&claims["email"], &claims["env"], &claims["sid"]),
        (&json!("ann@example.com"), &json!("prod"), &json!("s"))
    );
    assert_eq!(claims["groups"], json!(["dev"]));
    assert_eq!(host.count(Counter::GroupsRemoved), 1);
}

#[test]
fn claim_headers_carry_what_a_header_can() {
    let host = get("a").with_metadata(&json!({JWT_AUTHN: {"p": {
        "sub": "ann", "email": "ann@example.com", "groups": ["a", "b"], "org": 7, "bad": "a\nb", "o": {"b": 1, "a": "x"},
    }}}));
    let config = json!({"jwt_claims_headers": {
        "X-Email": "email", "X-Groups": "groups", "X-Org": "org", "X-Bad": "bad", "X-None": "none", "X-O": "o", "X-Exp": "exp",
    }});
    let changes = forwarded(&attester(config.clone()), &host);
    assert_eq!(value(&changes, "x-email"), Some("ann@example.com"));
    assert_eq!(value(&changes, "x-groups"), Some("a,b"));
    assert_eq!(value(&changes, "x-org"), Some("7"));
    assert_eq!(value(&changes, "x-bad"), None);
    assert_eq!(value(&changes, "x-none"), Some(""));
    assert_eq!(value(&changes, "x-o"), Some(r#"{"a":"x","b":1}"#));
    assert_eq!(value(&changes, "x-exp"), Some("1686870980"));
    let claims = claims(&attester(config), &host);
    assert_eq!((&claims["org"], &claims["bad"], claims.get("none")), (&json!(7), &json!("a\nb"), None));
}

#[test]
fn spoofed_headers_are_removed_whatever_becomes_of_the_request() {
    let spoofs = [
        ("x_pomerium_jwt_assertion", "evil"),
        ("x-pomerium-jwt-assertion", "evil"),
        ("x.email", "evil"),
        ("x-pomerium-claim-admin", "evil"),
    ];
    for config in [json!({}), json!({"pass_identity_headers": false}), json!({"on_missing_identity": "skip"})] {
        let mut config = config;
        config["jwt_claims_headers"] = json!({"X-Email": "email"});
        let changes = forwarded(&attester(config), &get("a").with_headers(&spoofs));
        assert_eq!(changes.remove, spoofs.map(|(name, _)| name));
    }
}

#[test]
fn a_route_overrides_or_is_refused() {
    let config = json!({"audience": "plugin", "claims": {"env": {"value": "prod"}}});
    let route =
        json!({"attestation": {"audience": "route", "claims": {"team": {"value": "x"}}}, "other": {"audience": 5}});
    let of_route = claims(&attester(config.clone()), &get("a").with_route_metadata(&route));
    assert_eq!((&of_route["aud"], &of_route["env"], &of_route["team"]), (&json!("route"), &json!("prod"), &json!("x")));
    let of_plugin = claims(&attester(config.clone()), &get("a").with_route_metadata(&json!({"other": {}})));
    assert_eq!((&of_plugin["aud"], of_plugin.get("team")), (&json!("plugin"), None));
    for bad in [json!({"audience": 5}), json!({"signer": "wasm"}), json!({"claims": {"iss": {"value": "x"}}})] {
        let host = get("a").with_route_metadata(&json!({"attestation": bad}));
        let attester = attester(config.clone());
        assert_eq!((refused(&attester, &host), refused(&attester, &host)), (500, 500));
        assert!(
            host.log
                .borrow()
                .iter()
                .filter(|line| line.starts_with("Error: route \"the-route\": metadata attestation."))
                .count()
                == 1
        );
    }
    let unreadable = FakeHost { route_metadata: Err(crate::host::Unreadable), ..get("a") };
    assert_eq!(refused(&attester(config), &unreadable), 500);
}

#[test]
fn a_long_assertion_is_refused() {
    let attester = attester(json!({"max_assertion_bytes": 100, "assertion_prefix": "Bearer "}));
    let host = get("a");
    assert_eq!(refused(&attester, &host), 431);
    assert!(host.log.borrow().iter().any(|line| line.contains("max_assertion_bytes allows 100")));
}

#[test]
fn an_assertion_can_be_bound_to_its_request() {
    let bind = |names: Json| json!({"bind": names});
    let host = get("App:8443").with_headers(&[("x-request-id", "r1")]);
    let all = claims(&attester(bind(json!(["method", "authority", "path", "request_id"]))), &host);
    assert_eq!(
        (&all["htm"], &all["htu"], &all["request_id"]),
        (&json!("GET"), &json!("https://app:8443/app"), &json!("r1"))
    );
    assert_eq!(claims(&attester(bind(json!(["path"]))), &host)["htu"], "/app");
    assert_eq!(claims(&attester(bind(json!(["authority"]))), &host)["htu"], "https://app:8443");
    assert_eq!(refused(&attester(bind(json!(["request_id"]))), &get("a")), 400);
}

#[test]
fn a_long_assertion_sheds_what_it_may_and_says_so() {
    let groups: Vec<String> = (0..100).map(|number| format!("group-{number}")).collect();
    let host =
        get("a").with_metadata(&json!({JWT_AUTHN: {"p": {"sub": "ann", "dept": "d".repeat(50), "groups": groups}}}));
    let config = |max: usize| json!({"max_assertion_bytes": max, "shed": ["groups", "dept"], "claims": {"dept": {"from": "dept"}}});
    let whole = claims(&attester(config(5000)), &host);
    assert_eq!((whole["groups"].as_array().unwrap().len(), whole.get("groups_truncated")), (100, None));
    let without_groups = claims(&attester(config(700)), &host);
    assert_eq!((&without_groups["groups"], &without_groups["groups_truncated"]), (&json!([]), &json!(true)));
    assert_eq!(without_groups["dept"], "d".repeat(50));
    let length = value(&forwarded(&attester(config(700)), &host), HEADER).unwrap().len();
    let least = claims(&attester(config(length - 1)), &host);
    assert_eq!((least.get("dept"), &least["dept_truncated"]), (None, &json!(true)));
    assert_eq!(refused(&attester(config(length - 100)), &host), 431);
}

#[test]
fn the_length_of_a_token_is_known_before_it_is_signed() {
    let host = get("a");
    let token = value(&forwarded(&attester(json!({})), &host), HEADER).unwrap().to_owned();
    forwarded(&attester(json!({"max_assertion_bytes": token.len()})), &host);
    assert_eq!(refused(&attester(json!({"max_assertion_bytes": token.len() - 1})), &host), 431);
}

#[test]
fn provenance_names_the_source() {
    let attester = attester(json!({"provenance": true}));
    assert_eq!(claims(&attester, &get("a")).get("idsrc"), None);
    let host = get("a").with_metadata(&json!({JWT_AUTHN: {"p": {"sub": "ann"}}}));
    assert_eq!(claims(&attester, &host)["idsrc"], format!("metadata:{JWT_AUTHN}"));
}

#[test]
fn an_incoming_assertion_of_a_trusted_peer_becomes_the_actor() {
    let peer = attester(json!({"signing_key": KEY_B, "issuer": "front", "token_lifetime": "10s"}));
    let user = json!({JWT_AUTHN: {"p": {"sub": "ann"}}});
    let incoming = value(&forwarded(&peer, &get("a").with_metadata(&user)), HEADER).unwrap().to_owned();
    let jwks: Json = serde_json::from_str(&Keyring::parse(KEY_B.as_bytes()).ok().unwrap().keyset().json()).unwrap();
    let config = |on: &str| json!({"actor": {"trusted": [{"issuer": "front", "jwks": jwks}], "on_unverifiable": on}});
    let with = |token: &str| get("a").with_headers(&[(HEADER, token)]);
    let claims_of = claims(&attester(config("drop")), &with(&incoming));
    assert_eq!(claims_of["act"], json!({"iss": "front", "sub": "ann"}));
    let forged = format!("{incoming}A");
    assert_eq!(claims(&attester(config("drop")), &with(&forged)).get("act"), None);
    assert_eq!(refused(&attester(config("deny")), &with(&forged)), 401);
    assert_eq!(refused(&attester(config("deny")), &with(&incoming).with_headers(&[(HEADER, &incoming)])), 401);
    assert_eq!(claims(&attester(config("deny")), &get("a")).get("act"), None);
    let late = with(&incoming);
    late.now.set(late.now() + std::time::Duration::from_secs(10));
    assert_eq!(refused(&attester(config("deny")), &late), 401);
}

#[test]
fn what_this_filter_signed_before_is_no_spoof_and_no_actor() {
    let actor = json!({"trusted": [{"issuer": "front", "jwks": {"keys": []}}], "on_unverifiable": "deny"});
    let attester = attester(json!({"actor": actor}));
    let first = get("a");
    let token = value(&forwarded(&attester, &first), HEADER).unwrap().to_owned();
    let again = FakeHost { filter_state: first.filter_state, ..get("a").with_headers(&[(HEADER, &token)]) };
    let changes = forwarded(&attester, &again);
    assert_eq!((changes.remove.as_slice(), again.count(Counter::SpoofsStripped)), (&[HEADER.to_owned()][..], 0));
    assert_ne!(value(&changes, HEADER), Some(token.as_str()));
    let by_a_client = get("a").with_headers(&[(HEADER, &token)]);
    assert_eq!(refused(&attester, &by_a_client), 401);
    assert_eq!(by_a_client.count(Counter::SpoofsStripped), 1);
}

#[test]
fn a_kept_assertion_is_used_again_by_the_same_only() {
    let attester = attester(json!({"reuse": "10s", "claims": {"x": {"from": "x"}}}));
    let token = |host: &FakeHost| value(&forwarded(&attester, host), HEADER).unwrap().to_owned();
    let ann = get("a").with_metadata(&json!({JWT_AUTHN: {"p": {"sub": "ann"}}}));
    let first = token(&ann);
    // Envoy writes the members of an object in any order.
    let orders = [[("sub", "ann"), ("x", "y")], [("x", "y"), ("sub", "ann")]].map(|members| {
        let members = members.map(|(name, text)| (name.as_bytes().to_vec(), build::value(&json!(text))));
        let mut host = get("a");
        let mut payload = Vec::new();
        put_bytes(&mut payload, 5, &build::map(members));
        host.metadata = Some(build::map([(JWT_AUTHN.into(), build::map([(b"p".to_vec(), payload)]))]));
        token(&host)
    });
    assert_eq!(orders[0], orders[1]);
    assert_eq!(token(&ann), first);
    assert_ne!(token(&get("a")), first);
    assert_ne!(token(&get("b").with_metadata(&json!({JWT_AUTHN: {"p": {"sub": "ann"}}}))), first);
    attester.use_keys(KEY_B);
    assert_ne!(token(&ann), first);
}

#[test]
fn a_kept_assertion_ends_with_its_identity_in_filter_state() {
    let attester = attester(json!({"reuse": "60s", "identity_sources": [{"filter_state": "attestation.identity"}]}));
    let mut host = get("a");
    let identity = json!({"sub": "ann", "exp": host.now().as_secs() + 3}).to_string();
    host.filter_state_before.insert("attestation.identity".into(), identity.into_bytes());
    let token = || value(&forwarded(&attester, &host), HEADER).unwrap().to_owned();
    let first = token();
    assert_eq!(token(), first);
    host.now.set(host.now() + std::time::Duration::from_secs(3));
    assert_ne!(token(), first);
}

#[test]
fn without_reuse_every_request_has_its_own_assertion() {
    let attester = attester(json!({}));
    let host = get("a");
    let tokens: std::collections::BTreeSet<String> =
        (0..200).map(|_| value(&forwarded(&attester, &host), HEADER).unwrap().to_owned()).collect();
    assert_eq!(tokens.len(), 200);
}

#[test]
fn without_keys_everything_waits() {
    let attester = Filter::new(br#"{"signing_key_file": "/k"}"#, &FakeHost::default());
    assert_eq!(attester.on_request(&get("a")), Decision::Wait);
    attester.use_keys(KEY_A);
    forwarded(&attester, &get("a"));
}

#[test]
fn without_keys_and_patience_everything_is_refused() {
    let attester = Filter::new(br#"{"signing_key_file": "/k", "signing_key_wait": "0s"}"#, &FakeHost::default());
    let Decision::Respond(response) = attester.on_request(&get("a")) else { panic!("not refused") };
    assert_eq!((response.status, response.details), (503, "attestation_no_key"));
    assert!(response.headers.iter().any(|(name, _)| *name == "retry-after"));
}

#[test]
fn the_ephemeral_key_is_shared_announced_once_and_not_published() {
    let host = get("a");
    let attesters = [0, 1].map(|_| Filter::new(b"", &host));
    let kids = attesters.each_ref().map(|attester| {
        forwarded(attester, &host);
        host.filter_state.borrow()["attestation.kid"].clone()
    });
    assert_eq!(kids[0], kids[1]);
    assert_eq!(host.log.borrow().iter().filter(|line| line.contains("public key: LS0t")).count(), 1);
    let jwks = FakeHost::request(&[(":method", "GET"), (":path", "/.well-known/pomerium/jwks.json")]);
    let Decision::Respond(response) = attesters[0].on_request(&jwks) else { panic!("forwarded") };
    assert_eq!(response.body, br#"{"keys":[]}"#);
}

#[test]
fn user_endpoints_answer_users_only() {
    let attester = attester(json!({"user_endpoints": true}));
    let at = |path: &str, method: &str| FakeHost::request(&[(":method", method), (":path", path), (":authority", "a")]);
    for path in ["/.pomerium/jwt", "/.pomerium/user"] {
        assert_eq!(refused(&attester, &at(path, "GET")), 401);
        assert_eq!(refused(&attester, &at(path, "POST")), 405);
    }
    let metadata = json!({JWT_AUTHN: {"p": {"sub": "ann"}}});
    let Decision::Respond(user) = attester.on_request(&at("/.pomerium/user", "GET").with_metadata(&metadata)) else {
        panic!("forwarded")
    };
    assert_eq!(serde_json::from_slice::<Json>(&user.body).unwrap()["sub"], "ann");
}

#[test]
fn a_host_that_fails_is_counted_and_replaced() {
    let host = get("a");
    host.set_sign(Sign::Works);
    let attester = Filter::new(json!({"signing_key": KEY_A}).to_string().as_bytes(), &host);
    forwarded(&attester, &host);
    host.set_sign(Sign::Missing);
    forwarded(&attester, &host);
    assert_eq!((host.count(Counter::SignedByHost), host.count(Counter::SignFallbacks)), (1, 1));
}

proptest! {
    #[test]
    fn nothing_a_client_or_an_identity_provider_says_makes_it_panic(
        fields in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..20), proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        metadata in proptest::collection::vec(any::<u8>(), 0..100),
        route in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let attester = attester(json!({"jwt_claims_headers": ["email", "x"], "user_endpoints": true}));
        let mut host = get("a");
        host.headers.splice(0..0, fields);
        host.metadata = Some(metadata);
        host.route_metadata = Ok(route);
        attester.on_request(&host);
    }
}
