//! One change to a shipped configuration leads to one finding.

use super::*;

/// One change to a shipped configuration, and the one finding that it leads to.
type Change = (&'static str, &'static str, &'static str, &'static str);

/// Each begins with what is right.
const CHANGES: &[Change] = &[
    (
        "filter-missing",
        WASM,
        "          - name: attestation\n            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "          - name: other\n            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
    ),
    (
        "filter-disabled",
        WASM,
        "          - name: attestation\n",
        "          - name: attestation\n            disabled: true\n",
    ),
    (
        "filter-disabled-on-route",
        WASM,
        "- match: {prefix: /}\n                route: {cluster: upstream}\n",
        "- match: {prefix: /}\n                route: {cluster: upstream}\n                typed_per_filter_config: {attestation: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}\n",
    ),
    (
        "filter-disabled-on-route",
        NATIVE,
        "- name: upstream\n              #",
        "- name: upstream\n              typed_per_filter_config: {attestation: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}\n              #",
    ),
    ("no-payload-in-metadata", WASM, "payload_in_metadata: identity", "forward: true"),
    ("no-payload-in-metadata", NATIVE, "payload_in_metadata: identity", "forward: true"),
    (
        "metadata-not-written",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    identity_sources: [{metadata: {namespace: envoy.filters.http.jwt_auth}}]",
    ),
    (
        "path-not-written",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    identity_sources: [{metadata: {namespace: envoy.filters.http.jwt_authn, path: [payload]}}]",
    ),
    ("path-not-written", NATIVE, "payload_in_metadata: identity", "payload_in_metadata: payload"),
    (
        "metadata-ambiguous",
        WASM,
        "payload_in_metadata: identity",
        "payload_in_metadata: identity\n                  header_in_metadata: header",
    ),
    (
        "filter-state-not-written",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    identity_sources: [{filter_state: attestation.identity}]",
    ),
    ("filter-state-not-written", NATIVE, "object_key: attestation.identity", "object_key: identity"),
    (
        "header-not-written",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    identity_sources: [{headers: {sub: x-auth-user}}]",
    ),
    (
        "identity-format",
        NATIVE,
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%",
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn)%",
    ),
    (
        "identity-format",
        NATIVE,
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%",
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity:sub)%",
    ),
    (
        "identity-format",
        NATIVE,
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%",
        "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity):50%",
    ),
    ("header-not-written", NATIVE, "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%", "%REQ(x-user)%"),
    (
        "certificate-not-asked",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    identity_sources: [{client_certificate: {sub: uri_san}}]",
    ),
    (
        "keyset-behind-login",
        WASM,
        "requires_any:\n                    requirements:\n                    - provider_name: idp\n                    - allow_missing: {}",
        "provider_name: idp",
    ),
    ("exempt-by-prefix", LOGIN, "- match: {path: /.well-known/pomerium}", "- match: {prefix: /.well-known/pomerium}"),
    ("no-early-removal", WASM, "early_header_mutation_extensions:", "original_ip_detection_extensions:"),
    ("no-early-removal", NATIVE, "early_header_mutation_extensions:", "original_ip_detection_extensions:"),
    (
        "early-removal-misses",
        WASM,
        "x[^a-z0-9]pomerium[^a-z0-9]jwt[^a-z0-9]assertion\"}",
        "x[-_.]pomerium[-_.]jwt[-_.]assertion\"}",
    ),
    (
        "own-header-matched",
        WASM,
        "- match: {prefix: /}\n                route: {cluster: upstream}\n",
        "- match: {prefix: /, headers: [{name: X_Pomerium_Jwt_Assertion, present_match: true}]}\n                route: {cluster: upstream}\n",
    ),
    (
        "own-header-matched",
        NATIVE,
        "- match: {prefix: /}\n                route: {cluster: upstream}\n",
        "- match: {prefix: /, headers: [{name: x-pomerium-claim-email, present_match: true}]}\n                route: {cluster: upstream}\n",
    ),
    (
        "required-constant",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    required_claims: [email]\n                    claims: {email: {value: x}}",
    ),
    ("paths-not-settled", WASM, "normalize_path: true", "normalize_path: false"),
    ("paths-not-settled", WASM, "merge_slashes: true", "merge_slashes: false"),
    ("paths-not-settled", WASM, "REJECT_REQUEST", "KEEP_UNCHANGED"),
    ("configuration-refused", WASM, "on_missing_identity: deny", "on_missing_identity: refuse"),
    ("route-settings-refused", WASM, "attestation: {on_missing_identity: skip}", "attestation: {on_missing: skip}"),
    (
        "settings-not-read",
        NATIVE,
        "route: {cluster: upstream}",
        "metadata: {filter_metadata: {attestation: {on_missing_identity: skip}}}\n                route: {cluster: upstream}",
    ),
    (
        "settings-not-read",
        WASM,
        "- name: upstream\n              ",
        "- name: upstream\n              metadata: {filter_metadata: {attestation: {audience: a}}}\n              ",
    ),
    ("route-settings-refused", NATIVE, "value: {on_missing_identity: skip}", "value: {on_missing: skip}"),
    (
        "settings-not-read",
        NATIVE,
        "typed_per_filter_config:\n                  attestation:",
        "typed_per_filter_config:\n                  attest:",
    ),
    (
        "constant-user",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    claims: {sub: {value: ann}}",
    ),
    ("constant-user", NATIVE, "value: {on_missing_identity: skip}", "value: {claims: {user: {value: ann}}}"),
    ("constant-user", WASM, "attestation: {on_missing_identity: skip}", "attestation: {claims: {sub: {value: ann}}}"),
    (
        "yaml-trap",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    claims: {beta: {value: no}}",
    ),
    (
        "yaml-trap",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    claims: {code: {value: 0123}}",
    ),
    (
        "yaml-trap",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    claims: {version: {value: 1.10}}",
    ),
    (
        "duplicate-key",
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    on_missing_identity: deny",
    ),
    ("key-cluster-missing", WASM, "signing_key_cluster: signing_key", "signing_key_cluster: keys"),
    ("key-listener-missing", WASM, "server_listener_name: signing_key", "server_listener_name: keys"),
    (
        "internal-listeners-off",
        WASM,
        "- name: envoy.bootstrap.internal_listener\n  typed_config:\n    \"@type\": type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
        "- name: envoy.bootstrap.wasm",
    ),
    (
        "key-path-differs",
        WASM,
        "match: {path: /run/secrets/attestation/signing-key.pem}",
        "match: {path: /signing-key.pem}",
    ),
    ("key-domains", WASM, "domains: [signing-key]\n", "domains: [\"*\"]\n"),
    ("key-not-watched", WASM, "watched_directory: {path: /run/secrets/attestation}", "# not watched"),
    (
        "key-not-watched",
        WASM,
        "watched_directory: {path: /run/secrets/attestation}",
        "watched_directory: {path: /run/secrets}",
    ),
    ("no-key", WASM, "signing_key_file: /run/secrets/attestation/signing-key.pem", "token_lifetime: 300s"),
    ("fail-open", WASM, "failure_policy: FAIL_RELOAD", "failure_policy: FAIL_OPEN"),
    ("no-fail-reload", WASM, "failure_policy: FAIL_RELOAD", "root_id: attestation"),
    ("no-vm-id", WASM, "vm_id: attestation", "nack_on_code_cache_miss: false"),
    ("no-plugin-name", WASM, "config:\n                name: attestation\n", "config:\n"),
    ("runtime-unavailable", WASM, "envoy.wasm.runtime.v8", "envoy.wasm.runtime.wamr"),
    ("access-log-name", NATIVE, "FILTER_STATE(wasm.attestation.kid:PLAIN)", "FILTER_STATE(attestation.kid:PLAIN)"),
];

#[test]
fn each_change_leads_to_one_finding() {
    let mut wrong = Vec::new();
    for (id, file, change, by) in CHANGES {
        let found = names(&apply(file, change, by));
        if found != [*id] {
            wrong.push(format!("{id}: {change:?} -> {by:?} in {file} finds {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
