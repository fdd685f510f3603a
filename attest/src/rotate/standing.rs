//! How one proxy stands towards a step: what it publishes, and whether clients have had the time to notice.

use super::record::Sightings;
use crate::clock::span;
use crate::keyset::SourceError;

/// What every proxy has to show before a step is safe.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Need {
    /// This key is among the published.
    Published(String),
    /// This key is the first, and so signs.
    First(String),
}

/// Where a proxy is on the way to that.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    Ready,
    /// It shows what it has to, and it has not done so for long enough.
    Waiting {
        seconds_left: f64,
    },
    /// It does not publish the key.
    Missing {
        kid: String,
        published: Vec<String>,
    },
    /// It signs with another key.
    SignsWithOther {
        kid: String,
        first: Option<String>,
    },
    Unreachable {
        problem: String,
        advice: String,
    },
}

impl Standing {
    /// What a proxy's sightings amount to, where a need must have been met for some seconds.
    pub(super) fn of(seen: &Sightings, need: &Need, seconds: f64, now: f64) -> Self {
        let published = || seen.published.keys().cloned().collect();
        let since = match need {
            Need::Published(kid) => match seen.published.get(kid) {
                Some(since) => *since,
                None => return Self::Missing { kid: kid.clone(), published: published() },
            },
            Need::First(kid) => match &seen.first {
                Some((first, since)) if first == kid => *since,
                first => {
                    let first = first.as_ref().map(|(first, _)| first.clone());
                    return Self::SignsWithOther { kid: kid.clone(), first };
                }
            },
        };
        Self::after(since, seconds, now)
    }

    /// Ready so many seconds after a time.
    pub(super) fn after(since: f64, seconds: f64, now: f64) -> Self {
        // A clock that was set back must not shorten the wait, nor make it endless.
        let seconds_left = (seconds - (now - since)).min(seconds);
        if seconds_left <= 0.0 { Self::Ready } else { Self::Waiting { seconds_left } }
    }

    /// A word for scripts.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Waiting { .. } => "waiting",
            Self::Missing { .. } => "missing",
            Self::SignsWithOther { .. } => "signs_with_other",
            Self::Unreachable { .. } => "unreachable",
        }
    }

    /// Whole seconds until this proxy is ready, if only time is missing.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        match self {
            Self::Ready => Some(0.0),
            Self::Waiting { seconds_left } => Some(seconds_left.ceil()),
            _ => None,
        }
    }
}

impl From<SourceError> for Standing {
    fn from(error: SourceError) -> Self {
        Self::Unreachable { problem: error.problem, advice: error.advice }
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => formatter.write_str("ready"),
            Self::Waiting { seconds_left } => write!(formatter, "{} left", span(*seconds_left)),
            Self::Missing { kid, published } if published.is_empty() => {
                write!(formatter, "does not publish kid {kid}; its keyset is empty")
            }
            Self::Missing { kid, published } => {
                write!(formatter, "does not publish kid {kid}; it publishes {}", published.join(", "))
            }
            Self::SignsWithOther { kid, first: Some(first) } => {
                write!(formatter, "does not sign with kid {kid}; it signs with {first}")
            }
            Self::SignsWithOther { kid, first: None } => {
                write!(formatter, "does not sign with kid {kid}; its keyset is empty")
            }
            Self::Unreachable { problem, advice } => write!(formatter, "{problem}; {advice}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(kids: &[&str], at: f64) -> Sightings {
        let mut seen = Sightings::default();
        seen.note(&kids.iter().map(|kid| (*kid).to_owned()).collect::<Vec<_>>(), 60.0, at);
        seen
    }

    #[test]
    fn a_key_must_be_there_for_long_enough() {
        let need = Need::Published("b".into());
        assert_eq!(
            Standing::of(&seen(&["a", "b"], 100.0), &need, 60.0, 117.5),
            Standing::Waiting { seconds_left: 42.5 }
        );
        assert_eq!(Standing::of(&seen(&["a", "b"], 100.0), &need, 60.0, 160.0), Standing::Ready);
        assert_eq!(Standing::of(&seen(&["a"], 100.0), &need, 60.0, 160.0).code(), "missing");
    }

    #[test]
    fn a_signer_must_be_first() {
        let need = Need::First("b".into());
        assert_eq!(Standing::of(&seen(&["a", "b"], 0.0), &need, 1.0, 9.0).code(), "signs_with_other");
        assert_eq!(Standing::of(&seen(&["b", "a"], 0.0), &need, 1.0, 9.0), Standing::Ready);
        assert_eq!(
            Standing::of(&seen(&[], 0.0), &need, 1.0, 9.0).to_string(),
            "does not sign with kid b; its keyset is empty"
        );
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_wait_for_ever() {
        assert_eq!(Standing::after(1e9, 60.0, 5.0), Standing::Waiting { seconds_left: 60.0 });
    }
}
