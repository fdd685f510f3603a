//! Keys: the published vectors, and odd ones made with OpenSSL.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `tests/vectors/signing-key-a.b64`: base64 of a SEC1 PEM, P-256.
pub const A: &str = include_str!("../vectors/signing-key-a.b64");
/// `tests/vectors/signing-key-b.b64`: base64 of a SEC1 PEM, P-256.
pub const B: &str = include_str!("../vectors/signing-key-b.b64");
/// `tests/vectors/signing-key-rsa.b64`: base64 of a PKCS#1 PEM, RSA 2048.
pub const RSA: &str = include_str!("../vectors/signing-key-rsa.b64");

/// The kid of [`A`].
pub const KID_A: &str = "e05015c36b1fccdee6ec1c45a4988acafcc1118c5d01e1120ee5be64ba176d22";
/// The public point of [`A`].
pub const X_A: &str = "3QXBfuxEuPHIOFCotZipN1Aj3u-9KEEgxDUTEoBr61Y";
/// The public point of [`A`].
pub const Y_A: &str = "s2WmqG0xaOKX-100aOWt3uoeyUKKaycQPt8BqTCUWos";
/// The kid of [`B`].
pub const KID_B: &str = "d591aa6e01e57ea8b80f349dc5de8517aa7b1f12f77700d89cbdba83938c0c61";
/// The public point of [`B`].
pub const X_B: &str = "oLZD26lGXDHQBhafGelEfD7e6f3iDcYROV7TlYHtquc";
/// The public point of [`B`].
pub const Y_B: &str = "DxP4R8IH2jHKgDxZRY58iayK2mtXgpWBNs0SkgTXeaU";
/// The kid of [`RSA`].
pub const KID_RSA: &str = "f0cc8033b422c2a199dcb456dde29589a9f5edd27d1c345bdf308957e957becf";

/// The PEM text of a vector.
pub fn pem(vector: &str) -> String {
    let vector: String = vector.split_ascii_whitespace().collect();
    String::from_utf8(STANDARD.decode(vector).expect("a vector of base64")).expect("a vector of PEM")
}

/// The base64 of a text, on one line.
pub fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// A vector's key as PKCS#8.
pub fn pkcs8(vector: &str) -> String {
    openssl(&["pkcs8", "-topk8", "-nocrypt"], &pem(vector))
}

/// A vector's public half (SPKI).
pub fn public(vector: &str) -> String {
    openssl(&["pkey", "-pubout"], &pem(vector))
}

/// Runs the `openssl` command on an input and returns what it prints.
///
/// # Panics
/// If it fails.
pub fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run openssl");
    // A command that reads no input may have closed it already.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("openssl to end");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// A small file that the tests keep beside them.
pub fn fixture(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/");
    fs::read_to_string(format!("{path}{name}")).unwrap_or_else(|e| panic!("{name}: {e}"))
}
