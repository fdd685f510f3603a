//! The thread that looks for keys, and wakes requests that have waited for them long enough.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use attestation_filter::keys::feed::KeyFeed;

use crate::feed::{FileFeed, SecretFeed};
use crate::ffi::ConfigScheduler;
use crate::guard::guard;
use crate::held::Held;
use crate::plugin::Plugin;
use crate::process::Process;

/// What there is to do again and again.
pub(crate) enum Task {
    /// Look at a file.
    File(Box<FileFeed>),
    /// Have the main thread look at a secret.
    Secret,
}

/// A thread of its own for one configuration. It has ended when this is dropped.
pub(crate) struct Keeper {
    held: Arc<Held>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(crate) fn start(plugin: Arc<Plugin>, mut task: Task, main: ConfigScheduler) -> io::Result<Self> {
        let held = Arc::clone(&plugin.held);
        let run = move || while guard(|| step(&plugin, &mut task, &main)).unwrap_or(true) {};
        let thread = thread::Builder::new().name("attestation".into()).spawn(run)?;
        Ok(Self { held, thread: Some(thread) })
    }
}

/// Sleeps, and then does what there is to do; false when that was the last time.
fn step(plugin: &Plugin, task: &mut Task, main: &ConfigScheduler) -> bool {
    if !plugin.held.sleep(period(task)) {
        return false;
    }
    plugin.held.wake_overdue(Instant::now());
    match task {
        Task::File(feed) => plugin.use_keys(feed.look(&plugin.process())),
        Task::Secret => main.wake(),
    }
    // What has been counted here goes to Envoy from its own thread.
    if plugin.metrics.waits_for_main() {
        main.wake();
    }
    true
}

fn period(task: &Task) -> Duration {
    match task {
        Task::File(feed) => <FileFeed as KeyFeed<Process<'_>>>::period(feed),
        Task::Secret => SecretFeed::PERIOD,
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.held.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
