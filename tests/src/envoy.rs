//! A running Envoy, or one that refused to run.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::admin::Admin;
use super::bootstrap::{Bootstrap, Configuration, Restart};
use super::capability::Capability;
use super::eventually;
use super::host::Host;
use super::http::{Client, Reply, Request};
use super::jose::{Assertion, KeySet};
use super::launch::{Launch, RunningEnvoy};
use super::process::last_lines;
use super::replaced::replace_file;
use super::secrets::Secrets;
use super::tls::Authority;
use super::upstream::Upstream;
use super::{JWKS_PATH, paths, traps};

/// What an operator reads, or a scraper collects.
const ADMIN_PAGES: [&str; 16] = [
    "/config_dump",
    "/config_dump?include_eds",
    "/stats",
    "/stats?format=json",
    "/stats/prometheus",
    "/certs",
    "/clusters",
    "/clusters?format=json",
    "/contention",
    "/hot_restart_version",
    "/listeners",
    "/listeners?format=json",
    "/memory",
    "/init_dump",
    "/runtime",
    "/server_info",
];

/// A running Envoy with an upstream of its own. Dropping it ends the process and looks for traps in its log; when the
/// test has failed, it prints the log instead.
pub struct Envoy {
    process: Process,
    bootstrap: Bootstrap,
    admin: Admin,
    address: SocketAddr,
    upstream: Upstream,
    version: Cell<u64>,
}

/// An Envoy that ended by itself.
pub struct Refused {
    /// All that it logged.
    pub log: String,
    /// How it ended.
    pub status: ExitStatus,
}

impl Envoy {
    /// Starts and waits until it serves.
    pub(super) fn start(bootstrap: Bootstrap) -> Self {
        let upstream = Upstream::start();
        let process = Process::spawn(&bootstrap, upstream.address());
        let (admin, address) = process.envoy.serving("public").unwrap_or_else(|e| panic!("{e}"));
        Self { process, bootstrap, admin, address, upstream, version: Cell::new(1) }
    }

    /// Starts and waits until it has ended.
    pub(super) fn start_refused(bootstrap: Bootstrap) -> Refused {
        let upstream = Upstream::start();
        let process = Process::spawn(&bootstrap, upstream.address());
        let status = process.wait_for_end();
        Refused { log: process.log(), status }
    }

    /// Starts another Envoy that takes over the sockets, and waits until it serves. This one tells its clients to go
    /// (`connection: close`), and ends by itself soon after.
    pub fn hot_restart(&self, next: Bootstrap) -> Self {
        let base_id = self.process.base_id().expect("a restartable Envoy's base id");
        let epoch = match &self.bootstrap.restart {
            Some(Restart::Later { epoch, .. }) => epoch + 1,
            Some(Restart::First) | None => 1,
        };
        let next = Self::start(next.taking_over(self.address.port(), base_id, epoch));
        let [from, to] = [&self.process, &next.process].map(|process| process.directory.path().join(BASE_ID));
        fs::rename(from, to).expect("hand the base id on");
        next
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(&mut self) {
        let status = self.process.wait_for_end();
        assert!(status.success(), "{status}");
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends a request over a connection of its own.
    pub fn send(&self, request: &Request) -> Reply {
        self.connect().send(request)
    }

    /// Sends a GET over a connection of its own.
    pub fn get(&self, target: &str) -> Reply {
        self.send(&Request::get(target))
    }

    /// The keyset, from its usual place.
    pub fn keys(&self) -> KeySet {
        let reply = self.get(JWKS_PATH);
        assert_eq!(reply.status, 200, "keyset: {:?}", reply.body);
        KeySet::from_json(reply.json())
    }

    /// The same from a listener that is encrypted.
    pub fn keys_over(&self, authority: &Authority) -> KeySet {
        KeySet::from_json(authority.connect(self.address, None).send(&Request::get(JWKS_PATH)).json())
    }

    /// Sends a request and reads the assertion that reached the upstream, verified with the published keys.
    pub fn attest(&self, request: &Request) -> Assertion {
        self.keys().verify(&self.send(request).token())
    }

    /// How many requests have reached the upstream.
    pub fn upstream_requests(&self) -> usize {
        self.upstream.requests()
    }

    /// All that Envoy has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The lines that Envoy logged after the log was so many bytes long.
    pub fn log_since(&self, mark: usize) -> String {
        self.log().split_off(mark)
    }

    /// Hands Envoy another plugin configuration and waits until it is taken.
    pub fn push_accepted(&self, configuration: impl Into<Configuration>) {
        let configuration = configuration.into();
        let verdict = self.push(&configuration);
        assert!(verdict.is_accepted, "rejected: {configuration:?}\n{}", verdict.log);
    }

    /// Hands a one-worker Envoy another plugin configuration, with `label` as its audience, and waits until requests
    /// are signed by it. A 503 in the meantime must say when to try again.
    pub fn reconfigure(&self, label: &str, mut configuration: Value) -> Assertion {
        configuration["audience"] = label.into();
        self.push_accepted(configuration);
        let token = eventually(label, || {
            let reply = self.get("/");
            if reply.status == 503 {
                assert!(reply.header("retry-after").is_some(), "{label}: 503 without retry-after");
                return None;
            }
            let token = reply.token();
            (Assertion::read(&token).claim("aud") == label).then_some(token)
        });
        self.keys().verify(&token)
    }

    /// Hands Envoy another plugin configuration, with `label` as its audience, and waits until every worker signs by it.
    /// Until then each request is answered 200.
    pub fn reconfigure_all(&self, label: &str, mut configuration: Value) {
        configuration["audience"] = label.into();
        self.push_accepted(configuration);
        let has_it = |client: &mut Client| {
            let reply = client.send(&Request::get("/"));
            assert_eq!(reply.status, 200, "{label}");
            Assertion::read(&reply.token()).claim("aud") == label
        };
        eventually(label, || self.spread().iter_mut().all(has_it).then_some(()));
    }

    /// Hands Envoy another plugin configuration, waits until it is rejected and returns what was logged on that.
    pub fn push_rejected(&self, configuration: impl Into<Configuration>) -> String {
        let configuration = configuration.into();
        let verdict = self.push(&configuration);
        assert!(!verdict.is_accepted, "accepted: {configuration:?}");
        verdict.log
    }

    /// Hands Envoy another plugin configuration and waits for its verdict.
    pub fn push(&self, configuration: &Configuration) -> Verdict {
        let mark = self.log().len();
        let (accepted, rejected) = self.admin.discoveries();
        self.version.set(self.version.get() + 1);
        self.bootstrap.write_dynamic(self.process.directory.path(), configuration, self.version.get());
        let is_accepted = eventually("a verdict on the configuration", || {
            let now = self.admin.discoveries();
            (now != (accepted, rejected)).then_some(now.0 > accepted)
        });
        Verdict { is_accepted, log: self.log_since(mark) }
    }

    /// Hands Envoy the filter from another module, and does not wait for what becomes of it.
    pub fn push_module(&self, module: &Path, configuration: impl Into<Configuration>) {
        self.version.set(self.version.get() + 1);
        let bootstrap = self.bootstrap.clone().module(module.to_owned());
        bootstrap.write_dynamic(self.process.directory.path(), &configuration.into(), self.version.get());
    }

    /// Replaces the file that Envoy has the filter from by any bytes.
    pub fn replace_discovery(&self, content: &[u8]) {
        replace_file(&paths::dynamic_filter(self.process.directory.path()), content);
    }

    /// Replaces the key file.
    pub fn replace_key_file(&self, content: impl AsRef<[u8]>) {
        self.bootstrap.key_directory(self.process.directory.path()).replace(content.as_ref());
    }

    /// Where the key file is.
    pub fn key_file(&self) -> PathBuf {
        self.bootstrap.key_directory(self.process.directory.path()).file()
    }

    /// The ID of the process.
    pub fn pid(&self) -> u32 {
        self.process.envoy.process().id()
    }

    /// Looks for keys in all that Envoy logs and tells about itself.
    ///
    /// # Panics
    /// If one of them is somewhere, saying where and in which form.
    pub fn assert_tells_nothing_of<T: AsRef<str>>(&self, keys: impl IntoIterator<Item = T>) {
        let secrets = Secrets::of(keys);
        self.all_it_tells().for_each(|(place, content)| secrets.assert_not_in(place, content));
    }

    /// The pages of the administration interface and the log, by name.
    pub fn all_it_tells(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        let pages = ADMIN_PAGES.iter().map(|page| {
            let reply = self.admin.get(page);
            // Envoys are built with different pages; each has a configuration, statistics and a state.
            assert!(reply.status == 200 || *page == "/contention", "{page}: {}", reply.status);
            (*page, reply.body)
        });
        pages.chain(std::iter::once_with(|| ("the log", self.log().into_bytes())))
    }

    /// Envoy's administration interface.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// One of the filter's counters or gauges, by the name that the README gives it; 0 if it is not there (yet).
    pub fn stat(&self, name: &str) -> u64 {
        self.admin.stat(&self.host().statistic(name))
    }

    /// One of the numbers that move without a request, as those of keys do. A native module hands them over with the next
    /// request where Envoy takes none from its main thread, so there is one then.
    pub fn key_stat(&self, name: &str) -> u64 {
        if !Capability::CountsOnMainThread.is_there() {
            self.get(JWKS_PATH);
        }
        self.stat(name)
    }

    /// What the filter runs in.
    pub fn host(&self) -> Host {
        self.bootstrap.host
    }

    /// Connections held open at the same time: Envoy spreads them over its workers evenly.
    pub fn spread(&self) -> Vec<Client> {
        (0..3 * self.bootstrap.concurrency).map(|_| self.connect()).collect()
    }
}

/// What Envoy made of a configuration.
pub struct Verdict {
    /// Whether it serves now.
    pub is_accepted: bool,
    /// What was logged in the meantime.
    pub log: String,
}

/// The file with the name of a row of Envoys that take over from each other, in the directory of the last one.
const BASE_ID: &str = "base-id";

fn restart_arguments(restart: &Restart, directory: &Path) -> Vec<String> {
    let hurry = ["--drain-strategy", "immediate", "--drain-time-s", "1", "--parent-shutdown-time-s", "2"];
    let place = match restart {
        Restart::First => {
            let path = directory.join(BASE_ID).display().to_string();
            vec!["--use-dynamic-base-id".into(), "--base-id-path".into(), path]
        }
        Restart::Later { base_id, epoch } => {
            vec!["--base-id".into(), base_id.clone(), "--restart-epoch".into(), epoch.to_string()]
        }
    };
    hurry.map(String::from).into_iter().chain(place).collect()
}

struct Process {
    envoy: RunningEnvoy,
    directory: TempDir,
    may_trap: bool,
}

impl Process {
    fn spawn(bootstrap: &Bootstrap, upstream: SocketAddr) -> Self {
        let directory = tempfile::tempdir().expect("a directory for Envoy's files");
        let config = bootstrap.write(directory.path(), upstream);
        let launch = Launch::new(bootstrap.binary(), &config, directory.path())
            .workers(bootstrap.concurrency)
            .log_level(bootstrap.log_level);
        let launch = bootstrap
            .environment(directory.path())
            .into_iter()
            .fold(launch, |launch, (name, value)| launch.env(&name, value));
        let launch = match &bootstrap.restart {
            None => launch,
            Some(restart) => launch.restart(restart_arguments(restart, directory.path())),
        };
        let envoy = launch.start().unwrap_or_else(|e| panic!("{e}"));
        Self { envoy, directory, may_trap: bootstrap.may_trap }
    }

    fn wait_for_end(&self) -> ExitStatus {
        self.envoy.process().wait_for_end().unwrap_or_else(|e| panic!("{e}"))
    }

    /// The name of the row of Envoys that this one is the last of.
    fn base_id(&self) -> Option<String> {
        Some(fs::read_to_string(self.directory.path().join(BASE_ID)).ok()?.trim().to_owned())
    }

    /// How it ended, if it has ended by itself and neither after a hot restart nor because it refused to start.
    fn crash(&self) -> Option<ExitStatus> {
        let status = self.envoy.process().status().expect("ask for its end");
        status.filter(|status| status.signal().is_some())
    }

    fn log(&self) -> String {
        self.envoy.process().log()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let crash = self.crash();
        self.envoy.process().end();
        if let Some(base_id) = self.base_id() {
            // Envoy leaves this behind; in its name the base id is multiplied by ten.
            let _ = fs::remove_file(format!("/dev/shm/envoy_shared_memory_{base_id}0"));
        }
        let log = self.log();
        if thread::panicking() {
            eprintln!("--- the end of Envoy's log ---\n{}", last_lines(&without_inventory(&log), 150));
        } else if !self.may_trap {
            assert!(crash.is_none(), "Envoy ended by itself: {crash:?}\n{log}");
            traps::assert_none(&log);
        }
    }
}

/// A log without the hundred long lines in which Envoy says what it is made of.
fn without_inventory(log: &str) -> String {
    log.lines().filter(|line| !line.contains("[source/server/server.cc:467]")).collect::<Vec<_>>().join("\n")
}
