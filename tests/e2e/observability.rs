//! What an operator sees: access log, statistics, log lines; and what nobody sees there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use harness::filters::{self, jwt_authn, metadata};
use harness::idp::IdentityProvider;
use harness::keys::{A, B, KID_A, KID_B, RSA, X_A, Y_A, pem};
use harness::log::ours;
use harness::tls::Authority;
use harness::{ASSERTION_HEADER, Assertion, Bootstrap, Capability, Envoy, HOST, Host, JWKS_PATH, Request, eventually};

const README: &str = include_str!("../../README.md");

/// A route to the upstream with settings of its own.
fn route(path: &str, settings: &Value) -> Value {
    json!({
        "match": {"path": path},
        "metadata": {"filter_metadata": {"attestation": settings}},
        "route": {"cluster": "upstream"},
    })
}

fn user(path: &str) -> Request {
    Request::get(path).header("x-auth-user", "u-1")
}

fn from_headers() -> Value {
    json!([{"headers": {"sub": "x-auth-user", "name": "x-auth-name", "groups": "x-auth-groups"}}])
}

/// An access log with the path, and jti and kid as the README says.
fn access_log() -> Value {
    let format =
        "ACCESS %REQ(:PATH)% %FILTER_STATE(wasm.attestation.jti:PLAIN)% %FILTER_STATE(wasm.attestation.kid:PLAIN)%\n";
    filters::access_log(&json!({"text_format_source": {"inline_string": format}}))
}

/// What the access log says of a request: jti and kid.
fn logged_access(envoy: &Envoy, path: &str) -> (String, String) {
    let start = format!("ACCESS {path} ");
    eventually(path, || {
        let log = envoy.log();
        let mut fields = log.lines().find_map(|line| line.strip_prefix(&start))?.split(' ').map(str::to_owned);
        Some((fields.next()?, fields.next()?))
    })
}

#[test]
fn the_access_log_names_the_assertion() {
    for (format, variable) in
        ["jti", "kid"].map(|name| (name, format!("%FILTER_STATE(wasm.attestation.{name}:PLAIN)%")))
    {
        assert!(README.contains(&variable), "the README shows the {format}");
    }
    let configuration = json!({"signing_key": A, "identity_sources": from_headers(), "user_endpoints": true});
    let envoy = Bootstrap::new(configuration)
        .http(access_log())
        .route(route("/skip", &json!({"on_missing_identity": "skip"})))
        .route(route("/deny", &json!({"on_missing_identity": "deny"})))
        .route(route("/nothing", &json!({"pass_identity_headers": false})))
        .wrong_route(route("/wrong", &json!({"on_missing_identity": "perhaps"})), "perhaps")
        .start();
    let mut client = envoy.connect();
    // Over one connection, signed and unsigned in turn: nothing of one request is left for the next.
    let wrong = envoy.host().takes_wrong_routes().then_some("/wrong");
    let unsigned = ["/skip", "/deny", "/nothing", JWKS_PATH, "/.well-known/pomerium"];
    for (number, unsigned) in unsigned.into_iter().chain(wrong).enumerate() {
        let signed = format!("/signed/{number}");
        let assertion = Assertion::read(&client.send(&user(&signed)).token());
        let expected = (assertion.claim("jti").as_str().unwrap().to_owned(), KID_A.to_owned());
        assert_eq!(logged_access(&envoy, &signed), expected);
        client.send(&Request::get(unsigned));
        assert_eq!(logged_access(&envoy, unsigned), ("-".into(), "-".into()), "{unsigned}");
    }
    client.send(&Request::get("/bad-host").host("a:b:c"));
    assert_eq!(logged_access(&envoy, "/bad-host"), ("-".into(), "-".into()));
    if !Capability::NamelessRoutes.is_lacking() {
        let handed_out = Assertion::read(&envoy.send(&user("/.pomerium/jwt")).text());
        let expected = (handed_out.claim("jti").as_str().unwrap().to_owned(), KID_A.to_owned());
        assert_eq!(logged_access(&envoy, "/.pomerium/jwt"), expected, "a user has it in hand");
        let signed = envoy.stat(&format!("signed_by_kid.{KID_A}"));
        envoy.send(&user("/.pomerium/user"));
        assert_eq!(logged_access(&envoy, "/.pomerium/user"), ("-".into(), "-".into()), "nothing is signed");
        assert_eq!(envoy.stat(&format!("signed_by_kid.{KID_A}")), signed);
    }
}

#[test]
fn the_access_log_names_a_kept_assertion_each_time() {
    let envoy = Bootstrap::new(json!({"signing_key": A, "reuse": "60s"})).http(access_log()).start();
    let [first, second] = ["/1", "/2"].map(|path| (envoy.get(path).token(), logged_access(&envoy, path)));
    assert_eq!(first, second);
    assert_eq!(*Assertion::read(&first.0).claim("jti"), first.1.0);
}

/// The statistics that the README documents, with the kid of [`A`] where it says KID.
fn documented() -> BTreeSet<String> {
    let table = README.split_once("## What to watch").expect("the section").1.split("\n## ").next().expect("its text");
    let cells = table.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).flat_map(expanded);
    names.chain((Host::under_test() == Host::Native).then(|| NATIVE_ALONE.to_owned())).collect()
}

/// One that docs/native.md adds to them.
const NATIVE_ALONE: &str = "panics";

/// `attestation.refused.{a,b}` and `.a` without their prefix, one for each of the braces.
fn expanded(name: &str) -> Vec<String> {
    let name = name.strip_prefix("attestation").unwrap_or(name).trim_start_matches('.').replace("KID", KID_A);
    match name.split_once('{') {
        None => vec![name],
        Some((start, list)) => {
            list.trim_end_matches('}').split(',').map(|end| format!("{start}{}", end.trim())).collect()
        }
    }
}

/// The statistic of what this Envoy signs.
fn signed() -> &'static str {
    match Host::under_test() {
        Host::Native => "signed.native",
        Host::Wasm if Capability::HostSigns.is_lacking() => "signed.wasm",
        Host::Wasm => "signed.host",
    }
}

/// What real traffic cannot bring about here: the host's function would have to fail after it has worked, and another module
/// would have to write into the shared data, as one does in `key_file`.
const OUT_OF_REACH: [&str; 3] = ["sign_fallbacks", "refused.not_signed", "shared_keys_replaced"];

/// What does not move in this host: what the other signs with, and what only a fault of ours would count.
fn still_in_this_host() -> &'static [&'static str] {
    match Host::under_test() {
        Host::Wasm => &["signed.native"],
        Host::Native => &["signed.host", "signed.wasm", "refused.bad_route", NATIVE_ALONE],
    }
}

/// A statistic, and requests that make it grow by so much.
struct Event {
    stat: &'static str,
    requests: Vec<Request>,
    growth: u64,
}

fn event(stat: &'static str, growth: u64, requests: impl Into<Vec<Request>>) -> Event {
    Event { stat, requests: requests.into(), growth }
}

fn events() -> Vec<Event> {
    let spoof =
        |request: Request| request.header("x-pomerium-claim-email", "eve").header("X_Pomerium.Claim-Name", "eve");
    let of_wrong_routes =
        Host::under_test().takes_wrong_routes().then(|| event("refused.bad_route", 1, [user("/wrong")]));
    let events = vec![
        event(signed(), 3, vec![user("/"); 3]),
        event("anonymous", 2, [Request::get("/"), user("/"), Request::get("/")]),
        event("incomplete_identities", 1, [Request::get("/").header("x-auth-groups", "admins"), user("/")]),
        event("refused.grpc", 1, [Request::new("POST", JWKS_PATH).header("content-type", "application/grpc")]),
        event("skipped", 2, vec![Request::get("/skip"); 2]),
        event("skipped", 0, [user("/skip")]),
        event("refused.missing_identity", 1, [Request::get("/deny")]),
        event("refused.bad_host", 1, [Request::get("/").host("a:b:c")]),
        event("refused.too_long", 1, [user("/").header("x-auth-name", "n".repeat(4000))]),
        event("spoofs_stripped", 2, [spoof(user("/"))]),
        event("spoofs_stripped", 2, [spoof(Request::get("/skip"))]),
        event(
            "spoofs_stripped",
            1,
            [Request::new("POST", "/").trailer(ASSERTION_HEADER, "forged").trailer("x-kept", "1")],
        ),
        event("spoofs_stripped", 0, [user("/").header("x-pomerium-claims", "kept")]),
        event("groups_removed", 2, [user("/groups").header("x-auth-groups", "a,b,c")]),
        event("groups_removed", 0, [user("/").header("x-auth-groups", "a,b,c")]),
        event("jwks_served", 2, [Request::get(JWKS_PATH), Request::new("HEAD", JWKS_PATH)]),
        event("jwks_served", 1, [Request::get(JWKS_PATH).header("if-none-match", "*")]),
        event("jwks_served", 0, [user("/.well-known/pomerium"), user("/")]),
        event("jwks_served", 0, [Request::new("POST", JWKS_PATH), Request::new("OPTIONS", JWKS_PATH)]),
    ];
    events.into_iter().chain(of_wrong_routes).collect()
}

#[test]
fn every_documented_statistic_moves_when_its_event_happens() {
    let configuration = json!({
        "signing_key_file": "/signing-key.pem",
        "signing_key_refresh": "0.1s",
        "identity_sources": from_headers(),
        "max_assertion_bytes": 2000,
    });
    let envoy = Bootstrap::new(configuration)
        .key_file("")
        .dynamic()
        // A request without a request ID cannot be bound to it; Envoy would give it one.
        .http(json!({"generate_request_id": false}))
        .route(route("/skip", &json!({"on_missing_identity": "skip"})))
        .route(route("/deny", &json!({"on_missing_identity": "deny"})))
        .route(route("/groups", &json!({"jwt_groups_filter": ["a"]})))
        .wrong_route(route("/wrong", &json!({"on_missing_identity": "perhaps"})), "perhaps")
        .filter(metadata("test", &json!({"who": {"sub": "u-1", "number": 9_007_199_254_740_993_u64}})))
        .start();
    let mut moved: BTreeSet<&str> = check_key_file_statistics(&envoy).into();
    for event in events() {
        let before = envoy.stat(event.stat);
        for request in &event.requests {
            envoy.send(request);
        }
        assert_eq!(envoy.stat(event.stat) - before, event.growth, "{}: {:?}", event.stat, event.requests);
        moved.insert(event.stat);
    }
    let by_kid = format!("signed_by_kid.{KID_A}");
    assert!(envoy.stat(&by_kid) > 0);
    moved.extend(check_statistics_of_other_configurations(&envoy));
    // Natively the counter of a key is there once the present configuration has signed with it.
    envoy.get("/").token();
    moved.insert(check_statistic_of_a_missing_route());
    eventually("the histogram", || (sample(&envoy, "attestation_sign_duration_us_count") > 0.0).then_some(()));
    moved.insert("sign_duration_us");

    // Where the host cannot sign, this one is there and stays at nothing.
    let moved = moved.into_iter().chain([by_kid.as_str(), "signed.host"]);
    let moved = moved.chain(OUT_OF_REACH).chain(still_in_this_host().iter().copied());
    let moved = moved.map(str::to_owned).collect();
    assert_eq!(documented(), moved, "the README documents what moves here");
    assert_eq!(documented(), present(&envoy), "and what Envoy shows");
}

/// Starts with an empty key file. Leaves [`A`] and [`B`] in it.
fn check_key_file_statistics(envoy: &Envoy) -> [&'static str; 5] {
    eventually("a failed load", || (envoy.key_stat("key_load_failures") > 0).then_some(()));
    assert_eq!(envoy.stat("key_loads"), 0);
    let before = envoy.stat("refused.no_key");
    assert_eq!(envoy.get("/").status, 503);
    assert_eq!(envoy.stat("refused.no_key"), before + 1);

    envoy.replace_key_file(format!("{}{}", pem(A), pem(B)));
    eventually("a load", || (envoy.get("/").status == 200).then_some(()));
    assert!(envoy.stat("key_loads") > 0);
    assert_eq!(envoy.stat("keys_published"), 2);
    let age = jsonwebtoken::get_current_timestamp() - envoy.stat("last_key_load_seconds");
    assert!(age < 30, "the last load is said to be {age} seconds ago");
    ["key_load_failures", "refused.no_key", "key_loads", "keys_published", "last_key_load_seconds"]
}

/// A user endpoint of a host that no virtual host has.
fn check_statistic_of_a_missing_route() -> &'static str {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]);
    let envoy = Bootstrap::new(json!({"signing_key": A, "user_endpoints": true}))
        .http(json!({"route_config": {"virtual_hosts": [{"name": "app", "domains": [HOST], "routes": routes}]}}))
        .start();
    assert_eq!(envoy.send(&Request::get("/.pomerium/user").host("other.example.com")).status, 404);
    assert_eq!(envoy.stat("refused.no_route"), 1);
    "refused.no_route"
}

fn check_statistics_of_other_configurations(envoy: &Envoy) -> [&'static str; 5] {
    let source = json!([{"metadata": {"namespace": "test"}}]);
    let claims = json!({"signing_key": A, "identity_sources": source, "claims": {"number": {"from": "number"}}});
    envoy.reconfigure("numbers", claims);
    let before = envoy.stat("claims_left_out");
    envoy.get("/").token();
    assert_eq!(envoy.stat("claims_left_out"), before + 1);

    if Host::under_test() == Host::Wasm {
        envoy.reconfigure("in Wasm", json!({"signing_key": A, "signer": "wasm"}));
        let before = envoy.stat("signed.wasm");
        envoy.get("/").token();
        assert_eq!(envoy.stat("signed.wasm"), before + 1);
        assert_eq!(envoy.stat("keys_published"), 1);
    }

    envoy.reconfigure("again", json!({"signing_key": A, "reuse": "60s"}));
    let (before, signed_before) = (envoy.stat("reused"), envoy.stat(signed()));
    envoy.get("/").token();
    assert_eq!(envoy.stat("reused"), before + 1);
    assert_eq!(envoy.stat(signed()), signed_before, "what is used again is not signed");

    check_refusal(envoy, "refused.unbound", 400, &Request::get("/"), json!({"bind": ["request_id"]}));
    let key = json!({"kty": "EC", "crv": "P-256", "kid": KID_A, "x": X_A, "y": Y_A});
    let trusted = json!([{"issuer": "frontend.example.com", "jwks": {"keys": [key]}}]);
    let forged = Request::get("/").header(ASSERTION_HEADER, "forged");
    let actor = json!({"actor": {"trusted": trusted, "on_unverifiable": "deny"}});
    check_refusal(envoy, "refused.bad_actor", 401, &forged, actor);
    ["claims_left_out", "signed.wasm", "reused", "refused.unbound", "refused.bad_actor"]
}

/// A request that is refused once this configuration is in force, and counted from then on.
fn check_refusal(envoy: &Envoy, stat: &str, status: u16, request: &Request, mut configuration: Value) {
    configuration["signing_key"] = A.into();
    envoy.push_accepted(configuration);
    eventually(stat, || (envoy.send(request).status == status).then_some(()));
    let before = envoy.stat(stat);
    assert_eq!(envoy.send(request).status, status, "{stat}");
    assert_eq!(envoy.stat(stat), before + 1, "{stat}");
}

/// The filter's statistics as Envoy shows them, histograms too.
fn present(envoy: &Envoy) -> BTreeSet<String> {
    let text = envoy.admin().get("/stats").text();
    let names =
        text.lines().filter_map(|line| line.strip_prefix(Host::under_test().statistics_prefix())?.split(':').next());
    names.filter(|name| !name.contains(KID_B)).map(str::to_owned).collect()
}

#[test]
fn every_worker_and_every_configuration_counts_into_the_same_statistics() {
    let envoy = Bootstrap::new(json!({"signing_key": A})).workers(2).dynamic().start();
    for (total, label) in [(6, "first"), (12, "second")] {
        envoy.spread().iter_mut().for_each(|client| drop(client.send(&Request::get("/")).token()));
        assert_eq!(envoy.stat(signed()), total, "{label}");
        let by_kid = envoy.stat(&format!("signed_by_kid.{KID_A}"));
        // Natively it begins anew with a configuration, where Envoy takes no numbers from its main thread (before 1.39).
        let may_begin_anew = envoy.host() == Host::Native && Capability::CountsOnMainThread.is_lacking();
        assert!(by_kid == total || may_begin_anew && by_kid == 6, "{label}: {by_kid}");
        envoy.push_accepted(json!({"signing_key": A, "audience": label}));
    }
}

#[test]
fn prometheus_can_read_the_statistics() {
    let envoy = Bootstrap::new(json!({"signing_key": format!("{}{}", pem(A), pem(RSA))})).start();
    let duration = "attestation_sign_duration_us";
    eventually("the histogram", || {
        envoy.get("/").token();
        (sample(&envoy, &format!("{duration}_count")) > 5.0).then_some(())
    });
    let metrics = prometheus(&envoy);
    for name in documented().iter().filter(|name| *name != "sign_duration_us") {
        let name = format!("attestation_{}", name.replace('.', "_"));
        assert_eq!(metrics.samples.get(&name).map(Vec::len), Some(1), "{name}");
        let kind = if name.ends_with("published") || name.ends_with("seconds") { "gauge" } else { "counter" };
        assert_eq!(metrics.kinds.get(&name).map(String::as_str), Some(kind), "{name}");
    }
    assert_eq!(metrics.kinds[duration], "histogram");
    let buckets: Vec<f64> = metrics.samples[&format!("{duration}_bucket")].iter().map(|(_, value)| *value).collect();
    assert!(buckets.is_sorted(), "buckets are cumulative: {buckets:?}");
    assert_eq!(buckets.last(), Some(&metrics.samples[&format!("{duration}_count")][0].1));
    let microseconds = metrics.samples[&format!("{duration}_sum")][0].1 / buckets[buckets.len() - 1];
    assert!((1.0..100_000.0).contains(&microseconds), "a signature takes {microseconds} µs");
}

/// The filter's part of a Prometheus exposition.
struct Metrics {
    kinds: BTreeMap<String, String>,
    /// By name: labels and value.
    samples: BTreeMap<String, Vec<(String, f64)>>,
}

/// Reads `/stats/prometheus` as strictly as the text format allows.
fn prometheus(envoy: &Envoy) -> Metrics {
    let mut metrics = Metrics { kinds: BTreeMap::new(), samples: BTreeMap::new() };
    let text = envoy.prometheus();
    for line in text.lines().filter(|line| line.contains("attestation_") && !line.contains("vm_reload")) {
        if let Some(declaration) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declaration.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(metrics.kinds.insert(name.into(), kind.into()).is_none(), "declared twice: {line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (name, labels) = series.split_once('{').unwrap_or_else(|| panic!("{line}"));
        assert!(is_metric_name(name), "{line}");
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(metrics.kinds.contains_key(base) || metrics.kinds.contains_key(name), "used before declared: {line}");
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
        let value = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
        metrics.samples.entry(name.into()).or_default().push((labels.into(), value));
    }
    metrics
}

fn is_metric_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
}

/// The one sample of a metric; 0 if there is none.
fn sample(envoy: &Envoy, name: &str) -> f64 {
    prometheus(envoy).samples.get(name).map_or(0.0, |samples| samples[0].1)
}

#[test]
fn the_debug_log_says_which_identity_source_won() {
    let authority = Authority::new();
    let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": [
        {"headers": {"sub": "x-auth-user"}},
        {"metadata": {"namespace": "test.by-path", "path": ["payload"]}},
        {"client_certificate": {"sub": "subject"}},
    ]}))
    .transport_socket(authority.transport_socket())
    .log_level("debug")
    .start();
    let certificate = authority.certify("workload", &[]);
    let mut with = authority.connect(envoy.address(), Some(&certificate));
    let mut without = authority.connect(envoy.address(), None);
    let mut lines = |request: &Request, is_certified: bool| {
        let mark = envoy.log().len();
        let client = if is_certified { &mut with } else { &mut without };
        client.send(request).token();
        eventually("a line about the identity", || {
            let log = envoy.log_since(mark);
            let line = ours(&log).into_iter().find(|line| line.contains("identity"))?;
            let mark = Host::log_marks().into_iter().find(|mark| line.contains(mark)).expect("a line of ours");
            Some(line.split_once(mark).expect("what is behind it").1.to_owned())
        })
    };
    let headers = lines(&user("/"), true);
    let certificate = lines(&Request::get("/"), true);
    let nobody = lines(&Request::get("/"), false);
    assert!(headers.contains("headers") && !headers.contains("certificate"), "{headers}");
    assert!(certificate.contains("certificate") && !certificate.contains("headers"), "{certificate}");
    assert!(!nobody.contains("headers") && !nobody.contains("certificate"), "{nobody}");
}

#[test]
fn the_debug_log_tells_one_metadata_source_from_another() {
    if Capability::FlatMetadata.is_lacking() {
        return;
    }
    let source = |namespace: &str| json!({"metadata": {"namespace": namespace}});
    let who = json!({"who": {"sub": "u-1"}});
    for (winner, order) in
        [("test.one", ["test.none", "test.one", "test.two"]), ("test.two", ["test.two", "test.none", "test.one"])]
    {
        let envoy = Bootstrap::new(json!({"signing_key": A, "identity_sources": order.map(source)}))
            .filter(metadata("test.one", &who))
            .filter(metadata("test.two", &who))
            .log_level("debug")
            .start();
        envoy.get("/").token();
        let log = envoy.log();
        let lines: Vec<&str> = ours(&log).into_iter().filter(|line| line.contains("identity")).collect();
        assert!(lines.iter().any(|line| line.contains(winner)), "a line names {winner}: {lines:#?}");
    }
}

#[test]
fn no_line_of_ours_has_a_token() {
    let provider = IdentityProvider::new();
    let bearer = provider.bearer(json!({"sub": "u-1", "email": "ada@example.com"}));
    let configuration = |limit: usize| {
        json!({
            "signing_key": A,
            "user_endpoints": true,
            "reuse": "60s",
            "jwt_claims_headers": ["email"],
            "max_assertion_bytes": limit,
        })
    };
    let envoy = Bootstrap::new(configuration(8000))
        .filter(jwt_authn(&provider))
        .route(route("/deny", &json!({"on_missing_identity": "deny"})))
        .wrong_route(route("/wrong", &json!({"on_missing_identity": "perhaps"})), "perhaps")
        .dynamic()
        .workers(2)
        .log_level("trace")
        .start();
    let forged = envoy.get("/").token();
    let mut tokens = vec![bearer.clone(), forged.clone()];
    for update in [None, Some(configuration(20))] {
        if let Some(too_short) = update {
            envoy.push_accepted(too_short);
        }
        for path in ["/", "/deny", "/wrong", "/.pomerium/jwt", "/.pomerium/user", JWKS_PATH] {
            let request =
                Request::new("POST", path).header(ASSERTION_HEADER, &forged).trailer(ASSERTION_HEADER, &forged);
            for request in [request.clone(), request.header("authorization", &bearer), user(path)] {
                tokens.extend(envoy.send(&request).try_seen().and_then(|seen| seen.one(ASSERTION_HEADER)));
            }
        }
    }
    let log = envoy.log();
    let ours = ours(&log);
    assert!(ours.len() > 20, "the filter logs something at trace level");
    assert!(tokens.len() > 5 && log.contains("eyJ"), "there were tokens, and Envoy itself logs headers at this level");
    for line in ours {
        assert!(!line.contains("eyJ"), "{line}");
        let pieces = tokens.iter().flat_map(|token| token.split(['.', ' '])).filter(|piece| piece.len() > 20);
        for piece in pieces {
            assert!(!line.contains(piece), "{line}");
        }
    }
}
