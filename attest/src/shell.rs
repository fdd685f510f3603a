//! Words of a command that is suggested.

/// A word as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_for_a_shell() {
        assert_eq!(quoted("/etc/a-b_c.pem"), "/etc/a-b_c.pem");
        assert_eq!(quoted("my key's.pem"), r"'my key'\''s.pem'");
        assert_eq!(quoted("http://[::1]:80/"), "'http://[::1]:80/'");
        assert_eq!(quoted(""), "''");
    }
}
