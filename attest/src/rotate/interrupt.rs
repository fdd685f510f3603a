//! Ctrl-C in a wait: the user learns in what state the key file is. It is listened for from the first wait on.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use indicatif::MultiProgress;
use serde_json::json;

use crate::terminal::{self, Stream};

/// What a shell expects of a command that Ctrl-C has ended.
const EXIT_CODE: i32 = 130;

/// What is true while a wait goes on.
pub(super) struct Wait {
    pub(super) step: &'static str,
    /// The state of the key file, and what to do next.
    pub(super) state: String,
    pub(super) json: bool,
    /// For a wait whose end by a signal is its normal end.
    pub(super) exit_code: Option<i32>,
    pub(super) progress: MultiProgress,
}

static CURRENT: Mutex<Option<Wait>> = Mutex::new(None);

/// A wait that can be ended by a signal; over when this is dropped.
pub(super) struct Waiting(());

impl Waiting {
    pub(super) fn begin(wait: Wait) -> Self {
        *current() = Some(wait);
        listen();
        Self(())
    }
}

/// Listens for signals from now on. What comes before a wait ends that wait.
pub(super) fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        let (ready, listens) = mpsc::channel();
        thread::spawn(move || {
            if await_signal(&ready).is_some() {
                end();
            }
        });
        let _ = listens.recv_timeout(Duration::from_secs(1));
    });
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *current() = None;
    }
}

fn current() -> MutexGuard<'static, Option<Wait>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ctrl-C, or what a container runtime sends. Both are ended by default until this listens, which is at once.
fn await_signal(ready: &mpsc::Sender<()>) -> Option<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).ok()?;
        let mut interrupt = signal(SignalKind::interrupt()).ok()?;
        let _ = ready.send(());
        tokio::select! {
            _ = interrupt.recv() => Some(()),
            _ = terminate.recv() => Some(()),
        }
    })
}

/// Ends the program; a step that is being done is left to its end, which is near.
fn end() {
    let guard = loop {
        let guard = current();
        if guard.is_some() {
            break guard;
        }
        drop(guard);
        thread::sleep(Duration::from_millis(20));
    };
    let Some(wait) = guard.as_ref() else { return };
    let _ = wait.progress.clear();
    if wait.json {
        let answer = json!({ "done": false, "step": wait.step, "error": format!("stopped: {}", wait.state) });
        let _ = terminal::print_json(&answer);
    } else {
        terminal::remark(&format!("{} {}", Stream::Stderr.bad("stopped:"), wait.state));
    }
    std::process::exit(wait.exit_code.unwrap_or(EXIT_CODE));
}
