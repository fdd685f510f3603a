//! What becomes of a request, in a form in which two hosts can be compared.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use harness::{KeySet, Reply};

/// Headers of answers in which Envoy writes what time it is, and how long something took.
const OF_THE_MOMENT: [&str; 2] = ["date", "x-envoy-upstream-service-time"];
/// Claims that no two assertions have in common, or that say when it was.
const OF_ITS_OWN: [&str; 3] = ["jti", "iat", "exp"];

/// The answer, or what there was in its place; with what the upstream received, if it has answered.
pub fn outcome(reply: std::io::Result<Reply>, keys: &KeySet) -> Value {
    let Ok(reply) = reply else { return json!("closed without a reply") };
    let body = reply.text_lossy();
    let mut headers = reply.header_lines();
    headers.retain(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()));
    let Some(mut seen) = reply.try_json().ok().and_then(|body| Some(body.get("seen")?.clone())) else {
        // The filter's own answers say how long they may be kept; the upstream's to HEAD only says how long it is.
        if body.is_empty() && reply.header("cache-control").is_none() {
            headers.retain(|(name, _)| name != "content-length");
        }
        return json!({"status": reply.status, "headers": headers, "body": comparable(&body, keys)});
    };
    // How long the upstream's answer is depends on what is compared below.
    headers.retain(|(name, _)| name != "content-length");
    for line in seen["headers"].as_array_mut().into_iter().flatten() {
        line[1] = comparable(line[1].as_str().unwrap_or_default(), keys);
    }
    json!({"status": reply.status, "headers": headers, "seen": seen})
}

/// A text, and in the place of an assertion of ours what it says.
fn comparable(text: &str, keys: &KeySet) -> Value {
    let (prefix, token) = text.split_once("eyJ").map_or((text, ""), |(prefix, _)| text.split_at(prefix.len()));
    let Some(assertion) = names_a_key(token, keys).then(|| keys.try_verify(token).ok()).flatten() else {
        return text.into();
    };
    let mut claims = assertion.claims.clone();
    for name in OF_ITS_OWN {
        let is_there = claims.as_object_mut().and_then(|claims| claims.remove(name)).is_some();
        assert!(is_there, "an assertion without {name}: {}", assertion.payload_text);
    }
    json!({
        "prefix": prefix,
        "header": assertion.header_text,
        "members": assertion.members(),
        "claims": claims.to_string(),
        "length": token.len(),
    })
}

/// Whether it is a compact JWS that names one of these keys.
fn names_a_key(token: &str, keys: &KeySet) -> bool {
    let segments: Vec<_> =
        token.split('.').map(|segment| URL_SAFE_NO_PAD.decode(segment).unwrap_or_default()).collect();
    let [header, payload, signature] = &segments[..] else { return false };
    let [header, payload] = [header, payload].map(|bytes| serde_json::from_slice::<Value>(bytes).unwrap_or_default());
    let kid = header["kid"].as_str().unwrap_or_default();
    header["alg"] == "ES256" && keys.kids().contains(&kid) && payload.is_object() && !signature.is_empty()
}
