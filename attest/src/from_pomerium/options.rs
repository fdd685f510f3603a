//! The settings that hold for all routes.

use serde_json::{Value as Json, json};

use super::left::{Kind, Lefts};
use super::provider::Provider;
use super::{Args, Host, duration, mutual_tls};
use crate::check::node::Node;

/// Where the key file and the secrets of the login are, as in the shipped configurations.
pub(super) const SECRETS: &str = "/run/secrets/attestation";
pub(super) const CALLBACK: &str = "/oauth2/callback";
pub(super) const SIGN_OUT: &str = "/.pomerium/sign_out";
const ID_TOKEN: &str = "x-id-token";
/// The first Envoy whose `oauth2` has `forward_id_token`.
const FORWARDS_ID_TOKENS: (u32, u32) = (1, 39);

/// How somebody shows who they are.
#[derive(Debug)]
pub(super) enum Front {
    /// A browser logs in; with `bearer`, a bearer token will do as well. `id_token` is the header in which `oauth2` hands
    /// the ID token on; without one it is in the session's cookie.
    Login { callback: String, bearer: bool, id_token: Option<&'static str> },
    /// A bearer token of the identity provider.
    Bearer,
}

/// What the parts of the configuration need.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) host: Host,
    pub(super) front: Front,
    pub(super) provider: Provider,
    pub(super) client_id: String,
    pub(super) key_file: String,
    pub(super) pass_identity_headers: bool,
    /// How long an upstream may take.
    pub(super) timeout: String,
    /// The authorities that https upstreams are checked with.
    pub(super) trusted_ca: Json,
    /// Whether whoever is signed in passes where a policy is not carried over.
    pub(super) allow_signed_in: bool,
    /// Whether every client has a certificate that was verified.
    pub(super) client_certificates: bool,
}

impl Options {
    pub(super) fn read(args: &Args, node: &Node, discovery: Option<&Node>, lefts: &mut Lefts) -> Self {
        let provider = Provider::read(node, discovery, lefts);
        Self {
            host: args.host,
            front: front(args, node, lefts),
            provider,
            client_id: client_id(args, node, lefts),
            key_file: key_file(node, lefts),
            pass_identity_headers: node.is_true("pass_identity_headers"),
            timeout: span(node, "default_upstream_timeout", lefts).unwrap_or_else(|| "30s".into()),
            trusted_ca: trusted_ca(node),
            allow_signed_in: args.allow_signed_in,
            client_certificates: mutual_tls::is_required(node),
        }
    }

    /// Whether browsers are sent to a login.
    pub(super) fn is_login(&self) -> bool {
        matches!(self.front, Front::Login { .. })
    }

    /// The header in which `oauth2` hands the ID token on.
    pub(super) fn id_token_header(&self) -> Option<&'static str> {
        match self.front {
            Front::Login { id_token, .. } => id_token,
            Front::Bearer => None,
        }
    }
}

/// All routes in the order of the file: `policy` is the older name of `routes`, and a file can be nothing but a list.
pub(super) fn routes(node: &Node) -> Vec<&Node> {
    ["policy", "routes"].iter().flat_map(|name| node.list(name)).chain(node.items()).collect()
}

fn front(args: &Args, node: &Node, lefts: &mut Lefts) -> Front {
    let format = node.get("bearer_token_format");
    let bearer = format.and_then(Node::text) == Some("idp_identity_token");
    if let Some(other) = format.filter(|format| !["default", "idp_identity_token"].map(Some).contains(&format.text())) {
        let reason = "bearer tokens of this format are not accepted";
        let cure =
            "only ID tokens of the identity provider are: idp_identity_token; others need a provider of jwt_authn";
        lefts.add(Kind::LeftOut, &other.place, reason, cure);
    }
    if args.bearer {
        return Front::Bearer;
    }
    let callback = node.text_at(&["authenticate_callback_path"]).filter(|path| path.starts_with('/'));
    let id_token = args.envoy_version.filter(|version| *version >= FORWARDS_ID_TOKENS).map(|_| ID_TOKEN);
    Front::Login { callback: callback.unwrap_or(CALLBACK).to_owned(), bearer, id_token }
}

fn client_id(args: &Args, node: &Node, lefts: &mut Lefts) -> String {
    let given = args.client_id.as_deref().or_else(|| node.text_at(&["idp_client_id"]));
    let id = given.filter(|id| !id.trim().is_empty() && !id.contains("${")).unwrap_or_else(|| {
        let place = node.get("authenticate_service_url").unwrap_or(node);
        let reason =
            "no idp_client_id: with Pomerium's hosted login there is none, and Envoy needs a client of its own";
        let cure = "register a client at your identity provider, and give its ID by --client-id";
        lefts.add(Kind::Todo, &place.place, reason, cure);
        "client-id.invalid"
    });
    id.to_owned()
}

/// A key that is written into the configuration is not copied: it belongs into a file of its own.
fn key_file(node: &Node, lefts: &mut Lefts) -> String {
    let default = format!("{SECRETS}/signing-key.pem");
    if let Some(inline) = node.get("signing_key") {
        let cure = format!("write its value to {default}, mode 0600 and owned by Envoy's user; base64 is read as well");
        lefts.add(Kind::Todo, &inline.place, "signing_key is not copied", cure);
        return default;
    }
    let Some(file) = node.get("signing_key_file") else {
        let reason = "no signing key: Pomerium derives one from its shared secret";
        let cure = format!("attest keygen -o {default}, as Envoy's user; apps fetch the new key by themselves");
        lefts.add(Kind::Todo, &node.place, reason, cure);
        return default;
    };
    match file.text().filter(|path| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(path) => path.to_owned(),
        None => {
            let cure = format!("put the file at {default}");
            lefts.add(Kind::Todo, &file.place, "signing_key_file is no absolute path", cure);
            default
        }
    }
}

/// A member that is a duration. One that cannot be read is left out, and said.
pub(super) fn span(node: &Node, name: &str, lefts: &mut Lefts) -> Option<String> {
    let member = node.get(name)?;
    let text = member.text().map(str::to_owned).or_else(|| member.number().map(|number| number.to_string()))?;
    let read = duration::seconds(&text);
    if read.is_none() {
        let cure = "write it as Pomerium has it: 30s, 1m30s, 1.5h, 0";
        lefts.add(Kind::LeftOut, &member.place, format!("{name} is no duration"), cure);
    }
    read
}

fn trusted_ca(node: &Node) -> Json {
    if let Some(file) = node.text_at(&["certificate_authority_file"]) {
        return json!({ "filename": file });
    }
    match node.text_at(&["certificate_authority"]) {
        Some(base64) => json!({ "inline_bytes": without_white_space(base64) }),
        None => json!({ "filename": "/etc/ssl/certs/ca-certificates.crt" }),
    }
}

/// Base64 as protobuf's JSON takes it.
pub(super) fn without_white_space(base64: &str) -> String {
    base64.split_whitespace().collect()
}
