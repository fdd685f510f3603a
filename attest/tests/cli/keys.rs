//! keygen and jwks.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Keys, claims, kids, mode, run, run_with_stdin};

#[test]
fn a_new_key_is_private_named_by_its_kid_and_published_as_the_filter_would() {
    let keys = Keys::new();
    assert_eq!(mode(&keys.path), 0o600);
    assert!(keys.text().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let said = run(&["jwks", keys.file()]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_eq!(said.stdout, format!("{}\n", keys.keyset()));
    assert_eq!(fs::read_dir(keys.directory.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_key_is_never_overwritten() {
    let keys = Keys::new();
    let before = keys.text();
    let said = run(&["keygen", "-o", keys.file()]);
    assert_eq!(said.code, 1);
    assert!(
        said.stderr.contains("never overwritten") && said.stderr.contains("attest rotate stage"),
        "{}",
        said.stderr
    );
    assert_eq!(keys.text(), before);
}

#[test]
fn without_a_file_only_the_key_goes_to_standard_output() {
    let said = run(&["keygen"]);
    assert_eq!(said.code, 0);
    let kid = &kids(said.stdout.as_bytes())[0];
    assert!(said.stdout.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(said.stdout.ends_with("-----END PRIVATE KEY-----\n"));
    assert_eq!(said.stderr, format!("kid {kid}\n"));
    let answer = run(&["keygen", "--json"]).json();
    assert_eq!(json!(kids(answer["pem"].as_str().unwrap().as_bytes())[0]), answer["kid"]);
}

#[test]
fn every_type_of_key_is_made() {
    for (key_type, alg, modulus) in [
        ("p256", "ES256", None),
        ("rsa-2048", "RS256", Some(342)),
        ("rsa-3072", "RS256", Some(512)),
        ("rsa-4096", "RS256", Some(683)),
    ] {
        let keys = Keys::of_type(key_type);
        let keyset: Value = serde_json::from_str(&run(&["jwks", keys.file()]).stdout).unwrap();
        assert_eq!(keyset["keys"][0]["alg"], alg);
        assert_eq!(keyset["keys"][0]["n"].as_str().map(str::len), modulus, "{key_type}");
    }
}

#[test]
fn what_cannot_be_written_or_read_says_what_to_do() {
    let said = run(&["keygen", "-o", "/nonexistent/directory/key.pem"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("does its directory exist"), "{}", said.stderr);
    let said = run(&["jwks", "/nonexistent/key.pem"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("attest keygen -o /nonexistent/key.pem"), "{}", said.stderr);
    let said = run(&["jwks", "/"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("directory"), "{}", said.stderr);
}

#[test]
fn an_unusable_key_file_is_refused_by_block_and_never_quoted() {
    let keys = Keys::new();
    let broken = keys.text().replacen("END PRIVATE", "END PUBLIC", 1);
    let body = broken.lines().nth(1).unwrap().to_owned();
    let said = run(&["jwks", &keys.write("broken.pem", &broken)]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("block 1 (PRIVATE KEY)"), "{}", said.stderr);
    assert!(!said.all().contains(&body));
    let said = run(&["--json", "jwks", &keys.write("empty.pem", "")]);
    assert_eq!(said.code, 1);
    assert!(said.json()["error"].as_str().unwrap().contains("no PEM block"));
}

#[test]
fn a_repeated_key_is_published_once_with_a_note() {
    let keys = Keys::new();
    let said = run(&["jwks", &keys.write("twice.pem", &keys.text().repeat(2))]);
    assert_eq!(said.stdout, format!("{}\n", keys.keyset()));
    assert!(said.stderr.contains("block 2 repeats"), "{}", said.stderr);
}

#[test]
fn a_wrong_command_line_ends_with_2_and_help_with_0() {
    for arguments in [&[][..], &["frobnicate"], &["keygen", "--type", "dsa"], &["jwks"], &["rotate", "stage"]] {
        assert_eq!(run(arguments).code, 2, "{arguments:?}");
    }
    for arguments in [
        &["--help"][..],
        &["keygen", "--help"],
        &["verify", "--help"],
        &["rotate", "--help"],
        &["upstream", "--help"],
        &["--version"],
    ] {
        assert_eq!(run(arguments).code, 0, "{arguments:?}");
    }
    assert!(run(&["--help"]).stdout.contains("Exit codes:"));
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let said = run(&["completions", shell]);
        assert_eq!(said.code, 0);
        for command in ["keygen", "jwks", "rotate", "verify", "upstream", "jwks-url"] {
            assert!(said.stdout.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_json_where_json_is_asked_for() {
    for (arguments, word, usage) in [
        (&["--json", "frobnicate"][..], "frobnicate", "attest [OPTIONS] <COMMAND>"),
        (&["verify", "--json", "x"], "--jwks", "attest verify --jwks"),
        (&["rotate", "stage", "--json", "--jwks-url", "nowhere", "f"], "http://", "attest rotate stage [OPTIONS]"),
        (
            &["keygen", "--type", "dsa", "--json"],
            "'dsa' for '--type <TYPE>' [possible values:",
            "attest keygen [OPTIONS]",
        ),
        (&["--json", "verify", "x", "--jwks", "y", "--leeway", "rotate"], "--leeway", "attest verify [OPTIONS] --jwks"),
        (&["--json", "jwks", "--x", "f"], "found; tip: to pass", "attest jwks"),
        (&["--json"], "subcommand", "attest [OPTIONS] <COMMAND>"),
    ] {
        let said = run(arguments);
        assert_eq!((said.code, said.stderr.as_str()), (2, ""), "{arguments:?}: {}", said.all());
        let error = said.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(word) && !error.contains('\n') && !error.contains("For more"), "{error}");
        assert!(said.json()["usage"].as_str().unwrap().starts_with(usage), "{arguments:?}: {}", said.stdout);
    }
    assert!(run(&["--json", "--help"]).stdout.contains("Usage:"), "help stays help");
}

#[test]
fn manual_pages_come_from_the_help() {
    let said = run(&["man"]);
    assert_eq!(said.code, 0);
    for word in [".TH attest 1", "keygen", "rotate", "Exit codes"] {
        assert!(said.stdout.contains(word), "{word}");
    }
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", "--out", "-"]).stdout, said.stdout);
    assert_eq!(run(&["man", "--out", directory.path().to_str().unwrap()]).code, 0);
    let page = fs::read_to_string(directory.path().join("attest-rotate-promote.1")).unwrap();
    assert!(page.contains("jwks\\-url") && page.contains("connect\\-to"), "{page}");
}

#[test]
fn a_hyphen_is_standard_input_and_output() {
    let keys = Keys::new();
    let said = run_with_stdin(&["jwks", "-"], &keys.text());
    assert_eq!((said.code, said.stdout), (0, format!("{}\n", keys.keyset())));
    let said = run(&["keygen", "-o", "-"]);
    assert!(said.stdout.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let new = Keys::new();
    let said = run_with_stdin(&["rotate", "stage", keys.file(), "--key", "-"], &new.text());
    assert_eq!((said.code, &keys.kids()[1]), (0, &new.kids()[0]), "{}", said.all());
    let token = keys.sign(&claims());
    let said = run_with_stdin(&["verify", &token, "--jwks", "-"], &keys.keyset());
    assert_eq!(said.code, 0, "{}", said.all());
    let said = run_with_stdin(&["verify", "-", "--jwks", "-"], &token);
    assert!(said.code == 1 && said.stderr.contains("at once"), "{}", said.all());
    let said = run_with_stdin(&["rotate", "stage", "-"], &keys.text());
    assert!(said.code == 1 && said.stderr.contains("not standard input"), "{}", said.all());
}

#[test]
fn an_endless_input_is_refused() {
    let keys = Keys::new();
    let token = keys.sign(&claims());
    for arguments in [
        &["jwks", "/dev/zero"][..],
        &["verify", &token, "--jwks", "/dev/zero"],
        &["verify", &token, "--jwks", "https://localhost/", "--cacert", "/dev/zero"],
        &["rotate", "stage", keys.file(), "--key", "/dev/zero"],
        &["upstream", "--jwks", "http://localhost/", "--demo-issuer-key", "/dev/zero"],
    ] {
        let said = run(arguments);
        assert_eq!(said.code, 1, "{arguments:?}");
        assert!(said.all().contains("more than 1048576 bytes"), "{arguments:?}: {}", said.all());
    }
}
