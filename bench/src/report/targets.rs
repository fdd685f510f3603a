//! What the filter is meant to cost, beside what it does.

use anyhow::Context as _;

use super::ratios::{ratio, spread_of};
use crate::added::{Comparison, Rounds, rate};
use crate::plans::{COMPARISON, GROUPS};
use crate::results::{Results, Startup};
use crate::statistics::Spread;
use crate::variant::{EXT_AUTHZ, Filter, HOST, REUSE, Variant, WASM};

struct Target {
    what: &'static str,
    bound: Bound,
    measured: Spread,
    unit: &'static str,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

pub(super) fn table(results: &Results) -> anyhow::Result<String> {
    let mut table = String::from("| | target | measured (lowest to highest round) | |\n|---|---|---|---|\n");
    for target in targets(results)? {
        let (sign, bound, met) = match target.bound {
            Bound::AtMost(bound) => ("≤", bound, target.measured.median <= bound),
            Bound::AtLeast(bound) => ("≥", bound, target.measured.median >= bound),
        };
        let met = if met { "met" } else { "missed" };
        let (Target { what, unit, .. }, measured) = (&target, spread_of(target.measured, target.unit));
        table += &format!("| {what} | {sign} {}{unit} | {measured} | {met} |\n", ratio(bound));
    }
    Ok(table)
}

fn targets(results: &Results) -> anyhow::Result<Vec<Target>> {
    let mut targets = at_five_groups(Comparison::of(results, COMPARISON)?)?;
    targets.push(Target {
        what: "added CPU, 500 groups ÷ 5 groups",
        bound: Bound::AtMost(2.0),
        measured: growth(Comparison::of(results, GROUPS)?)?.spread()?,
        unit: "",
    });
    targets.push(Target {
        what: "start-up above no filter, Wasm signer included",
        bound: Bound::AtMost(250.0),
        measured: startup(&results.startups)?,
        unit: " ms",
    });
    Ok(targets)
}

fn at_five_groups(of: Comparison) -> anyhow::Result<Vec<Target>> {
    let (host, wasm, reuse) = (of.filter(HOST)?, of.filter(WASM)?, of.filter(REUSE)?);
    let (empty, authz) = (of.filter(Filter::EmptyWasm)?, of.filter(EXT_AUTHZ)?);
    let host_cpu = of.added_cpu(host)?;
    let (authz_cpu, authz_single_cpu) = (of.added_cpu(authz)?, of.added_single_cpu(authz)?);
    let rates = Rounds::of(host, rate).over(&Rounds::of(authz, rate));
    use Bound::{AtLeast, AtMost};
    let of_rounds = [
        ("added CPU ÷ ext_authz's, one connection", AtMost(0.5), of.added_single_cpu(host)?.over(&authz_single_cpu)),
        ("added CPU ÷ ext_authz's, all connections", AtMost(0.5), host_cpu.over(&authz_cpu)),
        ("added CPU ÷ the same signed in Wasm", AtMost(0.33), host_cpu.over(&of.added_cpu(wasm)?)),
        ("requests per second ÷ no filter", AtLeast(0.4), of.relative_rate(host)?),
        ("requests per second ÷ ext_authz's", AtLeast(1.55), rates),
        ("added p50 ÷ ext_authz's, one connection", AtMost(0.3), of.added_p50(host)?.over(&of.added_p50(authz)?)),
        (
            "added CPU without the signature ÷ the empty Wasm filter's (medians)",
            AtMost(2.0),
            without_signature(of)?.over_medians(&of.added_cpu(empty)?)?,
        ),
        (
            "`reuse`: added CPU ÷ ext_authz's, one connection",
            AtMost(0.2),
            of.added_single_cpu(reuse)?.over(&authz_single_cpu),
        ),
        ("`reuse`: added CPU ÷ ext_authz's, all connections", AtMost(0.2), of.added_cpu(reuse)?.over(&authz_cpu)),
    ];
    let targets = of_rounds
        .into_iter()
        .map(|(what, bound, rounds)| Ok(Target { what, bound, measured: rounds.spread()?, unit: "" }));
    targets.collect()
}

/// What the filter adds, less what the host's signature alone does.
pub(super) fn without_signature(of: Comparison) -> anyhow::Result<Rounds> {
    Ok(of.added_cpu(of.filter(HOST)?)?.less(&signature(of)?))
}

/// What the host's signature alone adds to a filter.
pub(super) fn signature(of: Comparison) -> anyhow::Result<Rounds> {
    let (with, without) = (of.filter(Filter::SignOnly)?, of.filter(Filter::EmptyWasm)?);
    Ok(of.added_cpu(with)?.less(&of.added_cpu(without)?))
}

/// How much dearer 500 groups are than 5.
fn growth(of: Comparison) -> anyhow::Result<Rounds> {
    let with = |groups| of.added_cpu(of.get(&Variant { groups, ..Variant::of(HOST) })?);
    Ok(with(500)?.over(&with(5)?))
}

/// In milliseconds.
fn startup(startups: &[Startup]) -> anyhow::Result<Spread> {
    let of = |filter| {
        let startup = startups.iter().find(|startup| startup.variant == Variant::of(filter));
        startup.map(|startup| &startup.rounds_ms).context("the start-up has not been measured")
    };
    let added = of(WASM)?.iter().zip(of(Filter::None)?).map(|(with, without)| with - without);
    Spread::of(added).context("the start-up has not been measured")
}
