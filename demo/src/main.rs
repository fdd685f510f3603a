//! The filter at work, on a real Envoy: `make demo`, or `make run` to leave it running.
//!
//! Everything it needs is made in a directory of its own, with throw-away keys, on free ports, and is gone when it
//! ends. It ends with status 0 only if all that it shows came out as it should.

mod envoy;
mod scenes;
mod screen;
mod workspace;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::signal::unix::{SignalKind, signal};

use screen::Screen;
use workspace::Workspace;

const USAGE: &str = "\
Show the attestation filter at work on a real Envoy.

Usage: demo [--stay]

  --stay  leave it running after the tour, on port 10000 if that is free, until Ctrl-C

Variables: HOST=wasm or native, ENVOY=/path/to/envoy, ATTEST=/path/to/attest, ATTESTATION_FILTER_WASM=/path/to/module,
ATTESTATION_NATIVE=/path/to/libattestation.so";

fn main() -> ExitCode {
    let stay = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--stay" => true,
        [flag] if flag == "--help" || flag == "-h" => {
            let _ = Screen::new().line(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match watched(stay) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\n{} {error:#}", Screen::bad("demo:"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo, and cleans up after it, also when it is interrupted.
fn watched(stay: bool) -> anyhow::Result<ExitCode> {
    let workspace = Arc::new(Workspace::new()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let demo = Arc::clone(&workspace);
        let tour = tokio::task::spawn_blocking(move || tour(&demo, stay));
        tokio::select! {
            result = tour => match result.context("the demo stopped unexpectedly")? {
                Ok(()) if stay => tokio::select! {
                    result = stopped() => result.map(|()| ExitCode::SUCCESS),
                    name = ended(&workspace) => Err(anyhow!("{name} ended")),
                },
                other => other.map(|()| ExitCode::SUCCESS),
            },
            result = stopped() => result.map(|()| ExitCode::from(130)),
        }
    });
    if result.is_err() {
        eprintln!("{}", workspace.logs());
    }
    workspace.close();
    // A tour that was interrupted may still be waiting for an answer.
    runtime.shutdown_background();
    result
}

fn tour(workspace: &Workspace, stay: bool) -> anyhow::Result<()> {
    let mut screen = Screen::new();
    let demo = envoy::start(workspace, stay)?;
    scenes::play(&demo, &mut screen)?;
    if let Some(name) = workspace.ended() {
        bail!("{name} ended during the demo");
    }
    if stay { scenes::invite(&demo, &screen) } else { scenes::farewell(&screen) }
}

/// Waits for a process that ends, though it should not.
async fn ended(workspace: &Workspace) -> String {
    loop {
        if let Some(name) = workspace.ended() {
            return name;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Ctrl-C, the end of the terminal, or a polite request.
async fn stopped() -> anyhow::Result<()> {
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
