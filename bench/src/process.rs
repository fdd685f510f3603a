//! Processes that end with the bench, and what they use.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A running process. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    clock: ClockId,
}

/// In MiB.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// All that is resident, with the pages of the program's file.
    pub(crate) resident: f64,
    /// What is the process's own.
    pub(crate) anonymous: f64,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        end_with_parent(command);
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(child.id())?))?;
        Ok(Self { child, clock })
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// User and system time of all its threads: what is `utime` and `stime` in `/proc/PID/stat`, in nanoseconds
    /// instead of hundredths of a second.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        Ok(Duration::from(clock_gettime(self.clock)?))
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|text| text.parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0).ok_or_else(|| anyhow!("no {name} in /proc"))
        };
        Ok(Memory { resident: of("VmRSS:")?, anonymous: of("RssAnon:")? })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whatever ends the bench ends the processes that it started.
#[allow(unsafe_code)]
fn end_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe, and nothing else happens between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
    }
}
