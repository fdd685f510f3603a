//! Every configuration below `envoy/`, in the demo and in the Markdown files is a valid one.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::schema;
use crate::table::{X, Y};

/// Blocks that are marked as YAML and show two files side by side.
const NOT_YAML: [&str; 1] = ["# Pomerium  "];

#[derive(Debug)]
enum Found {
    Plugin(Json),
    Route(Json),
}

#[test]
fn every_shipped_configuration_is_valid() {
    let mut files = files_below(&schema::repository("envoy"), "yaml");
    files.push(schema::repository("demo/envoy.yaml"));
    for file in &files {
        let documents = documents(file);
        check(file, &documents);
        let says_so = std::fs::read_to_string(file).unwrap().contains("google.protobuf.Struct");
        assert!(!says_so || !found(&documents).is_empty(), "{}: no configuration found", file.display());
    }
    assert!(files.len() >= 5, "{files:?}");
}

/// Each shipped file, and each Markdown file, with the documents in it.
pub(crate) fn everywhere() -> Vec<(PathBuf, Vec<Json>)> {
    let mut yaml = files_below(&schema::repository("envoy"), "yaml");
    yaml.push(schema::repository("demo/envoy.yaml"));
    let mut markdown = files_below(&schema::repository("docs"), "md");
    markdown.push(schema::repository("README.md"));
    let yaml = yaml.into_iter().map(|file| (documents(&file), file));
    let markdown = markdown.into_iter().map(|file| (blocks(&file), file));
    yaml.chain(markdown).map(|(documents, file)| (file, documents)).collect()
}

/// The documents of a YAML file, with a quoted path in place of each `{{name}}` that the demo fills in, and nothing in
/// place of a template of Prometheus, which begins with a space.
fn documents(file: &Path) -> Vec<Json> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut parts = text.split("{{");
    let mut filled = parts.next().unwrap().to_owned();
    for part in parts {
        let (slot, rest) = part.split_once("}}").unwrap();
        if !slot.starts_with(' ') {
            filled.push_str(&format!("\"/{slot}\""));
        }
        filled.push_str(rest);
    }
    serde_saphyr::from_multiple(&filled).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_configuration_in_the_documents_is_valid() {
    let mut files = files_below(&schema::repository("docs"), "md");
    files.push(schema::repository("README.md"));
    let mut count = 0;
    for file in &files {
        let documents = blocks(file);
        count += found(&documents).len();
        check(file, &documents);
    }
    assert!(count >= 5, "only {count} configurations found in the documents");
}

fn check(file: &Path, documents: &[Json]) {
    let (plugin, route) = (schema::plugin(), schema::route());
    for found in found(documents) {
        let validator = if matches!(found, Found::Plugin(_)) { &plugin } else { &route };
        let (Found::Plugin(configuration) | Found::Route(configuration)) = &found;
        let verdict = validator.validate(configuration);
        assert!(verdict.is_ok(), "{}: {configuration}: {verdict:?}", file.display());
        if matches!(found, Found::Plugin(_)) {
            let is_native = file.components().any(|part| part.as_os_str().to_string_lossy().starts_with("native"));
            let verdict = if is_native { schema::read_natively(configuration) } else { schema::read(configuration) };
            assert!(verdict.is_ok(), "{}: {configuration}: {verdict:?}", file.display());
        }
    }
}

fn found(documents: &[Json]) -> Vec<Found> {
    let mut all = Vec::new();
    for document in documents {
        search(document, &mut all);
        let fields = &schema::document()["properties"];
        let members = document.as_object().filter(|members| !members.is_empty());
        if members.is_some_and(|members| members.keys().all(|name| fields.get(name).is_some())) {
            all.push(Found::Plugin(document.clone()));
        }
    }
    all
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let text = std::fs::read_to_string(schema::repository("docs/security.md")).unwrap();
    let named = text.split('`').filter_map(|code| code.split_once("::"));
    let mut count = 0;
    for (module, function) in
        named.filter(|(module, _)| module.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
    {
        count += 1;
        let file = schema::repository(&format!("tests/e2e/{module}.rs"));
        let source = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(source.contains(&format!("#[test]\nfn {function}()")), "no test {module}::{function}");
    }
    assert!(count > 10, "only {count} tests are named");
}

/// Finds what Envoy, Istio and Envoy Gateway hand to the filter.
fn search(value: &Json, all: &mut Vec<Found>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| search(item, all)),
        Json::Object(members) => {
            let is = |kind: &str| members.get("@type").and_then(Json::as_str).is_some_and(|name| name.ends_with(kind));
            if is("google.protobuf.Struct") {
                all.push(Found::Plugin(members.get("value").cloned().unwrap_or(json!({}))));
            }
            if is("google.protobuf.StringValue") {
                all.push(Found::Plugin(serde_json::from_str(members["value"].as_str().unwrap()).unwrap()));
            }
            if let Some(configuration) = members.get("pluginConfig") {
                all.push(Found::Plugin(configuration.clone()));
            }
            if let (Some(configuration), Some(_)) = (members.get("config"), members.get("code")) {
                all.push(Found::Plugin(configuration.clone()));
            }
            if let Some(route) = members.get("filter_metadata").and_then(|metadata| metadata.get("attestation")) {
                all.push(Found::Route(route.clone()));
            }
            members.values().for_each(|member| search(member, all));
        }
        _ => {}
    }
}

/// The YAML blocks of a Markdown file, without their indentation, and with a real key in place of dots.
fn blocks(file: &Path) -> Vec<Json> {
    let text = std::fs::read_to_string(file).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indentation) = line.find("```yaml").filter(|at| line[..*at].trim().is_empty()) else { continue };
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let block: Vec<&str> = inside.map(|line| line.get(indentation..).unwrap_or_default()).collect();
        let block = block.join("\n").replace("x: …", &format!("x: {X}")).replace("y: …", &format!("y: {Y}"));
        if NOT_YAML.iter().any(|beginning| block.starts_with(beginning)) {
            continue;
        }
        let documents: Vec<Json> =
            serde_saphyr::from_multiple(&block).unwrap_or_else(|error| panic!("{}: {error}\n{block}", file.display()));
        blocks.extend(documents);
    }
    blocks
}

/// Without those of the Helm chart, which are no YAML yet: scripts/check-chart looks at what becomes of them.
fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("chart") {
            continue;
        }
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}
