//! What a run compares.

use crate::comparison::Plan;
use crate::variant::{
    EXT_AUTHZ, Filter, HOST, Library, NATIVE, NATIVE_REUSE, REUSE, Sends, Source, Transport, Variant, WASM,
};

/// The names of all comparisons, in the order in which they run.
pub(crate) const COMPARISON: &str = "comparison";
pub(crate) const GROUPS: &str = "groups";
pub(crate) const SETTINGS: &str = "settings";
pub(crate) const WORKERS: &str = "workers";

/// How many groups the cost is followed through.
pub(crate) const GROUP_COUNTS: [usize; 3] = [5, 50, 500];

pub(crate) fn plans() -> Vec<Plan> {
    vec![
        Plan { name: COMPARISON, variants: comparison(), slices: 4, single: true, signature: true },
        Plan { name: GROUPS, variants: groups(), slices: 3, single: false, signature: false },
        Plan { name: SETTINGS, variants: settings(), slices: 4, single: false, signature: false },
        Plan { name: WORKERS, variants: workers(), slices: 3, single: false, signature: false },
    ]
}

/// The filter beside everything else that could be in its place.
fn comparison() -> Vec<Variant> {
    let authz = |transport, library, sends| Filter::ExtAuthz { transport, library, sends };
    let filters = [
        NATIVE,
        NATIVE_REUSE,
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
    none().into_iter().chain(filters.map(Variant::of)).collect()
}

/// What everything else is measured against.
fn none() -> [Variant; 2] {
    [Variant::of(Filter::None), Variant::filter_state()]
}

fn groups() -> Vec<Variant> {
    let filters = [NATIVE, NATIVE_REUSE, HOST, REUSE, EXT_AUTHZ].map(Variant::of);
    let with = |groups| none().into_iter().chain(filters.clone()).map(move |variant| Variant { groups, ..variant });
    GROUP_COUNTS.into_iter().flat_map(with).collect()
}

/// What else could cost something.
fn settings() -> Vec<Variant> {
    let [none, filter_state] = none();
    let (host, native) = (Variant::of(HOST), Variant::of(NATIVE));
    let headers = |of: &Variant| Variant { source: Source::Headers, ..of.clone() };
    let route = |of: &Variant| Variant { route_metadata: true, ..of.clone() };
    vec![
        headers(&none),
        headers(&host),
        headers(&native),
        headers(&Variant::of(NATIVE_REUSE)),
        route(&none),
        route(&host),
        Variant { keys: 50, ..host.clone() },
        Variant { early_removal: true, ..host.clone() },
        Variant { keys: 50, ..native.clone() },
        none,
        filter_state,
        host,
        native,
    ]
}

fn workers() -> Vec<Variant> {
    let filters = [NATIVE, NATIVE_REUSE, HOST, WASM, REUSE, EXT_AUTHZ].map(Variant::of);
    let with = |workers| none().into_iter().chain(filters.clone()).map(move |variant| Variant { workers, ..variant });
    [1, 2].into_iter().flat_map(with).collect()
}
