//! Claims that are sent unsigned, each in a header.

use super::super::facts::Facts;
use super::super::settings::{PluginClaims, Settings};
use super::super::source::{Noticed, Source, source};
use super::feature_claims;
use super::member::{Role, Twin, twins};
use crate::http::header_name::{HeaderName, is_field_value};

/// A claim that is sent in a header of its own.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) source: Source,
    pub(super) twin: Twin,
}

/// The headers under these settings.
pub(super) fn headers(settings: &Settings, plugin: &PluginClaims) -> Vec<Header> {
    let header_source = |claim: &str| {
        let feature = feature_claims(plugin).into_iter().find(|(name, _, role)| name == claim && *role == Role::Fixed);
        feature.map_or_else(|| source(claim, settings, plugin), |(_, source, _)| source)
    };
    let sources: Vec<Source> = plugin.headers.iter().map(|header| header_source(&header.claim)).collect();
    let twins = twins(sources.iter());
    let headers = plugin.headers.iter().zip(sources).zip(twins);
    headers.map(|((header, source), twin)| Header { name: header.header.clone(), source, twin }).collect()
}

impl Header {
    /// The text; none if no header can hold it.
    pub(super) fn text(&self, facts: &Facts<'_>) -> Option<String> {
        let text = match self.source.resolve(facts, &mut Noticed::default()) {
            Some(value) => value.header_text().ok()?,
            None => String::new(),
        };
        is_field_value(text.as_bytes()).then_some(text)
    }
}
