//! Keys as the tools of the field write them (`tests/vectors/tools`), and as people then store them.

use super::Keyring;

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../tests/vectors/tools/", $name)).as_slice())
    };
}

/// Each `kid` was computed from what OpenSSL says of the file, not by this project.
#[test]
fn keys_of_every_tool_are_read() {
    for ((name, text), kid) in [
        (file!("certtool.pem"), "8d73c6126eb33806c1ff86eee43e678a1abfdea0d110d4cd3e06b6dd7230b5b7"),
        (file!("certtool-pkcs8.pem"), "e7f8bdaf7c17b049b307628adcd592218ecc8666e02fa76597abff33774ea6c6"),
        (file!("certtool-rsa.pem"), "53210a96697f466f3ad5c277a38334058fe9e1d038fd05843f5748d29730adf7"),
        (file!("cfssl.pem"), "7d5d2e44159b6642054afd55b4cce72b2cdbfb6f599911fae8aec89199d9ac42"),
        (file!("kubernetes-data.b64"), "77afb5561cfe4474aa787bf0cce2b7757efa611ee314153608b3cfbbb2a03c65"),
        (file!("keytool.pem"), "6b8d6fb20be31de54ec754651c9a4e357fe2d0ea978dd47c17d25729eeb8bbd3"),
        (file!("openssl-ecparam.pem"), "b546af906d1ecea5fb6dbffb16077f8da204b7e544704692edba26edd74ca948"),
        (file!("openssl-genpkey.pem"), "77afb5561cfe4474aa787bf0cce2b7757efa611ee314153608b3cfbbb2a03c65"),
        (file!("openssl-genrsa.pem"), "4045d53d56561b99c80cb799a54bc0633e76ebb3861f2f220f2e0b4fe238dfcc"),
        (file!("openssl-pkcs12.pem"), "f752e4808c33a7bd9e1c36f8e4b17183984b330626bd320ca70e28ddc39ef25c"),
        (file!("ssh-keygen-pem.pem"), "78b52d71deaedf9f81cfafddc468b32ad0a306aaeaea6d346b2f0973df8dffed"),
        (file!("ssh-keygen-pkcs8.pem"), "8212aa6b19a4be25cd0259fbae90190382b81b2c30635b4575452c839f23341a"),
        (file!("ssh-keygen-rsa.pem"), "36c98b1f9e38563c9d738c2adda5ee4d8885d7f2048abfbe2895ca14245a0b00"),
        (file!("step.pem"), "9d06a5c806d656e043e43c15e4fab0486f63ff14659ed5b7a95259f300b50197"),
        (file!("windows-crlf.pem"), "b546af906d1ecea5fb6dbffb16077f8da204b7e544704692edba26edd74ca948"),
        (file!("windows-utf8-bom.pem"), "77afb5561cfe4474aa787bf0cce2b7757efa611ee314153608b3cfbbb2a03c65"),
    ] {
        match Keyring::parse(text) {
            Ok(keyring) => assert_eq!(keyring.signing_key().public_key().kid(), kid, "{name}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn files_that_hold_no_usable_key_say_what_to_do() {
    for ((name, text), cure) in [
        (file!("cfssl.json"), "real line breaks"),
        (file!("cloud.json"), "real line breaks"),
        (file!("keytool.p12"), "openssl pkcs12 -nocerts -nodes"),
        (file!("keytool-and-certificate.pem"), "block 2 (CERTIFICATE): a certificate, which is no key; leave it out"),
        (file!("kubernetes-twice.b64"), "encode it once"),
        (file!("openssl-encrypted.pem"), "block 1 (EC PRIVATE KEY): an encrypted key; decrypt it first"),
        (file!("openssl-explicit.pem"), "block 1 (EC PRIVATE KEY): the curve is given by explicit parameters"),
        (file!("openssl-explicit-pkcs8.pem"), "openssl ec -param_enc named_curve"),
        (file!("openssl-key-and-certificate.pem"), "leave it out"),
        (file!("ssh-keygen.pem"), "ssh-keygen -p -m PKCS8"),
        (file!("step-encrypted.pem"), "block 1 (EC PRIVATE KEY): an encrypted key; decrypt it first"),
        (file!("step-jwk.json"), "real line breaks"),
        (file!("windows-utf16.pem"), "UTF-16 text; save it as UTF-8"),
    ] {
        match Keyring::parse(text) {
            Ok(_) => panic!("{name} was read"),
            Err(error) => assert!(error.to_string().contains(cure), "{name}: {error}"),
        }
    }
}
