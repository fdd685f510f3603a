//! The format string of which a filter state is made.

use std::sync::LazyLock;

use regex::Regex;

/// `%NAME(arguments):limit%`; `%%` is a percent sign.
static OPERATOR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"%%|%([A-Z_]+)(?:\(([^)]*)\))?(?::([0-9]+))?%").ok());

/// What stands for something of the request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Operator<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: &'a str,
    /// After how many bytes its value is cut.
    pub(super) limit: Option<usize>,
}

/// A format string.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format<'a> {
    pub(super) operators: Vec<Operator<'a>>,
    /// What stands before the first operator and after the last, without white space. Both are the whole text where there is
    /// no operator.
    around: (&'a str, &'a str),
}

impl<'a> Format<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let mut format = Self { operators: Vec::new(), around: (text.trim(), text.trim()) };
        let Some(expression) = OPERATOR.as_ref() else { return format };
        for found in expression.captures_iter(text) {
            let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { continue };
            if format.operators.is_empty() {
                format.around.0 = text.get(..whole.start()).unwrap_or_default().trim();
            }
            format.around.1 = text.get(whole.end()..).unwrap_or_default().trim();
            format.operators.push(Operator {
                name: name.as_str(),
                arguments: found.get(2).map_or("", |arguments| arguments.as_str()),
                limit: found.get(3).and_then(|limit| limit.as_str().parse().ok()),
            });
        }
        format
    }

    /// The one operator that is the whole text.
    pub(super) fn only(&self) -> Option<&Operator<'a>> {
        match self.operators.as_slice() {
            [only] if self.around == ("", "") => Some(only),
            _ => None,
        }
    }

    /// Whether the text can become a JSON object, whatever its operators are.
    pub(super) fn can_be_object(&self) -> bool {
        let (before, after) = self.around;
        (before.is_empty() || before.starts_with('{')) && (after.is_empty() || after.ends_with('}'))
    }
}

impl Operator<'_> {
    /// The headers that it takes the first of.
    pub(super) fn headers(&self) -> impl Iterator<Item = &str> {
        let is_header = ["REQ", "REQUEST_HEADER", "REQ_WITHOUT_QUERY"].contains(&self.name);
        self.arguments.split('?').map(str::trim).filter(move |name| is_header && !name.is_empty())
    }

    /// The namespace of dynamic metadata that it reads, and the path in it.
    pub(super) fn metadata(&self) -> Option<(&str, Vec<&str>)> {
        let mut parts = self.arguments.split(':');
        let namespace = parts.next().filter(|_| self.name == "DYNAMIC_METADATA")?;
        Some((namespace, parts.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_found_with_their_limits() {
        let format = Format::parse("{\"a\": \"%REQ(X-A?X-B):7%\", \"b\": \"%%%START_TIME%\"} ");
        let [first, second] = format.operators.as_slice() else { panic!("{format:?}") };
        assert_eq!(first, &Operator { name: "REQ", arguments: "X-A?X-B", limit: Some(7) });
        assert_eq!(first.headers().collect::<Vec<_>>(), ["X-A", "X-B"]);
        assert_eq!(second, &Operator { name: "START_TIME", arguments: "", limit: None });
        assert_eq!((format.only(), format.can_be_object()), (None, true));
    }

    #[test]
    fn an_operator_can_be_the_whole_text() {
        let format = Format::parse(" %DYNAMIC_METADATA(a.b:c:d)%\n");
        assert_eq!(format.only().unwrap().metadata(), Some(("a.b", vec!["c", "d"])));
        assert_eq!(Format::parse("%A%%B%").operators.len(), 2);
    }

    #[test]
    fn text_around_operators_can_be_no_object() {
        for (text, can) in [
            ("", true),
            ("%A%", true),
            ("%A%%B%", true),
            ("{\"sub\": \"%A%\"}", true),
            ("{\"sub\": \"x\"}", true),
            ("Bearer %A%", false),
            ("%A%;", false),
            ("\"%A%\"", false),
            ("[%A%]", false),
            ("ann", false),
            ("100%%", false),
        ] {
            assert_eq!(Format::parse(text).can_be_object(), can, "{text}");
        }
    }
}
