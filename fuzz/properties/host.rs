//! A host that says what an input has it say.

use std::time::Duration;

pub(super) use attestation_filter::host::fake::{FakeHost, Sign};

pub(super) const NOW: Duration = Duration::from_secs(1_686_870_680);

/// A host with these header fields, whose signatures cost next to nothing.
pub(super) fn host(fields: &[(&[u8], &[u8])]) -> FakeHost {
    let headers = fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    FakeHost { headers, ..FakeHost::default() }.with_sign(Sign::Repeats)
}

/// Whether these bytes come from the input.
pub(super) fn says(host: &FakeHost, part: &[u8]) -> bool {
    let fields = host.headers.iter().flat_map(|(name, value)| [name, value]);
    let rest = [host.metadata.as_ref(), host.route_metadata.as_ref().ok(), host.certificate.as_ref()];
    fields.chain(rest.into_iter().flatten()).any(|text| contains(text, part))
}

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
