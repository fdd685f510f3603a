//! Time as people read it: seconds since 1970 in UTC, spans in words, and durations on the command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970, with their fraction.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// What a rotation is timed by.
pub(crate) trait Clock {
    /// Seconds since 1970, with their fraction.
    fn now(&self) -> f64;

    /// Which boot this is, and by how many seconds the wall clock is ahead of the time since then. As long as the machine is
    /// up, only a clock that was set changes that.
    fn ahead_of_boot(&self) -> Option<(String, f64)>;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> f64 {
        now()
    }

    fn ahead_of_boot(&self) -> Option<(String, f64)> {
        ahead_of_boot()
    }
}

fn ahead_of_boot() -> Option<(String, f64)> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let up = Duration::new(up.tv_sec.try_into().ok()?, up.tv_nsec.try_into().ok()?);
    Some((boot.trim().to_owned(), now() - up.as_secs_f64()))
}

/// `2026-07-31 12:00:05 UTC`; none outside the years 1 to 9999.
pub(crate) fn utc(seconds: f64) -> Option<String> {
    let seconds = whole(seconds)?;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let shown =
        format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60);
    (1..=9999).contains(&year).then_some(shown)
}

/// A year, a month and a day in the Gregorian calendar, from days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 1 March of year 0, so that a leap day is the last day of its year; 146,097 days are 400 years.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day_of_month)
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn whole(seconds: f64) -> Option<i64> {
    (seconds.is_finite() && seconds.abs() < 1e12).then(|| seconds.floor() as i64)
}

/// `12 s`, `5 min 3 s`, `4 h 10 min`, `3 days`: a span of time, rounded up to seconds.
pub(crate) fn span(seconds: f64) -> String {
    let Some(seconds) = whole(seconds.abs().ceil()) else { return "a very long time".to_owned() };
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => two(seconds / 60, "min", seconds % 60, "s"),
        7_200..172_800 => two(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn two(first: i64, first_unit: &str, second: i64, second_unit: &str) -> String {
    match second {
        0 => format!("{first} {first_unit}"),
        _ => format!("{first} {first_unit} {second} {second_unit}"),
    }
}

/// `2 s ago`, `in 4 min 58 s`.
pub(crate) fn relative(then: f64, now: f64) -> String {
    if (then - now).abs() < 1.0 {
        return "now".to_owned();
    }
    if then > now { format!("in {}", span(then - now)) } else { format!("{} ago", span((now - then).floor())) }
}

/// The longest duration of the command line, in seconds: ten years.
const LONGEST: f64 = 10.0 * 366.0 * 86_400.0;

/// A duration of the command line: seconds, like `300` or `0.5`, or numbers with units, like `300s`, `5m`, `1h30m`,
/// `30d` or `2 weeks`. It may be in quotes, as in a configuration.
///
/// # Errors
/// A sentence that says what is allowed.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    seconds_in(unquoted(text.trim()).trim())
        .filter(|seconds| (0.0..=LONGEST).contains(seconds))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "not a duration; write one like 300s, 5m, 1h30m or 30d, or a number of seconds".to_owned())
}

/// As [`duration`], but a number needs a unit: where days are usual, `30` is no half a minute.
///
/// # Errors
/// A sentence that says what is allowed.
pub(crate) fn duration_with_unit(text: &str) -> Result<Duration, String> {
    match number(unquoted(text.trim()).trim()) {
        Some(number) if number > 0.0 => {
            Err(format!("it has no unit; write {number}d for days, or {number}s for seconds"))
        }
        _ => duration(text),
    }
}

fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

fn seconds_in(text: &str) -> Option<f64> {
    if let Some(number) = number(text) {
        return Some(number);
    }
    let mut rest = text;
    let mut seconds = None;
    while !rest.is_empty() {
        let (amount, after) = split_where(rest, |character| !character.is_ascii_digit() && character != '.');
        let (unit, after) = split_where(after.trim_start(), |character| !character.is_ascii_alphabetic());
        seconds = Some(seconds.unwrap_or_default() + number(amount)? * unit_seconds(unit)?);
        rest = after.trim_start();
    }
    seconds
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// A decimal number without a sign or an exponent.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

/// A duration as [`duration`] reads it.
pub(crate) fn written(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0.0).unwrap(), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(1_686_870_680.9).unwrap(), "2023-06-15 23:11:20 UTC");
        assert_eq!(utc(951_782_400.0).unwrap(), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(4_107_542_399.0).unwrap(), "2100-02-28 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400.0).unwrap(), "2100-03-01 00:00:00 UTC");
        assert_eq!(utc(-1.0).unwrap(), "1969-12-31 23:59:59 UTC");
        assert_eq!(utc(f64::NAN), None);
        assert_eq!(utc(1e300), None);
    }

    #[test]
    fn spans_are_short_words() {
        for (seconds, words) in [
            (0.0, "0 s"),
            (11.2, "12 s"),
            (119.0, "119 s"),
            (120.0, "2 min"),
            (303.0, "5 min 3 s"),
            (7200.0, "2 h"),
            (15_000.0, "4 h 10 min"),
            (300_000.0, "3 days"),
        ] {
            assert_eq!(span(seconds), words);
        }
        assert_eq!(relative(88.0, 100.9), "12 s ago");
        assert_eq!(relative(105.0, 100.0), "in 5 s");
    }

    #[test]
    fn less_than_a_second_is_now() {
        assert_eq!(relative(100.4, 100.0), "now");
        assert_eq!(relative(99.5, 100.0), "now");
    }

    #[test]
    fn durations_are_read_in_the_forms_that_people_write() {
        for (text, seconds) in [
            ("300", 300.0),
            ("300s", 300.0),
            ("0.5s", 0.5),
            ("500ms", 0.5),
            ("5m", 300.0),
            ("5 min", 300.0),
            ("1h", 3600.0),
            ("1h30m", 5400.0),
            ("1h 30m", 5400.0),
            ("30d", 2_592_000.0),
            ("30 days", 2_592_000.0),
            ("2w", 1_209_600.0),
            ("1.5h", 5400.0),
            ("0", 0.0),
            ("\"300s\"", 300.0),
            ("'1h'", 3600.0),
        ] {
            let read = duration(text).unwrap();
            assert_eq!(read.as_secs_f64(), seconds, "{text}");
            assert_eq!(duration(&written(read)), Ok(read), "{text}");
        }
        for text in [
            "",
            " ",
            "s",
            "-1s",
            "1y",
            "1e3",
            "inf",
            "NaN",
            "1.2.3",
            "é",
            "99999999999999999999",
            "5m3",
            "1h-3m",
            "\"5m",
            "\"",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_where_days_are_usual() {
        assert_eq!(duration_with_unit("30").unwrap_err(), "it has no unit; write 30d for days, or 30s for seconds");
        assert_eq!(duration_with_unit("30d"), duration("30d"));
        assert_eq!(duration_with_unit("0"), Ok(Duration::ZERO));
    }
}
