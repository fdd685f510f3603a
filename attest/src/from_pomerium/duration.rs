//! Go's durations, in which Pomerium writes times.

/// Envoy's form of a duration in Go's, such as `1m30s`, `500ms` or `0`: decimal seconds with an `s`.
pub(super) fn seconds(text: &str) -> Option<String> {
    let mut rest = text.trim();
    let mut millis = 0_u64;
    if rest == "0" {
        return Some("0s".into());
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters)?;
        millis = millis.checked_add(thousandths(number)?.checked_mul(milliseconds(unit)?)? / 1000)?;
        rest = after;
    }
    let fraction = match millis % 1000 {
        0 => String::new(),
        rest => format!(".{rest:03}"),
    };
    Some(format!("{}{fraction}s", millis / 1000))
}

/// A decimal number times 1000.
fn thousandths(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction.parse().ok()?)
}

fn milliseconds(unit: &str) -> Option<u64> {
    match unit {
        "h" => Some(3_600_000),
        "m" => Some(60_000),
        "s" => Some(1000),
        "ms" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_become_envoys() {
        for (text, expected) in [
            ("30s", "30s"),
            ("1m30s", "90s"),
            ("1.5h", "5400s"),
            ("500ms", "0.500s"),
            ("0", "0s"),
            ("0s", "0s"),
            ("1h0m0s", "3600s"),
        ] {
            assert_eq!(seconds(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "s", "5", "-1s", "1 s", "1d", "99999999999999999999h"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
