//! What a variant adds to its baseline, round by round: noise that lasts a round is in both and goes away.

use anyhow::Context as _;

use crate::results::{Measured, Results, Round, Signature};
use crate::statistics::Spread;
use crate::variant::{Filter, Variant};

/// One comparison's variants.
#[derive(Clone, Copy)]
pub(crate) struct Comparison<'a>(&'a [Measured]);

/// A number for each round.
#[derive(Debug, Clone)]
pub(crate) struct Rounds(Vec<f64>);

impl<'a> Comparison<'a> {
    pub(crate) fn of(results: &'a Results, name: &str) -> anyhow::Result<Self> {
        let measured = results.comparisons.get(name);
        measured.map(|measured| Self(measured)).with_context(|| format!("{name} has not been measured"))
    }

    pub(crate) fn variants(self) -> impl Iterator<Item = &'a Measured> {
        self.0.iter()
    }

    pub(crate) fn get(self, variant: &Variant) -> anyhow::Result<&'a Measured> {
        let mut variants = self.variants();
        variants.find(|measured| measured.variant == *variant).with_context(|| format!("no {}", variant.name()))
    }

    /// The usual variant with this filter.
    pub(crate) fn filter(self, filter: Filter) -> anyhow::Result<&'a Measured> {
        self.get(&Variant::of(filter))
    }

    /// Each variant with one worker, and the same with two.
    pub(crate) fn by_workers(self) -> anyhow::Result<Vec<(&'a Measured, &'a Measured)>> {
        let one = self.variants().filter(|measured| measured.variant.workers == 1);
        one.map(|one| Ok((one, self.get(&Variant { workers: 2, ..one.variant.clone() })?))).collect()
    }

    /// Microseconds of CPU per request above the same Envoy without a filter.
    pub(crate) fn added_cpu(self, measured: &Measured) -> anyhow::Result<Rounds> {
        self.added(measured, |round| Some(round.cpu_us()))
    }

    /// The part of it that is the service's.
    pub(crate) fn service_cpu(self, measured: &Measured) -> anyhow::Result<Rounds> {
        self.added(measured, |round| Some(round.service_cpu_us))
    }

    /// The same with one request at a time.
    pub(crate) fn added_single_cpu(self, measured: &Measured) -> anyhow::Result<Rounds> {
        self.added(measured, |round| round.single.map(|single| single.cpu_us))
    }

    /// The median latency at one connection above the baseline's, in microseconds.
    pub(crate) fn added_p50(self, measured: &Measured) -> anyhow::Result<Rounds> {
        self.added(measured, |round| round.single.map(|single| single.p50_us))
    }

    /// Requests per second, as a part of the baseline's.
    pub(crate) fn relative_rate(self, measured: &Measured) -> anyhow::Result<Rounds> {
        let base = self.get(&measured.variant.baseline())?;
        Ok(Rounds::of(measured, rate).over(&Rounds::of(base, rate)))
    }

    fn added(self, measured: &Measured, of: fn(&Round) -> Option<f64>) -> anyhow::Result<Rounds> {
        let base = self.get(&measured.variant.baseline())?;
        Ok(Rounds::of(measured, of).less(&Rounds::of(base, of)))
    }
}

/// Requests per second.
pub(crate) fn rate(round: &Round) -> Option<f64> {
    Some(round.requests_per_second)
}

impl Rounds {
    pub(crate) fn of(measured: &Measured, of: fn(&Round) -> Option<f64>) -> Self {
        Self(measured.rounds.iter().map(|round| of(round).unwrap_or(f64::NAN)).collect())
    }

    pub(crate) fn less(&self, other: &Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    pub(crate) fn over(&self, other: &Self) -> Self {
        self.with(other, |a, b| a / b)
    }

    /// Of the signature on its own.
    pub(crate) fn of_signature(results: &Results, of: fn(&Signature) -> &[f64]) -> anyhow::Result<Self> {
        let signature = results.signature.as_ref().context("the signature has not been measured")?;
        Ok(Self(of(signature).to_vec()))
    }

    fn with(&self, other: &Self, of: fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| of(*a, *b)).collect())
    }

    pub(crate) fn spread(&self) -> anyhow::Result<Spread> {
        Spread::of(self.0.iter().copied()).context("a number was not measured")
    }

    pub(crate) fn median(&self) -> anyhow::Result<f64> {
        Ok(self.spread()?.median)
    }
}
