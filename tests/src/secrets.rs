//! A search for private keys, in every form in which their bytes could show up somewhere.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// How many bytes of a number, or characters of one of its forms, give it away: few enough that a line break through the
/// form does not hide it.
const WINDOW: usize = 16;

/// What must never be found.
pub struct Secrets {
    windows: HashMap<[u8; WINDOW], &'static str>,
    /// The two bytes with which a window can begin: nearly every place is passed over by a look at them.
    beginnings: HashSet<[u8; 2]>,
}

impl Secrets {
    /// The private numbers of these keys, each a PEM text or base64 of one; of a text without any, the text itself.
    pub fn of<T: AsRef<str>>(keys: impl IntoIterator<Item = T>) -> Self {
        let mut secrets = Self { windows: HashMap::new(), beginnings: HashSet::new() };
        for key in keys {
            secrets.add_key(key.as_ref());
        }
        secrets
    }

    /// In which form a key is in `place`.
    pub fn find(&self, place: impl AsRef<[u8]>) -> Option<&'static str> {
        let known = |window: &[u8]| self.windows.get(window).copied();
        place.as_ref().windows(WINDOW).find_map(|window| {
            let may_be_known = self.beginnings.contains(&window[..2]);
            if may_be_known { known(window) } else { None }
        })
    }

    /// # Panics
    /// If a key is in `content`, saying in which form, and where.
    pub fn assert_not_in(&self, place: &str, content: impl AsRef<[u8]>) {
        if let Some(form) = self.find(&content) {
            panic!("a private key ({form}) in {place}:\n{}", String::from_utf8_lossy(content.as_ref()));
        }
    }

    fn add_key(&mut self, key: &str) {
        let compact: String = key.split_ascii_whitespace().collect();
        let decoded = STANDARD.decode(compact).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        for text in decoded.iter().map(String::as_str).chain([key]) {
            let numbers = private_numbers(text);
            for number in &numbers {
                self.add_number(number);
            }
            if numbers.is_empty() {
                let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
                self.add("the text", body.as_bytes());
            }
        }
    }

    fn add_number(&mut self, number: &[u8]) {
        let in_hex: Vec<String> = number.iter().map(|byte| format!("{byte:02x}")).collect();
        let in_decimals: Vec<String> = number.iter().map(u8::to_string).collect();
        let in_0x: Vec<String> = in_hex.iter().map(|byte| format!("0x{byte}")).collect();
        let escaped: String = number.iter().flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
        self.add("raw, as in DER", number);
        self.add("hex", in_hex.concat().as_bytes());
        self.add("hex in capitals", in_hex.concat().to_uppercase().as_bytes());
        self.add("hex with colons", in_hex.join(":").as_bytes());
        self.add("hex with colons, in capitals", in_hex.join(":").to_uppercase().as_bytes());
        self.add("hex with spaces", in_hex.join(" ").as_bytes());
        self.add("hex from the other end", in_hex.iter().rev().map(String::as_str).collect::<String>().as_bytes());
        self.add("a list of 0x numbers", in_0x.join(", ").as_bytes());
        self.add("escaped bytes", escaped.as_bytes());
        self.add("a list of numbers", in_decimals.join(", ").as_bytes());
        self.add("a list of numbers without spaces", in_decimals.join(",").as_bytes());
        self.add("a decimal number", decimal(number).as_bytes());
        for text in base64_anywhere(number) {
            self.add("base64, as in PEM", text.as_bytes());
            for piece in text.as_bytes().windows(2 * WINDOW).step_by(4) {
                for text in base64_anywhere(piece) {
                    self.add("base64 of PEM", text.as_bytes());
                }
            }
        }
    }

    fn add(&mut self, form: &'static str, bytes: &[u8]) {
        for window in bytes.windows(WINDOW).filter_map(|window| window.first_chunk()) {
            self.windows.entry(*window).or_insert(form);
            self.beginnings.insert([window[0], window[1]]);
        }
    }
}

/// A big-endian number in decimal.
fn decimal(number: &[u8]) -> String {
    let mut digits = vec![0_u32];
    for byte in number {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit * 256;
            *digit = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().map(u32::to_string).collect()
}

/// The base64 of some bytes that stand anywhere in a longer message: one reading for each place in a group of three.
fn base64_anywhere(bytes: &[u8]) -> Vec<String> {
    let groups = (0..3).filter_map(|skipped| bytes.get(skipped..)).map(|rest| &rest[..rest.len() / 3 * 3]);
    groups.flat_map(|groups| [STANDARD.encode(groups), URL_SAFE.encode(groups)]).collect()
}

/// The private numbers in a text of PEM blocks.
fn private_numbers(text: &str) -> Vec<Vec<u8>> {
    let blocks = pem::parse_many(text).unwrap_or_default();
    let private = blocks.iter().filter(|block| block.tag().ends_with("PRIVATE KEY"));
    private.flat_map(|block| private_numbers_in_der(block.contents())).collect()
}

/// The private numbers in a key's DER (RFC 5915, RFC 8017, RFC 5958): all long numbers but the first integer, which is
/// an RSA key's modulus. What cannot be read is left out.
fn private_numbers_in_der(der: &[u8]) -> Vec<Vec<u8>> {
    let (mut integers, mut octets) = (Vec::new(), Vec::new());
    collect(der, &mut integers, &mut octets);
    let private = integers.into_iter().skip(1).chain(octets);
    private.filter(|number| number.len() >= 20 && number.iter().any(|byte| byte != &number[0])).collect()
}

fn collect(mut der: &[u8], integers: &mut Vec<Vec<u8>>, octets: &mut Vec<Vec<u8>>) {
    const INTEGER: u8 = 0x02;
    const OCTET_STRING: u8 = 0x04;
    const SEQUENCE: u8 = 0x30;
    while let Some((tag, content, rest)) = split_element(der) {
        match tag {
            INTEGER if content.len() >= 20 => integers.push(content.to_vec()),
            OCTET_STRING if content.first() == Some(&SEQUENCE) => collect(content, integers, octets),
            OCTET_STRING => octets.push(content.to_vec()),
            SEQUENCE => collect(content, integers, octets),
            _ => {}
        }
        der = rest;
    }
}

/// Tag, content and what follows.
fn split_element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let count = usize::from(first & 0x7f);
    let (length, rest) = if first < 0x80 {
        (count, rest)
    } else {
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn the_search_finds_a_key_in_every_form() {
        let der = pem::parse(keys::pem(keys::A)).unwrap().contents().to_vec();
        let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
        let secrets = Secrets::of([keys::pem(keys::A), keys::pem(keys::RSA)]);
        for (form, place) in [
            ("PEM", keys::pem(keys::A).into_bytes()),
            ("PEM of RSA", keys::pem(keys::RSA).into_bytes()),
            ("another PEM of RSA", keys::pkcs8(keys::RSA).into_bytes()),
            ("base64 of PEM", keys::A.into()),
            ("base64 of PKCS#8", keys::base64(&keys::pkcs8(keys::A)).into_bytes()),
            ("JSON", serde_json::to_vec(&keys::pem(keys::A)).unwrap()),
            ("DER", der.clone()),
            ("hex", hex.clone().into_bytes()),
            ("capitals", hex.to_uppercase().into_bytes()),
            ("Debug", format!("{der:?}").into_bytes()),
            ("JSON numbers", serde_json::to_vec(&der).unwrap()),
            ("0x", der.iter().map(|byte| format!("0x{byte:02x}, ")).collect::<String>().into_bytes()),
            ("escaped", der.escape_ascii().to_string().into_bytes()),
            ("decimal", decimal(&private_numbers(&keys::pem(keys::A))[0]).into_bytes()),
            ("base64url", URL_SAFE.encode(&der).into_bytes()),
        ] {
            let amid = [b"some log line: ", &place[..], b" and more"].concat();
            assert!(secrets.find(&amid).is_some(), "{form} is not found");
        }
        let public = [keys::public(keys::A), keys::X_A.to_owned(), keys::KID_A.to_owned(), keys::pem(keys::B)].concat();
        assert_eq!(secrets.find(public), None, "what is published, or another's, is no secret");
    }

    #[test]
    fn each_private_number_of_an_rsa_key_is_a_secret_and_its_public_half_is_none() {
        let numbers = private_numbers(&keys::pem(keys::RSA));
        assert_eq!(numbers.len(), 6, "d, p, q, dp, dq, qinv (RFC 8017, appendix A.1.2)");
        assert_eq!(numbers, private_numbers(&keys::pkcs8(keys::RSA)));
        let secrets = Secrets::of([keys::pem(keys::RSA)]);
        assert!(numbers.iter().all(|number| secrets.find(number).is_some()));
        assert_eq!(secrets.find(keys::public(keys::RSA)), None);
        assert_eq!(decimal(&[1, 0, 1]), "65537");
    }
}
