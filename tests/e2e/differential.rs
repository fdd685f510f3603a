//! The same odd requests to both hosts, one after another over connections that stay open, and the same answers: status,
//! headers, body, what reached the upstream, what the assertion says, the reason in the access log, the statistics. What
//! may differ is in [`allowed`], with the reason.
//!
//! `DIFFERENTIAL_REQUESTS` says how many, `DIFFERENTIAL_SEED` gives the same again.

/// What may differ.
mod allowed;
/// Odd client certificates.
mod certificates;
/// Odd identities.
mod identity;
/// Odd requests.
mod odd;
/// What becomes of a request.
mod outcome;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use harness::environment::number;
use harness::filters::access_log;
use harness::keys::{A, KID_A, X_A, Y_A};
use harness::{Bootstrap, Capability, Client, Envoy, HOST, Host, KeySet, Request, eventually, only_on};

use crate::applied::filter_state;
use crate::dice::Dice;
use allowed::Allowed;

/// How many differences a failure shows.
const SHOWN: usize = 5;

fn who() -> Value {
    json!([
        {"filter_state": "who"},
        {"headers": {"sub": "x-user", "email": "x-user-email", "groups": "x-groups", "name": "x-name"}},
    ])
}

/// Endpoints and claim headers of every kind.
fn open() -> Value {
    json!({
        "signing_key": A,
        "identity_sources": who(),
        "user_endpoints": true,
        "openid_configuration": true,
        "jwt_issuer_format": "uri",
        "provenance": true,
        "cors_allow_preflight": true,
        "claims": {
            "dept": {"from": "dept"},
            "level": {"from": "level"},
            "unit": {"from": ["org", "sub"]},
            "first": {"first_of": ["a.b", "email", ["groups", 0]]},
            "env": {"value": {"a": [1, 1.5, true]}},
        },
        "jwt_claims_headers": {"X-Email": "email", "X-Own.Dept": "dept", "X-Groups-Out": "groups", "X-Org": "org"},
    })
}

/// Everything that refuses.
fn strict() -> Value {
    let key = json!({"kty": "EC", "crv": "P-256", "kid": KID_A, "x": X_A, "y": Y_A});
    json!({
        "signing_key": A,
        "identity_sources": who(),
        "assertion_header": "X-Own-Assertion",
        "assertion_prefix": "Bearer ",
        "on_missing_identity": "deny",
        "required_claims": ["sub", "email"],
        "claim_values": "text",
        "claims": {"roles": {"from": "org"}, "dept": {"from": "dept"}},
        "jwt_claims_headers": "email dept sid",
        "jwt_groups_filter": ["a", "ann"],
        "max_assertion_bytes": 900,
        "shed": ["roles", "groups"],
        "bind": ["method", "authority", "path"],
        "actor": {"trusted": [{"issuer": "https://app.example.com/", "jwks": {"keys": [key]}}], "on_unverifiable": "deny"},
        "user_endpoints": true,
    })
}

/// Assertions that are kept, in place of `authorization`.
fn kept() -> Value {
    json!({
        "signing_key": A,
        "identity_sources": who(),
        "assertion_header": "authorization",
        "assertion_prefix": "Bearer ",
        "reuse": "60s",
        "audience": ["one", "two"],
        "on_missing_identity": "skip",
        "claims": {"dept": {"from": "dept"}},
    })
}

/// An identity in flat metadata, as [`headers_in_metadata`] writes it.
fn flat() -> Value {
    json!({
        "signing_key": A,
        "identity_sources": [{"metadata": {"namespace": "headers", "path": []}}],
        "claims": {"level": {"from": "level"}, "first": {"first_of": ["name", "level"]}},
        "jwt_claims_headers": "email level",
        "on_missing_identity": "deny",
        "user_endpoints": true,
    })
}

/// What the headers say, each as one text, and one of them as a number.
fn headers_in_metadata() -> Value {
    let members = [("x-user", "sub"), ("x-user-email", "email"), ("x-groups", "groups"), ("x-name", "name")];
    let rule = |header: &str, key: &str, kind: &str| json!({"header": header, "on_header_present": {"metadata_namespace": "headers", "key": key, "type": kind}});
    let mut rules: Vec<Value> = members.iter().map(|(header, key)| rule(header, key, "STRING")).collect();
    rules.push(rule("x-number", "level", "NUMBER"));
    json!({
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config",
            "request_rules": rules,
        },
    })
}

/// One for each setting that a route can override, and one for several.
fn routes() -> Vec<Value> {
    let route = |path: &str, settings: Value| {
        json!({
            "match": {"prefix": path},
            "name": path,
            "metadata": {"filter_metadata": {"attestation": settings}},
            "route": {"cluster": "upstream"},
        })
    };
    vec![
        route("/deny", json!({"on_missing_identity": "deny"})),
        route("/skip", json!({"on_missing_identity": "skip"})),
        route("/off", json!({"pass_identity_headers": false})),
        route("/issuer", json!({"issuer": "https://issuer.example"})),
        route("/audience", json!({"audience": ["a", "b"]})),
        route("/format", json!({"jwt_issuer_format": "hostOnly"})),
        route("/groups", json!({"jwt_groups_filter": ["a", "b", "7"]})),
        route("/claims", json!({"claims": {"dept": {"value": "route"}, "sub": {"from": "user"}}})),
        route("/several", json!({"issuer": "i", "audience": "a", "on_missing_identity": "sign"})),
    ]
}

fn start(host: Host, settings: &Value) -> Envoy {
    let format = "DIFFERENTIAL %REQ(x-number)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% \
                  %FILTER_STATE(wasm.attestation.kid:PLAIN)%\n";
    let mut http = access_log(&json!({"text_format_source": {"inline_string": format}}));
    // Envoy makes these by chance.
    http["generate_request_id"] = false.into();
    let bootstrap = Bootstrap::new(settings.clone()).host(host).http(http);
    let bootstrap = bootstrap.filter(filter_state("who", "%REQ(x-state)%")).filter(headers_in_metadata());
    routes().into_iter().fold(bootstrap, Bootstrap::route).start()
}

/// All that can be seen of what a host made of some requests.
struct Seen {
    outcomes: Vec<Value>,
    reasons: Vec<String>,
    statistics: BTreeMap<String, u64>,
}

/// Sends each request, the next one when the last is answered.
fn send_all(address: SocketAddr, keys: &KeySet, requests: &[Request]) -> Vec<Value> {
    let mut client = Client::connect(address);
    let mut send = |request: &Request| {
        let reply = client.try_send(request);
        if !reply.as_ref().is_ok_and(|reply| !reply.is_last()) {
            client = Client::connect(address);
        }
        outcome::outcome(reply, keys)
    };
    requests.iter().map(&mut send).collect()
}

/// The filter's statistics, by the names below Envoy's prefix. When a key was loaded is no count.
fn statistics(envoy: &Envoy) -> BTreeMap<String, u64> {
    let prefix = envoy.host().statistics_prefix();
    let stats = envoy.admin().stats().into_iter();
    let ours = stats.filter_map(|(name, value)| Some((name.strip_prefix(prefix)?.to_owned(), value)));
    ours.filter(|(name, _)| name != "last_key_load_seconds").collect()
}

/// Status and reason of each request, as the access log has them, in the order of the requests. The marker comes last.
fn reasons(envoy: &Envoy) -> Vec<String> {
    envoy.send(&Request::get("/off").header("x-number", "marker"));
    let is_complete = |log: &String| log.contains("DIFFERENTIAL marker ");
    let log = eventually("the last line of the access log", || Some(envoy.log()).filter(is_complete));
    let mut lines: Vec<String> =
        log.lines().filter_map(|line| line.strip_prefix("DIFFERENTIAL ")).map(str::to_owned).collect();
    lines.sort();
    lines
}

fn observe(envoys: &[Envoy; 2], requests: &[Request]) -> [Seen; 2] {
    let targets = envoys.each_ref().map(|envoy| (envoy.address(), envoy.keys(), statistics(envoy)));
    let outcomes = thread::scope(|scope| {
        let threads = targets.each_ref().map(|(address, keys, _)| scope.spawn(|| send_all(*address, keys, requests)));
        threads.map(|thread| thread.join().expect("outcomes"))
    });
    let [wasm, native] = outcomes;
    let seen = |envoy: &Envoy, before: &BTreeMap<String, u64>, outcomes| {
        let reasons = reasons(envoy);
        let mut statistics = statistics(envoy);
        statistics.iter_mut().for_each(|(name, value)| *value -= before.get(name).copied().unwrap_or_default());
        Seen { outcomes, reasons, statistics }
    };
    [seen(&envoys[0], &targets[0].2, wasm), seen(&envoys[1], &targets[1].2, native)]
}

/// Assertions of the filter's own, and what looks like some.
fn tokens(envoy: &Envoy) -> Vec<String> {
    let user =
        |host: &str| Request::get("/several").header("x-user", "peer").header("x-user-email", "p@e.er").host(host);
    let mut tokens: Vec<String> = [HOST, "other.example"].iter().map(|host| envoy.send(&user(host)).token()).collect();
    tokens.extend(["eyJhbGciOiJub25lIn0.e30.", "a.b.c", "..", "forged"].map(str::to_owned));
    tokens
}

fn compare(what: &str, settings: &Value, tokens: &[String], (seed, count): (u64, usize), allowed: &mut Allowed) {
    let envoys = [Host::Wasm, Host::Native].map(|host| start(host, settings));
    let mut dice = Dice::new(seed);
    let requests: Vec<Request> = (0..count).map(|number| odd::request(&mut dice, number, tokens)).collect();
    let [mut wasm, mut native] = observe(&envoys, &requests);
    let mut differences = Vec::new();
    for ((request, wasm), native) in requests.iter().zip(&mut wasm.outcomes).zip(&mut native.outcomes) {
        allowed.empty_headers(wasm, native);
        allowed.order_for_grpc(wasm, native);
        if wasm != native {
            differences.push(format!("{}\n  Wasm:   {wasm}\n  native: {native}", odd::text(request)));
        }
    }
    let shown = differences.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{what}: {} of {count} requests differ\n{shown}", differences.len());
    let unlike = wasm.reasons.iter().zip(&native.reasons).find(|(wasm, native)| wasm != native);
    assert_eq!(unlike, None, "{what}: a reason in the access log");
    assert_eq!(wasm.reasons.len(), native.reasons.len(), "{what}: lines of the access log");
    let [wasm, native] = [wasm.statistics, native.statistics].map(|statistics| allowed.statistics(statistics));
    assert_eq!(wasm, native, "{what}: how the statistics have grown");
    println!("{what}: {count} requests, {wasm:?}");
}

#[test]
fn both_hosts_do_the_same() {
    if !only_on(Host::Native, "it takes both modules, and those tests have both") {
        return;
    }
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let (count, seed) = (number("DIFFERENTIAL_REQUESTS", 4000), number("DIFFERENTIAL_SEED", clock));
    println!("DIFFERENTIAL_REQUESTS={count} DIFFERENTIAL_SEED={seed}");
    let tokens = tokens(&start(Host::Native, &open()));
    let mut allowed = Allowed::default();
    let mut all = vec![("open", open()), ("strict", strict()), ("kept", kept())];
    if !Capability::FlatMetadata.is_lacking() {
        all.push(("flat", flat()));
    }
    let share = count / all.len();
    for (place, (what, settings)) in (0..).zip(all) {
        compare(what, &settings, &tokens, (seed + place, share), &mut allowed);
    }
    allowed.assert_met();
}
