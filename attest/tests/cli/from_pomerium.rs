//! How `attest from-pomerium` ends, and where it says what; what it writes is tested on a real Envoy.

use super::support::{Keys, Said, run, run_with_stdin};

pub(crate) const SIGNED_IN: &str = "idp_provider: google
idp_client_id: client
idp_client_secret: S3CRET
routes: [{from: 'https://app.example.com', to: 'http://app', allow_any_authenticated_user: true}]";
const CLOSED: &str =
    "routes: [{from: 'https://app.example.com', to: 'http://app', policy: [{allow: {or: [{device: {is: x}}]}}]}]";

fn from_pomerium(arguments: &[&str], config: &str) -> Said {
    run_with_stdin(&[&["from-pomerium", "-"], arguments].concat(), config)
}

#[test]
fn a_carried_configuration_ends_with_0() {
    let said = from_pomerium(&[], SIGNED_IN);
    assert_eq!(said.code, 0, "{}", said.all());
    assert!(said.stdout.starts_with("# Written by attest from-pomerium"), "{}", said.stdout);
    for text in [&said.stdout, &said.stderr] {
        assert!(text.contains("the client's secret is not copied") && text.contains("standard input:3"), "{text}");
        assert!(!text.contains("S3CRET"), "{text}");
    }
    assert!(said.stderr.ends_with("0 closed, 5 to do, 0 differs, 0 left out\n"), "{}", said.stderr);
}

#[test]
fn a_route_that_is_closed_ends_with_1() {
    let said = from_pomerium(&["--json"], CLOSED);
    let left = &said.json()["left"][0];
    assert_eq!((said.code, &left["kind"], &left["path"]), (1, &"closed".into(), &"routes[0].policy".into()));
    let said = from_pomerium(&["--json", "--allow-signed-in"], CLOSED);
    assert!(said.code == 0 && said.stdout.contains("whoever is signed in passes"), "{}", said.all());
}

#[test]
fn json_has_the_same_as_the_text() {
    for host in ["wasm", "native"] {
        let json = from_pomerium(&["--json", "--host", host], SIGNED_IN).json();
        assert_eq!(json["left"].as_array().map(Vec::len), Some(5), "{host}");
        let keys = Keys::new();
        let [yaml, json] = [from_pomerium(&["--host", host], SIGNED_IN).stdout, json["envoy"].to_string()];
        for (name, text) in [("envoy.yaml", yaml), ("envoy.json", json)] {
            let said = run(&["check", &keys.write(name, &text)]);
            assert!(said.code == 0 && said.stdout.contains("nothing is wrong"), "{host}, {name}: {}", said.all());
        }
    }
}

#[test]
fn discovery_names_the_provider() {
    let keys = Keys::new();
    let document = r#"{"issuer": "https://i.example", "jwks_uri": "https://k.example/jwks",
        "authorization_endpoint": "https://i.example/a", "token_endpoint": "https://i.example/t"}"#;
    let file = keys.write("idp.json", document);
    let said = from_pomerium(&["--openid-configuration", &file, "--client-id", "mine"], CLOSED);
    for part in
        ["issuer: https://i.example", "uri: https://k.example/jwks", "uri: https://i.example/t", "client_id: mine"]
    {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let file = keys.write("no.json", "{}");
    let said = from_pomerium(&["--openid-configuration", &file], CLOSED);
    assert!(said.code == 2 && said.stderr.contains("jwks_uri"), "{}", said.all());
}

#[test]
fn what_is_no_configuration_ends_with_2() {
    for text in ["", "signing_key: [S3CRET", "some: S3CRET", "routes: []"] {
        let said = from_pomerium(&["--json"], text);
        assert_eq!(said.code, 2, "{text}: {}", said.all());
        assert!(said.json()["error"].as_str().is_some_and(|error| !error.is_empty()), "{text}");
        assert!(!said.all().contains("S3CRET"), "{}", said.all());
    }
    let nothing = "/nonexistent/config.yaml";
    let said = run(&["from-pomerium", nothing]);
    assert!(said.code == 2 && said.stderr.contains(nothing), "{}", said.all());
    assert_eq!(run(&["from-pomerium", nothing, "--host", "other"]).code, 2);
}
