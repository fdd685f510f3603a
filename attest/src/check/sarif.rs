//! The findings as SARIF 2.1.0 (OASIS), which code hosts show beside the lines.

use serde_json::{Value as Json, json};

use super::catalog::Id;
use super::finding::Finding;

pub(crate) fn log(found: &[Finding]) -> Json {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "attest check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": Id::ALL.iter().map(|id| rule(*id)).collect::<Vec<_>>(),
            }},
            "results": found.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn rule(id: Id) -> Json {
    let entry = id.entry();
    json!({
        "id": entry.name,
        "shortDescription": {"text": entry.finds},
        "fullDescription": {"text": entry.consequence},
        "defaultConfiguration": {"level": entry.severity.word()},
    })
}

fn result(finding: &Finding) -> Json {
    let entry = finding.id.entry();
    let text = format!("{}. {} Write: {}", finding.message, entry.consequence, finding.cure);
    json!({
        "ruleId": entry.name,
        "level": finding.severity.word(),
        "message": {"text": text},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": &*finding.place.file},
                "region": {"startLine": finding.place.line.max(1)},
            },
            "logicalLocations": [{"fullyQualifiedName": finding.place.path}],
        }],
    })
}
