//! What Envoy's matchers of paths, strings and headers say to a text.

use regex::Regex;

use super::node::Node;

/// What a matcher says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// It depends on more than the text.
    Maybe,
}

impl From<bool> for Answer {
    fn from(is_so: bool) -> Self {
        if is_so { Self::Yes } else { Self::No }
    }
}

/// A `RouteMatch`, for a path without a query.
pub(crate) fn route(by: &Node, path: &str) -> Answer {
    let fits = path_specifier(by, path);
    let asks_more =
        ["headers", "query_parameters", "grpc", "dynamic_metadata", "runtime_fraction", "filter_state", "cookies"];
    match fits {
        Answer::Yes if asks_more.iter().any(|name| by.get(name).is_some()) => Answer::Maybe,
        other => other,
    }
}

fn path_specifier(by: &Node, path: &str) -> Answer {
    let ignores_case = by.get("case_sensitive").is_some() && !by.is_true("case_sensitive");
    let fold = |text: &str| if ignores_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let path = fold(path);
    if let Some(prefix) = by.text_at(&["prefix"]) {
        return path.starts_with(&fold(prefix)).into();
    }
    if let Some(exact) = by.text_at(&["path"]) {
        return (path == fold(exact)).into();
    }
    if let Some(prefix) = by.text_at(&["path_separated_prefix"]) {
        let rest = path.strip_prefix(&fold(prefix));
        return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')).into();
    }
    match by.text_at(&["safe_regex", "regex"]) {
        Some(expression) => whole(expression, &path),
        None if by.get("path_match_policy").is_some() => Answer::Maybe,
        None => Answer::No,
    }
}

/// A `StringMatcher`.
pub(crate) fn string(by: &Node, text: &str) -> Answer {
    let ignores_case = by.is_true("ignore_case");
    let fold = |text: &str| if ignores_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let text = fold(text);
    let is = |name: &str| by.text_at(&[name]).map(&fold);
    if let Some(exact) = is("exact") {
        return (text == exact).into();
    }
    if let Some(prefix) = is("prefix") {
        return text.starts_with(&prefix).into();
    }
    if let Some(suffix) = is("suffix") {
        return text.ends_with(&suffix).into();
    }
    if let Some(part) = is("contains") {
        return text.contains(&part).into();
    }
    by.text_at(&["safe_regex", "regex"]).map_or(Answer::Maybe, |expression| whole(expression, &text))
}

/// A `HeaderMatcher`, for the value of its header.
pub(crate) fn header(by: &Node, value: &str) -> Answer {
    let answer = if let Some(matcher) = by.get("string_match") {
        string(matcher, value)
    } else if let Some(exact) = by.text_at(&["exact_match"]) {
        (value == exact).into()
    } else if let Some(prefix) = by.text_at(&["prefix_match"]) {
        value.starts_with(prefix).into()
    } else if let Some(suffix) = by.text_at(&["suffix_match"]) {
        value.ends_with(suffix).into()
    } else if let Some(part) = by.text_at(&["contains_match"]) {
        value.contains(part).into()
    } else if let Some(expression) = by.text_at(&["safe_regex_match", "regex"]) {
        whole(expression, value)
    } else {
        Answer::Maybe
    };
    match (answer, by.is_true("invert_match")) {
        (Answer::Yes, true) => Answer::No,
        (Answer::No, true) => Answer::Yes,
        (answer, _) => answer,
    }
}

/// Envoy has an expression match the whole text. Its RE2 and this crate have the same syntax, as far as is used here.
fn whole(expression: &str, text: &str) -> Answer {
    Regex::new(&format!("^(?:{expression})$")).map_or(Answer::Maybe, |regex| regex.is_match(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::document;

    fn answer(by: &str, path: &str) -> Answer {
        route(&document::read(by, "a.yaml").unwrap()[0], path)
    }

    #[test]
    fn routes_match_as_in_envoy() {
        assert_eq!(answer("{prefix: /a}", "/ab"), Answer::Yes);
        assert_eq!(answer("{path_separated_prefix: /a}", "/ab"), Answer::No);
        assert_eq!(answer("{path: /A, case_sensitive: false}", "/a"), Answer::Yes);
        assert_eq!(answer("{safe_regex: {regex: /a}}", "/ab"), Answer::No);
        assert_eq!(answer("{prefix: /, headers: [{name: x}]}", "/a"), Answer::Maybe);
    }
}
