//! API servers with one Secret, as `attest` meets them: one made by hand for what a server does when things go wrong, and
//! the real kube-apiserver where `KUBE_APISERVER` names the program of `tests/kubernetes/apiserver`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Keys, attest};

pub(crate) const NAME: &str = "envoy/attestation-signing-key";
pub(crate) const PATH: &str = "/api/v1/namespaces/envoy/secrets/attestation-signing-key";

/// What goes wrong with the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Somebody else writes first.
    Conflict,
    /// The write is done, and the connection ends before the answer.
    LostAnswer,
    /// The connection ends before anything is done.
    LostRequest,
}

/// What the server made by hand has and does.
pub(crate) struct State {
    pub(crate) secret: Value,
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) forbidden: Option<&'static str>,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) writes: usize,
}

/// An API server of 150 lines: reads and replaces one Secret, with resourceVersion and bearer tokens, as the API conventions
/// of Kubernetes describe it.
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    pub(crate) files: Files,
}

/// A kubeconfig and the file of its token.
pub(crate) struct Files {
    _directory: TempDir,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) token: PathBuf,
}

impl Files {
    pub(crate) fn new(server: &str, authority: Option<&std::path::Path>, token: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (kubeconfig, token_file) = (directory.path().join("kubeconfig"), directory.path().join("token"));
        fs::write(&token_file, token).unwrap();
        let cluster = match authority {
            Some(path) => json!({ "server": server, "certificate-authority": path }),
            None => json!({ "server": server }),
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "test", "user": { "tokenFile": token_file } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        fs::write(&kubeconfig, config.to_string()).unwrap();
        Self { _directory: directory, kubeconfig, token: token_file }
    }

    /// The program, with these credentials.
    pub(crate) fn attest(&self) -> Command {
        let mut command = attest();
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }
}

/// The Secret that the tests begin with.
pub(crate) fn secret(keys: &Keys) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "attestation-signing-key", "namespace": "envoy", "labels": { "team": "edge" } },
        "data": { "signing-key.pem": STANDARD.encode(keys.text()), "other": STANDARD.encode("left alone") },
    })
}

/// The keyring in a Secret.
pub(crate) fn keyring(secret: &Value) -> Vec<u8> {
    STANDARD.decode(secret["data"]["signing-key.pem"].as_str().unwrap()).unwrap()
}

impl Fake {
    pub(crate) fn new(keys: &Keys) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut secret = secret(keys);
        secret["metadata"]["resourceVersion"] = json!("1");
        secret["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        let tokens = BTreeSet::from(["first".to_owned()]);
        let state = State { secret, tokens, forbidden: None, trouble: None, writes: 0 };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&stream.unwrap(), &shared));
            }
        });
        Self { state, files: Files::new(&url, None, "first") }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What reads the keyring as it is now.
    pub(crate) fn reader(&self) -> impl Fn() -> Vec<u8> + Send + 'static {
        let state = Arc::clone(&self.state);
        move || keyring(&state.lock().unwrap().secret)
    }
}

fn serve(mut stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let find = |line: &String| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        lines.iter().find(|line| find(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?, words.next()?.split('?').next()?);
    let token = header("authorization").unwrap_or_default();
    let (status, answer) = state.lock().unwrap().answer(method, path, token.trim_start_matches("Bearer "), &body)?;
    let answer = answer.to_string();
    let head = "content-type: application/json\r\nconnection: close";
    write!(stream, "HTTP/1.1 {status} Status\r\n{head}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).ok()
}

impl State {
    /// None: the connection ends without an answer.
    fn answer(&mut self, method: &str, path: &str, token: &str, body: &[u8]) -> Option<(u16, Value)> {
        let verb = if method == "GET" { "get" } else { "update" };
        if !self.tokens.contains(token) {
            return Some(failure(401, "Unauthorized", "Unauthorized"));
        }
        if self.forbidden == Some(verb) {
            return Some(failure(403, "Forbidden", &format!("User \"x\" cannot {verb} resource \"secrets\"")));
        }
        if path != PATH || self.secret.is_null() {
            return Some(failure(404, "NotFound", "secrets not found"));
        }
        if method == "GET" {
            return Some((200, self.secret.clone()));
        }
        let trouble = self.trouble.take();
        if trouble == Some(Trouble::LostRequest) {
            return None;
        }
        if trouble == Some(Trouble::Conflict) {
            self.raise_version();
        }
        let new: Value = serde_json::from_slice(body).unwrap();
        if new["metadata"]["resourceVersion"] != self.secret["metadata"]["resourceVersion"] {
            return Some(failure(409, "Conflict", "the object has been modified"));
        }
        self.secret = new;
        self.raise_version();
        self.writes += 1;
        (trouble != Some(Trouble::LostAnswer)).then(|| (200, self.secret.clone()))
    }

    fn raise_version(&mut self) {
        let version: u64 = self.secret["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        self.secret["metadata"]["resourceVersion"] = json!((version + 1).to_string());
    }
}

fn failure(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code,
    });
    (code, status)
}
