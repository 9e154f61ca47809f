//! Key paths: where in a document a value stands, as `sops --extract` spells it.
//!
//! A path of a file is never called a path here; see [`KeyPath`].

use std::fmt;

/// One step of a [`KeyPath`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// Into a map, by key.
    Key(String),
    /// Into a list, by index from 0.
    Index(usize),
}

/// A place in a document: `["servers"][0]["password"]`. Empty: the document itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct KeyPath(pub Vec<Step>);

/// Why a key path could not be read. Holds no part of the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyPathError {
    /// A piece does not end with `]`.
    #[error("a piece of the path does not end with ']'; write [\"key\"][0]")]
    Unclosed,
    /// A piece is neither a quoted key nor a number.
    #[error("a piece of the path is neither a quoted key nor a number; write [\"key\"][0]")]
    NotAnIndex,
    /// `[]` or `["]`.
    #[error("a piece of the path is empty; write [\"key\"][0]")]
    Empty,
}

impl KeyPath {
    /// Reads the grammar of `sops --extract`: split at each `[`, each piece ends with `]`, a piece
    /// that starts with a quote is a key without escapes, another one a decimal index.
    ///
    /// The empty text is the empty path.
    ///
    /// # Errors
    ///
    /// If a piece is not closed, empty, or neither a quoted key nor a number of 0 or more.
    pub fn parse(text: &str) -> Result<Self, KeyPathError> {
        let mut steps = Vec::new();
        for piece in text.split('[').filter(|piece| !piece.is_empty()) {
            let inner = piece.strip_suffix(']').ok_or(KeyPathError::Unclosed)?;
            let Some(first) = inner.chars().next() else {
                return Err(KeyPathError::Empty);
            };
            if first == '"' || first == '\'' {
                let mut chars = inner.chars();
                chars.next();
                // SOPS cuts the last character without looking at it: ["a'] is "a".
                chars.next_back().ok_or(KeyPathError::Empty)?;
                steps.push(Step::Key(chars.as_str().to_owned()));
            } else {
                let digits = inner.strip_prefix('+').unwrap_or(inner);
                steps.push(Step::Index(digits.parse().map_err(|_| KeyPathError::NotAnIndex)?));
            }
        }
        Ok(Self(steps))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Key(key) => write!(f, "[\"{}\"]", key.escape_debug())?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyPath, KeyPathError};

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(KeyPath::parse(text).map(|path| path.to_string()), Ok(expect.to_owned()));
    }

    #[test]
    fn the_grammar_of_sops_is_read() {
        check(r#"["a"]["b"][0]"#, r#"["a"]["b"][0]"#);
        check("['a']", r#"["a"]"#);
        check(r#"["a']"#, r#"["a"]"#);
        check(r#"["a.b"]["p]q"]"#, r#"["a.b"]["p]q"]"#);
        check("[+1]", "[1]");
        check("", "");
    }

    #[test]
    fn what_sops_panics_on_is_an_error() {
        assert_eq!(KeyPath::parse("[]"), Err(KeyPathError::Empty));
        assert_eq!(KeyPath::parse("[\"]"), Err(KeyPathError::Empty));
        assert_eq!(KeyPath::parse("[-1]"), Err(KeyPathError::NotAnIndex));
        assert_eq!(KeyPath::parse("a"), Err(KeyPathError::Unclosed));
        assert_eq!(KeyPath::parse(r#"["a"] "#), Err(KeyPathError::Unclosed));
        assert_eq!(KeyPath::parse("[x]"), Err(KeyPathError::NotAnIndex));
    }
}
