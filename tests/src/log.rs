//! Reading Envoy's log.

use super::host::Host;

/// The lines that the filter logged.
pub fn ours(log: &str) -> Vec<&str> {
    log.lines().filter(|line| Host::log_marks().iter().any(|mark| line.contains(mark))).collect()
}

/// The one line that the filter logged about a refused configuration.
///
/// # Panics
/// If there is none, or more than one.
pub fn the_refusal(log: &str) -> String {
    let lines: Vec<&str> = ours(log).into_iter().filter(|line| is_error(line)).collect();
    let [line] = lines[..] else { panic!("{} lines of ours instead of one:\n{log}", lines.len()) };
    line.to_owned()
}

fn is_error(line: &str) -> bool {
    line.contains("[error]") || line.contains("[critical]")
}
