//! What the modules are meant to cost, beside what it does.

use anyhow::Context as _;

use super::ratios::{ratio, spread_of};
use crate::added::{Comparison, Rounds, rate};
use crate::plans::{COMPARISON, GROUPS, WORKERS};
use crate::results::Results;
use crate::statistics::Spread;
use crate::variant::{EXT_AUTHZ, Filter, HOST, NATIVE, NATIVE_REUSE, REUSE, Variant, WASM};

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
    let of = Comparison::of(results, COMPARISON)?;
    let mut targets = native(results, of)?;
    targets.extend(wasm(results, of)?);
    Ok(targets)
}

fn native(results: &Results, of: Comparison) -> anyhow::Result<Vec<Target>> {
    let (native, authz) = (of.filter(NATIVE)?, of.filter(EXT_AUTHZ)?);
    let reuse = of.filter(NATIVE_REUSE)?;
    let signature = Rounds::of_signature(results, |signature| &signature.rounds_us)?;
    let (authz_cpu, authz_single) = (of.added_cpu(authz)?, of.added_single_cpu(authz)?);
    let rates = Rounds::of(native, rate).over(&Rounds::of(authz, rate));
    let p50 = of.added_p50(native)?.over(&of.added_p50(authz)?);
    Ok(vec![
        at_most(1.4, "native: added CPU ÷ one bare signature", &of.added_cpu(native)?.over(&signature))?,
        at_most(0.42, "native: added CPU ÷ ext_authz's, all connections", &of.added_cpu(native)?.over(&authz_cpu))?,
        at_most(
            0.18,
            "native: added CPU ÷ ext_authz's, one connection",
            &of.added_single_cpu(native)?.over(&authz_single),
        )?,
        at_most(0.18, "native: added p50 ÷ ext_authz's, one connection", &p50)?,
        at_least(0.65, "native: requests per second ÷ no filter", &of.relative_rate(native)?)?,
        at_least(1.3, "native: requests per second ÷ ext_authz's", &rates)?,
        at_most(1.6, "native: added CPU, 500 groups ÷ 5 groups", &growth(results, NATIVE)?)?,
        at_most(
            0.12,
            "native, `reuse`: added CPU ÷ ext_authz's, all connections",
            &of.added_cpu(reuse)?.over(&authz_cpu),
        )?,
        at_most(
            0.1,
            "native, `reuse`: added CPU ÷ ext_authz's, one connection",
            &of.added_single_cpu(reuse)?.over(&authz_single),
        )?,
        startup(10.0, "native: start-up above no filter", results, NATIVE)?,
        memory(2.0, "native: memory above no filter, one worker", results, NATIVE)?,
    ])
}

fn wasm(results: &Results, of: Comparison) -> anyhow::Result<Vec<Target>> {
    let (host, reuse, authz) = (of.filter(HOST)?, of.filter(REUSE)?, of.filter(EXT_AUTHZ)?);
    let sign_only = of.added_cpu(of.filter(Filter::SignOnly)?)?;
    let (authz_cpu, authz_single) = (of.added_cpu(authz)?, of.added_single_cpu(authz)?);
    let in_wasm = of.added_cpu(of.filter(WASM)?)?;
    Ok(vec![
        at_most(
            1.35,
            "Wasm: added CPU ÷ the empty filter that only has the host sign",
            &of.added_cpu(host)?.over(&sign_only),
        )?,
        at_most(0.33, "Wasm: added CPU ÷ the same signed in Wasm", &of.added_cpu(host)?.over(&in_wasm))?,
        at_least(0.4, "Wasm: requests per second ÷ no filter", &of.relative_rate(host)?)?,
        at_most(2.0, "Wasm: added CPU, 500 groups ÷ 5 groups", &growth(results, HOST)?)?,
        at_most(
            0.2,
            "Wasm, `reuse`: added CPU ÷ ext_authz's, all connections",
            &of.added_cpu(reuse)?.over(&authz_cpu),
        )?,
        at_most(
            0.2,
            "Wasm, `reuse`: added CPU ÷ ext_authz's, one connection",
            &of.added_single_cpu(reuse)?.over(&authz_single),
        )?,
        startup(250.0, "Wasm: start-up above no filter, Wasm signer included", results, WASM)?,
    ])
}

/// What no target is about, so that nobody has to divide.
pub(super) fn beside(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let (native, host, authz) = (of.filter(NATIVE)?, of.filter(HOST)?, of.filter(EXT_AUTHZ)?);
    let none = Rounds::of(of.filter(Filter::None)?, rate);
    let cpu = of.added_cpu(host)?.over(&of.added_cpu(authz)?);
    let single = of.added_single_cpu(host)?.over(&of.added_single_cpu(authz)?);
    let p50 = of.added_p50(host)?.over(&of.added_p50(authz)?);
    let copy = of.get(&Variant::filter_state())?;
    let both = of.added_cpu(native)?.plus(&of.added_cpu(copy)?);
    Ok(format!(
        "The Wasm module beside ext_authz: added CPU × {} at all connections and × {} at one, added p50 × {}, requests per \
         second × {}. The native module together with the `set_filter_state` in front of it: {} of the requests per second of an \
         Envoy with neither, {} times those with ext_authz, and added CPU × {} of ext_authz's at all connections.",
        ratio(cpu.median()?),
        ratio(single.median()?),
        ratio(p50.median()?),
        ratio(Rounds::of(host, rate).over(&Rounds::of(authz, rate)).median()?),
        ratio(Rounds::of(native, rate).over(&none).median()?),
        ratio(Rounds::of(native, rate).over(&Rounds::of(authz, rate)).median()?),
        ratio(both.over(&of.added_cpu(authz)?).median()?),
    ))
}

fn at_most(bound: f64, what: &'static str, rounds: &Rounds) -> anyhow::Result<Target> {
    Ok(Target { what, bound: Bound::AtMost(bound), measured: rounds.spread()?, unit: "" })
}

fn at_least(bound: f64, what: &'static str, rounds: &Rounds) -> anyhow::Result<Target> {
    Ok(Target { what, bound: Bound::AtLeast(bound), measured: rounds.spread()?, unit: "" })
}

/// How much dearer 500 groups are than 5.
fn growth(results: &Results, filter: Filter) -> anyhow::Result<Rounds> {
    let of = Comparison::of(results, GROUPS)?;
    let with = |groups| of.added_cpu(of.get(&Variant { groups, ..Variant::of(filter) })?);
    Ok(with(500)?.over(&with(5)?))
}

/// In milliseconds, above the same without a filter.
fn startup(bound: f64, what: &'static str, results: &Results, filter: Filter) -> anyhow::Result<Target> {
    let of = |variant: &Variant| {
        let startup = results.startups.iter().find(|startup| startup.variant == *variant);
        startup.map(|startup| &startup.rounds_ms).context("the start-up has not been measured")
    };
    let variant = Variant::of(filter);
    let added = of(&variant)?.iter().zip(of(&variant.baseline())?).map(|(with, without)| with - without);
    let measured = Spread::of(added).context("the start-up has not been measured")?;
    Ok(Target { what, bound: Bound::AtMost(bound), measured, unit: " ms" })
}

/// In MiB, above the same without a filter.
fn memory(bound: f64, what: &'static str, results: &Results, filter: Filter) -> anyhow::Result<Target> {
    let of = Comparison::of(results, WORKERS)?;
    let measured = of.filter(filter)?;
    let added = measured.memory.anonymous - of.get(&measured.variant.baseline())?.memory.anonymous;
    Ok(Target { what, bound: Bound::AtMost(bound), measured: Spread::once(added), unit: " MiB" })
}
