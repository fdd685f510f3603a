//! Runs `attest`, signs tokens with other code than the program under test, and plays a proxy's keyset endpoint.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use attestation_filter::keys::{Keyring, SigningKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The program, with colours off and no proxies or certificates of this machine.
pub(crate) fn attest() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attest"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// What a run of the program said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("not killed"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn run(arguments: &[&str]) -> Said {
    attest().args(arguments).output().unwrap().into()
}

pub(crate) fn run_with_stdin(arguments: &[&str], stdin: &str) -> Said {
    let mut command = attest();
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments ends without reading: what it says is looked at, not the pipe.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap().into()
}

/// A directory with a key file in it.
pub(crate) struct Keys {
    pub(crate) directory: TempDir,
    pub(crate) path: PathBuf,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self::of_type("p256")
    }

    pub(crate) fn of_type(key_type: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("signing-key.pem");
        let said = run(&["keygen", "--type", key_type, "-o", path.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{}", said.all());
        Self { directory, path }
    }

    pub(crate) fn file(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// The key IDs in their order, as the library reads them.
    pub(crate) fn kids(&self) -> Vec<String> {
        kids(&fs::read(&self.path).unwrap())
    }

    pub(crate) fn keyset(&self) -> String {
        Keyring::parse(&fs::read(&self.path).unwrap()).ok().unwrap().keyset().json()
    }

    /// Another file of the directory, with this content.
    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let keys = Keyring::parse(&fs::read(&self.path).unwrap()).ok().unwrap();
        let key = keys.signing_key().public_key();
        let header = json!({ "alg": key.alg(), "kid": key.kid(), "typ": "JWT" });
        self.sign_with_header(&header, claims)
    }

    pub(crate) fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        let keys = Keyring::parse(&fs::read(&self.path).unwrap()).ok().unwrap();
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = sign(keys.signing_key(), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub(crate) fn kids(pem: &[u8]) -> Vec<String> {
    match Keyring::parse(pem) {
        Ok(keys) => keys.keyset().keys().iter().map(|key| key.kid().to_owned()).collect(),
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Runs a rotation until it has taken a step.
pub(crate) fn ask_until_done(ask: impl Fn() -> Value) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask();
        if answer["done"] == true {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer}");
    }
}

pub(crate) fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    match key {
        SigningKey::P256(key) => {
            let der = key.pkcs8_der().unwrap();
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap();
            key.sign(&random, message).unwrap().as_ref().to_vec()
        }
        SigningKey::Rsa(key) => {
            let key = aws_lc_rs::rsa::KeyPair::from_pkcs8(key.pkcs8_der()).unwrap();
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
            signature
        }
    }
}

/// Claims of an assertion that was just made.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "app.example.com", "aud": "app.example.com", "jti": "j", "iat": now(), "exp": now() + 300,
        "sub": "ann", "user": "ann", "email": "ann@example.com", "name": "Ann", "sid": "", "groups": ["a", "b"],
    })
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A proxy, as far as `attest` sees one: it publishes a keyset.
pub(crate) struct Proxy {
    pub(crate) url: String,
    keyset: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn new(keyset: &str) -> Self {
        Self::with_cache_control(keyset, Some("public, max-age=60"))
    }

    pub(crate) fn with_cache_control(keyset: &str, cache_control: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/.well-known/pomerium/jwks.json", listener.local_addr().unwrap());
        let keyset = Arc::new(Mutex::new(keyset.to_owned()));
        let asked = Arc::new(AtomicUsize::new(0));
        let (shared, counter) = (Arc::clone(&keyset), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = answer(&stream.unwrap(), &shared.lock().unwrap().clone(), cache_control);
            }
        });
        Self { url, keyset, asked }
    }

    pub(crate) fn publish(&self, keyset: &str) {
        keyset.clone_into(&mut self.keyset.lock().unwrap());
    }

    /// What is published, to be changed from another thread.
    pub(crate) fn publisher(&self) -> Arc<Mutex<String>> {
        Arc::clone(&self.keyset)
    }

    pub(crate) fn times_asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: &TcpStream, body: &str, cache_control: Option<&str>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let caching = cache_control.map(|value| format!("cache-control: {value}\r\n")).unwrap_or_default();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{caching}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
