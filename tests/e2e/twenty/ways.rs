//! The twenty ways, and who is to tell the cause of each.

/// How a way is gone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    /// A text that is there once, and what stands in its place.
    Text(&'static str, &'static str),
    /// Two filters change places.
    Swap(&'static str, &'static str),
    /// A filter is left out.
    Without(&'static str),
    /// The key file has the content of this one.
    KeyFile(&'static str),
}
use Change::{KeyFile, Swap, Text, Without};

/// Who names the cause.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    /// A finding of `attest check`.
    Check(&'static str),
    /// What `attest doctor` calls unhealthy.
    Doctor(&'static str),
    /// Words in Envoy's log.
    Log(&'static str),
}
use Told::{Check, Doctor, Log};

/// Something that is wrong, whether Envoy starts with it, and who is to tell.
pub(super) type Way = (&'static str, &'static [Change], bool, &'static [Told]);

const DENY: &str = "on_missing_identity: deny  # a request of nobody is answered 401";
const DOMAINS: &str = "              domains: [\"*\"]\n";
const ROUTE: &str = "              - match: {prefix: /}\n                route: {cluster: app}\n";
const KEYSET: &str =
    "              - match: {path: /.well-known/pomerium/jwks.json}   # for those who verify: no login\n";
const DISCOVERY: &str = "              - match: {path: /.well-known/pomerium}\n";
const CATCH_ALL: &str = "              - match: {prefix: /}\n                requires: {provider_name: idp}\n";
const PAYLOAD: &str = "                  payload_in_metadata: identity   # without it, jwt_authn verifies and tells nobody: all are anonymous\n";
const VM_ID: &str = "vm_id: attestation           # the workers share keys under it: of no other module";
const AUDIENCE: &str = "                    audience: app.example.com                                     # yours: what the app compares aud with\n";

pub(super) const WAYS: [Way; 20] = [
    (
        "the filter after the router",
        &[Swap("attestation", "envoy.filters.http.router")],
        false,
        &[Check("filter-after-router")],
    ),
    (
        "the filter before the login",
        &[Swap("attestation", "envoy.filters.http.jwt_authn")],
        true,
        &[Check("authentication-after-filter"), Doctor("identities"), Log("had nothing in the first 100 requests")],
    ),
    (
        "no payload_in_metadata",
        &[Text(PAYLOAD, "")],
        true,
        &[Check("no-payload-in-metadata"), Doctor("identities"), Log("had nothing in the first 100 requests")],
    ),
    (
        "the wrong namespace",
        &[Text(DENY, "identity_sources: [{metadata: {namespace: jwt_authn}}]")],
        true,
        &[Check("metadata-not-written"), Doctor("identities"), Log("metadata:jwt_authn")],
    ),
    (
        "the rule for everything comes first",
        &[Text(CATCH_ALL, ""), Text(KEYSET, CATCH_ALL)],
        true,
        &[Check("keyset-behind-login"), Doctor("keyset")],
    ),
    (
        "the keyset exempt by a prefix",
        &[Text(KEYSET, ""), Text(DISCOVERY, "              - match: {prefix: /.well-known/pomerium}\n")],
        true,
        &[Check("exempt-by-prefix")],
    ),
    (
        "no rule that requires a token",
        &[Text("                requires: {provider_name: idp}\n", "")],
        true,
        &[Doctor("identities"), Log("had nothing in the first 100 requests")],
    ),
    ("FAIL_OPEN", &[Text("failure_policy: FAIL_RELOAD", "failure_policy: FAIL_OPEN")], true, &[Check("fail-open")]),
    ("no vm_id", &[Text(VM_ID, "")], true, &[Check("no-vm-id"), Log("vm_id is empty")]),
    ("the demo's key", &[KeyFile("envoy/secrets/signing-key.pem")], true, &[Check("demo-key")]),
    (
        "a key file that is not watched",
        &[Text(
            "                    watched_directory: {path: /etc/attestation}   # without it, a new key waits for a restart\n",
            "",
        )],
        true,
        &[Check("key-not-watched")],
    ),
    (
        "another domain on the key's listener",
        &[Text("domains: [signing-key] ", "domains: [key] ")],
        true,
        &[Check("key-domains"), Log("its internal listener answers with status 404"), Doctor("keys")],
    ),
    (
        "a key file longer than the listener answers",
        &[Text("max_direct_response_body_size_bytes: 65536 ", "max_direct_response_body_size_bytes: 100 ")],
        false,
        &[Check("key-body-limit"), Log("maximum is 100")],
    ),
    ("every host, and no audience", &[Text(AUDIENCE, "")], true, &[Check("wildcard-audience")]),
    (
        "settings on the virtual host",
        &[Text(
            DOMAINS,
            "              domains: [\"*\"]\n              metadata: {filter_metadata: {attestation: {audience: other}}}\n",
        )],
        true,
        &[Check("settings-not-read")],
    ),
    (
        "a slip in the settings of a route",
        &[Text(
            ROUTE,
            "              - match: {prefix: /}\n                route: {cluster: app}\n                metadata: {filter_metadata: {attestation: {audiences: [other]}}}\n",
        )],
        true,
        &[Check("route-settings-refused"), Log("audiences"), Doctor("refused")],
    ),
    (
        "claim_to_headers with clear_route_cache, and nothing that resolves the route",
        &[
            Text(
                PAYLOAD,
                "                  payload_in_metadata: identity\n                  claim_to_headers: [{header_name: x-team, claim_name: team}]\n                  clear_route_cache: true\n",
            ),
            Without("resolve-route"),
        ],
        true,
        &[Check("route-not-resolved")],
    ),
    (
        "a header that nobody overwrites as the source",
        &[Text(DENY, "identity_sources: [{headers: {sub: x-user}}]")],
        true,
        &[Check("header-not-written")],
    ),
    (
        "another name for the cluster of the key",
        &[Text(DENY, "signing_key_cluster: keys")],
        true,
        &[Check("key-cluster-missing"), Log("the cluster \"keys\" does not answer"), Doctor("keys")],
    ),
    (
        "a country that YAML reads as false",
        &[Text(DENY, "claims: {country: {value: no}}")],
        true,
        &[Check("yaml-trap")],
    ),
];
