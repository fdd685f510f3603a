//! The cast: keys, Envoy with the module, and `attest upstream` behind it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use harness::process::{PATIENCE, PAUSE, wait};
use harness::{Admin, Client, Host, JWKS_PATH, Launch, Reply, Request, RunningEnvoy, places};
use serde_json::Value;

use crate::workspace::Workspace;

const BOOTSTRAP: &str = include_str!("../envoy.yaml");

/// All that the scenes need to know.
pub(crate) struct Demo<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) host: Host,
    /// Where Envoy listens.
    pub(crate) proxy: SocketAddr,
    pub(crate) admin: Admin,
    pub(crate) envoy_version: String,
    pub(crate) attest: PathBuf,
    pub(crate) signing_key: PathBuf,
    /// The key ID of the signing key.
    pub(crate) kid: String,
    /// The cookie that carries a demo user's token. No two demos have the same: browsers do not tell ports apart,
    /// and the token of an earlier demo would be refused by this one.
    pub(crate) cookie: String,
    /// It runs as long as this is there.
    _envoy: RunningEnvoy,
}

/// Makes the keys, starts the processes, and waits until a request gets through.
pub(crate) fn start(workspace: &Workspace, stay: bool) -> anyhow::Result<Demo<'_>> {
    let (binary, attest, host) = (places::envoy()?, places::attest()?, Host::from_environment()?);
    let keys = workspace.file("keys");
    fs::create_dir(&keys)?;
    let (signing_key, issuer_key) = (keys.join("signing-key.pem"), workspace.file("issuer.pem"));
    let kid = keygen(workspace, &attest, &signing_key)?;
    let issuer_kid = keygen(workspace, &attest, &issuer_key)?;
    let cookie = format!("demo_user_{}", issuer_kid.get(..6).unwrap_or_default());
    let issuer_keyset = workspace.run("attest jwks", Command::new(&attest).arg("jwks").arg(&issuer_key))?;
    let socket = workspace.file("upstream.sock");

    let bootstrap = fill(
        host,
        &[
            ("admin_port", port(stay, 9901).into()),
            ("proxy_port", port(stay, 10_000).into()),
            ("cookie", cookie.as_str().into()),
            ("issuer_keyset", issuer_keyset.trim().into()),
            ("module", module(host)?),
            ("signing_key", path(&signing_key)?),
            ("key_directory", path(&keys)?),
            ("upstream_socket", path(&socket)?),
        ],
    );
    fs::write(workspace.file("envoy.yaml"), bootstrap)?;
    let envoy = start_envoy(workspace, &binary, host)?;
    let (admin, proxy) = envoy.serving("ingress")?;
    let demo = Demo {
        workspace,
        host,
        envoy_version: admin.try_version()?,
        proxy,
        admin,
        attest,
        signing_key,
        kid,
        cookie,
        _envoy: envoy,
    };
    let mut command = Command::new(&demo.attest);
    command.arg("upstream").arg("--listen").arg(format!("unix:{}", socket.display()));
    command.arg("--jwks").arg(demo.keyset_url()).arg("--demo-issuer-key").arg(&issuer_key);
    command.arg("--demo-cookie").arg(&demo.cookie);
    workspace.start("upstream", &mut command)?;
    demo.wait_for_a_request_to_get_through()?;
    Ok(demo)
}

fn start_envoy(workspace: &Workspace, binary: &Path, host: Host) -> anyhow::Result<RunningEnvoy> {
    let mut envoy = None;
    let environment = host.environment()?;
    workspace.add(|| {
        let launch = Launch::new(binary, &workspace.file("envoy.yaml"), workspace.path()).workers(2);
        let launch = environment.into_iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let running = launch.log_level("warning").start()?;
        let process = Arc::clone(running.process());
        envoy = Some(running);
        Ok(process)
    })?;
    envoy.context("Envoy was not started")
}

impl Demo<'_> {
    /// A URL at the proxy.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.proxy)
    }

    pub(crate) fn keyset_url(&self) -> String {
        self.url(JWKS_PATH)
    }

    /// Sends a request over a connection of its own: a connection stays with one of Envoy's workers.
    pub(crate) fn send(&self, request: &Request) -> anyhow::Result<Reply> {
        Ok(Client::try_connect(self.proxy)?.try_send(request)?)
    }

    fn wait_for_a_request_to_get_through(&self) -> anyhow::Result<()> {
        let awaited = "the filter to get its signing key, and the upstream to start";
        let ended = wait(awaited, PATIENCE, PAUSE, || match self.send(&Request::get("/healthz")) {
            Ok(reply) if reply.status == 200 => Some(Ok(None)),
            _ => self.workspace.ended().map(|name| Ok(Some(name))),
        })?;
        match ended {
            None => Ok(()),
            Some(name) => bail!("{name} ended while waiting for {awaited}"),
        }
    }
}

/// Makes a key and returns its ID.
fn keygen(workspace: &Workspace, attest: &Path, file: &Path) -> anyhow::Result<String> {
    let made = workspace.run("attest keygen", Command::new(attest).args(["keygen", "--json", "--out"]).arg(file))?;
    let made: Value = serde_json::from_str(&made)?;
    Ok(made.get("kid").and_then(Value::as_str).context("attest keygen named no kid")?.to_owned())
}

/// The bootstrap for a host, with its slots filled. Values are JSON, which YAML takes as it is, whatever is in a path.
fn fill(host: Host, slots: &[(&str, Value)]) -> String {
    let fill =
        |text: String, (slot, value): &(&str, Value)| text.replace(&format!("{{{{{slot}}}}}"), &value.to_string());
    slots.iter().fold(for_host(BOOTSTRAP, host), fill)
}

/// Without the sections for the other host.
fn for_host(bootstrap: &str, host: Host) -> String {
    let ours = if host == Host::Wasm { "#[wasm]" } else { "#[native]" };
    let mut is_ours = true;
    let mut lines = Vec::new();
    for line in bootstrap.lines() {
        if line.starts_with("#[") {
            is_ours = line == ours || line == "#[both]";
        } else if is_ours {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

/// The file that Envoy is given; it finds the native module by itself.
fn module(host: Host) -> anyhow::Result<Value> {
    match host {
        Host::Wasm => path(&places::module()?),
        Host::Native => Ok(Value::Null),
    }
}

fn path(path: &Path) -> anyhow::Result<Value> {
    Ok(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.into())
}

/// The friendly port where somebody wants to type it and nothing else has it; else one that the kernel chooses.
fn port(stay: bool, friendly: u16) -> u16 {
    if stay && TcpListener::bind(("127.0.0.1", friendly)).is_ok() { friendly } else { 0 }
}
