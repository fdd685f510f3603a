//! Which numbers are drawn.

use super::chart::{Bar, Bars, Line, Lines};
use crate::added::{Comparison, Rounds, rate};
use crate::plans::{COMPARISON, GROUP_COUNTS, GROUPS, SETTINGS, WORKERS};
use crate::results::Results;
use crate::statistics::Spread;
use crate::variant::{EXT_AUTHZ, Filter, HOST, REUSE, Variant, WASM};

/// Each with the name of its file.
pub(super) fn all(results: &Results) -> anyhow::Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("performance-cpu.svg", cpu(results)?),
        ("performance-latency.svg", latency(results)?),
        ("performance-groups.svg", groups(results)?),
        ("performance-settings.svg", settings(results)?),
        ("performance-workers.svg", workers(results)?),
        ("performance-startup.svg", startup(results)?),
    ])
}

fn cpu(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let bars = of.variants().filter(|measured| measured.variant.filter != Filter::None).map(|measured| {
        let many = of.added_cpu(measured)?;
        Ok(Bar::new(measured.variant.name(), vec![many.spread()?, of.added_single_cpu(measured)?.spread()?]))
    });
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
    let lines = [("host signs", HOST), ("reuse", REUSE), ("ext_authz, UDS, ring", EXT_AUTHZ)].map(line);
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
        series: &["host signs"],
        bars: bars.collect::<anyhow::Result<_>>()?,
    }
    .svg()
}

fn workers(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, WORKERS)?;
    let bars = [Filter::None, REUSE, HOST, EXT_AUTHZ, WASM].map(|filter| {
        let with = |workers| of.get(&Variant { workers, ..Variant::of(filter) });
        let [one, two] = [with(1)?, with(2)?].map(|measured| Rounds::of(measured, rate).spread());
        anyhow::Ok(Bar::new(Variant::of(filter).name(), vec![one?, two?]))
    });
    Bars {
        title: "Requests per second",
        series: &["one worker", "two workers"],
        bars: bars.into_iter().collect::<anyhow::Result<_>>()?,
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
