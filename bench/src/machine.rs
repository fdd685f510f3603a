//! Where and when a run took place, and who else was there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::bootstrap::Parts;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// UTC.
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) envoy: String,
    pub(crate) module_bytes: u64,
    pub(crate) native_bytes: u64,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) duration_s: u64,
    /// How much of all processors' time went to processes that are not the bench's, from 0 to 1.
    pub(crate) used_by_others: f64,
    /// How much of it a hypervisor took, from 0 to 1.
    pub(crate) stolen: f64,
}

/// The beginning of a run.
pub(crate) struct Watch {
    started: Instant,
    before: Processors,
}

/// In seconds, of all processors together.
struct Processors {
    busy: f64,
    stolen: f64,
}

impl Watch {
    pub(crate) fn start() -> anyhow::Result<Self> {
        Ok(Self { started: Instant::now(), before: Processors::now()? })
    }

    /// To be asked when all processes of the run have ended: only then the kernel has added up their time.
    pub(crate) fn machine(&self, envoy: &Path, parts: &Parts) -> anyhow::Result<Machine> {
        let elapsed = self.started.elapsed();
        let cores = std::thread::available_parallelism()?.get();
        let now = Processors::now()?;
        #[allow(clippy::cast_precision_loss)]
        let capacity = elapsed.as_secs_f64() * cores as f64;
        let date = output(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]));
        Ok(Machine {
            date: date.unwrap_or_else(|_| format!("{:?}", SystemTime::now())),
            commit: commit().unwrap_or_else(|_| "unknown".into()),
            envoy: version(envoy)?,
            module_bytes: fs::metadata(&parts.module)?.len(),
            native_bytes: fs::metadata(&parts.native)?.len(),
            cpu: cpu_model().unwrap_or_else(|| "unknown".into()),
            cores,
            kernel: output(Command::new("uname").arg("-sr"))?,
            duration_s: elapsed.as_secs(),
            used_by_others: ((now.busy - self.before.busy - own_cpu()?.as_secs_f64()) / capacity).max(0.0),
            stolen: (now.stolen - self.before.stolen) / capacity,
        })
    }
}

impl Processors {
    /// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal, in hundredths of a second.
    fn now() -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        let times: Vec<f64> = line.split_whitespace().skip(1).filter_map(|time| time.parse().ok()).collect();
        let of = |index: usize| times.get(index).copied().unwrap_or_default() / 100.0;
        Ok(Self { busy: [0, 1, 2, 5, 6].into_iter().map(of).sum(), stolen: of(7) })
    }
}

fn own_cpu() -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            total += Duration::new(time.tv_sec().try_into()?, u32::try_from(time.tv_usec())? * 1000);
        }
    }
    Ok(total)
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The commit, with a mark if the tree has other content.
fn commit() -> anyhow::Result<String> {
    output(Command::new("git").args(["describe", "--always", "--dirty"]))
}

/// `PATH  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL` is what it says.
fn version(envoy: &Path) -> anyhow::Result<String> {
    let line = output(Command::new(envoy).arg("--version"))?;
    let version = line.split_once("version: ").and_then(|(_, version)| version.split('/').nth(1));
    Ok(version.unwrap_or(&line).to_owned())
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    Ok(String::from_utf8(command.output()?.stdout)?.trim().to_owned())
}
