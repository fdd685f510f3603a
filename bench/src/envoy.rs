//! A running Envoy, and the service beside it where the variant has one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use harness::{ASSERTION_HEADER, Admin, Client, Launch, Process, RunningEnvoy};
use tempfile::TempDir;

use crate::bootstrap::{Parts, Service, bootstrap};
use crate::exchange::exchange;
use crate::identity;
use crate::usage::{CpuClock, Memory, end_with_bench};
use crate::variant::{Filter, Library, Transport, Variant};

/// Fifty keys, or a machine that is busy, take a while.
const PATIENCE: Duration = Duration::from_secs(60);
/// Start-up is measured with it.
const PAUSE: Duration = Duration::from_millis(1);

/// Where Envoy looks for native modules.
const SEARCH_PATH: &str = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH";

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
    envoy: Measured<RunningEnvoy>,
    service: Option<Measured<Process>>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: Admin,
    /// From the start of the process to the first answer that came through it.
    pub(crate) started_in: Duration,
    /// Its configuration, and the socket of the service.
    _directory: TempDir,
}

/// A program with its clock.
struct Measured<T> {
    program: T,
    cpu: CpuClock,
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
        let config_path = directory.path().join("envoy.json");
        fs::write(&config_path, serde_json::to_vec(&config)?)?;
        let launch = Launch::new(&setup.envoy, &config_path, directory.path())
            .workers(u32::try_from(variant.workers)?)
            .log_level("error")
            .env(SEARCH_PATH, setup.parts.native.parent().context("the native module is in no directory")?)
            .log_with_ours()
            .patience(PATIENCE)
            .poll_every(PAUSE)
            .command(|command| end_with_bench(command.stdout(Stdio::null())));
        let started = Instant::now();
        let envoy = launch.start()?;
        let (admin, address) = envoy.serving("bench")?;
        let request = identity::request(variant, "/");
        envoy.wait_until("its first answer", || exchange(&mut Client::try_connect(address).ok()?, &request).ok())?;
        let started_in = started.elapsed();
        let envoy = Measured { cpu: CpuClock::of(envoy.process())?, program: envoy };
        Ok(Self { envoy, service, address, admin, started_in, _directory: directory })
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let service = self.service.as_ref().map_or(Ok(Duration::ZERO), |service| service.cpu.now())?;
        Ok(Usage { envoy: self.envoy.cpu.now()?, service })
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        Memory::of(self.envoy.program.process())
    }

    pub(crate) fn service_memory(&self) -> anyhow::Result<Option<Memory>> {
        self.service.as_ref().map(|service| Memory::of(&service.program)).transpose()
    }

    /// Sees with the upstream's eyes that the variant does what it is measured for; the length of the token.
    pub(crate) fn check(&self, variant: &Variant, setup: &Setup) -> anyhow::Result<Option<usize>> {
        let mut client = Client::try_connect(self.address)?;
        let (reply, _) = exchange(&mut client, &identity::request(variant, "/echo"))?;
        let head = String::from_utf8(reply.body)?;
        let mut tokens = head.lines().filter_map(|line| line.strip_prefix(ASSERTION_HEADER)?.strip_prefix(": "));
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

fn start_service(
    variant: &Variant,
    setup: &Setup,
    directory: &Path,
) -> anyhow::Result<Option<(Measured<Process>, Service)>> {
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
    end_with_bench(&mut command);
    let program = Process::spawn("the service", &mut command)?;
    let mut address = String::new();
    let output = program.take_stdout().context("no output of the service")?;
    BufReader::new(output).read_line(&mut address)?;
    let service = match transport {
        Transport::Tcp => Service::Tcp(address.trim().parse().context("the service did not start")?),
        Transport::Unix => Service::Unix(socket),
    };
    let cpu = CpuClock::of(&program)?;
    Ok(Some((Measured { program, cpu }, service)))
}
