//! Headers that a route sets and removes.

use serde_json::{Value as Json, json};

use super::left::{Kind, Lefts};
use super::options::Options;
use super::secret;
use crate::check::node::{Member, Node};

const ASSERTION: &str = "x-pomerium-jwt-assertion";

/// What a value of `set_request_headers` becomes.
enum Value {
    /// Envoy's format of a value, and whether it holds the assertion.
    Format { text: String, has_assertion: bool },
    /// Why there is none, and what to do.
    None { reason: String, cure: &'static str },
}

/// The header options of `set_request_headers`, and whether one of them holds the assertion.
pub(super) fn set(route: &Node, options: &Options, lefts: &mut Lefts) -> (Vec<Json>, bool) {
    let (mut headers, mut any_assertion) = (Vec::new(), false);
    for header in route.get("set_request_headers").map(Node::members).unwrap_or_default() {
        match value(header, options, lefts) {
            Value::Format { text, has_assertion } => {
                any_assertion |= has_assertion;
                headers.push(option(&header.name, &text));
            }
            Value::None { reason, cure } => {
                let reason = format!("the header {} is not set: {reason}", header.name);
                lefts.add(Kind::LeftOut, &header.value.place, reason, cure);
            }
        }
    }
    (headers, any_assertion)
}

pub(super) fn option(name: &str, value: &str) -> Json {
    json!({"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
}

/// The header options of a map of constants.
pub(super) fn constants(map: Option<&Node>) -> Vec<Json> {
    let members = map.map(Node::members).unwrap_or_default().iter();
    members.filter_map(|member| Some(option(&member.name, &literal(&text(&member.value)?)))).collect()
}

/// The headers that a route removes. The filter itself removes what clients send in the assertion's place.
pub(super) fn removed(route: &Node, lefts: &mut Lefts) -> Vec<String> {
    let mut names = Vec::new();
    for node in route.list("remove_request_headers") {
        let Some(name) = node.text() else { continue };
        if name.to_ascii_lowercase().starts_with(ASSERTION) {
            let reason = format!("{name} is not removed: Envoy would remove the filter's own");
            lefts.add(Kind::Differs, &node.place, reason, "nothing: the filter removes what a client sends there");
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

fn value(header: &Member, options: &Options, lefts: &mut Lefts) -> Value {
    let Some(written) = text(&header.value) else {
        return Value::None { reason: "its value is no text".into(), cure: "write it as a text" };
    };
    if !written.contains("${") && secret::is_secret(&header.name) {
        let name: String = header.name.to_ascii_uppercase().chars().map(letter).collect();
        let variable = format!("SET_REQUEST_HEADER_{name}");
        let reason = format!("the value of {} may be a secret and is not copied", header.name);
        lefts.add(
            Kind::Todo,
            &header.value.place,
            reason,
            format!("give it to Envoy in the environment as {variable}"),
        );
        return Value::Format { text: format!("%ENVIRONMENT({variable})%"), has_assertion: false };
    }
    substituted(&written, options)
}

fn letter(letter: char) -> char {
    if letter.is_ascii_alphanumeric() { letter } else { '_' }
}

fn substituted(written: &str, options: &Options) -> Value {
    let (mut format, mut has_assertion, mut rest) = (String::new(), false, written);
    while let Some((before, after)) = rest.split_once('$') {
        format.push_str(&literal(before));
        rest = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            _ if after.starts_with('$') => {
                format.push('$');
                after.get(1..).unwrap_or_default()
            }
            Some((name, after)) => {
                match token(name, options) {
                    Ok(token) => format.push_str(token),
                    Err(cure) => return Value::None { reason: format!("${{{name}}} has no counterpart"), cure },
                }
                has_assertion |= name == "pomerium.jwt";
                after
            }
            None => {
                format.push('$');
                after
            }
        };
    }
    format.push_str(&literal(rest));
    Value::Format { text: format, has_assertion }
}

fn token(name: &str, options: &Options) -> Result<&'static str, &'static str> {
    match name {
        "pomerium.jwt" => Ok("%REQ(x-pomerium-jwt-assertion)%"),
        "pomerium.client_cert_fingerprint" if options.client_certificates => Ok("%DOWNSTREAM_PEER_FINGERPRINT_256%"),
        "pomerium.client_cert_fingerprint" => Err("ask clients for certificates: downstream_mtls"),
        "pomerium.access_token" if options.is_login() => {
            Err("forward_bearer_token: true in oauth2 sends it as authorization: Bearer")
        }
        "pomerium.id_token" if options.id_token_header().is_some() => {
            Err("forward: true in jwt_authn leaves it in x-id-token")
        }
        "pomerium.id_token" if options.is_login() => {
            Err("forward_id_token in oauth2, with Envoy 1.39 or later, sends it in a header")
        }
        "pomerium.access_token" | "pomerium.id_token" => {
            Err("forward: true in jwt_authn sends the bearer token on as it came")
        }
        _ => Err("write it by hand, in Envoy's own format of a header"),
    }
}

/// A text that Envoy reads as itself.
fn literal(text: &str) -> String {
    text.replace('%', "%%")
}

fn text(node: &Node) -> Option<String> {
    node.text().or(node.plain.as_deref()).map(str::to_owned)
}
