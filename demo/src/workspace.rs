//! A directory and the processes that work in it. Both are gone when it is closed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, ensure};
use harness::Process;
use harness::process::last_lines;
use tempfile::TempDir;

const LOG_LINES: usize = 30;

pub(crate) struct Workspace {
    path: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    processes: Vec<Arc<Process>>,
    _directory: TempDir,
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

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a process that runs until the workspace is closed. Its output goes to `NAME.log`.
    pub(crate) fn start(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        let log = self.file(&format!("{name}.log"));
        self.add(|| Ok(Arc::new(Process::logged(name, command, &log)?)))?;
        Ok(())
    }

    /// Runs a command to its end and returns its output. Closing the workspace ends it, too.
    pub(crate) fn run(&self, name: &str, command: &mut Command) -> anyhow::Result<String> {
        let [stdout, stderr] = ["out", "err"].map(|stream| self.file(&format!("{name}.{stream}")));
        command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        let process = self.add(|| Ok(Arc::new(Process::spawn(name, command)?)))?;
        let status = process.wait_for_end();
        self.forget(&process);
        ensure!(status?.success(), "{command:?} failed: {}", fs::read_to_string(stderr)?.trim());
        Ok(fs::read_to_string(stdout)?)
    }

    /// Starts a process that closing the workspace ends, unless it is closed already.
    pub(crate) fn add(&self, start: impl FnOnce() -> anyhow::Result<Arc<Process>>) -> anyhow::Result<Arc<Process>> {
        let mut open = self.lock();
        let open = open.as_mut().context("interrupted")?;
        let process = start()?;
        open.processes.push(Arc::clone(&process));
        Ok(process)
    }

    fn forget(&self, ended: &Arc<Process>) {
        if let Some(open) = self.lock().as_mut() {
            open.processes.retain(|process| !Arc::ptr_eq(process, ended));
        }
    }

    /// The name of a process that has ended, though it should not have.
    pub(crate) fn ended(&self) -> Option<String> {
        let mut open = self.lock();
        let mut processes = open.iter_mut().flat_map(|open| &open.processes);
        let has_ended = |process: &&Arc<Process>| !matches!(process.status(), Ok(None));
        processes.find(has_ended).map(|process| process.name().to_owned())
    }

    /// The last lines of every log, for when something went wrong.
    pub(crate) fn logs(&self) -> String {
        let open = self.lock();
        let processes = open.iter().flat_map(|open| &open.processes);
        processes
            .map(|process| {
                format!("\n--- the end of {}'s log ---\n{}\n", process.name(), last_lines(&process.log(), LOG_LINES))
            })
            .collect()
    }

    /// Ends all processes and removes the directory.
    pub(crate) fn close(&self) {
        let Some(open) = self.lock().take() else { return };
        for process in &open.processes {
            process.end();
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
