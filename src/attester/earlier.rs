//! What the filter has signed for a request before Envoy runs it again: after an internal redirect, or for another try
//! where it is an upstream filter. The host keeps it, as nothing that a client sends can be believed.

use crate::host::RequestHost;
use crate::http::header_name::HeaderName;

/// An assertion that the request had before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Earlier {
    /// Its `jti`.
    pub(super) token_id: String,
    /// Its `act`, as JSON: who called does not change with the way that the request takes.
    pub(super) act: Option<String>,
}

/// The name under which the host keeps it. Each of several filters in one chain has its own, as each has its own header.
pub(super) fn name(assertion_header: &HeaderName) -> String {
    format!("attestation.signed.{}", assertion_header.as_str())
}

impl Earlier {
    /// Keeps it for when Envoy runs the filter again.
    pub(super) fn keep(host: &impl RequestHost, name: &str, token_id: &str, act: Option<&str>) {
        match act {
            Some(act) => host.keep(name, &format!("{token_id} {act}")),
            None => host.keep(name, token_id),
        }
    }

    /// What has been kept.
    pub(super) fn kept(host: &impl RequestHost, name: &str) -> Option<Self> {
        let text = String::from_utf8(host.kept(name)?).ok()?;
        let (token_id, act) = text.split_once(' ').map_or((text.as_str(), None), |(id, act)| (id, Some(act)));
        Some(Self { token_id: token_id.to_owned(), act: act.map(str::to_owned) })
    }
}
