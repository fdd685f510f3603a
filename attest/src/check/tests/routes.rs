//! What a route is chosen by, and what it does to the filter.

use super::*;

const ROUTE: &str = "- match: {prefix: /}\n                route: {cluster: upstream}\n";
const NAME: &str = "            - name: upstream\n";

/// A shipped configuration with a claim header of its own, and its last route chosen by this.
fn matched(file: &str, by: &str) -> Vec<&'static str> {
    let text = apply(file, ROUTE, &ROUTE.replace("prefix: /", &format!("prefix: /, {by}")));
    let text = text.replacen("jwt_claims_headers: {X-Email: email}", "token_lifetime: 300s", 1);
    let deny = "on_missing_identity: deny";
    let indentation = if file == NATIVE { 18 } else { 20 };
    let claims = format!("{deny}\n{}jwt_claims_headers: {{X-Email: email}}", " ".repeat(indentation));
    let mut names = names(&text.replacen(deny, &claims, 1));
    names.retain(|name| *name != "early-removal-misses");
    names
}

#[test]
fn a_route_on_an_own_header_is_found() {
    let by = |name: &str| format!("headers: [{{name: {name}, present_match: true}}]");
    for file in [WASM, NATIVE] {
        for name in [
            "x-pomerium-jwt-assertion",
            "X-Pomerium-JWT-Assertion-For",
            "x-pomerium-claim-groups",
            "x_pomerium.claim_anything",
            "X-EMAIL",
            "x.email",
        ] {
            assert_eq!(matched(file, &by(name)), ["own-header-matched"], "{file}: {name}");
        }
        for right in [
            &by("x-tenant")[..],
            &by("x-pomerium-claim"),
            &by("x-pomerium-jwt-assertions"),
            &by("\":method\""),
            "query_parameters: [{name: x-email, present_match: true}]",
        ] {
            assert_eq!(matched(file, right), Vec::<&str>::new(), "{file}: {right}");
        }
    }
    let second = "headers: [{name: x-tenant, present_match: true}, {name: x-email, invert_match: true}]";
    assert_eq!(matched(WASM, second), ["own-header-matched"]);
}

#[test]
fn an_own_header_is_worse_where_routes_change() {
    let headers = "prefix: /, headers: [{name: x-pomerium-jwt-assertion, present_match: true}]";
    let own = ROUTE.replace("prefix: /", headers);
    for (file, severity) in [(WASM, finding::Severity::Error), (NATIVE, finding::Severity::Warning)] {
        assert!(found(&apply(file, ROUTE, &own)).contains(&("own-header-matched", severity)), "{file}");
    }
}

/// What chooses a virtual host, a scope, or a route by a tree.
#[test]
fn whatever_chooses_by_an_own_header_is_found() {
    let tree = |name: &str, header: &str| {
        let input = format!(
            "{{name: by-header, typed_config: {{\"@type\": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: {name}}}}}"
        );
        let route = format!(
            "{{\"@type\": type.googleapis.com/envoy.config.route.v3.Route, match: {{prefix: /, headers: [{{name: {header}}}]}}, route: {{cluster: upstream}}}}"
        );
        let action = format!("{{action: {{name: route, typed_config: {route}}}}}");
        let matcher =
            format!("matcher: {{matcher_tree: {{input: {input}, exact_match_map: {{map: {{a: {action}}}}}}}}}");
        names(&apply(WASM, NAME, &format!("{NAME}              {matcher}\n")))
    };
    assert_eq!(tree("x-tenant", "x-other"), Vec::<&str>::new());
    assert_eq!(tree("x-pomerium-claim-tenant", "x-other"), ["own-header-matched"]);
    assert_eq!(tree("x-tenant", "x-pomerium-jwt-assertion"), ["own-header-matched"]);
    let by_host = |name: &str| {
        let start = "            name: ingress\n";
        names(&apply(WASM, start, &format!("{start}            vhost_header: {name}\n")))
    };
    assert_eq!((by_host("x-host"), by_host("x-pomerium-claim-host")), (vec![], vec!["own-header-matched"]));
}

/// The shipped configuration with this for the filter on its last route, in the virtual host, in the route configuration.
fn with_filter_config(config: &str) -> [Vec<&'static str>; 3] {
    let line = format!(
        "typed_per_filter_config: {{attestation: {{\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, {config}}}}}\n"
    );
    let configuration = "            name: ingress\n";
    [
        apply(WASM, ROUTE, &format!("{ROUTE}                {line}")),
        apply(WASM, NAME, &format!("{NAME}              {line}")),
        apply(WASM, configuration, &format!("{configuration}            {line}")),
    ]
    .map(|text| names(&text))
}

#[test]
fn a_filter_that_a_place_disables_is_found() {
    for found in with_filter_config("disabled: true") {
        assert_eq!(found, ["filter-disabled-on-route"]);
    }
    for found in with_filter_config("disabled: false") {
        assert_eq!(found, Vec::<&str>::new());
    }
    let answers = "- match: {path: /ping}\n                direct_response: {status: 200}\n                typed_per_filter_config: {attestation: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}\n              ";
    assert_eq!(names(&apply(WASM, ROUTE, &format!("{answers}{ROUTE}"))), Vec::<&str>::new(), "nothing goes on");
    let other = "typed_per_filter_config: {envoy.filters.http.jwt_authn: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}";
    assert_eq!(
        names(&apply(WASM, ROUTE, &format!("{ROUTE}                {other}\n"))),
        Vec::<&str>::new(),
        "another filter"
    );
}

#[test]
fn a_required_constant_is_found() {
    let with = |required: &str, claims: &str| {
        let deny = "on_missing_identity: deny";
        let indentation = " ".repeat(20);
        let settings = format!("{deny}\n{indentation}required_claims: [{required}]\n{indentation}claims: {claims}");
        let mut names = names(&apply(WASM, deny, &settings));
        names.retain(|name| *name != "constant-user");
        names
    };
    for (required, claims) in [
        ("email", "{email: {value: x}}"),
        ("sub, groups", "{groups: {value: [a]}}"),
        ("sub", "{sub: {value: x}, user: {value: z}}"),
        ("user", "{sub: {value: x}, user: {value: z}}"),
    ] {
        assert_eq!(with(required, claims), ["required-constant"], "{required}: {claims}");
    }
    for (required, claims) in [
        ("sub", "{sub: {value: x}}"),
        ("user", "{user: {value: x}}"),
        ("email", "{mail: {value: x}}"),
        ("email", "{email: {first_of: [mail, email]}}"),
        ("sub", "{email: {value: x}}"),
        ("", "{sub: {value: x}, user: {value: z}}"),
    ] {
        assert_eq!(with(required, claims), Vec::<&str>::new(), "{required}: {claims}");
    }
}

#[test]
fn a_required_constant_of_a_route_is_found() {
    let with = |claims: &str| {
        let mut names =
            names(&apply(WASM, "attestation: {on_missing_identity: skip}", &format!("attestation: {claims}")));
        names.retain(|name| *name != "constant-user");
        names
    };
    let both = "{sub: {value: a}, user: {value: b}}";
    assert_eq!(with(&format!("{{claims: {both}}}")), ["required-constant"]);
    assert_eq!(with("{claims: {sub: {value: a}}}"), Vec::<&str>::new());
}
