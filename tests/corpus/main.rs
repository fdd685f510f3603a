//! Every input that the fuzzer has found of interest, and what a small change makes of it, against the properties that
//! the fuzzer looks for. See fuzz/README.md.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use properties::{ALL, Property};

/// How many changed inputs there are for each input that is kept.
const CHANGES: usize = 40;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = corpus().join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("an input"))).collect()
}

/// The input, cut off or with a byte changed, inserted or taken out, at places spread over all of it.
fn changed(input: &[u8], number: usize) -> Vec<u8> {
    let mut changed = input.to_vec();
    if input.is_empty() {
        return vec![u8::try_from(number).expect("few changes")];
    }
    let place = (number * 7919 + number * input.len() / CHANGES) % input.len();
    let byte = [0, 0xff, b'"', b'\n', 0x80, b':'][number % 6];
    match number % 5 {
        0 => changed.truncate(place),
        1 => changed[place] ^= 1 << (number % 8),
        2 => changed.insert(place, byte),
        3 => changed[place] = byte,
        _ => drop(changed.remove(place)),
    }
    changed
}

fn replay(target: &str, property: Property) {
    let inputs = inputs(target);
    assert!(!inputs.is_empty(), "no corpus of {target}");
    for (path, input) in inputs {
        let holds = |input: &[u8]| catch_unwind(|| property(input)).is_ok();
        assert!(holds(&input), "{target} does not hold for {}", path.display());
        for number in 0..CHANGES {
            let changed = changed(&input, number);
            assert!(holds(&changed), "{target} does not hold for {}", changed.escape_ascii());
        }
    }
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), properties::$target);
            }
        )*

        #[test]
        fn every_property_and_every_corpus_is_replayed() {
            let replayed = [$(stringify!($target)),*];
            assert!(ALL.iter().map(|(name, _)| *name).eq(replayed));
            let mut kept: Vec<String> = fs::read_dir(corpus())
                .expect("the corpus")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
                .collect();
            kept.sort();
            assert_eq!(kept, replayed);
        }
    };
}

replayed! {
    actor attester authority claims configuration endpoint headers key_der key_text own_headers sign_answer
}
