//! What the proxies of a fleet really publish, and the wait until a step is safe for all of them.

use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use thiserror::Error;

use super::record::Record;
use super::standing::{Need, Standing};
use crate::clock::{self, span};
use crate::keyset::{Fetched, Fetcher, Source, SourceError, TrustArgs};
use crate::terminal::{self, Stream};

/// The filter's default for `jwks_max_age`.
const DEFAULT_CACHE_TIME: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// Proxies that are asked at the same time.
const AT_ONCE: usize = 16;

/// The proxies, and how long things take there.
#[derive(clap::Args)]
pub(super) struct FleetArgs {
    /// Where a proxy publishes its keyset; give it once for each proxy of the fleet
    #[arg(long = "jwks-url", value_name = "URL", value_delimiter = ',')]
    jwks_urls: Vec<ProxyUrl>,

    /// How long clients keep a keyset [default: what the proxy's Cache-Control says, else 60s]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    cache_time: Option<Duration>,

    /// How long the workers of a proxy take to read a changed file: the filter's signing_key_refresh
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "5s")]
    refresh_time: Duration,

    /// Wait until the step is safe, instead of refusing it
    #[arg(long)]
    wait: bool,

    /// How long to wait at most
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, default_value = "15m", requires = "wait")]
    timeout: Duration,

    #[command(flatten)]
    trust: TrustArgs,
}

/// A URL; a file proves nothing about a proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ProxyUrl(String);

impl std::str::FromStr for ProxyUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Source::Url(url) => Ok(Self(url)),
            Source::File(_) => Err("a proxy's URL begins with http:// or https://".to_owned()),
        }
    }
}

/// What a step needs to be safe.
pub(super) struct Requirement {
    pub(super) step: &'static str,
    pub(super) need: Need,
    /// How long, beyond the time that clients keep a keyset, the need must have been met; none: not at all.
    pub(super) hold: Option<Duration>,
    /// The reason, in words.
    pub(super) because: &'static str,
    /// When the file came to be as it is, in seconds since 1970.
    pub(super) since: f64,
}

/// A step that is not safe yet.
#[derive(Debug, Error)]
#[error("{step}: not yet")]
pub(super) struct Hold {
    step: &'static str,
    because: &'static str,
    rows: Vec<(String, Standing)>,
    timed_out: Option<Duration>,
}

impl FleetArgs {
    /// Whether the user wants more than the order of the steps checked.
    fn is_strict(&self) -> bool {
        !self.jwks_urls.is_empty() || self.wait || self.cache_time.is_some()
    }

    /// Makes sure that a step is safe, or waits until it is. What is seen goes into the record.
    ///
    /// # Errors
    /// A [`Hold`] if it is not safe (in time).
    pub(super) fn ensure(&self, requirement: &Requirement, record: &mut Record) -> anyhow::Result<()> {
        if !self.is_strict() {
            return Ok(());
        }
        let fetcher = Fetcher::new(&self.trust)?;
        let started = Instant::now();
        let mut display = Display::new();
        loop {
            let rows = self.look(&fetcher, requirement, record);
            record.save()?;
            if rows.iter().all(|(_, standing)| *standing == Standing::Ready) {
                return Ok(());
            }
            let over = started.elapsed() >= self.timeout;
            if !self.wait || over {
                let timed_out = (self.wait && over).then_some(self.timeout);
                return Err(Hold { step: requirement.step, because: requirement.because, rows, timed_out }.into());
            }
            display.show(requirement.because, &rows);
            thread::sleep(PAUSE.min(self.timeout.saturating_sub(started.elapsed())));
        }
    }

    /// What to say of a step that was done without a look at any proxy, and perhaps too early.
    pub(super) fn warning(&self, requirement: &Requirement) -> Option<String> {
        let seconds = self.seconds(requirement, DEFAULT_CACHE_TIME.as_secs_f64());
        let left = Standing::after(requirement.since, seconds, clock::now()).seconds_left()?;
        let warning = format!(
            "no proxy was looked at, and the step before this one is only {} old. With the default times it would \
             have been safe in {}: {}. Use --wait or --jwks-url",
            span((clock::now() - requirement.since).max(0.0)),
            span(left),
            requirement.because
        );
        (!self.is_strict() && left > 0.0).then_some(warning)
    }

    /// How long the need must have been met at a proxy whose keyset clients keep for so many seconds.
    fn seconds(&self, requirement: &Requirement, cache_seconds: f64) -> f64 {
        let Some(hold) = requirement.hold else { return 0.0 };
        let cache = self.cache_time.map_or(cache_seconds, |time| time.as_secs_f64());
        cache + self.refresh_time.as_secs_f64() + hold.as_secs_f64()
    }

    fn look(&self, fetcher: &Fetcher, requirement: &Requirement, record: &mut Record) -> Vec<(String, Standing)> {
        if self.jwks_urls.is_empty() {
            let seconds = self.seconds(requirement, DEFAULT_CACHE_TIME.as_secs_f64());
            return vec![("the key file".to_owned(), Standing::after(requirement.since, seconds, clock::now()))];
        }
        let mut rows = Vec::new();
        for urls in self.jwks_urls.chunks(AT_ONCE) {
            for (url, answer) in urls.iter().zip(fetch_all(fetcher, urls)) {
                rows.push((url.0.clone(), self.judge(&url.0, answer, requirement, record)));
            }
        }
        rows
    }

    fn judge(
        &self,
        url: &str,
        answer: Result<Fetched, SourceError>,
        requirement: &Requirement,
        record: &mut Record,
    ) -> Standing {
        let fetched = match answer {
            Ok(fetched) => fetched,
            Err(error) => return Standing::Unreachable { problem: error.problem, advice: error.advice },
        };
        let now = clock::now();
        let seen = record.proxy(url);
        let cache = fetched.max_age.unwrap_or(DEFAULT_CACHE_TIME).as_secs_f64();
        seen.note(&fetched.keyset.kids(), cache, now);
        Standing::of(seen, &requirement.need, self.seconds(requirement, seen.cache_seconds), now)
    }
}

fn fetch_all(fetcher: &Fetcher, urls: &[ProxyUrl]) -> Vec<Result<Fetched, SourceError>> {
    thread::scope(|scope| {
        let fetch = |url: &ProxyUrl| {
            let source = Source::Url(url.0.clone());
            scope.spawn(move || fetcher.fetch(&source))
        };
        let running: Vec<_> = urls.iter().map(fetch).collect();
        let gone = |url: &ProxyUrl| SourceError {
            problem: format!("cannot fetch {}", url.0),
            advice: "run this again".to_owned(),
        };
        running.into_iter().zip(urls).map(|(thread, url)| thread.join().unwrap_or_else(|_| Err(gone(url)))).collect()
    })
}

impl Hold {
    /// Says which proxy is not ready, and why.
    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        if json {
            return terminal::print_json(&json!({
                "done": false,
                "step": self.step,
                "error": format!("not yet: {}", self.because),
                "seconds_left": self.seconds_left(),
                "proxies": self.rows.iter().map(|(url, standing)| standing.json(url)).collect::<Vec<_>>(),
            }));
        }
        let mut text = format!("{} {}\n", Stream::Stderr.bad("not yet:"), self.because);
        for (url, standing) in &self.rows {
            text.push_str(&format!("  {}\n", line(url, standing)));
        }
        text.push_str(&format!("  {}", self.next()));
        terminal::remark(&text);
        Ok(())
    }

    /// Until all are ready, if only time is missing.
    fn seconds_left(&self) -> Option<f64> {
        self.rows
            .iter()
            .map(|(_, standing)| standing.seconds_left())
            .try_fold(0.0, |most, left| Some(f64::max(most, left?)))
    }

    fn has_unreachable(&self) -> bool {
        self.rows.iter().any(|(_, standing)| matches!(standing, Standing::Unreachable { .. }))
    }

    fn next(&self) -> String {
        let given_up = self.timed_out.map(|timeout| format!("gave up after {}; ", span(timeout.as_secs_f64())));
        let next = match self.seconds_left() {
            Some(seconds) => format!("nothing was changed; run it again in {}, or with --wait", span(seconds)),
            None if self.has_unreachable() => "nothing was changed; run it again when every proxy answers".to_owned(),
            None => "nothing was changed; give every proxy the key file as it is now, then run it again".to_owned(),
        };
        format!("{}{next}", given_up.unwrap_or_default())
    }
}

fn line(url: &str, standing: &Standing) -> String {
    let mark = match standing {
        Standing::Ready => Stream::Stderr.good("✔"),
        Standing::Waiting { .. } => Stream::Stderr.warn("…"),
        _ => Stream::Stderr.bad("✘"),
    };
    format!("{mark} {}  {}", terminal::plain(url), terminal::plain(&standing.to_string()))
}

/// The wait, as people like to see it: a line for each proxy. Where there is no terminal, a line for each change.
struct Display {
    bars: Vec<ProgressBar>,
    all: MultiProgress,
    last: Vec<&'static str>,
}

impl Display {
    fn new() -> Self {
        Self { bars: Vec::new(), all: MultiProgress::new(), last: Vec::new() }
    }

    fn show(&mut self, because: &str, rows: &[(String, Standing)]) {
        use std::io::IsTerminal as _;
        if self.last.is_empty() && self.bars.is_empty() {
            terminal::remark(&format!("{} {because}", Stream::Stderr.strong("waiting:")));
        }
        if std::io::stderr().is_terminal() {
            self.show_bars(rows);
        } else {
            self.show_changes(rows);
        }
    }

    fn show_bars(&mut self, rows: &[(String, Standing)]) {
        while self.bars.len() < rows.len() {
            let bar = self.all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            self.bars.push(bar);
        }
        for (bar, (url, standing)) in self.bars.iter().zip(rows) {
            bar.set_message(line(url, standing));
        }
    }

    fn show_changes(&mut self, rows: &[(String, Standing)]) {
        let now: Vec<&'static str> = rows.iter().map(|(_, standing)| standing.code()).collect();
        for (index, (url, standing)) in rows.iter().enumerate() {
            if self.last.get(index) != now.get(index) {
                terminal::remark(&format!("  {}", line(url, standing)));
            }
        }
        self.last = now;
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        for bar in &self.bars {
            bar.finish_and_clear();
        }
    }
}
