//! How many instructions a case takes.

use std::process::Command;

const FEW: u64 = 20;
const MANY: u64 = 220;

/// Per request.
pub(crate) fn instructions(case: &str) -> u64 {
    (under_callgrind(case, MANY) - under_callgrind(case, FEW)) / (MANY - FEW)
}

fn under_callgrind(case: &str, requests: u64) -> u64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([case, &requests.to_string()])
        .output()
        .expect("valgrind is needed; install it with your package manager");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    collected.expect("a number of instructions").1.trim().parse().expect("a number")
}
