//! Variants that are alive at once and loaded in turn: noise that comes and goes hits them all alike.

use std::time::Duration;

use anyhow::Context as _;
use rand::seq::SliceRandom as _;

use crate::envoy::{Envoy, Setup};
use crate::identity;
use crate::load::{Load, Slice};
use crate::results::{Measured, Round, Settings, Signature, Single};
use crate::signature::{Signed, Signer};
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
    /// Whether the bare signature has its turns too. It is made while the first variant, one without a filter, is loaded.
    pub(crate) signature: bool,
}

/// A point and 64 bytes in base64: what a token has behind its signing input.
const SIGNATURE_PART: usize = 1 + 86;

struct Contender<'a> {
    variant: &'a Variant,
    envoy: Envoy,
    token_bytes: Option<usize>,
    load: Load,
    rounds: Vec<Round>,
}

/// The signature beside the variants.
struct Bare {
    signer: Signer,
    signature: Signature,
}

/// What a turn in a round is about.
#[derive(Clone, Copy)]
enum Subject {
    Contender(usize),
    Signature,
}

/// What a round has collected, at all connections and at one.
type Slices<T> = (Vec<T>, Vec<T>);

/// Runs the plan; each round brings one number of each kind for each variant.
pub(crate) fn run(
    plan: &Plan,
    setup: &Setup,
    settings: &Settings,
) -> anyhow::Result<(Vec<Measured>, Option<Signature>)> {
    let contenders = plan.variants.iter().map(|variant| Contender::start(variant, setup, settings));
    let mut contenders = contenders.collect::<anyhow::Result<Vec<_>>>()?;
    let mut bare = if plan.signature { Some(Bare::new(&contenders, setup)?) } else { None };
    for round in 1..=settings.rounds {
        eprintln!("{}: round {round} of {}, {} variants", plan.name, settings.rounds, contenders.len());
        run_round(&mut contenders, bare.as_mut(), plan, settings)?;
    }
    let measured = contenders.into_iter().map(Contender::measured).collect::<anyhow::Result<_>>()?;
    Ok((measured, bare.map(|bare| bare.signature)))
}

fn run_round(
    contenders: &mut [Contender],
    mut bare: Option<&mut Bare>,
    plan: &Plan,
    settings: &Settings,
) -> anyhow::Result<()> {
    let mut slices: Vec<Slices<Slice>> = contenders.iter().map(|_| Default::default()).collect();
    let mut signed: Slices<Signed> = Default::default();
    let length = Duration::from_millis(settings.slice_ms);
    for (subject, single) in turns(contenders.len(), plan) {
        let active = if single { 1 } else { settings.connections };
        match subject {
            Subject::Contender(index) => {
                let (Some(contender), Some(slices)) = (contenders.get_mut(index), slices.get_mut(index)) else {
                    continue;
                };
                kind(slices, single).push(contender.slice(active, length)?);
            }
            Subject::Signature => {
                let (Some(bare), Some(unfiltered)) = (&bare, contenders.first_mut()) else { continue };
                kind(&mut signed, single).push(bare.signer.while_loaded(|| unfiltered.slice(active, length))?);
            }
        }
    }
    for (contender, (all, singles)) in contenders.iter_mut().zip(slices) {
        contender.rounds.push(round(&all, &singles));
    }
    if let Some(bare) = &mut bare {
        bare.signature.rounds_us.push(per_signature(&signed.0));
        bare.signature.single_us.push(per_signature(&signed.1));
    }
    Ok(())
}

/// In random order: each has its turn before any has its next.
fn turns(contenders: usize, plan: &Plan) -> Vec<(Subject, bool)> {
    let kinds: &[bool] = if plan.single { &[false, true] } else { &[false] };
    let subjects = (0..contenders).map(Subject::Contender).chain(plan.signature.then_some(Subject::Signature));
    let pass: Vec<_> = subjects.flat_map(|subject| kinds.iter().map(move |kind| (subject, *kind))).collect();
    let mut turns = Vec::new();
    for _ in 0..plan.slices {
        let mut pass = pass.clone();
        pass.shuffle(&mut rand::rng());
        turns.extend(pass);
    }
    turns
}

fn kind<T>((all, singles): &mut Slices<T>, single: bool) -> &mut Vec<T> {
    if single { singles } else { all }
}

impl Bare {
    /// Over something as long as what the variants sign.
    fn new(contenders: &[Contender], setup: &Setup) -> anyhow::Result<Self> {
        let mut signing = contenders.iter().filter(|contender| contender.variant.signs());
        let token = signing.find_map(|contender| contender.token_bytes).context("no variant signs")?;
        let signer = Signer::new(setup.parts.keys, token.saturating_sub(SIGNATURE_PART))?;
        let signature = Signature { bytes: signer.bytes(), rounds_us: Vec::new(), single_us: Vec::new() };
        Ok(Self { signer, signature })
    }
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

fn per_signature(slices: &[Signed]) -> f64 {
    let signatures: u32 = slices.iter().map(|slice| slice.signatures).sum();
    slices.iter().map(|slice| slice.cpu).sum::<Duration>().as_secs_f64() * 1e6 / f64::from(signatures)
}

#[allow(clippy::cast_precision_loss)]
fn count(slices: &[Slice]) -> f64 {
    slices.iter().map(|slice| slice.requests).sum::<u64>() as f64
}
