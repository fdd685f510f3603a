//! Every setting of Pomerium's, and what becomes of it.

mod global;
mod per_route;

use super::left::{Kind, Lefts};
use crate::check::node::Node;

/// What becomes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is carried over.
    Carried,
    /// It has no meaning without Pomerium's own services, or none for a request.
    Needless,
    /// It is left out, and said so.
    Missing,
    /// As `Missing`; the code that meets it refuses the route.
    Refused,
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) fate: Fate,
    /// What it becomes here, or what to do instead.
    pub(super) here: &'static str,
}

const fn setting(name: &'static str, fate: Fate, here: &'static str) -> Setting {
    Setting { name, fate, here }
}

/// Says which settings are left out.
pub(super) fn unread(node: &Node, routes: &[&Node], lefts: &mut Lefts) {
    look(node, global::ALL, lefts);
    routes.iter().for_each(|route| look(route, per_route::ALL, lefts));
}

fn look(node: &Node, known: &[Setting], lefts: &mut Lefts) {
    for member in node.members() {
        match known.iter().find(|setting| *setting.name == *member.name) {
            Some(setting) if setting.fate == Fate::Missing => {
                let reason = format!("{} has no counterpart", setting.name);
                lefts.add(Kind::LeftOut, &member.value.place, reason, setting.here);
            }
            Some(_) => {}
            None => {
                let reason = format!("{} is no setting that is known here", crate::terminal::plain(&member.name));
                lefts.add(Kind::LeftOut, &member.value.place, reason, "look it up in Pomerium's reference");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the document.
    fn table(all: &[Setting]) -> String {
        let row = |setting: &Setting| {
            let fate = match setting.fate {
                Fate::Carried => "carried over",
                Fate::Needless => "not needed",
                Fate::Missing => "left out",
                Fate::Refused => "the route answers 403",
            };
            format!("| `{}` | {fate} | {} |\n", setting.name, setting.here)
        };
        format!("| Pomerium | | here |\n|---|---|---|\n{}", all.iter().map(row).collect::<String>())
    }

    #[test]
    fn the_document_has_every_setting() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/from-pomerium.md");
        let mut made = std::fs::read_to_string(path).unwrap();
        let written = made.clone();
        for (name, all) in [("global", global::ALL), ("route", per_route::ALL)] {
            let (before, rest) = made.split_once(&format!("<!-- {name} settings -->\n")).unwrap();
            let (_, after) = rest.split_once("<!-- end -->").unwrap();
            made = format!("{before}<!-- {name} settings -->\n{}<!-- end -->{after}", table(all));
        }
        if std::env::var_os("UPDATE").is_some() {
            return std::fs::write(path, made).unwrap();
        }
        assert!(written == made, "out of date: UPDATE=1 cargo test --workspace --bin attest the_document");
    }

    #[test]
    fn each_setting_is_there_once() {
        for all in [global::ALL, per_route::ALL] {
            let mut names: Vec<_> = all.iter().map(|setting| setting.name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
