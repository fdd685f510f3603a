//! What one request costs inside the filter, in instructions: no host calls, no noise.
//!
//! Valgrind counts them. Each case runs twice, some requests and many more; the difference is what a request costs,
//! whatever the start of the program did. `--check` fails if a case has become more than a tenth dearer than
//! `bench/micro.json` says, `--save` writes that file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss)]

mod cases;
mod count;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use cases::CASES;

/// A case may become this much dearer.
const TOLERANCE: f64 = 1.10;

/// Instructions for each case.
type Counts = BTreeMap<String, u64>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if let [case, requests] = arguments.as_slice()
        && !case.starts_with("--")
    {
        cases::run(case, requests.parse().expect("a number of requests"));
        return ExitCode::SUCCESS;
    }
    let counts: Counts = CASES.iter().map(|(name, _)| ((*name).to_owned(), count::instructions(name))).collect();
    let saved = saved();
    print(&counts, &saved);
    if has("--save") {
        save(&counts);
    }
    if has("--check") && is_worse(&counts, &saved) {
        eprintln!("dearer by more than a tenth; if that is meant: make bench-micro SAVE=1");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn file() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../micro.json"))
}

fn saved() -> Counts {
    let text = std::fs::read_to_string(file()).unwrap_or_else(|_| "{}".into());
    serde_json::from_str(&text).expect("bench/micro.json maps cases to numbers")
}

fn save(counts: &Counts) {
    let text = serde_json::to_string_pretty(counts).expect("JSON");
    std::fs::write(file(), text + "\n").expect("write bench/micro.json");
}

fn print(counts: &Counts, saved: &Counts) {
    println!("{:<28}{:>14}{:>14}{:>10}", "instructions per request", "now", "checked in", "change");
    for (name, _) in CASES {
        let now = counts[*name];
        let Some(before) = saved.get(*name) else {
            println!("{name:<28}{now:>14}{:>14}{:>10}", "none", "");
            continue;
        };
        println!("{name:<28}{now:>14}{before:>14}{:>+9.1}%", 100.0 * (ratio(now, *before) - 1.0));
    }
}

fn is_worse(counts: &Counts, saved: &Counts) -> bool {
    saved.iter().any(|(name, before)| counts.get(name).is_some_and(|now| ratio(*now, *before) > TOLERANCE))
}

fn ratio(now: u64, before: u64) -> f64 {
    now as f64 / before as f64
}
