//! The header fields of a request or its trailers.

/// Header fields in order, as bytes: nothing a client sends is known to be text. They stay where the host has them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Fields<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Fields<'a> {
    /// These fields: names, in lower case as Envoy has them, and values.
    #[must_use]
    pub fn new(fields: Vec<(&'a [u8], &'a [u8])>) -> Self {
        Self(fields)
    }

    /// The names of all fields, repeated as often as they are there.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// Every value of a field.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(field, _)| *field == name.as_bytes()).map(|(_, value)| *value)
    }

    /// The first value of a field, or nothing.
    #[must_use]
    pub fn first(&self, name: &str) -> &'a [u8] {
        self.values(name).next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_any_number_of_values() {
        let fields = Fields::new(vec![(b"a", b"1"), (b"b", b""), (b"a", b"\xff\0")]);
        assert!(fields.names().eq([&b"a"[..], b"b", b"a"]));
        assert!(fields.values("a").eq([&b"1"[..], b"\xff\0"]));
        assert_eq!((fields.first("a"), fields.first("b"), fields.first("c")), (&b"1"[..], &b""[..], &b""[..]));
    }
}
