//! The tables, as Markdown.

use anyhow::Context as _;

use super::ratios::spread_of;
use super::targets::{signature, without_signature};
use crate::added::{Comparison, Rounds, rate};
use crate::plans::{COMPARISON, GROUP_COUNTS, GROUPS, SETTINGS, WORKERS};
use crate::results::Results;
use crate::statistics::Spread;
use crate::variant::{EXT_AUTHZ, Filter, HOST, REUSE, Variant, WASM};

/// What matters most, in a few sentences.
pub(super) fn summary(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let (host, reuse, authz) = (of.filter(HOST)?, of.filter(REUSE)?, of.filter(EXT_AUTHZ)?);
    let single = |measured| of.added_single_cpu(measured).and_then(|rounds| rounds.median());
    let p50 = |measured| of.added_p50(measured).and_then(|rounds| rounds.median());
    let many = |measured| of.added_cpu(measured).and_then(|rounds| rounds.median());
    Ok(format!(
        "An assertion of its own for each request costs **{:.0} µs** of CPU and **{:.0} µs** of latency above an Envoy \
         without any filter, \
         with one request at a time; a native ext_authz service that makes the same token costs {:.0} µs and {:.0} µs. \
         With {} requests under way at once, a service shares the cost of each wake-up among several of them: \
         {:.0} µs against {:.0} µs. Where `reuse` fits, the filter costs {:.0} µs ({:.0} µs of latency).",
        single(host)?,
        p50(host)?,
        single(authz)?,
        p50(authz)?,
        results.settings.connections,
        many(host)?,
        many(authz)?,
        single(reuse)?,
        p50(reuse)?,
    ))
}

pub(super) fn comparison(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let mut table = format!(
        "| | requests/s ÷ no filter | added CPU, {} connections | of that the service's | added CPU, one connection | \
         added p50, one connection |\n|---|---|---|---|---|---|\n",
        results.settings.connections
    );
    for measured in of.variants() {
        let name = measured.variant.name();
        if measured.variant.filter == Filter::None {
            table += &format!("| {name} | 1 | 0 | | 0 | 0 |\n");
            continue;
        }
        let service = match measured.variant.filter {
            Filter::ExtAuthz { .. } => micros(of.service_cpu(measured)?.spread()?),
            _ => String::new(),
        };
        table += &format!(
            "| {name} | {} | {} | {service} | {} | {} |\n",
            spread_of(of.relative_rate(measured)?.spread()?, ""),
            micros(of.added_cpu(measured)?.spread()?),
            micros(of.added_single_cpu(measured)?.spread()?),
            micros(of.added_p50(measured)?.spread()?),
        );
    }
    Ok(table)
}

/// Where the filter's own CPU goes.
pub(super) fn split(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let empty = of.added_cpu(of.filter(Filter::EmptyWasm)?)?;
    let rest = without_signature(of)?.less(&empty);
    let rows = [
        ("being a Wasm filter at all (the empty one made with the SDK)", empty),
        ("the host's signature (the empty filter with it, less the empty filter)", signature(of)?),
        ("everything else: identity, claims, JSON, base64, headers, statistics", rest),
    ];
    let mut table = String::from("| | added CPU |\n|---|---|\n");
    for (what, rounds) in rows {
        table += &format!("| {what} | {} |\n", micros(rounds.spread()?));
    }
    Ok(table)
}

pub(super) fn groups(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, GROUPS)?;
    let mut table = String::from("| groups | token, bytes | host signs | `reuse` | ext_authz, UDS, ring |\n");
    table += "|---|---|---|---|---|\n";
    for groups in GROUP_COUNTS {
        let with = |filter| of.get(&Variant { groups, ..Variant::of(filter) });
        let cpu = |filter| of.added_cpu(with(filter)?).and_then(|rounds| rounds.spread()).map(micros);
        let bytes = with(HOST)?.token_bytes.context("no token")?;
        table += &format!("| {groups} | {bytes} | {} | {} | {} |\n", cpu(HOST)?, cpu(REUSE)?, cpu(EXT_AUTHZ)?);
    }
    Ok(table)
}

pub(super) fn settings(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, SETTINGS)?;
    let mut table = String::from("| | added CPU |\n|---|---|\n");
    for measured in of.variants().filter(|measured| measured.variant.filter != Filter::None) {
        table += &format!("| {} | {} |\n", measured.variant.name(), micros(of.added_cpu(measured)?.spread()?));
    }
    Ok(table)
}

pub(super) fn workers(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, WORKERS)?;
    let mut table = String::from("| | added CPU, one worker | two workers | requests/s, two workers ÷ one |\n");
    table += "|---|---|---|---|\n";
    for filter in [Filter::None, HOST, WASM, REUSE, EXT_AUTHZ] {
        let with = |workers| of.get(&Variant { workers, ..Variant::of(filter) });
        let (one, two) = (with(1)?, with(2)?);
        let cpu = |measured| of.added_cpu(measured).and_then(|rounds| rounds.spread()).map(micros);
        let growth = Rounds::of(two, rate).over(&Rounds::of(one, rate)).spread()?;
        let name = Variant::of(filter).name();
        table += &format!("| {name} | {} | {} | {} |\n", cpu(one)?, cpu(two)?, spread_of(growth, ""));
    }
    Ok(table)
}

pub(super) fn startup(results: &Results) -> anyhow::Result<String> {
    let mut table = String::from("| | from start to first answer |\n|---|---|\n");
    for startup in &results.startups {
        let spread = Spread::of(startup.rounds_ms.iter().copied()).context("no start-up")?;
        table += &format!("| {} | {} |\n", startup.variant.name(), millis(spread));
    }
    Ok(table)
}

pub(super) fn reload(results: &Results) -> anyhow::Result<String> {
    let mut table =
        String::from("| | slowest request | until Envoy has taken it | requests | failed |\n|---|---|---|---|---|\n");
    for reload in &results.reloads {
        let slowest = Spread::of(reload.slowest_ms.iter().copied()).map(millis).context("no reload")?;
        let applied = Spread::of(reload.applied_ms.iter().copied()).map(millis).unwrap_or_default();
        table += &format!("| {} | {slowest} | {applied} | {} | {} |\n", reload.what, reload.requests, reload.failed);
    }
    Ok(table)
}

pub(super) fn memory(results: &Results) -> anyhow::Result<String> {
    let mut table = String::from("| | one worker, MiB | two workers, MiB | the service's, MiB |\n|---|---|---|---|\n");
    let of = Comparison::of(results, WORKERS)?;
    for filter in [Filter::None, HOST, REUSE, EXT_AUTHZ] {
        let with = |workers| of.get(&Variant { workers, ..Variant::of(filter) });
        let (one, two) = (with(1)?, with(2)?);
        let service = one.service_memory.map(|memory| format!("{:.1}", memory.anonymous)).unwrap_or_default();
        let name = Variant::of(filter).name();
        table += &format!("| {name} | {:.1} | {:.1} | {service} |\n", one.memory.anonymous, two.memory.anonymous);
    }
    Ok(table)
}

pub(super) fn machine(results: &Results) -> String {
    let (machine, settings) = (&results.machine, &results.settings);
    format!(
        "| | |\n|---|---|\n| when | {} UTC, {} s |\n| commit | `{}` |\n| module | {} bytes |\n| Envoy | {} |\n\
         | processor | {} cores of {} |\n| kernel | {} |\n\
         | noise | {:.0} % of all processor time went to others, {:.1} % to the hypervisor |\n\
         | rounds | {}, slices of {} ms, {} connections |\n",
        machine.date,
        machine.duration_s,
        machine.commit,
        machine.module_bytes,
        machine.envoy,
        machine.cores,
        machine.cpu,
        machine.kernel,
        100.0 * machine.used_by_others,
        100.0 * machine.stolen,
        settings.rounds,
        settings.slice_ms,
        settings.connections,
    )
}

fn micros(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("{} µs ({} to {})", whole(median), whole(min), whole(max))
}

fn millis(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    format!("{} ms ({} to {})", whole(median), whole(min), whole(max))
}

/// Without the sign of a zero that was a little less.
fn whole(number: f64) -> String {
    format!("{:.0}", number.round() + 0.0)
}
