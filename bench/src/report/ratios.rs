//! Numbers as the page writes them.

use crate::statistics::Spread;

/// Median, and the lowest and highest round.
pub(super) fn spread_of(spread: Spread, unit: &str) -> String {
    let Spread { median, min, max } = spread;
    if min == max {
        return format!("**{}{unit}**", ratio(median));
    }
    format!("**{}{unit}** ({} to {})", ratio(median), ratio(min), ratio(max))
}

/// Two digits behind the point, where that says something.
pub(super) fn ratio(number: f64) -> String {
    if number.abs() < 10.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}

pub(super) fn micros(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("{} µs ({} to {})", whole(median), whole(min), whole(max))
}

pub(super) fn millis(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("{} ms ({} to {})", whole(median), whole(min), whole(max))
}

/// Without the sign of a zero that was a little less.
pub(super) fn whole(number: f64) -> String {
    format!("{:.0}", number.round() + 0.0)
}
