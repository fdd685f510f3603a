//! Where something stands.

use std::fmt;
use std::rc::Rc;

/// A file, a line of it, and the path through its fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: Rc<str>,
    /// Counted from 1.
    pub(crate) line: usize,
    /// `static_resources.listeners[0].name`; empty for the whole document.
    pub(crate) path: String,
}

impl Place {
    /// A member of what stands here.
    pub(crate) fn member(&self, name: &str, line: usize) -> Self {
        let is_word =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-@".contains(&byte));
        let name = if is_word { name.to_owned() } else { format!("\"{name}\"") };
        let path = if self.path.is_empty() { name } else { format!("{}.{name}", self.path) };
        Self { file: Rc::clone(&self.file), line, path }
    }

    /// An item of the list that stands here.
    pub(crate) fn item(&self, place: usize, line: usize) -> Self {
        Self { file: Rc::clone(&self.file), line, path: format!("{}[{place}]", self.path) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " {}", self.path) }
    }
}
