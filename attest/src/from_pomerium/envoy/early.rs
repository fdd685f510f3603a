//! Forged headers, removed before a route is chosen.

use serde_json::{Value as Json, json};

/// The extension that removes what the filter strips, and these. `id_token` is the header that only `oauth2` may set.
pub(super) fn removal(claim_headers: &[String], id_token: Option<&str>) -> Json {
    let mut mutations = vec![
        remove("x[^a-z0-9]pomerium[^a-z0-9]claim[^a-z0-9].*"),
        remove("x[^a-z0-9]pomerium[^a-z0-9]jwt[^a-z0-9]assertion[^a-z0-9]for"),
    ];
    let others = claim_headers.iter().filter(|name| !name.starts_with("x-pomerium-claim-"));
    mutations.extend(others.map(String::as_str).chain(id_token).map(|name| remove(&expression(name))));
    mutations.push(json!({
        "//": "A forged assertion leaves a mark that the filter counts and removes.",
        "append": {
            "header": {
                "key": "x-pomerium-claim-forged",
                "value": "%REQ(X-POMERIUM-JWT-ASSERTION?X_POMERIUM_JWT_ASSERTION):1%",
            },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        },
    }));
    mutations.push(remove("x[^a-z0-9]pomerium[^a-z0-9]jwt[^a-z0-9]assertion"));
    json!([{
        "//": "Forged headers go before a route is chosen; the filter removes them once more.",
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": mutations,
        },
    }])
}

fn remove(regex: &str) -> Json {
    json!({"remove_on_match": {"key_matcher": {"safe_regex": {"regex": regex}}}})
}

/// A header and its aliases: any byte that is no letter or digit stands for any other.
fn expression(name: &str) -> String {
    let part = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_string() } else { "[^a-z0-9]".into() };
    name.chars().map(part).collect()
}
