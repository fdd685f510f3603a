//! Which numbers are drawn.

use super::chart::{Bar, Bars, Line, Lines};
use crate::added::{Comparison, Rounds, rate};
use crate::plans::{COMPARISON, GROUP_COUNTS, GROUPS, SETTINGS, WORKERS};
use crate::results::Results;
use crate::statistics::Spread;
use crate::variant::{EXT_AUTHZ, Filter, HOST, NATIVE, NATIVE_REUSE, REUSE, Variant};

/// Each with the name of its file.
pub(super) fn all(results: &Results) -> anyhow::Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("performance-cpu.svg", cpu(results)?),
        ("performance-latency.svg", latency(results)?),
        ("performance-groups.svg", groups(results)?),
        ("performance-settings.svg", settings(results)?),
        ("performance-workers.svg", workers(results)?),
        ("performance-startup.svg", startup(results)?),
        ("performance-reload.svg", reload(results)?),
        ("performance-memory.svg", memory(results)?),
    ])
}

fn cpu(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let bars = of.variants().filter(|measured| measured.variant != measured.variant.baseline()).map(|measured| {
        let many = of.added_cpu(measured)?;
        Ok(Bar::new(measured.variant.name(), vec![many.spread()?, of.added_single_cpu(measured)?.spread()?]))
    });
    let many = Rounds::of_signature(results, |signature| &signature.rounds_us)?;
    let single = Rounds::of_signature(results, |signature| &signature.single_us)?;
    let bars = bars.chain([Ok(Bar::new("a bare signature, AWS-LC".into(), vec![many.spread()?, single.spread()?]))]);
    Bars {
        title: "CPU that a request costs above no filter, in µs",
        series: &[&format!("{} connections", results.settings.connections), "one connection"],
        bars: bars.collect::<anyhow::Result<_>>()?,
    }
    .svg()
}

fn latency(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let bars = of.variants().map(|measured| {
        let p50 = Rounds::of(measured, |round| round.single.map(|single| single.p50_us)).spread()?;
        Ok(Bar::new(measured.variant.name(), vec![p50]))
    });
    Bars {
        title: "Median latency at one connection, in µs",
        series: &["p50"],
        bars: bars.collect::<anyhow::Result<_>>()?,
    }
    .svg()
}

fn groups(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, GROUPS)?;
    let line = |(name, filter)| {
        let points = GROUP_COUNTS.map(|groups| {
            let measured = of.get(&Variant { groups, ..Variant::of(filter) })?;
            anyhow::Ok((f64::from(u32::try_from(groups)?), of.added_cpu(measured)?.spread()?))
        });
        let points = points.into_iter().collect::<anyhow::Result<_>>()?;
        anyhow::Ok(Line { name, points })
    };
    let lines = [
        ("native", NATIVE),
        ("Wasm, host signs", HOST),
        ("ext_authz, UDS, ring", EXT_AUTHZ),
        ("native, reuse", NATIVE_REUSE),
        ("Wasm, reuse", REUSE),
    ]
    .map(line);
    Lines {
        title: "CPU that a request costs above no filter, in µs, by groups of the user",
        lines: lines.into_iter().collect::<anyhow::Result<_>>()?,
    }
    .svg()
}

fn settings(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, SETTINGS)?;
    let bars = of.variants().filter(|measured| measured.variant.filter != Filter::None);
    let bars = bars.map(|measured| Ok(Bar::new(measured.variant.name(), vec![of.added_cpu(measured)?.spread()?])));
    Bars {
        title: "CPU that a request costs above no filter, in µs",
        series: &["added CPU"],
        bars: bars.collect::<anyhow::Result<_>>()?,
    }
    .svg()
}

fn workers(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, WORKERS)?;
    let bars = of.by_workers()?.into_iter().map(|(one, two)| {
        let [with_one, with_two] = [one, two].map(|measured| Rounds::of(measured, rate).spread());
        anyhow::Ok(Bar::new(one.variant.name(), vec![with_one?, with_two?]))
    });
    Bars {
        title: "Requests per second",
        series: &["one worker", "two workers"],
        bars: bars.collect::<anyhow::Result<_>>()?,
    }
    .svg()
}

fn startup(results: &Results) -> anyhow::Result<String> {
    let bars = results.startups.iter().filter_map(|startup| {
        let spread = Spread::of(startup.rounds_ms.iter().copied())?;
        Some(Bar::new(startup.variant.name(), vec![spread]))
    });
    Bars { title: "From the start of Envoy to the first answer, in ms", series: &["ms"], bars: bars.collect() }.svg()
}

fn reload(results: &Results) -> anyhow::Result<String> {
    let bars = results.reloads.iter().filter_map(|reload| {
        let slowest = Spread::of(reload.slowest_ms.iter().copied())?;
        Some(Bar::new(reload.what.clone(), vec![slowest]))
    });
    Bars { title: "The slowest request around an update, in ms", series: &["ms"], bars: bars.collect() }.svg()
}

fn memory(results: &Results) -> anyhow::Result<String> {
    let bars = Comparison::of(results, WORKERS)?.by_workers()?.into_iter().map(|(one, two)| {
        let [with_one, with_two] = [one, two].map(|measured| Spread::once(measured.memory.anonymous));
        Bar::new(one.variant.name(), vec![with_one, with_two])
    });
    Bars { title: "Envoy's anonymous memory, in MiB", series: &["one worker", "two workers"], bars: bars.collect() }
        .svg()
}
