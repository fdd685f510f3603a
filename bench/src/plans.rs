//! What a run compares.

use crate::comparison::Plan;
use crate::variant::{EXT_AUTHZ, Filter, HOST, Library, REUSE, Sends, Source, Transport, Variant, WASM};

/// The names of all comparisons, in the order in which they run.
pub(crate) const COMPARISON: &str = "comparison";
pub(crate) const GROUPS: &str = "groups";
pub(crate) const SETTINGS: &str = "settings";
pub(crate) const WORKERS: &str = "workers";

/// How many groups the cost is followed through.
pub(crate) const GROUP_COUNTS: [usize; 3] = [5, 50, 500];

pub(crate) fn plans() -> Vec<Plan> {
    vec![
        Plan { name: COMPARISON, variants: comparison(), slices: 4, single: true },
        Plan { name: GROUPS, variants: groups(), slices: 3, single: false },
        Plan { name: SETTINGS, variants: settings(), slices: 4, single: false },
        Plan { name: WORKERS, variants: workers(), slices: 3, single: false },
    ]
}

/// The filter beside everything else that could be in its place.
fn comparison() -> Vec<Variant> {
    let authz = |transport, library, sends| Filter::ExtAuthz { transport, library, sends };
    let filters = [
        Filter::None,
        Filter::EmptyWasm,
        Filter::SignOnly,
        HOST,
        WASM,
        REUSE,
        EXT_AUTHZ,
        authz(Transport::Unix, Library::AwsLc, Sends::NoHeaders),
        authz(Transport::Tcp, Library::Ring, Sends::NoHeaders),
        authz(Transport::Unix, Library::Nothing, Sends::NoHeaders),
        authz(Transport::Unix, Library::Ring, Sends::AllHeaders),
    ];
    filters.map(Variant::of).into()
}

fn groups() -> Vec<Variant> {
    let filters = [Filter::None, HOST, REUSE, EXT_AUTHZ];
    let with = |groups| filters.map(|filter| Variant { groups, ..Variant::of(filter) });
    GROUP_COUNTS.into_iter().flat_map(with).collect()
}

/// What else could cost something.
fn settings() -> Vec<Variant> {
    let none = Variant::of(Filter::None);
    let host = Variant::of(HOST);
    let headers = |of: &Variant| Variant { source: Source::Headers, ..of.clone() };
    let route = |of: &Variant| Variant { route_metadata: true, ..of.clone() };
    vec![
        headers(&none),
        headers(&host),
        route(&none),
        route(&host),
        Variant { keys: 50, ..host.clone() },
        Variant { early_removal: true, ..host.clone() },
        none,
        host,
    ]
}

fn workers() -> Vec<Variant> {
    let filters = [Filter::None, HOST, WASM, REUSE, EXT_AUTHZ];
    let with = |workers| filters.map(|filter| Variant { workers, ..Variant::of(filter) });
    [1, 2].into_iter().flat_map(with).collect()
}
