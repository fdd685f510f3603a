//! What is looked at in a running Envoy.

use std::path::Path;

use attestation_filter::keys::Keyring;

use super::admin::{ServerInfo, Statistics};
use super::sign::Sign;
use crate::input;
use crate::keyset::{Fetcher, Source, TrustArgs};

/// The first Envoy that has what the filter needs.
const OLDEST: (u32, u32) = (1, 36);
const KEY: &str = "attest check has the findings about the key; docs/troubleshooting.md has \"No key\"";
const NOBODY: &str = "docs/troubleshooting.md, \"Everybody is anonymous\": no configured source has shown up";

pub(super) fn envoy(info: &ServerInfo) -> Sign {
    let message = format!("{}, {}", info.release, info.state);
    match info.version() {
        Some(version) if version < OLDEST => Sign::unhealthy("envoy", message, "Envoy 1.36 or later"),
        Some(_) if info.state == "LIVE" => Sign::healthy("envoy", message),
        Some(_) => Sign::unhealthy("envoy", message, "wait until it serves; its log says what it waits for"),
        None => Sign::unknown("envoy", "it names no version"),
    }
}

/// Which keys the workers have, and since when.
pub(super) fn keys(statistics: &Statistics, now: f64) -> Vec<Sign> {
    let value = |name: &str| statistics.get(name).copied();
    let mut signs = Vec::new();
    signs.push(match value("keys_published") {
        None => Sign::unhealthy("keys", "the filter has no statistics: it has not been loaded", "look at Envoy's log"),
        Some(0) => Sign::unhealthy("keys", "no key is published: none is loaded, or an ephemeral one signs", KEY),
        Some(count) => Sign::healthy("keys", format!("{count} published")),
    });
    if let Some(time) = value("last_key_load_seconds").filter(|time| *time > 0) {
        let time = u32::try_from(time).map(f64::from).unwrap_or(now);
        let age = crate::clock::relative(time, now);
        signs.push(Sign::healthy("key age", format!("the keys in use were loaded {age}")));
    }
    match value("key_load_failures").unwrap_or_default() {
        0 => signs.push(Sign::healthy("key loads", "none has failed")),
        failures => {
            signs.push(Sign::unhealthy("key loads", format!("{failures} have failed since Envoy started"), KEY))
        }
    }
    signs
}

/// What clients get, and whether it is what the file has.
pub(super) fn keyset(
    listener: Option<&str>,
    path: &str,
    trust: &TrustArgs,
    files: &[String],
) -> anyhow::Result<Vec<Sign>> {
    let Some(listener) = listener else {
        return Ok(vec![Sign::unknown("keyset", "not asked: no listener has a port; name one with --listener")]);
    };
    let source = Source::Url(format!("{}{path}", listener.trim_end_matches('/')));
    let fetched = match Fetcher::new(trust, source.is_https())?.fetch(&source) {
        Ok(fetched) => fetched,
        Err(error) => {
            let cure = "name the right --listener, or exempt the path from the login (attest check says how)";
            return Ok(vec![Sign::unhealthy("keyset", error.problem, cure)]);
        }
    };
    let kids = fetched.keyset.kids();
    let published: Vec<&str> = kids.iter().map(String::as_str).collect();
    let mut signs = vec![if published.is_empty() {
        Sign::unhealthy("keyset", format!("{source} has no key"), KEY)
    } else {
        Sign::healthy("keyset", format!("{source} has {}", published.join(", ")))
    }];
    signs.extend(files.iter().map(|file| key_file(file, &published)));
    Ok(signs)
}

/// The file may be elsewhere, or nobody else's to read: then nothing is said against it.
fn key_file(path: &str, published: &[&str]) -> Sign {
    let text = match input::read_regular(Path::new(path)) {
        Ok(text) => text,
        Err(error) => return Sign::unknown("key file", format!("{path} is not compared: {error}")),
    };
    let Ok(keys) = Keyring::parse(&text) else {
        return Sign::unhealthy(
            "key file",
            format!("{path} is no key file that the filter takes"),
            "attest jwks FILE says why",
        );
    };
    let keyset = keys.keyset();
    let in_file: Vec<&str> = keyset.keys().iter().map(|key| key.kid()).collect();
    if in_file == published {
        return Sign::healthy("key file", format!("{path} has the keys that are published"));
    }
    let message = format!("{path} has {}, which is not what is published", in_file.join(", "));
    Sign::unhealthy("key file", message, "replace the file by a rename, in the directory that Envoy watches")
}

/// Who the requests came from.
pub(super) fn requests(statistics: &Statistics) -> Vec<Sign> {
    let value = |name: &str| statistics.get(name).copied().unwrap_or_default();
    let signed = ["signed.host", "signed.wasm", "signed.native", "reused"].into_iter().map(value).sum::<u64>();
    let (anonymous, nobody) = (value("anonymous"), value("refused.missing_identity"));
    let mut signs = vec![match (signed, anonymous, nobody) {
        (0, _, 0) => Sign::unknown("identities", "no request has been signed yet"),
        (0, _, nobody) => {
            Sign::unhealthy("identities", format!("all {nobody} requests were refused: nobody was named"), NOBODY)
        }
        (signed, anonymous, _) if signed == anonymous => {
            Sign::unhealthy("identities", format!("all {signed} assertions are anonymous"), NOBODY)
        }
        (signed, anonymous, nobody) => Sign::healthy(
            "identities",
            format!(
                "{anonymous} of {signed} assertions are anonymous, {nobody} requests without an identity were refused"
            ),
        ),
    }];
    let incomplete = value("incomplete_identities");
    if incomplete > 0 {
        let message = format!("{incomplete} lacked a claim of required_claims");
        let cure = "re-map the claim: claims: {sub: {first_of: [sub, client_id]}}, or change required_claims";
        signs.push(Sign::unhealthy("incomplete identities", message, cure));
    }
    signs.extend(refused(statistics));
    signs
}

/// Refusals that no client is to blame for.
fn refused(statistics: &Statistics) -> Option<Sign> {
    let ours = ["refused.no_key", "refused.bad_route", "refused.not_signed", "refused.too_long", "panics"];
    let counted = ours.into_iter().filter_map(|name| Some((name, *statistics.get(name)?)));
    let text: Vec<_> =
        counted.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name}: {count}")).collect();
    let cure = "docs/operations.md has what to do about each";
    (!text.is_empty()).then(|| Sign::unhealthy("refused", text.join(", "), cure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::sign::State;

    fn statistics(values: &[(&str, u64)]) -> Statistics {
        values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    fn identities(values: &[(&str, u64)]) -> State {
        requests(&statistics(values))[0].state
    }

    #[test]
    fn anonymous_assertions_alone_are_unhealthy() {
        assert_eq!(identities(&[("signed.host", 3), ("anonymous", 3)]), State::Unhealthy);
        assert_eq!(identities(&[("signed.native", 3), ("anonymous", 2)]), State::Healthy);
        assert_eq!(identities(&[("refused.missing_identity", 2)]), State::Unhealthy);
        assert_eq!(identities(&[]), State::Unknown);
    }

    #[test]
    fn a_key_file_that_is_a_fifo_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let sign = key_file(fifo.to_str().unwrap(), &[]);
        assert_eq!(sign.state, State::Unknown);
        assert!(sign.message.ends_with("it is a FIFO, not a regular file"), "{}", sign.message);
    }

    #[test]
    fn failed_key_loads_are_unhealthy() {
        let signs = keys(&statistics(&[("keys_published", 1), ("key_load_failures", 2)]), 0.0);
        let states: Vec<_> = signs.iter().map(|sign| sign.state).collect();
        assert_eq!(states, [State::Healthy, State::Unhealthy]);
    }
}
