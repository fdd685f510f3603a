//! What the proxies of a fleet really publish, and the wait until a step is safe for all of them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use indicatif::MultiProgress;

use super::ask::{self, Answer};
use super::hold::{Hold, Row};
use super::interrupt::{Wait, Waiting};
use super::progress::Progress;
use super::record::Record;
use super::rotation::Rotation;
use super::standing::{Need, Standing};
use super::target::{ConnectTo, ProxyUrl, Target};
use crate::clock::{self, span};
use crate::keyset::{Fetched, Fetcher, TrustArgs};
use crate::shell::quoted;

/// Libraries that verify keep a keyset for 5 or 10 minutes, whatever its `max-age` is; docs/verify.md has what each does.
const CAUTIOUS_CACHE_TIME: Duration = Duration::from_secs(11 * 60);
/// The filter's default for `signing_key_refresh`.
const DEFAULT_REFRESH_TIME: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
const PAUSE: Duration = Duration::from_secs(1);

/// The proxies, and how long things take there.
#[derive(clap::Args)]
pub(super) struct FleetArgs {
    /// Where a proxy publishes its keyset; give it once for each proxy of the fleet
    ///
    /// If the host is a name, every address that it resolves to counts as a proxy.
    #[arg(long = "jwks-url", value_name = "URL", value_delimiter = ',')]
    jwks_urls: Vec<ProxyUrl>,

    /// Connect to this address for a host of --jwks-url; give it once for each proxy behind that name
    ///
    /// The certificate is still checked for the host name. Another port than the URL's may follow the address.
    #[arg(long, value_name = "HOST:ADDRESS", requires = "jwks_urls")]
    connect_to: Vec<ConnectTo>,

    /// How long clients keep a keyset [default: 11m, or what the proxy's Cache-Control says, if that is longer]
    ///
    /// Many libraries do not ask what Cache-Control says, and keep a keyset for 5 or 10 minutes, one for a day. If yours obey it,
    /// the filter's jwks_max_age is enough.
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    cache_time: Option<Duration>,

    /// How long the workers of a proxy take to read a changed file: the filter's signing_key_refresh [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration)]
    refresh_time: Option<Duration>,

    #[command(flatten)]
    trust: TrustArgs,
}

/// Whether to wait for the proxies, or to do without them.
#[derive(clap::Args)]
pub(super) struct WaitArgs {
    /// Wait until the step is safe, instead of refusing it
    #[arg(long, requires = "jwks_urls")]
    wait: bool,

    /// How long to wait at most [default: 30m]
    #[arg(long, value_name = "DURATION", value_parser = clock::duration, requires = "wait")]
    timeout: Option<Duration>,

    /// Do it without a look at any proxy
    #[arg(long, conflicts_with_all = ["jwks_urls", "wait"])]
    now: bool,
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

impl FleetArgs {
    /// Whether any proxy is named.
    pub(super) fn is_named(&self) -> bool {
        !self.jwks_urls.is_empty()
    }

    /// Makes sure that proxies are named, or that the user wants none to be asked.
    ///
    /// # Errors
    /// What to add to the command line.
    pub(super) fn must_be_named(&self, wait: &WaitArgs) -> anyhow::Result<()> {
        ensure!(
            self.is_named() || wait.now,
            "no proxy is named, so nobody knows whether this step is safe; name each with --jwks-url URL, or do it \
             unseen with --now"
        );
        Ok(())
    }

    /// Makes sure that a step is safe, or waits until it is. What is seen goes into the record.
    ///
    /// # Errors
    /// A [`Hold`] if it is not safe (in time).
    pub(super) fn ensure(
        &self,
        requirement: &Requirement,
        wait: &WaitArgs,
        rotation: &mut Rotation,
        json: bool,
    ) -> anyhow::Result<()> {
        if !self.is_named() {
            return Ok(());
        }
        let fetcher = self.fetcher()?;
        let (started, timeout) = (Instant::now(), wait.timeout.unwrap_or(DEFAULT_TIMEOUT));
        let progress = MultiProgress::new();
        let _waiting = wait.wait.then(|| {
            let state = format!("nothing was changed; {}. Run it again at any time", rotation.state());
            Waiting::begin(Wait { step: requirement.step, state, json, exit_code: None, progress: progress.clone() })
        });
        let mut display = Progress::new(progress.clone());
        loop {
            rotation.record.follow_clock(rotation.clock);
            let answers = self.ask(&fetcher);
            let rows = self.judge(answers, requirement, &mut rotation.record, rotation.clock.now());
            rotation.remember()?;
            if rows.iter().all(|row| row.standing == Standing::Ready) {
                return Ok(());
            }
            let over = started.elapsed() >= timeout;
            if !wait.wait || over {
                let timed_out = (wait.wait && over).then_some(timeout);
                return Err(Hold { step: requirement.step, because: requirement.because, rows, timed_out }.into());
            }
            display.show(requirement.because, &rows);
            thread::sleep(PAUSE.min(timeout.saturating_sub(started.elapsed())));
        }
    }

    /// # Errors
    /// When certificates cannot be read, or an option leads a host name that no URL has.
    pub(super) fn fetcher(&self) -> anyhow::Result<Fetcher> {
        if let Some(stray) = self.connect_to.iter().find(|to| self.jwks_urls.iter().all(|url| url.host() != to.host)) {
            bail!("--connect-to {stray}: no --jwks-url has the host {}", stray.host);
        }
        Fetcher::new(&self.trust, self.jwks_urls.iter().any(ProxyUrl::is_https))
    }

    /// What to say of a step that was done without a look at any proxy, and perhaps too early.
    pub(super) fn warning(&self, requirement: &Requirement, now: f64) -> Option<String> {
        let seconds = self.seconds(requirement, 0.0);
        let left = Standing::after(requirement.since, seconds, now).seconds_left()?;
        let warning = format!(
            "no proxy was looked at, and the step before this one is only {} old. With the default times it would \
             have been safe in {}: {}",
            span((now - requirement.since).max(0.0)),
            span(left),
            requirement.because
        );
        (!self.is_named() && left > 0.0).then_some(warning)
    }

    /// What to say of a step that waited for less than clients may keep the keyset of a proxy.
    pub(super) fn cache_note(&self, record: &Record) -> Option<String> {
        let told = self.cache_time.filter(|_| self.is_named())?.as_secs_f64();
        let shown =
            record.proxies.iter().max_by(|(_, one), (_, other)| one.cache_seconds.total_cmp(&other.cache_seconds));
        let (proxy, seen) = shown.filter(|(_, seen)| seen.cache_seconds > told)?;
        Some(format!(
            "--cache-time is {}, and the max-age of {proxy} lets clients keep its keyset for {}: one that does so may not \
             know the new key yet",
            span(told),
            span(seen.cache_seconds)
        ))
    }

    /// How long the need must have been met at a proxy whose keyset clients keep for so many seconds.
    fn seconds(&self, requirement: &Requirement, cache_seconds: f64) -> f64 {
        let Some(hold) = requirement.hold else { return 0.0 };
        let cautious = || cache_seconds.max(CAUTIOUS_CACHE_TIME.as_secs_f64());
        let cache = self.cache_time.map_or_else(cautious, |time| time.as_secs_f64());
        cache + self.refresh_time.unwrap_or(DEFAULT_REFRESH_TIME).as_secs_f64() + hold.as_secs_f64()
    }

    /// Asks every proxy once.
    pub(super) fn ask(&self, fetcher: &Fetcher) -> Vec<Answer> {
        ask::all(&self.jwks_urls, &self.connect_to, fetcher)
    }

    /// How each proxy stands towards a step, by what it has just answered. What was seen goes into the record.
    pub(super) fn judge(
        &self,
        answers: Vec<Answer>,
        requirement: &Requirement,
        record: &mut Record,
        now: f64,
    ) -> Vec<Row> {
        let judge = |(target, answer): Answer| {
            let standing = match answer {
                Ok(fetched) => self.standing(&target, &fetched, requirement, record, now),
                Err(error) => error.into(),
            };
            Row { target, standing }
        };
        answers.into_iter().map(judge).collect()
    }

    fn standing(
        &self,
        target: &Target,
        fetched: &Fetched,
        requirement: &Requirement,
        record: &mut Record,
        now: f64,
    ) -> Standing {
        let seen = record.proxy(&target.to_string());
        let cache = fetched.max_age.unwrap_or_default().as_secs_f64();
        seen.note(&fetched.keyset.kids(), cache, now);
        Standing::of(seen, &requirement.need, self.seconds(requirement, seen.cache_seconds), now)
    }

    /// The options again, for a command that is suggested, ready for a shell.
    pub(super) fn arguments(&self) -> String {
        let mut arguments = Vec::new();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), quoted(&value)]);
        for url in &self.jwks_urls {
            add("--jwks-url", url.0.clone());
        }
        for to in &self.connect_to {
            add("--connect-to", to.to_string());
        }
        for (option, time) in [("--cache-time", self.cache_time), ("--refresh-time", self.refresh_time)] {
            if let Some(time) = time {
                add(option, clock::written(time));
            }
        }
        arguments.extend(self.trust.arguments().iter().map(|argument| quoted(argument)));
        if arguments.is_empty() {
            arguments.push("--jwks-url http://PROXY:PORT/.well-known/pomerium/jwks.json".to_owned());
        }
        arguments.join(" ")
    }
}
