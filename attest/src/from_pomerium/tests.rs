//! Whole configurations in, Envoy's out.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::left::Lefts;
use super::{Args, Host, translate_text};

fn args(host: Host) -> Args {
    Args {
        file: PathBuf::from("config.yaml"),
        host,
        envoy_version: None,
        openid_configuration: None,
        client_id: None,
        bearer: false,
        allow_signed_in: false,
    }
}

fn translated(text: &str) -> (Json, Lefts) {
    translate_text(&args(Host::Native), text).unwrap()
}

/// A configuration with one route that has these members.
fn with_route(members: &str) -> String {
    format!("idp_provider: google\nroutes:\n- {{from: 'https://app.example.com', to: 'http://app', {members}}}\n")
}

/// What the last route says to `rbac`.
fn rbac(text: &str) -> Json {
    let (envoy, _) = translated(text);
    let filters = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
    let routes = filters[0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"].as_array().unwrap();
    routes.last().unwrap()["typed_per_filter_config"]["envoy.filters.http.rbac"].clone()
}

fn principal(members: &str) -> Json {
    rbac(&with_route(members))["rbac"]["rules"]["policies"]["pomerium"]["principals"][0].clone()
}

fn claim(name: &str, value: Json) -> Json {
    json!({"sourced_metadata": {"metadata_matcher": {
        "filter": "envoy.filters.http.jwt_authn", "path": [{"key": "identity"}, {"key": name}], "value": value,
    }}})
}

fn email(by: Json) -> Json {
    claim("email", json!({ "string_match": by }))
}

#[test]
fn a_criterion_becomes_a_principal() {
    let ann = email(json!({"exact": "ann@example.com"}));
    let staff = email(json!({"suffix": "@example.com"}));
    let user = claim("sub", json!({"string_match": {"exact": "ann@example.com"}}));
    for (members, expected) in [
        ("policy: [{allow: {or: [{email: {is: ann@example.com}}]}}]", ann.clone()),
        (
            "policy: {allow: {and: [{email: ann@example.com}, {domain: {is: example.com}}]}}",
            json!({"and_ids": {"ids": [ann.clone(), staff.clone()]}}),
        ),
        ("allowed_domains: [example.com]", staff.clone()),
        ("allowed_users: [ann@example.com]", json!({"or_ids": {"ids": [user, ann.clone()]}})),
        ("policy: {allow: {nor: [{email: ann@example.com}]}}", json!({"not_id": ann.clone()})),
        (
            "policy: {allow: {or: [{domain: {is: example.com}}]}, deny: {or: [{email: ann@example.com}]}}",
            json!({"and_ids": {"ids": [staff, {"not_id": ann}]}}),
        ),
        ("allow_any_authenticated_user: true", claim("sub", json!({"present_match": true}))),
    ] {
        assert_eq!(principal(members), expected, "{members}");
    }
}

#[test]
fn what_is_not_understood_lets_nobody_pass() {
    for policy in [
        "[{allow: {or: [{device: {is: x}}]}}]",
        "[{allow: {or: [{email: {matches: x}}]}}]",
        "[{allow: {xor: [{email: x}]}}]",
        "[{permit: {or: [{email: x}]}}]",
        "[{allow: {or: [{email: x}]}, deny: {or: [{date: {before: x}}]}}]",
        "[{allow: {or: [{email: x}]}, deny: {or: []}}]",
        "[{allow: {or: [{email: x, domain: y}]}}]",
        "[{allow: {or: [{accept: false}]}}]",
        "anything",
        "[]",
    ] {
        let text = with_route(&format!("policy: {policy}"));
        assert_eq!(rbac(&text), Json::Null, "{policy}: the filter's own rule stands, which lets nobody pass");
    }
    assert_eq!(rbac(&with_route("allowed_users: []")), Json::Null);
    assert_eq!(rbac(&with_route("sub_policies: [{}], allow_any_authenticated_user: true")), Json::Null);
}

#[test]
fn only_what_is_said_to_be_public_is() {
    let public = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute"});
    for members in ["allow_public_unauthenticated_access: true", "policy: {allow: {or: [{accept: true}]}}"] {
        assert_eq!(rbac(&with_route(members)), public, "{members}");
    }
    let denied = "policy: {allow: {or: [{accept: true}]}, deny: {or: [{email: x}]}}";
    assert_ne!(rbac(&with_route(denied)), public);
}

#[test]
fn signed_in_users_pass_where_the_flag_says_so() {
    let text = with_route("policy: [{allow: {or: [{device: {is: x}}]}}]");
    let (_, closed) = translated(&text);
    let args = Args { allow_signed_in: true, ..args(Host::Native) };
    let (_, open) = translate_text(&args, &text).unwrap();
    assert!(closed.any_closed() && !open.any_closed());
    assert!(open.comment().contains("whoever is signed in passes"), "{}", open.comment());
}

#[test]
fn the_id_token_is_forwarded_from_1_39_on() {
    for (envoy_version, forwards) in
        [(None, false), (Some((1, 38)), false), (Some((1, 39)), true), (Some((2, 0)), true)]
    {
        let args = Args { envoy_version, ..args(Host::Native) };
        let (envoy, _) = translate_text(&args, &with_route("allow_any_authenticated_user: true")).unwrap();
        let manager = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
        let [oauth2, jwt_authn] = [0, 1].map(|index| &manager["http_filters"][index]["typed_config"]);
        let provider = &jwt_authn["providers"]["provider"];
        let removed = manager["early_header_mutation_extensions"].to_string().contains("x[^a-z0-9]id[^a-z0-9]token");
        let found =
            (&oauth2["config"]["forward_id_token"], &provider["from_headers"], &provider["from_cookies"], removed);
        let header = json!({"header": "x-id-token"});
        let expected = match forwards {
            true => (&header, &json!([{"name": "x-id-token"}]), &Json::Null, true),
            false => (&Json::Null, &Json::Null, &json!(["IdToken"]), false),
        };
        assert_eq!(found, expected, "{envoy_version:?}");
    }
}

#[test]
fn no_secret_comes_out_again() {
    let names = "signing_key idp_client_secret cookie_secret shared_secret certificate_key idp_service_account \
                 databroker_storage_connection_string unknown_setting";
    let mut text: String = names.split(' ').map(|name| format!("{name}: S3CRET\n")).collect();
    text.push_str("certificate: aGk=\nroutes:\n- from: https://a.example.com\n  to: https://S3CRET:S3CRET@a\n");
    text.push_str("  kubernetes_service_account_token: S3CRET\n  idp_client_secret: S3CRET\n  tls_client_cert: aGk=\n");
    text.push_str("  tls_client_key: S3CRET\n  set_request_headers: {Authorization: S3CRET}\n");
    for host in [Host::Wasm, Host::Native] {
        let (envoy, lefts) = translate_text(&args(host), &text).unwrap();
        for written in [super::yaml::text(&envoy), lefts.text(), lefts.comment(), lefts.json().to_string()] {
            assert!(!written.contains("S3CRET"), "{written}");
        }
    }
}

#[test]
fn a_configuration_without_routes_is_refused() {
    for text in ["idp_provider: google", "routes: []", "policies: [{from: x}]", "[]"] {
        assert!(translate_text(&args(Host::Wasm), text).is_err(), "{text}");
    }
    let error = translate_text(&args(Host::Wasm), "signing_key: [S3CRET").unwrap_err().to_string();
    assert!(error.contains("config.yaml:") && !error.contains("S3CRET"), "{error}");
}

#[test]
fn hosts_that_differ_in_the_port_are_not_mixed() {
    let text = "routes:\n- {from: 'https://a.example', to: 'http://open', allow_public_unauthenticated_access: true}\n\
                - {from: 'https://a.example:8443', to: 'http://closed', allowed_users: [ann]}\n";
    let (envoy, lefts) = translated(text);
    assert!(lefts.any_closed() && !envoy.to_string().contains("closed"), "{}", lefts.text());
}

#[test]
fn an_address_that_is_none_is_said() {
    let text = "address: app.example.com:443\nhttp_redirect_addr: x\nroutes: [{from: 'https://a', to: 'http://a'}]";
    let (_, lefts) = translated(text);
    for name in ["address is no IP address", "http_redirect_addr is no IP address"] {
        assert!(lefts.text().contains(name), "{}", lefts.text());
    }
}

#[test]
fn certificates_of_clients_are_asked_for() {
    for setting in ["downstream_mtls: {ca_file: /ca.pem}", "client_ca_file: /ca.pem", "client_ca: aGk="] {
        let (envoy, _) = translated(&format!("{setting}\nroutes: [{{from: 'https://a', to: 'http://a'}}]"));
        let chain = &envoy["static_resources"]["listeners"][0]["filter_chains"][0];
        let context = &chain["transport_socket"]["typed_config"];
        assert_eq!(context["require_client_certificate"], true, "{setting}");
        assert!(context["common_tls_context"]["validation_context"]["trusted_ca"].is_object(), "{setting}");
    }
}

#[test]
fn settings_of_identity_become_the_filters() {
    let text = "jwt_issuer_format: IssuerURI\njwt_claims_headers: email\njwt_groups_filter: [a]\n\
                runtime_flags: {pomerium_jwt_endpoint: true}\nroutes: [{from: 'https://a', to: 'http://a'}]";
    let (envoy, _) = translated(text);
    let filters =
        envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
            .as_array()
            .unwrap();
    let filter = filters.iter().find(|filter| filter["name"] == "attestation").unwrap();
    assert_eq!(
        filter["typed_config"]["filter_config"]["value"],
        json!({
            "signing_key_file": "/run/secrets/attestation/signing-key.pem", "on_missing_identity": "deny",
            "pass_identity_headers": false, "jwt_issuer_format": "uri", "jwt_groups_filter": ["a"],
            "jwt_claims_headers": "email", "claim_values": "text", "user_endpoints": true,
        })
    );
}
