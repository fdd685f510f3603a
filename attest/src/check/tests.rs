use super::*;

mod changes;
mod elsewhere;
mod formats;
mod keys;
mod right;
mod routes;

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The names of what is found, with notes.
fn found(text: &str) -> Vec<(&'static str, finding::Severity)> {
    let found = find(&Sources::of_text(text, "envoy.yaml").unwrap(), Some((1, 40)), None).unwrap();
    found.into_iter().map(|finding| (finding.id.entry().name, finding.severity)).collect()
}

fn names(text: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = found(text)
        .into_iter()
        .filter(|(_, severity)| *severity > finding::Severity::Note)
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

const WASM: &str = "envoy/kubernetes/plain/envoy.yaml";
const NATIVE: &str = "envoy/native/envoy.yaml";
const LOGIN: &str = "envoy/login/envoy.yaml";
const COMPOSE: &str = "envoy/envoy.yaml";

#[test]
fn shipped_configurations_have_nothing_wrong() {
    for path in [WASM, NATIVE, LOGIN, COMPOSE, "envoy/ecds/bootstrap.yaml", "envoy/ecds/grpc-bootstrap.yaml"] {
        let found = find(&Sources::read(&[repository(path)]).unwrap(), Some((1, 40)), None).unwrap();
        let wrong: Vec<_> = found.iter().filter(|it| it.severity > finding::Severity::Note).collect();
        assert!(wrong.is_empty(), "{path}: {wrong:#?}");
    }
}

fn apply(file: &str, change: &str, by: &str) -> String {
    let text = read(file);
    assert!(text.contains(change), "{file} has no {change:?}");
    text.replacen(change, by, 1)
}

const RESOLVER_START: &str = "          - name: resolve-route\n";

/// The text without a block that begins with this line, and with it before another one.
fn moved(file: &str, block: &str, before: &str) -> String {
    let text = read(file);
    let start = text.find(block).unwrap();
    let rest = &text[start + block.len()..];
    let end = ["          - name: ", "          route_config:"].iter().filter_map(|next| rest.find(next)).min();
    let end = start + block.len() + end.unwrap();
    let without = format!("{}{}", &text[..start], &text[end..]);
    without.replacen(before, &format!("{}{before}", &text[start..end]), 1)
}

#[test]
fn what_authenticates_after_the_filter_is_found() {
    let jwt_authn = "          - name: envoy.filters.http.jwt_authn\n";
    let text = moved(WASM, jwt_authn, "          - name: envoy.filters.http.router\n");
    assert_eq!(names(&text), ["authentication-after-filter", "metadata-not-written"]);
}

#[test]
fn a_filter_behind_the_router_is_found() {
    let text = moved(WASM, "          - name: envoy.filters.http.router\n", RESOLVER_START);
    assert_eq!(names(&text), ["filter-after-router"]);
}

#[test]
fn a_route_that_is_not_resolved_is_found() {
    let lua = "          - name: other\n            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\n";
    let jwt_authn = "          - name: envoy.filters.http.jwt_authn\n";
    let with_lua = apply(WASM, jwt_authn, &format!("{lua}{jwt_authn}"));
    assert_eq!(names(&with_lua), Vec::<&str>::new());
    assert_eq!(
        names(&with_lua.replace(
            "http.lua.v3.Lua\n              default_source",
            "http.buffer.v3.Buffer\n              default_source"
        )),
        ["route-not-resolved"]
    );
}

#[test]
fn an_old_envoy_is_found() {
    let wasm = Sources::of_text(&read(WASM), "a.yaml").unwrap();
    let native = Sources::of_text(&read(NATIVE), "a.yaml").unwrap();
    let deny = "on_missing_identity: deny";
    let endpoints = apply(NATIVE, deny, &format!("{deny}\n                  user_endpoints: true"));
    let named = endpoints.replace("- match: {prefix: /}", "- name: app\n                match: {prefix: /}");
    let [endpoints, named] = [endpoints, named].map(|text| Sources::of_text(&text, "a.yaml").unwrap());
    for (sources, version, is_found) in [
        (&wasm, (1, 35), true),
        (&wasm, (1, 36), false),
        (&native, (1, 36), true),
        (&native, (1, 37), false),
        (&endpoints, (1, 37), true),
        (&endpoints, (1, 38), false),
        (&named, (1, 37), false),
    ] {
        let found = find(sources, Some(version), None).unwrap();
        assert_eq!(found.iter().any(|it| it.id == catalog::Id::EnvoyTooOld), is_found, "{version:?}");
    }
}

#[test]
fn demonstrations_are_notes() {
    let notes = found(&read(COMPOSE));
    assert!(notes.contains(&("demo-issuer", finding::Severity::Note)), "{notes:?}");
    let key = repository("envoy/secrets/signing-key.pem");
    let file = read(WASM).replace("/run/secrets/attestation/signing-key.pem", key.to_str().unwrap());
    assert!(found(&file).contains(&("demo-key", finding::Severity::Note)));
}

/// The table of the document. A `|` would end a cell.
fn table() -> String {
    let row = |id: &catalog::Id| {
        let entry = id.entry();
        let cells = [&format!("`{}`", entry.name), entry.severity.word(), entry.finds, entry.consequence];
        format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
    };
    let rows: String = catalog::Id::ALL.iter().map(row).collect();
    format!("| finding | severity | what is found | what it leads to |\n|---|---|---|---|\n{rows}")
}

#[test]
fn the_document_has_every_finding() {
    let written = read("docs/check.md");
    let (before, rest) = written.split_once("<!-- findings -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let made = format!("{before}<!-- findings -->\n{}<!-- end -->{after}", table());
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(repository("docs/check.md"), made).unwrap();
    }
    assert!(written == made, "docs/check.md is out of date: UPDATE=1 cargo test -p attest --bin attest the_document");
}

const EXT_AUTHZ: &str = r#"          - name: ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              filter_enabled: {default_value: {numerator: 100}}
              grpc_service: {envoy_grpc: {cluster_name: upstream}}
"#;

/// The identity comes from a header that ext_authz sets and that is removed early.
fn with_header_source() -> String {
    let text = apply(
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    identity_sources: [{headers: {sub: x-auth-user}}]",
    );
    let early = "              mutations:\n";
    assert!(text.contains(early));
    let text = text.replacen(early, &format!("{early}              - remove: x-auth-user\n"), 1);
    text.replacen(RESOLVER_START, &format!("{EXT_AUTHZ}{RESOLVER_START}"), 1)
}

#[test]
fn headers_that_a_client_can_send_are_found() {
    let text = with_header_source();
    assert_eq!(names(&text), Vec::<&str>::new());
    assert_eq!(names(&text.replace("              - remove: x-auth-user\n", "")), ["header-not-removed"]);
    let open = text
        .replace("              grpc_service:", "              failure_mode_allow: true\n              grpc_service:");
    assert_eq!(names(&open), ["failure-mode-allow"]);
    let asks = text.replace("              filter_enabled: {default_value: {numerator: 100}}\n", "");
    assert_eq!(names(&asks), ["keyset-behind-login"]);
}

#[test]
fn a_header_that_is_read_back_is_found() {
    let with = |headers: &str, route: &str| {
        let text = with_header_source();
        let source = "{headers: {sub: x-auth-user}}]";
        let text = text.replacen(source, &format!("{source}\n                    jwt_claims_headers: {headers}"), 1);
        let text = text.replacen("route: {cluster: upstream}", &format!("route: {{cluster: upstream{route}}}"), 1);
        let mut names = names(&text);
        names.retain(|name| *name != "early-removal-misses");
        names
    };
    let follows = ", internal_redirect_policy: {}";
    assert_eq!(with("{x-auth-user: email}", follows), ["header-read-back"]);
    assert_eq!(with("{x-auth-user: email}", ""), Vec::<&str>::new());
    assert_eq!(with("{x-auth-user: sub}", follows), Vec::<&str>::new(), "it says the same");
    assert_eq!(with("{x-other: email}", follows), Vec::<&str>::new());
}

#[test]
fn a_certificate_that_nobody_verifies_is_found() {
    let source = apply(
        WASM,
        "on_missing_identity: deny",
        "on_missing_identity: deny\n                    identity_sources: [{client_certificate: {sub: uri_san}}]",
    );
    let tls = |more: &str| {
        let socket = format!(
            "    filter_chains:\n    - transport_socket:\n        name: tls\n        typed_config:\n          \"@type\": \
             type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n          \
             common_tls_context: {{validation_context: {{trusted_ca: {{filename: /ca.pem}}{more}}}}}\n      filters:"
        );
        source.replacen("    filter_chains:\n    - filters:", &socket, 1)
    };
    assert_eq!(names(&tls("")), Vec::<&str>::new());
    assert_eq!(names(&tls(", trust_chain_verification: ACCEPT_UNTRUSTED")), ["certificate-not-verified"]);
}

#[test]
fn a_client_that_chooses_audience_or_key_is_found() {
    let domains = "domains: [app.example.com, \"app.example.com:*\"]";
    assert_eq!(names(&apply(WASM, domains, "domains: [\"*\"]")), ["wildcard-audience"]);
    let by_header = "              - match: {prefix: /}\n                route: {cluster_header: x-backend}\n";
    let first = format!("{by_header}              - match: {{path: /healthz}}");
    let text = apply(WASM, "              - match: {path: /healthz}", &first);
    let guard = "            - name: signing-key\n              domains: [signing-key, \"signing-key:*\"]";
    assert_eq!(names(&text), Vec::<&str>::new(), "no client can ask for the host of the key");
    let open = text.replacen(domains, "domains: [\"*\"]", 1).replacen(
        guard,
        "            - name: other\n              domains: [other, \"other:*\"]",
        1,
    );
    assert_eq!(names(&open), ["key-by-cluster-header", "wildcard-audience"]);
    let port = apply(COMPOSE, "domains: [signing-key, \"signing-key:*\"]", "domains: [signing-key]");
    assert_eq!(names(&port), ["port-falls-through"]);
}

#[test]
fn what_is_wrong_with_the_key_file_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("signing-key.pem");
    let text = read(WASM).replace("/run/secrets/attestation", directory.path().to_str().unwrap());
    let key = read("envoy/secrets/signing-key.pem");
    let with = |content: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        names(&text)
    };
    assert_eq!(with(&key, 0o600), Vec::<&str>::new());
    assert_eq!(with(&key, 0o644), ["key-file-open"]);
    assert_eq!(with("no key", 0o600), ["key-file-refused"]);
    assert_eq!(with(&format!("{}{key}", "x".repeat(70_000)), 0o600), ["key-body-limit"]);
}

#[test]
fn a_key_in_the_configuration_is_found_and_not_shown() {
    let key = read("envoy/secrets/signing-key.pem").replace('\n', "\\n");
    let inline = format!("signing_key: \"{key}\"");
    let text = apply(WASM, "signing_key_file: /run/secrets/attestation/signing-key.pem", &inline);
    let text = text.replace("signing_key_cluster: signing_key", "token_lifetime: 300s");
    assert_eq!(names(&text), ["inline-key"]);
    let found = find(&Sources::of_text(&text, "a.yaml").unwrap(), None, None).unwrap();
    let shown = format!("{}{}{}", report::text(&found), sarif::log(&found), found[0].json());
    let body = key.split("-----").nth(2).unwrap().trim_matches(['\\', 'n']);
    assert!(!shown.contains(&body[..20]), "{shown}");
}

#[test]
fn a_module_with_the_same_vm_id_is_found() {
    let other = "          - name: other\n            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n              config:\n                name: other\n                vm_config: {vm_id: attestation, runtime: envoy.wasm.runtime.v8, code: {local: {filename: /other.wasm}}}\n";
    let text = apply(WASM, RESOLVER_START, &format!("{other}{RESOLVER_START}"));
    assert_eq!(names(&text), ["vm-id-shared"]);
}

#[test]
fn every_finding_has_a_configuration_that_leads_to_it() {
    let source = concat!(include_str!("tests.rs"), include_str!("tests/changes.rs"));
    for id in catalog::Id::ALL {
        let name = format!("\"{}\"", id.entry().name);
        let old =
            *id == catalog::Id::EnvoyTooOld || *id == catalog::Id::KeyFileNotChecked || *id == catalog::Id::NotRead;
        assert!(old || source.contains(&name), "no configuration leads to {name}");
    }
}

#[test]
fn settings_of_a_discovery_file_are_checked() {
    let found = find(&Sources::read(&[repository("envoy/ecds/bootstrap.yaml")]).unwrap(), None, None).unwrap();
    let file = found.iter().find(|it| it.id == catalog::Id::KeyFileNotChecked).unwrap();
    assert!(file.place.file.ends_with("envoy/ecds/attestation.yaml"), "{}", file.place);
    let alone = found_in(&read("envoy/ecds/grpc-bootstrap.yaml"));
    assert!(alone.contains(&"not-read"), "{alone:?}");
}

fn found_in(text: &str) -> Vec<&'static str> {
    found(text).into_iter().map(|(name, _)| name).collect()
}

/// The configuration that the README has for the Wasm module; tests/e2e/readme.rs follows its steps.
#[test]
fn the_readmes_configuration_has_nothing_wrong() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("<!-- tested: envoy.yaml -->\n```yaml\n").unwrap();
    let found = found(rest.split_once("\n```").unwrap().0);
    assert!(found.iter().all(|(_, severity)| *severity == finding::Severity::Note), "{found:?}");
}
