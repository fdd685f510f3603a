//! Which findings matter, by the user's choice.

use super::catalog::Id;
use super::finding::{Finding, Severity};

/// Options of every command that reports findings.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Levels {
    /// The least severity that makes the exit code 1
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "warning")]
    fail_on: Severity,

    /// Leave a finding out; may be given more than once
    #[arg(long, value_name = "ID", value_parser = id)]
    allow: Vec<Id>,

    /// Make a finding an error; may be given more than once
    #[arg(long, value_name = "ID", value_parser = id)]
    deny: Vec<Id>,
}

impl Levels {
    pub(crate) fn apply(&self, found: Vec<Finding>) -> Vec<Finding> {
        let left = found.into_iter().filter(|finding| !self.allow.contains(&finding.id));
        let mut left: Vec<_> = left
            .map(|finding| match self.deny.contains(&finding.id) {
                true => Finding { severity: Severity::Error, ..finding },
                false => finding,
            })
            .collect();
        left.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        left
    }

    pub(crate) fn fail(&self, found: &[Finding]) -> bool {
        found.iter().any(|finding| self.matters(finding))
    }

    pub(super) fn matters(&self, finding: &Finding) -> bool {
        finding.severity >= self.fail_on
    }
}

fn id(name: &str) -> Result<Id, String> {
    Id::named(name).ok_or_else(|| {
        let names: Vec<_> = Id::ALL.iter().map(|id| id.entry().name).collect();
        format!("there is no such finding; allowed are {}", names.join(", "))
    })
}
