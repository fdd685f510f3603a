//! The tables on requests, as Markdown.

use anyhow::Context as _;

use super::ratios::{micros, spread_of};
use crate::added::{Comparison, Rounds, rate};
use crate::plans::{COMPARISON, GROUP_COUNTS, GROUPS, SETTINGS, WORKERS};
use crate::results::Results;
use crate::variant::{EXT_AUTHZ, Filter, HOST, NATIVE, NATIVE_REUSE, REUSE, Variant};

/// What matters most, in a few sentences.
pub(super) fn summary(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let variants = [of.filter(NATIVE)?, of.filter(HOST)?, of.filter(EXT_AUTHZ)?];
    let [native, wasm, authz] = variants.map(|measured| of.added_cpu(measured).and_then(|rounds| rounds.median()));
    let [native_one, wasm_one, authz_one] =
        variants.map(|measured| of.added_single_cpu(measured).and_then(|rounds| rounds.median()));
    let [native_p50, wasm_p50, authz_p50] =
        variants.map(|measured| of.added_p50(measured).and_then(|rounds| rounds.median()));
    let signature = Rounds::of_signature(results, |signature| &signature.rounds_us)?.median()?;
    Ok(format!(
        "An assertion of its own for each request costs **{:.0} µs** of CPU in the native module and **{:.0} µs** in the \
         Wasm module, above an Envoy without any filter, with {} requests under way at once. A native ext_authz service \
         that makes the same token costs {:.0} µs; one bare signature costs {signature:.0} µs. With one \
         request at a time it is **{:.0} µs** and **{:.0} µs** against {:.0} µs, and **{:.0} µs** and **{:.0} µs** of \
         latency against {:.0} µs.",
        native?,
        wasm?,
        results.settings.connections,
        authz?,
        native_one?,
        wasm_one?,
        authz_one?,
        native_p50?,
        wasm_p50?,
        authz_p50?,
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
        if measured.variant == measured.variant.baseline() {
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
    let signature = Rounds::of_signature(results, |signature| &signature.rounds_us)?;
    let single = Rounds::of_signature(results, |signature| &signature.single_us)?;
    table += &format!(
        "| a bare signature, AWS-LC | | {} | | {} | |\n",
        micros(signature.spread()?),
        micros(single.spread()?)
    );
    Ok(table)
}

/// Where the modules' own CPU goes.
pub(super) fn split(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, COMPARISON)?;
    let added = |filter| of.added_cpu(of.filter(filter)?);
    let (native, native_reuse, wasm, wasm_reuse) = (added(NATIVE)?, added(NATIVE_REUSE)?, added(HOST)?, added(REUSE)?);
    let (empty, with_sign) = (added(Filter::EmptyWasm)?, added(Filter::SignOnly)?);
    let bare = Rounds::of_signature(results, |signature| &signature.rounds_us)?;
    let hosts = with_sign.less(&empty);
    let rows = [
        ("being a Wasm filter at all (the empty one made with the SDK)", None, Some(&empty)),
        (
            "what `reuse` costs as well: headers, identity, claims as JSON, statistics",
            Some(&native_reuse),
            Some(&wasm_reuse.less(&empty)),
        ),
        (
            "the signature (native: a bare one; Wasm: the empty filter with the host's, less the empty filter)",
            Some(&bare),
            Some(&hosts),
        ),
        (
            "the rest of a new assertion: its `jti`, base64, and a signature in colder caches",
            Some(&native.less(&native_reuse).less(&bare)),
            Some(&wasm.less(&wasm_reuse).less(&hosts)),
        ),
        ("together", Some(&native), Some(&wasm)),
    ];
    let mut table = String::from("| | native module | Wasm module, host signs |\n|---|---|---|\n");
    for (what, native, wasm) in rows {
        let cell = |rounds: Option<&Rounds>| rounds.map_or(Ok(String::new()), |rounds| rounds.spread().map(micros));
        table += &format!("| {what} | {} | {} |\n", cell(native)?, cell(wasm)?);
    }
    Ok(table)
}

pub(super) fn groups(results: &Results) -> anyhow::Result<String> {
    let of = Comparison::of(results, GROUPS)?;
    let columns = [NATIVE, NATIVE_REUSE, HOST, REUSE, EXT_AUTHZ].map(Variant::of);
    let columns: Vec<_> = columns.into_iter().chain([Variant::filter_state()]).collect();
    let names: Vec<_> = columns.iter().map(Variant::name).collect();
    let mut table = format!("| groups | token, bytes | {} |\n", names.join(" | "));
    table += &format!("|---|---{}|\n", "|---".repeat(columns.len()));
    for groups in GROUP_COUNTS {
        let with = |variant: &Variant| of.get(&Variant { groups, ..variant.clone() });
        let cpu = |variant| of.added_cpu(with(variant)?)?.spread().map(micros);
        let cells = columns.iter().map(cpu).collect::<anyhow::Result<Vec<_>>>()?;
        let bytes = with(&Variant::of(HOST))?.token_bytes.context("no token")?;
        table += &format!("| {groups} | {bytes} | {} |\n", cells.join(" | "));
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
    for (one, two) in of.by_workers()? {
        let cpu = |measured| of.added_cpu(measured).and_then(|rounds| rounds.spread()).map(micros);
        let growth = Rounds::of(two, rate).over(&Rounds::of(one, rate)).spread()?;
        table += &format!("| {} | {} | {} | {} |\n", one.variant.name(), cpu(one)?, cpu(two)?, spread_of(growth, ""));
    }
    Ok(table)
}
