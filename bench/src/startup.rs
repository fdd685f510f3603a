//! How long it takes from the start of Envoy to the first answer through it.

use rand::seq::SliceRandom as _;

use crate::envoy::{Envoy, Setup};
use crate::results::Startup;
use crate::statistics::millis;
use crate::variant::{Filter, HOST, NATIVE, Variant, WASM};

/// Each variant so many times, in random order.
pub(crate) fn run(setup: &Setup, rounds: usize) -> anyhow::Result<Vec<Startup>> {
    let many_keys = |filter| Variant { keys: 50, ..Variant::of(filter) };
    let [none, empty, native, host, wasm] = [Filter::None, Filter::EmptyWasm, NATIVE, HOST, WASM].map(Variant::of);
    let variants = [none, Variant::filter_state(), native, many_keys(NATIVE), empty, host, wasm, many_keys(HOST)];
    let mut startups: Vec<_> = variants.into_iter().map(|variant| Startup { variant, rounds_ms: Vec::new() }).collect();
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
