//! Starts Envoy for a test that is not written in Rust, and says where it listens as soon as it serves.
//!
//! It ends Envoy when its standard input ends, so that no Envoy outlives whoever asked for it.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use harness::process::{PAUSE, last_lines};
use harness::{Failure, Launch, Process, RunningEnvoy, places};
use serde_json::json;

const USAGE: &str = "\
Start Envoy, and end it when standard input ends.

Usage: run-envoy BOOTSTRAP LOG [WORKERS]

BOOTSTRAP is a file with Envoy's configuration, LOG a file for what Envoy prints. As soon as every listener serves, one
line goes to standard output: {\"admin\": \"HOST:PORT\", \"listeners\": {\"NAME\": \"HOST:PORT\"}}. Where Envoy ends by itself, the
end of its log goes to standard error, and the exit code is 1.

Variable: ENVOY=/path/to/envoy";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (bootstrap, log, workers) = match arguments.as_slice() {
        [bootstrap, log] => (bootstrap, log, Some(1)),
        [bootstrap, log, workers] => (bootstrap, log, workers.parse().ok()),
        _ => return usage(),
    };
    let Some(workers) = workers else { return usage() };
    match run(Path::new(bootstrap), PathBuf::from(log), workers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("run-envoy: {failure}");
            if let Failure::Ended { .. } | Failure::TimedOut { .. } = failure {
                let printed = std::fs::read(log).unwrap_or_default();
                eprintln!("{}", last_lines(&String::from_utf8_lossy(&printed), 60));
            }
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn run(bootstrap: &Path, log: PathBuf, workers: u32) -> Result<(), Failure> {
    let directory = log.parent().map(Path::to_owned).unwrap_or_default();
    let launch = Launch::new(&places::envoy()?, bootstrap, &directory);
    let admin_file = log.with_extension("admin-address");
    let envoy = launch.workers(workers).log_level("warning").log_file(log).admin_file(admin_file).start()?;
    let is_over = end_with_input(envoy.process());
    match serve(&envoy) {
        Err(_) if is_over.load(Ordering::SeqCst) => Ok(()),
        ended => ended,
    }
}

/// Says where it listens, then waits until it ends, which it never does by itself.
fn serve(envoy: &RunningEnvoy) -> Result<(), Failure> {
    let admin = envoy.ready()?;
    say(admin.address(), &admin.try_listeners()?)?;
    loop {
        if let Some(status) = envoy.process().status()? {
            return Err(Failure::Ended { name: "Envoy".into(), status, awaited: "it was told to".into() });
        }
        thread::sleep(PAUSE);
    }
}

fn say(admin: SocketAddr, listeners: &BTreeMap<String, SocketAddr>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", json!({"admin": admin, "listeners": listeners}))?;
    stdout.flush()
}

/// Ends Envoy when whoever started this program closes the pipe, or is gone; says from then on that it did.
fn end_with_input(process: &Arc<Process>) -> Arc<AtomicBool> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (process, told) = (Arc::clone(process), Arc::clone(&is_over));
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while io::stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
        told.store(true, Ordering::SeqCst);
        process.end();
    });
    is_over
}
