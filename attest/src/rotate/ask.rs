//! Asks the proxies of a fleet what they publish.

use std::thread;

use super::target::{ConnectTo, ProxyUrl, Target};
use crate::keyset::{Fetched, Fetcher, SourceError};

/// Proxies of one URL, and URLs, that are asked at the same time.
const AT_ONCE: usize = 16;

/// What a proxy publishes, or why that is not known.
pub(super) type Answer = (Target, Result<Fetched, SourceError>);

/// Asks every proxy once, many at a time: one that does not answer must not keep the others waiting.
pub(super) fn all(urls: &[ProxyUrl], connect_to: &[ConnectTo], fetcher: &Fetcher) -> Vec<Answer> {
    let ask = |urls: &[ProxyUrl]| {
        thread::scope(|scope| {
            let running: Vec<_> =
                urls.iter().map(|url| (url, scope.spawn(|| behind(url, connect_to, fetcher)))).collect();
            let join = |(url, thread): (&ProxyUrl, thread::ScopedJoinHandle<'_, Vec<Answer>>)| {
                thread.join().unwrap_or_else(|_| vec![unanswered(&Target { url: url.0.clone(), address: None })])
            };
            running.into_iter().flat_map(join).collect::<Vec<_>>()
        })
    };
    urls.chunks(AT_ONCE).flat_map(ask).collect()
}

/// Asks the proxies that one URL stands for.
fn behind(url: &ProxyUrl, connect_to: &[ConnectTo], fetcher: &Fetcher) -> Vec<Answer> {
    let targets = match Target::of(url, connect_to, fetcher) {
        Ok(targets) => targets,
        Err(error) => return vec![(Target { url: url.0.clone(), address: None }, Err(error))],
    };
    let mut answers = Vec::new();
    for targets in targets.chunks(AT_ONCE) {
        answers.extend(fetch_all(fetcher, targets));
    }
    leave_out_unroutable(&mut answers);
    answers
}

/// Addresses of a kind that this machine has no way to are no proxies that it could ask, as long as another of the
/// same name answers.
fn leave_out_unroutable(answers: &mut Vec<Answer>) {
    if answers.iter().any(|(_, answer)| answer.is_ok()) {
        answers.retain(|(_, answer)| !answer.as_ref().is_err_and(|error| error.no_route));
    }
}

fn fetch_all(fetcher: &Fetcher, targets: &[Target]) -> Vec<Answer> {
    thread::scope(|scope| {
        let running: Vec<_> =
            targets.iter().map(|target| (target, scope.spawn(move || target.fetch(fetcher)))).collect();
        let join = |(target, thread): (&Target, thread::ScopedJoinHandle<'_, _>)| {
            thread.join().map_or_else(|_| unanswered(target), |answer| (target.clone(), answer))
        };
        running.into_iter().map(join).collect()
    })
}

fn unanswered(target: &Target) -> Answer {
    (target.clone(), Err(SourceError::new(format!("cannot fetch {target}"), "run this again")))
}
