//! A running Envoy, and the service beside it where the variant has one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::bootstrap::{Parts, Service, bootstrap};
use crate::client::{Client, get};
use crate::identity;
use crate::process::{Memory, Process};
use crate::variant::{Filter, Library, Transport, Variant};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(1);

/// What every Envoy of a run is started with.
pub(crate) struct Setup<'a> {
    pub(crate) envoy: PathBuf,
    pub(crate) authz: PathBuf,
    /// Of the signing key.
    pub(crate) kid: String,
    pub(crate) parts: Parts<'a>,
}

/// One variant, alive.
pub(crate) struct Envoy {
    process: Process,
    service: Option<Process>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// From the start of the process to the first answer that came through it.
    pub(crate) started_in: Duration,
    /// Its configuration, and the socket of the service.
    _directory: TempDir,
}

/// What a variant has used so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) envoy: Duration,
    pub(crate) service: Duration,
}

impl Envoy {
    /// Starts it and waits for the first answer.
    pub(crate) fn start(variant: &Variant, setup: &Setup) -> anyhow::Result<Self> {
        Self::start_with(variant, setup, None)
    }

    /// The same; the filter is discovered from a file if one is given.
    pub(crate) fn start_with(variant: &Variant, setup: &Setup, discovery: Option<&Path>) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("bench").tempdir()?;
        let (service, service_address) = start_service(variant, setup, directory.path())?.unzip();
        let config = bootstrap(variant, &setup.parts, service_address.as_ref(), discovery);
        let (config_path, admin_path) = (directory.path().join("envoy.json"), directory.path().join("admin"));
        fs::write(&config_path, serde_json::to_vec(&config)?)?;
        let mut command = Command::new(&setup.envoy);
        command.arg("--config-path").arg(config_path).arg("--admin-address-path").arg(&admin_path);
        command.args(["--disable-hot-restart", "--log-level", "error", "--concurrency", &variant.workers.to_string()]);
        command.stdout(Stdio::null());
        let started = Instant::now();
        let mut process = Process::start(&mut command)?;
        let admin = wait(&mut process, "admin interface", || fs::read_to_string(&admin_path).ok()?.parse().ok())?;
        let address = wait(&mut process, "listener", || listener(admin))?;
        let request = identity::request(variant, "/");
        wait(&mut process, "answer", || Client::connect(address).ok()?.exchange(&request).ok())?;
        Ok(Self { process, service, address, admin, started_in: started.elapsed(), _directory: directory })
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let service = self.service.as_ref().map_or(Ok(Duration::ZERO), Process::cpu)?;
        Ok(Usage { envoy: self.process.cpu()?, service })
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        self.process.memory()
    }

    pub(crate) fn service_memory(&self) -> anyhow::Result<Option<Memory>> {
        self.service.as_ref().map(Process::memory).transpose()
    }

    /// Sees with the upstream's eyes that the variant does what it is measured for; the length of the token.
    pub(crate) fn check(&self, variant: &Variant, setup: &Setup) -> anyhow::Result<Option<usize>> {
        let mut client = Client::connect(self.address)?;
        client.exchange(&identity::request(variant, "/echo"))?;
        let head = String::from_utf8(client.body().to_vec())?;
        let mut tokens = head.lines().filter_map(|line| line.strip_prefix("x-pomerium-jwt-assertion: "));
        let token = tokens.next();
        ensure!(tokens.next().is_none(), "{}: more than one assertion", variant.name());
        let Some(token) = token else {
            ensure!(!variant.signs(), "{}: no assertion", variant.name());
            return Ok(None);
        };
        if variant.signs() {
            let claims = setup.parts.keys.verified(token)?;
            let expected = identity::payload(variant.groups);
            for name in ["sub", "email", "name", "sid", "groups"] {
                ensure!(claims.get(name) == expected.get(name), "{}: another {name}", variant.name());
            }
        }
        Ok(Some(token.len()))
    }
}

fn start_service(variant: &Variant, setup: &Setup, directory: &Path) -> anyhow::Result<Option<(Process, Service)>> {
    let Filter::ExtAuthz { transport, library, .. } = variant.filter else { return Ok(None) };
    let key = directory.join("key.der");
    fs::write(&key, setup.parts.keys.signing())?;
    let socket = directory.join("authz.sock");
    let listen = match transport {
        Transport::Tcp => "127.0.0.1:0".to_owned(),
        Transport::Unix => format!("unix:{}", socket.display()),
    };
    let library = match library {
        Library::Ring => "ring",
        Library::AwsLc => "aws-lc",
        Library::Nothing => "nothing",
    };
    let mut command = Command::new(&setup.authz);
    command.arg("--key").arg(&key).args(["--listen", &listen, "--library", library, "--kid", &setup.kid]);
    command.args(["--threads", &variant.workers.to_string()]).stdout(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let mut address = String::new();
    let output = process.stdout().context("no output of the service")?;
    BufReader::new(output).read_line(&mut address)?;
    let service = match transport {
        Transport::Tcp => Service::Tcp(address.trim().parse().context("the service did not start")?),
        Transport::Unix => Service::Unix(socket),
    };
    Ok(Some((process, service)))
}

fn listener(admin: SocketAddr) -> Option<SocketAddr> {
    let listeners: Value = serde_json::from_str(&get(admin, "/listeners?format=json").ok()?).ok()?;
    let address = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
    format!("{}:{}", address.get("address")?.as_str()?, address.get("port_value")?.as_u64()?).parse().ok()
}

fn wait<T>(process: &mut Process, what: &str, mut attempt: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return Ok(value);
        }
        if process.has_ended() {
            bail!("Envoy ended before there was its {what}");
        }
        ensure!(started.elapsed() < PATIENCE, "Envoy has no {what}");
        std::thread::sleep(PAUSE);
    }
}
