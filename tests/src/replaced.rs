use std::fs;
use std::path::Path;

/// Replaces a file as Kubernetes and `attest rotate` do: whole, by a rename. Envoy's watches see only that.
pub fn replace_file(path: &Path, content: &[u8]) {
    let staged = path.with_extension("staged");
    fs::write(&staged, content).expect("write beside the watched file");
    fs::rename(&staged, path).expect("rename over the watched file");
}
