//! Why something that was started is of no use.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// A program that does not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file that has to be there is not.
    #[error("no {what} at {}; {cure}", path.display())]
    Missing {
        /// What the file is.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// How to get it.
        cure: &'static str,
    },
    /// The program could not be run at all.
    #[error("cannot start {name}: {source}")]
    Start {
        /// The program.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The program ended, though something was still expected of it.
    #[error("{name} ended ({status}) before {awaited}")]
    Ended {
        /// The program.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// What was waited for.
        awaited: String,
    },
    /// The program runs, and what was expected did not happen.
    #[error("timed out after {} s waiting for {awaited}", limit.as_secs())]
    TimedOut {
        /// What was waited for.
        awaited: String,
        /// How long.
        limit: Duration,
    },
    /// The environment asks for a host that there is not.
    #[error("HOST is wasm or native, not {0:?}")]
    Host(String),
    /// A file or a connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
