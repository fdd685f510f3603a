//! What YAML makes of a text, and names that are there twice.

use super::super::catalog::Id;
use super::super::context::Context;
use super::super::finding::Findings;
use super::super::model::Model;
use super::super::node::{Node, Value};
use super::super::routes::Routes;

/// Scalars of our own settings. Where a setting can be of one type only, the filter's own code has refused the rest;
/// constants (`value`) can be of any type, and an octal number is a number everywhere.
pub(super) fn traps(context: &Context<'_>, found: &mut Findings) {
    let routes = context.ours.chain.routes.iter();
    let metadata =
        routes.flat_map(Routes::all).filter_map(|(_, route)| route.at(&["metadata", "filter_metadata", "attestation"]));
    for settings in context.ours.settings.into_iter().chain(metadata) {
        settings.each(&mut |node| trap(node, found));
        constants(settings, found);
    }
}

fn constants(settings: &Node, found: &mut Findings) {
    for claim in settings.get("claims").map(Node::members).unwrap_or_default() {
        let Some(value) = claim.value.get("value") else { continue };
        value.each(&mut |node| {
            let Some(plain) = node.plain.as_deref() else { return };
            let is_word = matches!(node.value, Value::Bool(_)) && !["true", "false"].contains(&plain);
            let is_number = matches!(node.value, Value::Text(_)) && plain.parse::<f64>().is_ok_and(f64::is_finite);
            if is_word || is_number {
                say(node, plain, found);
            }
        });
    }
}

/// Octal and hexadecimal numbers are numbers of another look.
fn trap(node: &Node, found: &mut Findings) {
    let Some(plain) = node.plain.as_deref() else { return };
    if matches!(&node.value, Value::Number(number) if plain.starts_with('0') && number.to_string() != plain) {
        say(node, plain, found);
    }
}

fn say(node: &Node, plain: &str, found: &mut Findings) {
    let message = format!("Envoy reads {plain} as {}", node.json());
    found.add(Id::YamlTrap, node, message, format!("\"{plain}\" for the text, or another notation for the number"));
}

pub(super) fn repeated(model: &Model<'_>, found: &mut Findings) {
    for document in &model.documents {
        document.each(&mut |node| {
            let members = node.members();
            for (place, member) in members.iter().enumerate() {
                let before = members.iter().take(place).find(|other| other.name == member.name);
                if let Some(before) = before {
                    let message = format!("{:?} is already in line {}", &*member.name, before.line);
                    found.add(Id::DuplicateKey, &member.value, message, "leave one of the two out");
                }
            }
        });
    }
}
