//! The filters that a deployment puts in front of ours.

use serde_json::{Value, json};

use super::idp::IdentityProvider;

/// Verifies bearer tokens of an identity provider and writes their payload into the dynamic metadata. A request
/// without a token passes.
pub fn jwt_authn(provider: &IdentityProvider) -> Value {
    let any_or_none = json!({"requires_any": {"requirements": [{"provider_name": "idp"}, {"allow_missing": {}}]}});
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"idp": {
                "issuer": provider.issuer(),
                "local_jwks": {"inline_string": provider.key_set().to_string()},
                "payload_in_metadata": "payload",
            }},
            "rules": [{"match": {"prefix": "/"}, "requires": any_or_none}],
        },
    })
}

/// Writes dynamic metadata.
pub fn metadata(namespace: &str, value: &Value) -> Value {
    json!({
        "name": "envoy.filters.http.set_metadata",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
            "metadata": [{"metadata_namespace": namespace, "value": value, "allow_overwrite": true}],
        },
    })
}

/// Runs Lua.
pub fn lua(code: &str) -> Value {
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    })
}
