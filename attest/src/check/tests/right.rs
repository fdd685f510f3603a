//! Configurations that are right in many ways, made by chance: none of them has anything above a note.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Source {
    Metadata,
    Path,
    FilterState,
    Header,
    Certificate,
}

#[derive(Debug, Clone, Copy)]
enum Key {
    File,
    Variable,
    OtherPath,
}

#[derive(Debug, Clone)]
struct Right {
    native: bool,
    source: Source,
    key: Key,
    exempts: bool,
    domains: Vec<&'static str>,
    route: &'static str,
    audience: bool,
    reuse: bool,
    json: bool,
}

fn right() -> impl Strategy<Value = Right> {
    let source = prop_oneof![
        Just(Source::Metadata),
        Just(Source::Path),
        Just(Source::FilterState),
        Just(Source::Header),
        Just(Source::Certificate)
    ];
    let key = prop_oneof![Just(Key::File), Just(Key::Variable), Just(Key::OtherPath)];
    let domains = prop_oneof![
        Just(vec!["app.example.com", "app.example.com:*"]),
        Just(vec!["*.example.com", "*.example.com:8443"]),
        Just(vec!["a.example", "a.example:*", "b.example", "b.example:*"]),
        Just(vec!["*"]),
    ];
    let route = prop_oneof![
        Just("match: {prefix: /}"),
        Just("match: {path_separated_prefix: /api}"),
        Just("match: {safe_regex: {regex: \"/[a-z]+\"}}")
    ];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (source, key, domains, route, flags).prop_map(
        |(source, key, domains, route, (native, exempts, audience, reuse, json))| {
            // A native module reads no nested metadata, and every Host needs an audience that is not the client's.
            let nested = matches!(source, Source::Metadata | Source::Path);
            let source = if native && nested { Source::FilterState } else { source };
            let audience = audience || domains == ["*"];
            Right { native, source, key, exempts, domains, route, audience, reuse, json }
        },
    )
}

impl Right {
    fn text(&self) -> String {
        let mut text = read(if self.native { NATIVE } else { WASM });
        let mut settings = vec!["on_missing_identity: deny".to_owned()];
        settings.extend(self.audience.then(|| "audience: app".to_owned()));
        settings.extend(self.reuse.then(|| "reuse: 30s".to_owned()));
        settings.extend(self.sources(&mut text));
        let indentation = if self.native { 18 } else { 20 };
        let settings = settings.join(&format!("\n{}", " ".repeat(indentation)));
        text = text.replacen("on_missing_identity: deny", &settings, 1);
        let domains: Vec<_> = self.domains.iter().map(|domain| format!("{domain:?}")).collect();
        let domains = format!("domains: [{}]", domains.join(", "));
        text = text.replacen("domains: [app.example.com, \"app.example.com:*\"]", &domains, 1);
        text = text.replacen(
            "- match: {path: /healthz}",
            &format!(
                "- {}\n                route: {{cluster: upstream}}\n              - match: {{path: /healthz}}",
                self.route
            ),
            1,
        );
        self.keyed(self.exempted(text))
    }

    /// Writes what the source needs, and says how it is named.
    fn sources(&self, text: &mut String) -> Option<String> {
        let metadata = "metadata: {namespace: envoy.filters.http.jwt_authn";
        match self.source {
            Source::Metadata => Some(format!("identity_sources: [{{{metadata}}}}}]")),
            Source::Path => Some(format!("identity_sources: [{{{metadata}, path: [identity]}}}}]")),
            Source::FilterState if self.native => None,
            Source::FilterState => {
                let filter = "          - name: state\n            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config\n              on_request_headers:\n              - object_key: who\n                factory_key: envoy.string\n                format_string: {text_format_source: {inline_string: \"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%\"}}\n";
                *text = text.replacen(RESOLVER_START, &format!("{filter}{RESOLVER_START}"), 1);
                Some("identity_sources: [{filter_state: who}]".into())
            }
            Source::Header => {
                let before = if self.native { "          - name: attestation\n" } else { RESOLVER_START };
                *text = text.replacen(before, &format!("{EXT_AUTHZ}{before}"), 1);
                let remove = "              - remove: x-auth-user\n";
                *text = text.replacen("              mutations:\n", &format!("              mutations:\n{remove}"), 1);
                Some("identity_sources: [{headers: {sub: x-auth-user}}]".into())
            }
            Source::Certificate => {
                let tls = "    filter_chains:\n    - transport_socket:\n        name: tls\n        typed_config:\n          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n          require_client_certificate: true\n          common_tls_context:\n            validation_context: {trusted_ca: {filename: /tls/own.pem}}\n            tls_certificates: [{certificate_chain: {filename: /tls/own.pem}, private_key: {filename: /tls/own.key}}]\n      filters:";
                *text = text.replacen("    filter_chains:\n    - filters:", tls, 1);
                Some("identity_sources: [{client_certificate: {sub: uri_san}}]".into())
            }
        }
    }

    /// Either nobody is asked for a token there, or the paths are named.
    fn exempted(&self, text: String) -> String {
        if !self.exempts {
            return text;
        }
        let start = text.find("              - match: {prefix: /}\n                requires:").unwrap();
        let end = start + text[start..].find("- allow_missing: {}").unwrap() + "- allow_missing: {}".len();
        let rules = "              - match: {path: /.well-known/pomerium/jwks.json}\n              - match: {path: /.well-known/pomerium}\n              - match: {prefix: /}\n                requires: {provider_name: idp}";
        format!("{}{rules}{}", &text[..start], &text[end..])
    }

    fn keyed(&self, text: String) -> String {
        match self.key {
            Key::File => text,
            Key::OtherPath => text.replace("/run/secrets/attestation", "/etc/keys"),
            Key::Variable if self.native => {
                text.replace("signing_key_file: /run/secrets/attestation/signing-key.pem", "token_lifetime: 60s")
            }
            Key::Variable => text
                .replace("signing_key_file: /run/secrets/attestation/signing-key.pem", "token_lifetime: 60s")
                .replacen(
                    "vm_id: attestation",
                    "vm_id: attestation\n                  environment_variables: {host_env_keys: [SIGNING_KEY]}",
                    1,
                ),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn right_configurations_have_nothing_wrong(right in right()) {
        let mut text = right.text();
        if right.json {
            text = document::read(&text, "a.yaml").unwrap()[0].json().to_string();
        }
        prop_assert_eq!(names(&text), Vec::<&str>::new(), "{}", text);
    }
}

/// How many of them a real Envoy looks at.
const SAMPLE: usize = 12;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: make configurations sets it"))
}

/// The text with files that are there.
fn here(text: &str, directory: &Path) -> String {
    let directory = directory.to_str().unwrap();
    text.replace("/run/secrets/attestation", directory)
        .replace("/etc/keys", directory)
        .replace("/tls", directory)
        .replace("/etc/envoy/attestation_filter.wasm", &variable("ATTESTATION_FILTER_WASM"))
}

fn make_certificate(directory: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=test",
    ]);
    openssl.args(["-keyout", "own.key", "-out", "own.pem"]).current_dir(directory);
    assert!(openssl.output().unwrap().status.success());
}

/// What is called right here is accepted by Envoy, or it would be right of nothing.
#[test]
#[ignore = "needs Envoy and the modules: make configurations runs it"]
fn a_sample_of_them_is_accepted_by_envoy() {
    let directory = tempfile::tempdir().unwrap();
    let key = read("envoy/secrets/signing-key.pem");
    std::fs::write(directory.path().join("signing-key.pem"), &key).unwrap();
    make_certificate(directory.path());
    let native = PathBuf::from(variable("ATTESTATION_NATIVE"));
    let mut runner = TestRunner::deterministic();
    let mut seen = 0;
    while seen < SAMPLE {
        let right = right().new_tree(&mut runner).unwrap().current();
        if right.native && !native.exists() {
            continue;
        }
        let file = directory.path().join("envoy.yaml");
        std::fs::write(&file, here(&right.text(), directory.path())).unwrap();
        let mut envoy = Command::new(variable("ENVOY"));
        envoy.args(["--mode", "validate", "-c"]).arg(&file).env("SIGNING_KEY", &key);
        let said = envoy.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", native.parent().unwrap()).output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{right:?}\n{text}");
        seen += 1;
    }
}
