use std::env;
use std::str::FromStr;

/// A number that a variable of the environment sets, else the usual one.
///
/// # Panics
/// If it is no such number, saying which variable.
pub fn number<N: FromStr>(name: &str, usually: N) -> N {
    env::var(name).map_or(usually, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
