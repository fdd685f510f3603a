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

/// A connection manager's settings with an access log among Envoy's own log lines.
pub fn access_log(format: &Value) -> Value {
    json!({"access_log": [{
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": format,
        },
    }]})
}

/// Asks a service of [`super::authorization`], named by its cluster, over HTTP; what it answers in `x-auth-*` becomes
/// headers of the request and members of the dynamic metadata.
pub fn ext_authz_http(cluster: &str) -> Value {
    let named = json!({"patterns": [{"prefix": "x-auth-"}]});
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "http_service": {
                "server_uri": {"uri": "http://authorization.example", "cluster": cluster, "timeout": "10s"},
                "authorization_response": {"allowed_upstream_headers": named, "dynamic_metadata_from_headers": named},
            },
        },
    })
}

/// Asks a service of [`super::authorization`], named by its cluster, over gRPC.
pub fn ext_authz_grpc(cluster: &str) -> Value {
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": cluster}, "timeout": "10s"},
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
