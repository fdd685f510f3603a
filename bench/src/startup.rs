//! How long it takes from the start of Envoy to the first answer through it.

use rand::seq::SliceRandom as _;

use crate::envoy::{Envoy, Setup};
use crate::results::Startup;
use crate::statistics::millis;
use crate::variant::{Filter, HOST, Variant, WASM};

/// Each variant so many times, in random order.
pub(crate) fn run(setup: &Setup, rounds: usize) -> anyhow::Result<Vec<Startup>> {
    let many_keys = Variant { keys: 50, ..Variant::of(HOST) };
    let variants = [Filter::None, Filter::EmptyWasm, HOST, WASM].map(Variant::of).into_iter().chain([many_keys]);
    let mut startups: Vec<_> = variants.map(|variant| Startup { variant, rounds_ms: Vec::new() }).collect();
    for round in 1..=rounds {
        eprintln!("startup: round {round} of {rounds}");
        let mut turns: Vec<_> = startups.iter_mut().collect();
        turns.shuffle(&mut rand::rng());
        for startup in turns {
            let envoy = Envoy::start(&startup.variant, setup)?;
            startup.rounds_ms.push(millis(envoy.started_in));
        }
    }
    Ok(startups)
}
