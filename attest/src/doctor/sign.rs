//! One thing that was looked at.

use serde_json::{Value as Json, json};

use crate::terminal::{self, Stream};

/// Whether it is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Healthy,
    Unhealthy,
    /// There is nothing to judge by yet, or it was not looked at.
    Unknown,
}

/// One thing that was looked at, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sign {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) message: String,
    /// What to do, where something is to be done.
    pub(crate) cure: &'static str,
}

impl Sign {
    pub(crate) fn healthy(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, state: State::Healthy, message: message.into(), cure: "" }
    }

    pub(crate) fn unhealthy(name: &'static str, message: impl Into<String>, cure: &'static str) -> Self {
        Self { name, state: State::Unhealthy, message: message.into(), cure }
    }

    pub(crate) fn unknown(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, state: State::Unknown, message: message.into(), cure: "" }
    }

    pub(crate) fn json(&self) -> Json {
        json!({ "name": self.name, "state": self.word(), "message": self.message, "cure": self.cure })
    }

    pub(crate) fn text(&self) -> String {
        let stream = Stream::Stdout;
        let word = match self.state {
            State::Healthy => stream.good("healthy  "),
            State::Unhealthy => stream.bad("unhealthy"),
            State::Unknown => stream.label("unknown  "),
        };
        let cure = if self.cure.is_empty() { String::new() } else { format!("             do: {}\n", self.cure) };
        format!("{word}  {}: {}\n{cure}", self.name, terminal::plain(&self.message))
    }

    fn word(&self) -> &'static str {
        match self.state {
            State::Healthy => "healthy",
            State::Unhealthy => "unhealthy",
            State::Unknown => "unknown",
        }
    }
}
