use super::*;

fn pem() -> String {
    KeyType::P256.generate().unwrap().to_string()
}

fn kid(pem: &str) -> String {
    Keyring::parse(pem.as_bytes()).ok().unwrap().signing_key().public_key().kid().to_owned()
}

fn public(pem: &str) -> String {
    let keys = Keyring::parse(pem.as_bytes()).ok().unwrap();
    let attestation_filter::keys::SigningKey::P256(key) = keys.signing_key() else { panic!("not P-256") };
    key.public_key_pem()
}

fn read(text: &str) -> Ring {
    Ring::read(text.as_bytes()).unwrap()
}

fn written(ring: &Ring) -> String {
    String::from_utf8(ring.checked_text().unwrap().to_vec()).unwrap()
}

fn append(ring: &mut Ring, text: &str) -> anyhow::Result<String> {
    ring.append(&KeyText::read(text.as_bytes())?)
}

const PARAMETERS: &str = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";

#[test]
fn every_untouched_byte_of_a_file_stays() {
    let (a, b, c) = (pem(), pem(), pem());
    let (a, b_windows) = (format!("# the first\n{PARAMETERS}{a}"), b.replace('\n', "\r\n"));
    let mut ring = read(&format!("{a}\n# elsewhere\n{}\n  # old\n{b_windows}# end", public(&c)));
    assert_eq!(ring.kids(), [kid(&a), kid(&c), kid(&b)]);
    assert_eq!(ring.entries().iter().map(Entry::is_private).collect::<Vec<_>>(), [true, false, true]);
    ring.put_first(&kid(&b)).unwrap();
    assert_eq!(written(&ring), format!("\n  # old\n{b_windows}{a}\n# elsewhere\n{}# end", public(&c)));
}

#[test]
fn a_public_key_of_the_signer_is_the_same_key() {
    let (a, b) = (pem(), pem());
    let mut ring = read(&format!("{a}{}", public(&a)));
    assert_eq!(ring.kids(), [kid(&a)]);
    append(&mut ring, &b).unwrap();
    ring.put_first(&kid(&b)).unwrap();
    let mut ring = read(&written(&ring));
    ring.remove(&[kid(&a)]);
    assert_eq!(written(&ring), b);
}

#[test]
fn base64_stays_base64() {
    let (a, b) = (pem(), pem());
    for (packed, wrapped) in
        [(STANDARD.encode(&a), false), (String::from_utf8(pack(a.as_bytes(), BASE64_LINE).to_vec()).unwrap(), true)]
    {
        let mut ring = read(&packed);
        append(&mut ring, &b).unwrap();
        let text = written(&ring);
        assert_eq!(text.lines().count() > 1, wrapped);
        assert_eq!(KeyText::read(text.as_bytes()).ok().unwrap().pem(), format!("{a}{b}").as_bytes());
    }
}

#[test]
fn only_one_new_private_key_is_appended() {
    let (a, b) = (pem(), pem());
    let mut ring = read(&a);
    for wrong in [a.clone(), public(&b), format!("{b}{a}"), PARAMETERS.to_owned()] {
        assert!(append(&mut ring, &wrong).is_err());
    }
    append(&mut ring, &format!("# comment\n{PARAMETERS}{b}")).unwrap();
    assert_eq!(*ring.text(), format!("{a}{b}").into_bytes());
}

/// What the filter publishes of a text, and what a rotation finds in it; none if it is refused.
fn both_readings(text: &[u8]) -> [Option<Vec<String>>; 2] {
    let filter = Keyring::parse(text).ok();
    let filter = filter.map(|keyring| keyring.keyset().keys().iter().map(|key| key.kid().to_owned()).collect());
    [filter, Ring::read(text).ok().map(|ring| ring.kids())]
}

proptest::proptest! {
    #[test]
    fn the_filter_and_a_rotation_see_the_same_keys(
        parts in proptest::collection::vec(0_usize..13, 1..8),
        packing in 0..3,
        change in proptest::option::of((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>())),
    ) {
        let (a, b) = (pem(), pem());
        let windows = b.replace('\n', "\r\n");
        let parts: Vec<String> = parts.into_iter().map(|part| {
            let parts =
                [&a, &b, &windows, a.trim(), &public(&a), &public(&b), PARAMETERS, "\u{feff}", "\u{b}", "\n", "\r", "# é", "\""];
            parts[part].to_owned()
        }).collect();
        let text = parts.concat();
        let mut text = match packing {
            0 => text.into_bytes(),
            1 => STANDARD.encode(text).into_bytes(),
            _ => pack(text.as_bytes(), BASE64_LINE).to_vec(),
        };
        if let Some((index, byte)) = change.filter(|_| !text.is_empty()) {
            let at = index.index(text.len());
            text[at] = byte;
        }
        let [filter, rotation] = both_readings(&text);
        proptest::prop_assert_eq!(filter, rotation);
    }
}
