//! What a process uses.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::anyhow;
use harness::Process;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// In MiB.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// All that is resident, with the pages of the program's file.
    pub(crate) resident: f64,
    /// What is the process's own.
    pub(crate) anonymous: f64,
}

impl Memory {
    /// Of a process that runs.
    pub(crate) fn of(process: &Process) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|text| text.parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0).ok_or_else(|| anyhow!("no {name} in /proc"))
        };
        Ok(Self { resident: of("VmRSS:")?, anonymous: of("RssAnon:")? })
    }
}

/// The time of a process.
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    /// Of a process that runs.
    pub(crate) fn of(process: &Process) -> anyhow::Result<Self> {
        Ok(Self(clock_getcpuclockid(Pid::from_raw(i32::try_from(process.id())?))?))
    }

    /// User and system time of all its threads: what is `utime` and `stime` in `/proc/PID/stat`, in nanoseconds
    /// instead of hundredths of a second.
    pub(crate) fn now(&self) -> anyhow::Result<Duration> {
        Ok(Duration::from(clock_gettime(self.0)?))
    }
}

/// Whatever ends the bench ends the processes that it started. They are all started by its main thread, whose end the
/// system takes for that of the bench.
#[allow(unsafe_code)]
pub(crate) fn end_with_bench(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe, and nothing else happens between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
    }
}
