//! Variants that are alive at once and loaded in turn: noise that comes and goes hits them all alike.

use std::time::Duration;

use rand::seq::SliceRandom as _;

use crate::envoy::{Envoy, Setup};
use crate::identity;
use crate::load::{Load, Slice};
use crate::results::{Measured, Round, Settings, Single};
use crate::statistics::percentile;
use crate::variant::Variant;

/// What to compare, and how.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) variants: Vec<Variant>,
    /// How often each variant's turn comes in a round.
    pub(crate) slices: usize,
    /// Whether the latency at one connection is measured as well, in slices of its own.
    pub(crate) single: bool,
}

struct Contender<'a> {
    variant: &'a Variant,
    envoy: Envoy,
    token_bytes: Option<usize>,
    load: Load,
    rounds: Vec<Round>,
}

/// Runs the plan; each round brings one number of each kind for each variant.
pub(crate) fn run(plan: &Plan, setup: &Setup, settings: &Settings) -> anyhow::Result<Vec<Measured>> {
    let contenders = plan.variants.iter().map(|variant| Contender::start(variant, setup, settings));
    let mut contenders = contenders.collect::<anyhow::Result<Vec<_>>>()?;
    for round in 1..=settings.rounds {
        eprintln!("{}: round {round} of {}, {} variants", plan.name, settings.rounds, contenders.len());
        run_round(&mut contenders, plan, settings)?;
    }
    contenders.into_iter().map(Contender::measured).collect()
}

fn run_round(contenders: &mut [Contender], plan: &Plan, settings: &Settings) -> anyhow::Result<()> {
    let mut slices: Vec<(Vec<Slice>, Vec<Slice>)> = contenders.iter().map(|_| Default::default()).collect();
    let kinds: &[bool] = if plan.single { &[false, true] } else { &[false] };
    let mut turns = Vec::new();
    for _ in 0..plan.slices {
        let mut pass: Vec<_> =
            (0..contenders.len()).flat_map(|index| kinds.iter().map(move |kind| (index, *kind))).collect();
        pass.shuffle(&mut rand::rng());
        turns.extend(pass);
    }
    for (index, single) in turns {
        let (Some(contender), Some((all, singles))) = (contenders.get_mut(index), slices.get_mut(index)) else {
            continue;
        };
        let active = if single { 1 } else { settings.connections };
        let slice = contender.slice(active, Duration::from_millis(settings.slice_ms))?;
        if single { singles.push(slice) } else { all.push(slice) }
    }
    for (contender, (all, singles)) in contenders.iter_mut().zip(slices) {
        contender.rounds.push(round(&all, &singles));
    }
    Ok(())
}

impl<'a> Contender<'a> {
    fn start(variant: &'a Variant, setup: &Setup, settings: &Settings) -> anyhow::Result<Self> {
        let envoy = Envoy::start(variant, setup)?;
        let token_bytes = envoy.check(variant, setup)?;
        let load = Load::connect(envoy.address, settings.connections, identity::request(variant, "/"))?;
        Ok(Self { variant, envoy, token_bytes, load, rounds: Vec::new() })
    }

    fn slice(&mut self, active: usize, length: Duration) -> anyhow::Result<Slice> {
        let envoy = &self.envoy;
        self.load.slice(active, length, || envoy.usage())
    }

    fn measured(self) -> anyhow::Result<Measured> {
        Ok(Measured {
            variant: self.variant.clone(),
            token_bytes: self.token_bytes,
            memory: self.envoy.memory()?,
            service_memory: self.envoy.service_memory()?,
            rounds: self.rounds,
        })
    }
}

fn round(all: &[Slice], singles: &[Slice]) -> Round {
    let requests = all.iter().map(|slice| slice.requests).sum();
    let elapsed: Duration = all.iter().map(|slice| slice.elapsed).sum();
    let mut latencies = latencies(all);
    Round {
        requests,
        requests_per_second: count(all) / elapsed.as_secs_f64(),
        envoy_cpu_us: per_request(all, |slice| slice.envoy_cpu),
        service_cpu_us: per_request(all, |slice| slice.service_cpu),
        p50_us: percentile(&mut latencies, 0.5),
        p99_us: percentile(&mut latencies, 0.99),
        single: (!singles.is_empty()).then(|| single(singles)),
    }
}

fn single(slices: &[Slice]) -> Single {
    Single {
        p50_us: percentile(&mut latencies(slices), 0.5),
        cpu_us: per_request(slices, |slice| slice.envoy_cpu + slice.service_cpu),
    }
}

fn latencies(slices: &[Slice]) -> Vec<Duration> {
    slices.iter().flat_map(|slice| slice.latencies.clone()).collect()
}

fn per_request(slices: &[Slice], of: fn(&Slice) -> Duration) -> f64 {
    slices.iter().map(of).sum::<Duration>().as_secs_f64() * 1e6 / count(slices)
}

#[allow(clippy::cast_precision_loss)]
fn count(slices: &[Slice]) -> f64 {
    slices.iter().map(|slice| slice.requests).sum::<u64>() as f64
}
