//! The merge key of YAML 1.1, `<<`: Pomerium reads it, Envoy does not.

use crate::check::node::{Member, Node, Value};

const MERGE: &str = "<<";

/// The tree with the members of other maps where a map names them; its own come first.
pub(super) fn merged(node: Node) -> Node {
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(merged).collect()),
        Value::Map(members) => Value::Map(map(members)),
        other => other,
    };
    Node { value, ..node }
}

fn map(members: Vec<Member>) -> Vec<Member> {
    let members = members.into_iter().map(|member| Member { value: merged(member.value), ..member });
    let (merges, mut own): (Vec<_>, Vec<_>) = members.partition(|member| &*member.name == MERGE);
    let maps = merges.iter().flat_map(|merge| match &merge.value.value {
        Value::List(maps) => maps.iter().collect(),
        _ => vec![&merge.value],
    });
    for member in maps.flat_map(Node::members) {
        if own.iter().all(|other| other.name != member.name) {
            own.push(member.clone());
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::document;

    #[test]
    fn a_merge_key_adds_what_is_not_there() {
        let text = "x: &x {a: 1, b: 1}\ny: &y {a: 2, c: 2}\none: {<<: *x, b: 3}\nboth: [{<<: [*x, *y]}]\n";
        let node = merged(document::read(text, "a.yaml").unwrap().remove(0));
        assert_eq!(node.get("one").unwrap().json(), json!({"a": 1, "b": 3}));
        assert_eq!(node.get("both").unwrap().json(), json!([{"a": 1, "b": 1, "c": 2}]));
    }
}
