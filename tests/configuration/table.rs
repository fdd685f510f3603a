//! Configurations, valid and not. Each is judged by the filter and by the schema.

mod structures;

use attestation_filter::http::endpoint::OTHER_PATHS;
use serde_json::{Value as Json, json};
use structures::{
    bad_actors, bad_claim_headers, bad_claims, bad_issuer_formats, bad_sources, good_actors, good_claim_headers,
    good_claims, good_issuer_formats, good_sources,
};

/// A point on P-256.
pub(crate) const X: &str = "LAUhVOQLEWpcosU3BolvoDxvT8tN77rAy-pmoRuZI8w";
pub(crate) const Y: &str = "YLDaBdwU4EiWeLk-v3hvZcm6BECPmOivbGldxRkebhE";

/// For each field, values that are allowed and values that are not.
pub(crate) fn fields() -> Vec<(&'static str, Vec<Json>, Vec<Json>)> {
    let paths = || vec![json!(""), json!("keys"), json!("/a?b"), json!("/a#b"), json!("/a b"), json!("/é")];
    let names = ["", "a b", "a:b", ":path", "a\nb", "é", "a\"b", "a(b)", "a,b", "a/b", "Host", "TE", "http2-settings"];
    vec![
        ("signing_key", texts(["", "PEM"]), none()),
        ("signing_key_file", texts(["/", "/etc/~keys/a-b.pem"]), paths()),
        ("signing_key_cluster", texts(["k"]), texts([""])),
        (
            "signing_key_refresh",
            texts(["0.01s", "00.010s", "0.1s", "0.999999999s", "1s", "86399.9s", "86400s", "086400.000s"]),
            [durations(), texts(["0s", "0.009s", "0.00999s", "86400.1s", "86401s", "100000s"])].concat(),
        ),
        ("signing_key_wait", up_to_a_minute(), beyond_a_minute()),
        ("signer", texts(["auto", "host", "wasm"]), texts(["", "gpu", "Auto"])),
        ("assertion_header", texts(["x", "Authorization", "!#$%&'*+-.^_`|~0"]), texts(names)),
        ("assertion_prefix", texts(["", "Bearer ", "~!"]), texts([" a", "a\nb", "a\u{0}", "\u{7f}", "é", "a\t"])),
        ("jwt_issuer_format", good_issuer_formats(), bad_issuer_formats()),
        ("issuer", texts(["i", "é"]), texts([""])),
        (
            "audience",
            vec![json!("a"), json!(["a"]), json!(["a", "a"])],
            vec![json!(""), json!([]), json!(["a", ""]), json!([5]), json!([null])],
        ),
        (
            "token_lifetime",
            texts(["1s", "1.000000001s", "0300s", "9999s", "79999s", "86399.999s", "86400s", "86400.0s"]),
            [durations(), texts(["0s", "0.999s", "86400.000000001s", "86401s", "90000s", "999999999999999999999s"])]
                .concat(),
        ),
        ("iat_backdate", up_to_a_minute(), beyond_a_minute()),
        (
            "reuse",
            texts(["0.001s", "0.01s", "1s", "150s"]),
            [durations(), texts(["0s", "0.0009s", "43200.1s", "43201s"])].concat(),
        ),
        ("pass_identity_headers", flags(), not_flags()),
        ("identity_sources", good_sources(), bad_sources()),
        (
            "required_claims",
            vec![json!([]), json!(["sub", "user", "email", "name", "sid", "groups"]), json!(["email", "email"])],
            vec![json!("sub"), json!(["department"]), json!(["iss"]), json!([""]), json!([5]), json!([null])],
        ),
        ("on_missing_identity", texts(["sign", "skip", "deny"]), texts(["", "allow"])),
        ("cors_allow_preflight", flags(), not_flags()),
        ("claims", good_claims(), bad_claims()),
        ("claim_values", texts(["json", "text"]), texts(["", "string", "JSON"])),
        ("jwt_claims_headers", good_claim_headers(), bad_claim_headers()),
        (
            "jwt_groups_filter",
            vec![json!(["a"]), json!(["a", "a"])],
            vec![json!([]), json!("a"), json!([""]), json!([5]), json!([null])],
        ),
        (
            "max_assertion_bytes",
            vec![json!(1), json!(8192.0), json!(4294967296u64), json!(9007199254740991u64)],
            vec![json!(0), json!(-1), json!(1.5), json!("5"), json!(9007199254740992u64), json!(1e30)],
        ),
        (
            "jwks_path",
            texts(["/", "/keys", "/.pomerium/jwks", "/.well-known/jwks.json"]),
            [paths(), texts(OTHER_PATHS)].concat(),
        ),
        (
            "jwks_max_age",
            texts(["0s", "0.5s", "31535999s", "31536000s", "9999999s"]),
            [durations(), texts(["31536000.1s", "31536001s", "40000000s"])].concat(),
        ),
        ("openid_configuration", vec![json!(false)], [not_flags(), vec![json!(true)]].concat()),
        ("user_endpoints", flags(), not_flags()),
        (
            "bind",
            vec![json!([]), json!(["method", "authority", "path", "request_id", "path"])],
            vec![json!("path"), json!(["query"]), json!([null])],
        ),
        ("actor", good_actors(), bad_actors()),
        (
            "shed",
            vec![json!([])],
            vec![json!("groups"), json!(["sub"]), json!(["iss"]), json!([""]), json!([5]), json!(["groups"])],
        ),
        ("provenance", flags(), not_flags()),
    ]
}

/// Whole configurations for the rules that concern more than one field.
pub(crate) fn wholes() -> (Vec<Json>, Vec<Json>) {
    let good = vec![
        json!({}),
        json!({"reuse": "43200s", "token_lifetime": "86400s"}),
        json!({"reuse": "1s", "bind": []}),
        json!({"shed": ["groups", "roles"], "max_assertion_bytes": 4096}),
        json!({"shed": (0..64).map(|n| format!("c{n}")).collect::<Vec<_>>(), "max_assertion_bytes": 1}),
        json!({"signing_key": "k", "signing_key_cluster": "c", "signing_key_refresh": "1s"}),
        json!({"openid_configuration": true, "jwt_issuer_format": "URI"}),
        json!({"openid_configuration": true, "issuer": "https://i"}),
        json!({"openid_configuration": true, "issuer": "http://i/a", "jwt_issuer_format": "hostOnly"}),
        json!({"required_claims": [], "identity_sources": [{"headers": {"team": "x-team"}}]}),
        json!({"required_claims": ["email"], "identity_sources": [{"client_certificate": {"email": "uri_san"}}]}),
    ];
    let bad = vec![
        json!({"signing_key": "k", "signing_key_file": "/k"}),
        json!({"reuse": "1s", "bind": ["path"]}),
        json!({"shed": ["groups"]}),
        json!({"shed": (0..65).map(|n| format!("c{n}")).collect::<Vec<_>>(), "max_assertion_bytes": 1}),
        json!({"openid_configuration": true, "jwt_issuer_format": "hostOnly"}),
        json!({"openid_configuration": true, "jwt_issuer_format": ""}),
        json!({"openid_configuration": true, "issuer": "i"}),
        json!({"openid_configuration": true, "issuer": "https://"}),
        json!({"openid_configuration": true, "issuer": "https://i?a"}),
        json!({"openid_configuration": true, "issuer": "https://i#a"}),
        json!({"openid_configuration": true, "issuer": "https://i a"}),
        json!({"openid_configuration": true, "issuer": "HTTPS://i", "jwt_issuer_format": "uri"}),
        json!({"sining_key": "k"}),
        json!({"Audience": "a"}),
        json!({"": 1}),
    ];
    (good, bad)
}

/// What the schema lets through and the filter refuses: each needs arithmetic, or a comparison of two values.
pub(crate) fn beyond_a_schema() -> Vec<(&'static str, Json)> {
    let jwk = |jwk: Json| json!({"actor": {"trusted": [{"issuer": "i", "jwks": {"keys": [jwk]}}]}});
    vec![
        ("reuse is at most half of token_lifetime", json!({"reuse": "151s"})),
        ("reuse is at most half of token_lifetime", json!({"reuse": "31s", "token_lifetime": "60s"})),
        (
            "the assertion header is no claim header",
            json!({"jwt_claims_headers": {"X-Pomerium_Jwt.Assertion": "email"}}),
        ),
        (
            "the assertion header is no claim header",
            json!({"assertion_header": "x-pomerium-claim-email", "jwt_claims_headers": ["email"]}),
        ),
        ("two claim headers have two names", json!({"jwt_claims_headers": {"X-Email": "email", "x_email": "mail"}})),
        ("two claim headers have two names", json!({"jwt_claims_headers": ["family_name", "family-name"]})),
        ("two claim headers have two names", json!({"jwt_claims_headers": {"x.email": "email", "x~email": "email"}})),
        ("a path begins with a name", json!({"claims": {"first": {"from": [0, "a"]}}})),
        ("a path begins with a name", json!({"claims": {"first": {"first_of": ["a", [0]]}}})),
        (
            "a source has what is required",
            json!({"identity_sources": [{"metadata": {"namespace": "n"}}, {"headers": {"email": "x-email"}}]}),
        ),
        ("a source has what is required", json!({"identity_sources": [{"client_certificate": {"name": "subject"}}]})),
        (
            "a source has what is required",
            json!({"required_claims": ["sub", "groups"], "identity_sources": [{"headers": {"user": "x-user"}}]}),
        ),
        (
            "a source has what is required, after it is re-mapped",
            json!({"claims": {"sub": {"from": "id"}, "user": {"from": "id"}}, "identity_sources": [{"headers": {"sub": "x"}}]}),
        ),
        (
            "a constant is nothing that a source has",
            json!({"claims": {"email": {"value": "e"}}, "required_claims": ["email"], "identity_sources": [{"headers": {"email": "x"}}]}),
        ),
        ("a key is on its curve", jwk(json!({"kid": "k", "kty": "EC", "crv": "P-256", "x": X, "y": X}))),
        (
            "an RSA key is an odd number of 2048 to 4096 bits",
            jwk(json!({"kid": "k", "kty": "RSA", "n": "A".repeat(342), "e": "AQAB"})),
        ),
    ]
}

/// The metadata of routes.
pub(crate) fn routes() -> (Vec<Json>, Vec<Json>) {
    let good = vec![
        json!({}),
        json!({"jwt_issuer_format": "IssuerURI", "claims": {"email": {"first_of": ["email", ["emails", 0]]}}}),
        json!({"pass_identity_headers": false, "issuer": "i", "audience": ["a"], "jwt_issuer_format": "uri"}),
        json!({"jwt_groups_filter": ["a"], "on_missing_identity": "skip", "claims": {"env": {"value": "prod"}}}),
    ];
    let bad = vec![
        json!({"token_lifetime": "60s"}),
        json!({"reuse": "1s"}),
        json!({"required_claims": []}),
        json!({"claim_values": "text"}),
        json!({"audience": []}),
        json!({"issuer": null}),
        json!({"jwt_groups_filter": []}),
        json!({"jwt_issuer_format": "url"}),
        json!({"claims": {"iss": {"value": "x"}}}),
        json!({"on_missing_identity": "allow"}),
    ];
    (good, bad)
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<Json> {
    texts.map(Json::from).to_vec()
}

fn none() -> Vec<Json> {
    Vec::new()
}

fn flags() -> Vec<Json> {
    vec![json!(true), json!(false)]
}

fn not_flags() -> Vec<Json> {
    vec![json!("true"), json!(1)]
}

fn up_to_a_minute() -> Vec<Json> {
    texts(["0s", "0.000000001s", "000s", "9.9s", "10s", "010s", "59.999999999s", "60s", "060.000s"])
}

fn beyond_a_minute() -> Vec<Json> {
    [durations(), texts(["60.000000001s", "61s", "100s", "600s"])].concat()
}

/// What is no duration anywhere.
fn durations() -> Vec<Json> {
    texts([
        "",
        "s",
        "5",
        "5m",
        "1h",
        "abc",
        "-1s",
        "+1s",
        "1s ",
        " 1s",
        "1,5s",
        "1.s",
        ".5s",
        "NaNs",
        "infs",
        "1e3s",
        "0x5s",
        "1s1s",
        "1s\n",
        "1.0000000000s",
    ])
}
