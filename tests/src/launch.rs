//! Starting Envoy, and waiting until it serves.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::admin::Admin;
use super::failure::Failure;
use super::process::{PATIENCE, PAUSE, Process};

/// What an Envoy is started with. Its bootstrap leaves the port of the administration interface to the kernel, or not;
/// either way Envoy says in a file which one it has.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    admin_file: PathBuf,
    log: Option<PathBuf>,
    restart: Vec<OsString>,
    patience: Duration,
    pause: Duration,
}

impl Launch {
    /// This binary with this bootstrap: one worker, no hot restart, warnings only. What Envoy writes goes to
    /// `directory`.
    pub fn new(binary: &Path, bootstrap: &Path, directory: &Path) -> Self {
        let mut command = Command::new(binary);
        command.arg("--config-path").arg(bootstrap);
        // What access logs hold is in their files soon.
        command.args(["--file-flush-interval-msec", "20"]);
        Self {
            command,
            admin_file: directory.join("admin-address"),
            log: Some(directory.join("envoy.log")),
            restart: vec!["--disable-hot-restart".into()],
            patience: PATIENCE,
            pause: PAUSE,
        }
    }

    /// Runs so many workers.
    pub fn workers(mut self, count: u32) -> Self {
        self.command.arg("--concurrency").arg(count.to_string());
        self
    }

    /// Logs from this level on.
    pub fn log_level(mut self, level: &str) -> Self {
        self.command.args(["--log-level", level]);
        self
    }

    /// Sets a variable of Envoy's environment.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes part in a hot restart, with these arguments.
    pub fn restart(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.restart = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Logs to this file instead of `envoy.log` in the directory.
    pub fn log_file(mut self, path: PathBuf) -> Self {
        self.log = Some(path);
        self
    }

    /// Has Envoy write the address of its administration interface to this file instead of `admin-address` in the
    /// directory.
    pub fn admin_file(mut self, path: PathBuf) -> Self {
        self.admin_file = path;
        self
    }

    /// Logs to wherever the output of this program goes.
    pub fn log_with_ours(mut self) -> Self {
        self.log = None;
        self
    }

    /// Looks this often at whether it serves, for somebody who measures how long that takes.
    pub fn poll_every(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Waits this long at most until it serves.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Changes what the system is told, for what there is no other method for.
    pub fn command(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// Starts it, and does not wait.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn start(mut self) -> Result<RunningEnvoy, Failure> {
        self.command.args(&self.restart).arg("--admin-address-path").arg(&self.admin_file);
        let process = match &self.log {
            Some(log) => Process::logged("Envoy", &mut self.command, log)?,
            None => Process::spawn("Envoy", &mut self.command)?,
        };
        let Self { admin_file, patience, pause, .. } = self;
        Ok(RunningEnvoy { process: Arc::new(process), admin_file, patience, pause })
    }
}

/// An Envoy that was started. Dropping it and all that share its process ends it.
#[derive(Debug)]
pub struct RunningEnvoy {
    process: Arc<Process>,
    admin_file: PathBuf,
    patience: Duration,
    pause: Duration,
}

impl RunningEnvoy {
    /// The process.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The administration interface, as soon as there is one.
    ///
    /// # Errors
    /// If Envoy ends before, or takes too long.
    pub fn admin(&self) -> Result<Admin, Failure> {
        let address = || fs::read_to_string(&self.admin_file).ok()?.trim().parse().ok();
        self.wait_until("its administration interface", address).map(Admin::at)
    }

    /// The administration interface and the address of a listener, as soon as every listener serves.
    ///
    /// # Errors
    /// If Envoy ends before, takes too long, or has no such listener.
    pub fn serving(&self, listener: &str) -> Result<(Admin, SocketAddr), Failure> {
        let admin = self.ready()?;
        let address = admin.try_listener(listener)?;
        Ok((admin, address))
    }

    /// The administration interface, as soon as every listener serves.
    ///
    /// # Errors
    /// If Envoy ends before, or takes too long.
    pub fn ready(&self) -> Result<Admin, Failure> {
        let admin = self.admin()?;
        self.wait_until("its listeners", || admin.is_ready().then_some(()))?;
        Ok(admin)
    }

    /// Asks `probe` until it has an answer.
    ///
    /// # Errors
    /// If Envoy ends before, or it takes too long.
    pub fn wait_until<T>(&self, awaited: &str, probe: impl FnMut() -> Option<T>) -> Result<T, Failure> {
        self.process.wait_until(awaited, self.patience, self.pause, probe)
    }
}
