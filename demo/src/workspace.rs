//! A directory and the processes that work in it. Both are gone when it is closed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;

const LOG_LINES: usize = 30;

pub(crate) struct Workspace {
    path: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    processes: Vec<Process>,
    _directory: TempDir,
}

struct Process {
    name: &'static str,
    child: Child,
}

impl Workspace {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("attestation-demo-").tempdir();
        let directory = directory.context("cannot make a temporary directory")?;
        let path = directory.path().to_owned();
        Ok(Self { path, open: Mutex::new(Some(Open { processes: Vec::new(), _directory: directory })) })
    }

    /// A file of the workspace.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Starts a process that runs until the workspace is closed. Its output goes to `NAME.log`.
    pub(crate) fn start(&self, name: &'static str, command: &mut Command) -> anyhow::Result<()> {
        let log = File::create(self.file(&format!("{name}.log")))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.add(name, command)
    }

    /// Runs a command to its end and returns its output. Closing the workspace ends it, too.
    pub(crate) fn run(&self, name: &'static str, command: &mut Command) -> anyhow::Result<String> {
        let [stdout, stderr] = ["out", "err"].map(|stream| self.file(&format!("{name}.{stream}")));
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        self.add(name, command)?;
        let status = loop {
            if let Some(status) = self.take_ended(name)? {
                break status;
            }
            thread::sleep(Duration::from_millis(20));
        };
        if !status.success() {
            bail!("{command:?} failed: {}", fs::read_to_string(stderr)?.trim());
        }
        Ok(fs::read_to_string(stdout)?)
    }

    fn take_ended(&self, name: &str) -> anyhow::Result<Option<ExitStatus>> {
        let mut open = self.lock();
        let processes = &mut open.as_mut().context("interrupted")?.processes;
        let place = processes.iter().position(|process| process.name == name);
        let process = place.and_then(|place| processes.get_mut(place)).context("the process is gone")?;
        let status = process.child.try_wait()?;
        if status.is_some() {
            processes.retain(|process| process.name != name);
        }
        Ok(status)
    }

    fn add(&self, name: &'static str, command: &mut Command) -> anyhow::Result<()> {
        let mut open = self.lock();
        let open = open.as_mut().context("interrupted")?;
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        open.processes.push(Process { name, child });
        Ok(())
    }

    /// The name of a process that has ended, though it should not have.
    pub(crate) fn ended(&self) -> Option<&'static str> {
        let mut open = self.lock();
        let processes = open.iter_mut().flat_map(|open| &mut open.processes);
        processes.filter_map(|process| process.child.try_wait().ok().flatten().map(|_| process.name)).next()
    }

    /// The last lines of every log, for when something went wrong.
    pub(crate) fn logs(&self) -> String {
        let names: Vec<&str> =
            self.lock().iter().flat_map(|open| &open.processes).map(|process| process.name).collect();
        names.into_iter().map(|name| tail(name, &self.file(&format!("{name}.log")))).collect()
    }

    /// Ends all processes and removes the directory.
    pub(crate) fn close(&self) {
        let Some(mut open) = self.lock().take() else { return };
        for process in &mut open.processes {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.close();
    }
}

fn tail(name: &str, log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
    format!("\n--- the end of {name}'s log ---\n{}\n", last.join("\n"))
}
