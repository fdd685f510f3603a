//! A program that runs until it is ended, and waiting for what it is to do.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::failure::Failure;

/// How long to wait for something that takes a second or two on a quiet machine; so many times as long with `PATIENCE=10`
/// in the environment, for an Envoy that something watches.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at whether it has happened.
pub const PAUSE: Duration = Duration::from_millis(10);

/// A running program. Threads may share it; dropping it ends it.
#[derive(Debug)]
pub struct Process {
    name: String,
    id: u32,
    child: Mutex<Child>,
    log: Option<PathBuf>,
}

impl Process {
    /// Starts a program whose output goes where `command` says.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self, Failure> {
        Self::start(name, command, None)
    }

    /// Starts a program all of whose output goes to a file.
    ///
    /// # Errors
    /// If the file cannot be made, or the program cannot be run.
    pub fn logged(name: &str, command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let output = File::create(log)?;
        command.stdout(output.try_clone()?).stderr(output);
        Self::start(name, command, Some(log.to_owned()))
    }

    fn start(name: &str, command: &mut Command, log: Option<PathBuf>) -> Result<Self, Failure> {
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.map_err(|source| Failure::Start { name: name.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), id: child.id(), child: Mutex::new(child), log })
    }

    /// What it was called when it was started.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ID of the process.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its standard output, once, where `command` asked for a pipe.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        self.child().stdout.take()
    }

    /// All that it has printed; nothing where that goes to no file.
    pub fn log(&self) -> String {
        let log = self.log.as_deref().and_then(|path| fs::read(path).ok()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the system does not know it.
    pub fn status(&self) -> Result<Option<ExitStatus>, Failure> {
        Ok(self.child().try_wait()?)
    }

    /// Ends it, and waits until it has.
    pub fn end(&self) {
        let mut child = self.child();
        // Both fail only for a program that has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// After [`PATIENCE`].
    pub fn wait_for_end(&self) -> Result<ExitStatus, Failure> {
        wait(&format!("the end of {}", self.name), PATIENCE, PAUSE, || self.status().transpose())
    }

    /// Asks `probe` until it has an answer.
    ///
    /// # Errors
    /// As soon as the program has ended, and at the latest after `limit`.
    pub fn wait_until<T>(
        &self,
        awaited: &str,
        limit: Duration,
        pause: Duration,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T, Failure> {
        wait(awaited, limit, pause, || {
            // In this order: what it did last, it did before it ended.
            let status = self.status();
            let ended = |status| Failure::Ended { name: self.name.clone(), status, awaited: awaited.to_owned() };
            match (probe(), status) {
                (Some(answer), _) => Some(Ok(answer)),
                (None, Ok(status)) => status.map(|status| Err(ended(status))),
                (None, Err(failure)) => Some(Err(failure)),
            }
        })
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Asks `probe` until it has an answer, which may be a failure.
///
/// # Errors
/// The probe's failure, or one that says so after `limit`.
pub fn wait<T>(
    awaited: &str,
    limit: Duration,
    pause: Duration,
    mut probe: impl FnMut() -> Option<Result<T, Failure>>,
) -> Result<T, Failure> {
    let started = Instant::now();
    let limit = limit * times();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        if started.elapsed() > limit {
            return Err(Failure::TimedOut { awaited: awaited.to_owned(), limit });
        }
        thread::sleep(pause);
    }
}

fn times() -> u32 {
    std::env::var("PATIENCE").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// The last lines of a log.
pub fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}
