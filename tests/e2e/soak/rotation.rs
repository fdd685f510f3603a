//! The rotation tool, step after step, as an operator's timer runs it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{JWKS_MAX_AGE, REFRESH, TOKEN_LIFETIME};
use harness::{Envoy, JWKS_PATH, paths};

/// One run of the tool.
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) name: &'static str,
    /// How long it took: mostly waiting until it was safe.
    pub(super) took: Duration,
    /// What it said, if it refused or failed.
    pub(super) complaint: Option<String>,
}

impl Step {
    pub(super) fn to_json(&self) -> Value {
        json!({"at_seconds": self.at.as_secs_f64(), "step": self.name, "took_seconds": self.took.as_secs_f64(),
            "complaint": self.complaint})
    }
}

/// Rotations without end.
pub(super) struct Rotation {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Step>>,
}

impl Rotation {
    /// Runs a step each `period`, the next one at once if the one before took longer.
    pub(super) fn start(envoy: &Envoy, period: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (file, url) = (envoy.key_file(), format!("http://{}{JWKS_PATH}", envoy.address()));
        let started = Instant::now();
        let thread = thread::spawn(move || {
            let mut steps = Vec::new();
            let names = ["stage", "promote", "retire"].into_iter().cycle();
            for (name, number) in names.zip(1..) {
                let wait = (started + period * number).saturating_duration_since(Instant::now());
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                let at = started.elapsed();
                let complaint = run(name, &file, &url).err();
                steps.push(Step { at, name, took: started.elapsed() - at, complaint });
            }
            steps
        });
        Self { stop, thread }
    }

    pub(super) fn end(self) -> Vec<Step> {
        drop(self.stop);
        self.thread.join().expect("the rotations to end")
    }
}

fn run(step: &str, file: &Path, url: &str) -> Result<(), String> {
    let seconds = |duration: Duration| format!("{}s", duration.as_secs());
    let mut command = Command::new(paths::attest());
    command.env_clear().stdin(Stdio::null()).args(["rotate", step]).arg(file).args(["--jwks-url", url, "--wait"]);
    command.args(["--refresh-time", &seconds(2 * REFRESH), "--cache-time", &seconds(JWKS_MAX_AGE), "--timeout", "5m"]);
    if step == "retire" {
        command.args(["--token-lifetime", &seconds(TOKEN_LIFETIME)]);
    }
    let output = command.output().map_err(|error| format!("cannot run attest: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
