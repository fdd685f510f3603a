//! Whether the filter state that a source names is written, and of what.

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::filter::Filter;
use super::super::finding::Findings;
use super::super::matcher::Answer;
use super::super::node::Node;
use super::identity::{any, payloads};
use super::writers::{self, JWT_AUTHN};

pub(super) fn written(context: &Context<'_>, node: &Node, name: &str, found: &mut Findings) {
    if !any(context, |filter| writers::filter_state(filter, name)) {
        let message = format!("no filter before {} writes the filter state {name}", context.ours.filter.name);
        let cure = format!(
            "an envoy.filters.http.set_filter_state before it: on_request_headers: [{{object_key: {name}, factory_key: \
             envoy.string, format_string: {{text_format_source: {{inline_string: \
             \"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:identity)%\"}}, omit_empty_values: true}}, skip_if_empty: \
             true}}]"
        );
        return found.add(Id::FilterStateNotWritten, node, message, cure);
    }
    let before = context.ours.before();
    for (index, filter) in before.iter().enumerate().filter(|(_, filter)| filter.what() == "set_filter_state") {
        for entry in writers::state_entries(filter).filter(|entry| entry.text_at(&["object_key"]) == Some(name)) {
            state_source(before.get(..index).unwrap_or_default(), entry, found);
        }
    }
}

/// What a filter state is made of has to be written before, too.
fn state_source(before: &[Filter<'_>], entry: &Node, found: &mut Findings) {
    let text = entry.at(&["format_string", "text_format_source", "inline_string"]);
    let inner = text.and_then(Node::text).and_then(|text| text.strip_prefix("%DYNAMIC_METADATA(")?.strip_suffix(")%"));
    let (Some(text), Some((namespace, path))) = (text, inner.and_then(|inner| inner.split_once(':'))) else { return };
    let first = path.split(':').next().unwrap_or_default();
    let silent = before.iter().filter(|filter| namespace == JWT_AUTHN && filter.what() == "jwt_authn");
    let silent: Vec<_> = silent.map(|filter| payloads(filter, found)).collect();
    if !silent.contains(&true) && before.iter().all(|filter| writers::member(filter, namespace, first) == Answer::No) {
        let message = format!("nothing before this filter writes {first:?} in {namespace}");
        let names: Vec<_> = before.iter().flat_map(writers::jwt_members).collect();
        let name = names.first().copied().unwrap_or("identity");
        found.add(Id::PathNotWritten, text, message, format!("\"%DYNAMIC_METADATA({namespace}:{name})%\""));
    }
}
