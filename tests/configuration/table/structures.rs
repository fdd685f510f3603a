//! The fields that are lists and objects.

use serde_json::{Value as Json, json};

use super::{X, Y};

pub(super) fn good_sources() -> Vec<Json> {
    vec![
        json!([]),
        json!([{"metadata": {"namespace": "n"}}, {"metadata": {"namespace": "n", "path": []}}]),
        json!([{"metadata": {"namespace": "n", "path": ["a", "b"]}}]),
        json!([{"filter_state": "attestation.identity"}]),
        json!([{"headers": {"sub": "X-User", "groups": "x-groups"}}]),
        json!([{"headers": {"user": "x-user", "groups": {"header": "X-Groups"}}}]),
        json!([{"headers": {"user": "x-user", "groups": {"header": "x-groups", "separator": "; "}}}]),
        json!([{"headers": {"user": "x-user", "groups": {"header": "x-groups", "format": "json"}}}]),
        json!([{"client_certificate": {"sub": "uri_san", "b": "dns_san", "c": "subject", "d": "sha256_fingerprint"}}]),
    ]
}

pub(super) fn bad_sources() -> Vec<Json> {
    let sources = [
        json!(null),
        json!(5),
        json!({}),
        json!({"cookie": {"name": "session"}}),
        json!({"metadata": {}}),
        json!({"metadata": null}),
        json!({"metadata": {"namespace": 5}}),
        json!({"metadata": {"namespace": ""}}),
        json!({"metadata": {"namespace": "n", "path": "a"}}),
        json!({"metadata": {"namespace": "n", "path": [""]}}),
        json!({"metadata": {"namespace": "n", "paths": ["a"]}}),
        json!({"metadata": {"namespace": "n"}, "headers": {"sub": "x-user"}}),
        json!({"filter_state": ""}),
        json!({"filter_state": ["a"]}),
        json!({"filter_state": {"name": "a"}}),
        json!({"headers": {}}),
        json!({"headers": {"sub": {"header": "x-user"}}}),
        json!({"headers": {"sub": "x-user", "groups": {}}}),
        json!({"headers": {"sub": "x-user", "groups": ["x-groups"]}}),
        json!({"headers": {"sub": "x-user", "groups": {"header": "a b"}}}),
        json!({"headers": {"sub": "x-user", "groups": {"header": "x-groups", "separator": ""}}}),
        json!({"headers": {"sub": "x-user", "groups": {"header": "x-groups", "separator": 5}}}),
        json!({"headers": {"sub": "x-user", "groups": {"header": "x-groups", "format": "csv"}}}),
        json!({"headers": {"sub": "x-user", "groups": {"header": "x-groups", "format": "json", "separator": ","}}}),
        json!({"headers": {"sub": "x-user", "groups": {"header": "x-groups", "more": 1}}}),
        json!({"headers": {"": "x-user"}}),
        json!({"headers": {"sub": null}}),
        json!({"headers": {"sub": "a b"}}),
        json!({"headers": {"sub": "host"}}),
        json!({"client_certificate": {}}),
        json!({"client_certificate": {"sub": "email_san"}}),
    ];
    [vec![json!("metadata"), json!({})], sources.map(|source| json!([source])).to_vec()].concat()
}

pub(super) fn good_claims() -> Vec<Json> {
    let claims = [
        json!({"from": "dept"}),
        json!({"from": ["https://example.com/roles", "a"]}),
        json!({"value": ""}),
        json!({"value": {"a": [1, null]}}),
        json!({"value": false}),
        json!({"value": [9007199254740991_i64, -9007199254740991_i64, 0.5, 1e-300]}),
        json!({"from": "realm_access.roles"}),
        json!({"from": ["emails", 0, "value"]}),
        json!({"from": ["emails", 1.0]}),
        json!({"first_of": ["email"]}),
        json!({"first_of": ["email", "preferred.username", ["emails", 0], ["a", "b"]]}),
    ];
    let mut good = claims.map(|claim| json!({"department": claim})).to_vec();
    good.extend([
        json!({}),
        json!({"sub": {"from": "uid"}, "email": {"value": ""}}),
        json!({"sub": {"first_of": ["uid", "id"]}, "groups": {"first_of": [["a", "b"], "roles"]}}),
        json!({"groups": {"value": "a"}}),
        json!({"groups": {"value": []}}),
        json!({"groups": {"value": ["a"]}}),
    ]);
    good
}

pub(super) fn bad_claims() -> Vec<Json> {
    let claims = [
        json!(null),
        json!("dept"),
        json!({}),
        json!({"from": []}),
        json!({"from": ""}),
        json!({"from": 5}),
        json!({"from": ["a", ""]}),
        json!({"from": "a", "value": "b"}),
        json!({"form": "a"}),
        json!({"from": "a", "extra": 1}),
        json!({"value": null}),
        json!({"value": 9007199254740992_i64}),
        json!({"value": -9007199254740992_i64}),
        json!({"value": 1e300}),
        json!({"value": {"a": [{"b": 18446744073709551615_u64}]}}),
        json!({"from": ["a", -1]}),
        json!({"from": ["a", 0.5]}),
        json!({"from": ["a", ["b"]]}),
        json!({"first_of": []}),
        json!({"first_of": "email"}),
        json!({"first_of": [""]}),
        json!({"first_of": [[]]}),
        json!({"first_of": [5]}),
        json!({"first_of": [null]}),
        json!({"first_of": ["a"], "from": "b"}),
    ];
    let mut bad = claims.map(|claim| json!({"department": claim})).to_vec();
    bad.extend(["iss", "aud", "jti", "iat", "exp", ""].map(|own| json!({own: {"value": "x"}})));
    bad.extend(["sub", "user", "email", "name", "sid"].map(|text| json!({text: {"value": 5}})));
    bad.extend([json!(""), json!([""]), json!([5]), json!(5)].map(|groups| json!({"groups": {"value": groups}})));
    bad.extend([json!([]), json!("dept")]);
    bad
}

pub(super) fn good_claim_headers() -> Vec<Json> {
    vec![
        json!({}),
        json!({"X-Email": "email", "X-Roles": "https://example.com/roles"}),
        json!([]),
        json!(["email", "family_name"]),
        json!(""),
        json!(" "),
        json!(" email ,\tfamily_name"),
        json!("a b"),
        json!("a,,b\r\nc"),
        json!(","),
        json!("a,"),
        json!("email,email"),
        json!(["email", "email"]),
    ]
}

pub(super) fn bad_claim_headers() -> Vec<Json> {
    vec![
        json!(true),
        json!({"a b": "email"}),
        json!({"": "email"}),
        json!({":path": "email"}),
        json!({"Content-Length": "email"}),
        json!({"X-Email": 5}),
        json!({"X-Email": ""}),
        json!([5]),
        json!([""]),
        json!(["a b"]),
        json!(["https://example.com/roles"]),
        json!("a,b:c"),
        json!("a\u{a0}b"),
        json!("a\u{c}b"),
        json!("é"),
    ]
}

pub(super) fn good_actors() -> Vec<Json> {
    let key = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": X, "y": Y, "use": "sig", "alg": "ES256"});
    let peer = json!({"issuer": "i", "jwks": {"keys": [key]}});
    let operations = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": X, "y": Y, "key_ops": ["sign", "verify"]});
    vec![
        json!({"trusted": []}),
        json!({"trusted": [{"issuer": "i", "jwks": {"keys": []}}]}),
        json!({"trusted": [peer], "on_unverifiable": "deny", "max_depth": 1}),
        json!({"trusted": [{"issuer": "i", "jwks": {"keys": [operations]}}]}),
    ]
}

pub(super) fn bad_actors() -> Vec<Json> {
    let with = |name: &str, value: Json| {
        let mut key = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": X, "y": Y});
        key[name] = value;
        json!({"trusted": [{"issuer": "i", "jwks": {"keys": [key]}}]})
    };
    vec![
        json!({}),
        json!([]),
        json!({"trusted": {}}),
        json!({"trusted": [], "max_depth": 0}),
        json!({"trusted": [], "on_unverifiable": "skip"}),
        json!({"trusted": [], "extra": 1}),
        json!({"trusted": [{"issuer": "i"}]}),
        json!({"trusted": [{"issuer": "", "jwks": {"keys": []}}]}),
        json!({"trusted": [{"issuer": "i", "jwks": {"keys": {}}}]}),
        json!({"trusted": [{"issuer": "i", "jwks": {"keys": [], "more": 1}}]}),
        json!({"trusted": [{"issuer": "i", "jwks": {"keys": [5]}}]}),
        with("kid", json!(5)),
        with("kty", json!("OKP")),
        with("crv", json!("P-384")),
        with("x", json!("AAAA")),
        with("y", json!(null)),
        with("use", json!("enc")),
        with("use", json!(null)),
        with("alg", json!("ES384")),
        with("key_ops", json!(["sign"])),
        with("key_ops", json!([])),
        with("key_ops", json!("verify")),
        with("d", json!("secret")),
        with("d", json!(null)),
    ]
}

pub(super) fn good_issuer_formats() -> Vec<Json> {
    let spellings = ["", "hostOnly", "uri", "HOSTONLY", "hostonly", "URI", "IssuerHostOnly", "issueruri", "IssuerURI"];
    spellings.map(Json::from).to_vec()
}

pub(super) fn bad_issuer_formats() -> Vec<Json> {
    ["url", "host_only", " uri", "uri\n", "Issuer", "IssuerIssuerURI"].map(Json::from).to_vec()
}
