//! Routes by scope, and keys by secret: what is written in another place is looked at as if it stood here.

use super::*;

const ROUTE_CONFIG: &str = "          route_config:\n";

/// The shipped configuration with its routes in one of two scopes.
fn scoped(wrong: &str) -> String {
    let text = read(WASM);
    let start = text.find(ROUTE_CONFIG).unwrap();
    let rest = &text[start + ROUTE_CONFIG.len()..];
    let length = rest.find("\n  - name: signing_key").unwrap();
    let routes: String = rest[..length].lines().map(|line| format!("      {line}\n")).collect();
    let scopes = format!(
        "          scoped_routes:
            name: scopes
            scope_key_builder:
              fragments:
              - header_value_extractor: {{name: x-tenant, index: 0}}
            scoped_route_configurations_list:
              scoped_route_configurations:
              - name: one
                key: {{fragments: [{{string_key: one}}]}}
                route_configuration:
                  name: one
                  virtual_hosts:
                  - {{name: empty, domains: [empty.example], routes: []}}
              - name: two
                key: {{fragments: [{{string_key: two}}]}}
                route_configuration:
{wrong}{routes}"
    );
    format!("{}{scopes}{}", &text[..start], &rest[length..])
}

#[test]
fn routes_of_every_scope_are_looked_at() {
    assert_eq!(names(&scoped("")), Vec::<&str>::new());
    let slip = "on_missing_identity: skip";
    let wrong = scoped("").replace(&format!("attestation: {{{slip}}}"), "attestation: {on_missing: skip}");
    assert_eq!(names(&wrong), ["route-settings-refused"]);
    let metadata = "                  metadata: {filter_metadata: {attestation: {audience: other}}}\n";
    assert_eq!(names(&scoped(metadata)), ["settings-not-read"]);
}

#[test]
fn what_jwt_authn_says_of_the_route_is_its_providers() {
    let payload = "payload_in_metadata: identity";
    let clears = apply(WASM, payload, &format!("{payload}\n                  clear_route_cache: true"));
    assert_eq!(names(&clears), Vec::<&str>::new());
    let unresolved = clears.replace(
        "http.lua.v3.Lua\n              default_source",
        "http.buffer.v3.Buffer\n              default_source",
    );
    assert_eq!(names(&unresolved), ["route-not-resolved"]);
}

/// The native configuration with its key in a secret of SDS.
fn secret(secrets: &str) -> String {
    let file = "signing_key_file: /run/secrets/attestation/signing-key.pem";
    let text = apply(NATIVE, file, "signing_key_secret: signing-key");
    text.replacen("static_resources:\n", &format!("static_resources:\n  secrets:\n{secrets}"), 1)
}

fn generic(of: &str) -> String {
    secret(&format!("  - name: signing-key\n    generic_secret: {{secret: {{{of}}}}}\n"))
}

#[test]
fn the_key_of_a_secret_is_looked_at() {
    assert_eq!(names(&generic("filename: /nowhere/key.pem")), Vec::<&str>::new());
    assert_eq!(names(&generic("inline_string: \"no key\"")), ["inline-key", "key-file-refused"]);
    let other = "  - name: other\n    generic_secret: {secret: {filename: /nowhere/key.pem}}\n";
    assert_eq!(names(&secret(other)), ["configuration-refused"]);
    assert_eq!(names(&secret("  - name: signing-key\n    tls_certificate: {}\n")), ["configuration-refused"]);
    let demo = repository("envoy/secrets/signing-key.pem");
    let notes = found(&generic(&format!("filename: {:?}", demo.to_str().unwrap())));
    assert!(notes.iter().any(|(name, _)| *name == "demo-key"), "{notes:?}");
}
