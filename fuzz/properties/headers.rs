//! Header fields as the host hands them over.

use attestation_filter::http::fields::Fields;
use attestation_filter::proxy::wire;

/// What is read are the fields that are wholly there, and writing them again loses nothing.
pub fn headers(bytes: &[u8]) {
    let fields = fields(bytes);
    let headers = wire::fields(bytes);
    holds(&headers, &fields);
    holds(&wire::fields(&wire::header_map(&fields)), &fields);
}

fn holds(headers: &Fields<'_>, fields: &[(&[u8], &[u8])]) {
    assert!(headers.names().eq(fields.iter().map(|(name, _)| *name)));
    for name in fields.iter().filter_map(|(name, _)| str::from_utf8(name).ok()).chain([""]) {
        let values = || fields.iter().filter(|(field, _)| *field == name.as_bytes()).map(|(_, value)| *value);
        assert!(headers.values(name).eq(values()));
        assert_eq!(headers.first(name), values().next().unwrap_or_default());
    }
}

/// Reads a serialised map by moving along it: a count, that many pairs of lengths, then the bytes, each with a zero.
fn fields(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = number(0).unwrap_or(0).min(bytes.len() / 8);
    let mut rest = bytes.get(4 + 8 * count..).unwrap_or_default();
    let mut fields = Vec::new();
    for index in 0..count {
        let (Some(name), Some(value)) = (number(4 + 8 * index), number(8 + 8 * index)) else { break };
        if rest.len() < name + 1 + value {
            break;
        }
        fields.push((&rest[..name], &rest[name + 1..][..value]));
        rest = rest.get(name + value + 2..).unwrap_or_default();
    }
    fields
}
