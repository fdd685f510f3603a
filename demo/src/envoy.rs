//! The cast: keys, Envoy with the module, and `attest upstream` behind it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::workspace::Workspace;

const BOOTSTRAP: &str = include_str!("../envoy.yaml");
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// All that the scenes need to know.
pub(crate) struct Demo<'a> {
    pub(crate) workspace: &'a Workspace,
    /// The proxy's address, `http://127.0.0.1:PORT`.
    pub(crate) proxy: String,
    pub(crate) admin: String,
    pub(crate) envoy_version: String,
    pub(crate) attest: PathBuf,
    pub(crate) signing_key: PathBuf,
    /// The key ID of the signing key.
    pub(crate) kid: String,
    /// The cookie that carries a demo user's token. No two demos have the same: browsers do not tell ports apart,
    /// and the token of an earlier demo would be refused by this one.
    pub(crate) cookie: String,
    pub(crate) client: ureq::Agent,
}

/// Makes the keys, starts the processes, and waits until a request gets through.
pub(crate) fn start(workspace: &Workspace, stay: bool) -> anyhow::Result<Demo<'_>> {
    let (envoy, module, attest) = (envoy_binary()?, module()?, attest_binary()?);
    let keys = workspace.file("keys");
    fs::create_dir(&keys)?;
    let (signing_key, issuer_key) = (keys.join("signing-key.pem"), workspace.file("issuer.pem"));
    let kid = keygen(workspace, &attest, &signing_key)?;
    let issuer_kid = keygen(workspace, &attest, &issuer_key)?;
    let cookie = format!("demo_user_{}", issuer_kid.get(..6).unwrap_or_default());
    let issuer_keyset = workspace.run("attest jwks", Command::new(&attest).arg("jwks").arg(&issuer_key))?;
    let socket = workspace.file("upstream.sock");

    let bootstrap = fill(&[
        ("admin_port", port(stay, 9901).into()),
        ("proxy_port", port(stay, 10_000).into()),
        ("cookie", cookie.as_str().into()),
        ("issuer_keyset", issuer_keyset.trim().into()),
        ("module", path(&module)?),
        ("signing_key", path(&signing_key)?),
        ("key_directory", path(&keys)?),
        ("upstream_socket", path(&socket)?),
    ]);
    fs::write(workspace.file("envoy.yaml"), bootstrap)?;
    let admin_address = workspace.file("admin-address");
    let mut command = Command::new(&envoy);
    command.arg("--config-path").arg(workspace.file("envoy.yaml")).arg("--admin-address-path").arg(&admin_address);
    command.args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]);
    workspace.start("Envoy", &mut command)?;

    let client = client();
    let admin = wait(workspace, "Envoy did not start", || {
        fs::read_to_string(&admin_address).ok().filter(|text| !text.is_empty())
    })?;
    let admin = format!("http://{admin}");
    let proxy = wait(workspace, "Envoy did not open its listener", || proxy_address(&client, &admin))?;
    let demo = Demo {
        workspace,
        envoy_version: version(&client, &admin).unwrap_or_else(|| "of unknown version".to_owned()),
        proxy: format!("http://{proxy}"),
        admin,
        attest,
        signing_key,
        kid,
        cookie,
        client,
    };
    let mut command = Command::new(&demo.attest);
    command.arg("upstream").arg("--listen").arg(format!("unix:{}", socket.display()));
    command.arg("--jwks").arg(demo.keyset_url()).arg("--demo-issuer-key").arg(&issuer_key);
    command.arg("--demo-cookie").arg(&demo.cookie);
    workspace.start("upstream", &mut command)?;
    wait(workspace, "the filter did not get its signing key, or the upstream did not start", || {
        let answer = demo.client.get(format!("{}/healthz", demo.proxy)).call().ok()?;
        (answer.status() == 200).then_some(())
    })?;
    Ok(demo)
}

impl Demo<'_> {
    pub(crate) fn keyset_url(&self) -> String {
        format!("{}/.well-known/pomerium/jwks.json", self.proxy)
    }
}

fn client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .max_redirects(0)
        // A connection for each request: a connection stays with one of Envoy's workers.
        .max_idle_connections(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .build()
        .new_agent()
}

/// Makes a key and returns its ID.
fn keygen(workspace: &Workspace, attest: &Path, file: &Path) -> anyhow::Result<String> {
    let made = workspace.run("attest keygen", Command::new(attest).args(["keygen", "--json", "--out"]).arg(file))?;
    let made: Value = serde_json::from_str(&made)?;
    Ok(made.get("kid").and_then(Value::as_str).context("attest keygen named no kid")?.to_owned())
}

/// The bootstrap with its slots filled. Values are JSON, which YAML takes as it is, whatever is in a path.
fn fill(slots: &[(&str, Value)]) -> String {
    slots
        .iter()
        .fold(BOOTSTRAP.to_owned(), |text, (slot, value)| text.replace(&format!("{{{{{slot}}}}}"), &value.to_string()))
}

fn path(path: &Path) -> anyhow::Result<Value> {
    Ok(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.into())
}

/// The friendly port where somebody wants to type it and nothing else has it; else one that the kernel chooses.
fn port(stay: bool, friendly: u16) -> u16 {
    if stay && TcpListener::bind(("127.0.0.1", friendly)).is_ok() { friendly } else { 0 }
}

fn proxy_address(client: &ureq::Agent, admin: &str) -> Option<String> {
    let listeners = get_json(client, &format!("{admin}/listeners?format=json"))?;
    let statuses = listeners.get("listener_statuses")?.as_array()?;
    let ingress = statuses.iter().find(|status| status.get("name").and_then(Value::as_str) == Some("ingress"))?;
    let address = ingress.pointer("/local_address/socket_address")?;
    Some(format!("{}:{}", address.get("address")?.as_str()?, address.get("port_value")?.as_u64()?))
}

/// `commit/1.40.0/Clean/RELEASE/BoringSSL` is what the admin interface says.
fn version(client: &ureq::Agent, admin: &str) -> Option<String> {
    let info = get_json(client, &format!("{admin}/server_info"))?;
    info.get("version")?.as_str()?.split('/').nth(1).map(str::to_owned)
}

fn get_json(client: &ureq::Agent, url: &str) -> Option<Value> {
    client.get(url).call().ok()?.body_mut().read_json().ok()
}

/// Tries something until it works, and no longer than it takes to see that it will not.
pub(crate) fn wait<T>(
    workspace: &Workspace,
    failure: &str,
    mut attempt: impl FnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return Ok(value);
        }
        if let Some(name) = workspace.ended() {
            bail!("{failure}: {name} ended");
        }
        ensure!(started.elapsed() < PATIENCE, "{failure} within {} s", PATIENCE.as_secs());
        std::thread::sleep(PAUSE);
    }
}

fn envoy_binary() -> anyhow::Result<PathBuf> {
    let path = from_environment("ENVOY").unwrap_or_else(|| root().join(".envoy/1.40.0/envoy"));
    ensure!(path.is_file(), "no Envoy at {}; make envoy fetches it, or set ENVOY=/path/to/envoy", path.display());
    Ok(path)
}

fn module() -> anyhow::Result<PathBuf> {
    let built = || target_directory().join("wasm32-wasip1/release/attestation_filter.wasm");
    let path = from_environment("ATTESTATION_FILTER_WASM").unwrap_or_else(built);
    ensure!(path.is_file(), "no module at {}; make wasm builds it", path.display());
    path.canonicalize().context("cannot find the module")
}

fn attest_binary() -> anyhow::Result<PathBuf> {
    let path = from_environment("ATTEST").unwrap_or_else(|| target_directory().join("release/attest"));
    ensure!(path.is_file(), "no attest at {}; make cli builds it", path.display());
    path.canonicalize().context("cannot find attest")
}

fn from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// This program is at `TARGET/release/demo`.
fn target_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().nth(2).map_or_else(|| root().join("target"), Path::to_owned)
}
