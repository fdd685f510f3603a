//! Odd identities: objects of JSON as another filter could leave them, and values of headers.

use crate::dice::Dice;

const MEMBERS: [&str; 12] =
    ["sub", "sub", "user", "email", "name", "sid", "groups", "dept", "level", "org", "a.b", "exp"];

/// Texts as they stand in JSON, between the quotes. No byte of them is forbidden in a header.
const TEXTS: [&str; 16] = [
    "ann",
    "u-1",
    "ann@example.com",
    "",
    " ",
    "a,b",
    "a, b ,c",
    "Zo\u{eb} \u{540d}",
    r"\u0000",
    r"a\nb\tc",
    r#"\"\\\/"#,
    r"\ud83d\ude00",
    r"\ud800",
    r"\u007f\u0080",
    "</script>",
    "281674916028284928",
];

const NUMBERS: [&str; 18] = [
    "0",
    "-0",
    "7",
    "-7",
    "1.0",
    "1.5",
    "1e2",
    "1e-7",
    "1e300",
    "1e400",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "-9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "4503599627370495.5",
    "0.1",
];

/// Values of headers, as bytes.
const VALUES: [&[u8]; 18] = [
    b"ann",
    b"u-1",
    b"ann@example.com",
    b"",
    b"a,b",
    b" a , b,,c ",
    b",",
    b"Zo\xc3\xab",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\x80",
    b"a\tb",
    b"\"quoted\"",
    b"{\"sub\":\"eve\"}",
    b"281674916028284928",
    b"null",
    b"forged",
];

/// An object of JSON, or nearly.
pub fn json(dice: &mut Dice) -> String {
    let mut members = Vec::new();
    if dice.one_in(3) {
        members.push("\"email\":\"ann@example.com\"".to_owned());
    }
    if !dice.one_in(4) {
        members.push(format!("\"sub\":\"{}\"", dice.pick(&TEXTS)));
    }
    for _ in 0..dice.below(5) {
        members.push(format!("\"{}\":{}", dice.pick(&MEMBERS), value(dice, 3)));
    }
    dice.shuffle(&mut members);
    let object = format!("{{{}}}", members.join(","));
    match dice.below(20) {
        0 => object[..object.len() - 1].to_owned(),
        1 => format!("{object} x"),
        2 => format!("[{object}]"),
        3 => value(dice, 2),
        4 => "[".repeat(200),
        _ => object,
    }
}

fn value(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 4 } else { 6 }) {
        0 | 1 => format!("\"{}\"", dice.pick(&TEXTS)),
        2 => (*dice.pick(&NUMBERS)).to_owned(),
        3 => (*dice.pick(&["true", "false", "null"])).to_owned(),
        4 => {
            let items: Vec<String> = (0..dice.below(4)).map(|_| value(dice, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => {
            let member = |dice: &mut Dice| format!("\"{}\":{}", dice.pick(&MEMBERS), value(dice, depth - 1));
            let members: Vec<String> = (0..dice.below(3)).map(|_| member(dice)).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// A header's value.
pub fn header(dice: &mut Dice) -> Vec<u8> {
    if dice.one_in(40) {
        return vec![b'x'; 1 + dice.below(3000)];
    }
    dice.pick(&VALUES).to_vec()
}
