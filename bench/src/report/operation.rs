//! The tables on what is not a request: start-up, reload, memory, the machine.

use anyhow::Context as _;

use super::ratios::millis;
use crate::added::Comparison;
use crate::plans::WORKERS;
use crate::results::Results;
use crate::statistics::Spread;

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
    let mut table = String::from(
        "| | one worker, MiB | two workers, MiB | the service's, MiB | with the pages of files, one worker, MiB |\n\
         |---|---|---|---|---|\n",
    );
    for (one, two) in Comparison::of(results, WORKERS)?.by_workers()? {
        let service = one.service_memory.map(|memory| format!("{:.1}", memory.anonymous)).unwrap_or_default();
        let (name, memory) = (one.variant.name(), one.memory);
        table += &format!(
            "| {name} | {:.1} | {:.1} | {service} | {:.1} |\n",
            memory.anonymous, two.memory.anonymous, memory.resident
        );
    }
    Ok(table)
}

pub(super) fn machine(results: &Results) -> String {
    let (machine, settings) = (&results.machine, &results.settings);
    format!(
        "| | |\n|---|---|\n| when | {} UTC, {} s |\n| commit | `{}` |\n| modules | Wasm {} bytes, native {} bytes |\n| Envoy | {} |\n\
         | processor | {} cores of {} |\n| kernel | {} |\n\
         | noise | {:.0} % of all processor time went to others, {:.1} % to the hypervisor |\n\
         | rounds | {}, slices of {} ms, {} connections |\n",
        machine.date,
        machine.duration_s,
        machine.commit,
        machine.module_bytes,
        machine.native_bytes,
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
