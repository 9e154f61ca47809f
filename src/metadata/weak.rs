//! SOPS' lenient reading of single fields: the weak mode of the library that fills its metadata.

use std::borrow::Cow;

use super::MetadataError;
use crate::keys::weak_text;
use crate::value::{Scalar, ScalarType, Tree};

/// Whether a field counts as absent.
pub(super) fn is_empty(value: &Tree) -> bool {
    match value {
        Tree::Scalar(scalar) => scalar.kind == ScalarType::Null,
        Tree::Map(entries) => entries.is_empty(),
        Tree::List(items) => items.is_empty(),
    }
}

/// A text: numbers and booleans count as one.
pub(super) fn text(value: &Tree, field: impl Fn() -> String) -> Result<String, MetadataError> {
    match value {
        Tree::Scalar(scalar) if scalar.kind == ScalarType::Null => Some(String::new()),
        Tree::Scalar(scalar) => weak_text(scalar),
        Tree::Map(_) | Tree::List(_) => None,
    }
    .ok_or_else(|| MetadataError::WrongType { field: field(), expected: "a text" })
}

/// A count: texts, floats and booleans count as one.
pub(super) fn count(value: &Tree, field: impl Fn() -> String) -> Result<usize, MetadataError> {
    match value {
        Tree::Scalar(scalar) => count_of(scalar),
        Tree::Map(_) | Tree::List(_) => None,
    }
    .ok_or_else(|| MetadataError::WrongType { field: field(), expected: "a count" })
}

fn count_of(scalar: &Scalar<'_>) -> Option<usize> {
    match scalar.kind {
        ScalarType::Null => Some(0),
        ScalarType::Bool => Some(usize::from(*scalar.bytes == *b"True")),
        // What stands before the point.
        ScalarType::Int | ScalarType::Float => scalar.text()?.split('.').next()?.parse().ok(),
        ScalarType::Str => {
            let text = scalar.text()?;
            let lower = text.to_ascii_lowercase();
            let (digits, radix) = match lower.as_bytes() {
                [] => return Some(0),
                [b'0', b'x', ..] => (&lower[2..], 16),
                [b'0', b'o', ..] => (&lower[2..], 8),
                [b'0', b'b', ..] => (&lower[2..], 2),
                [b'0', _, ..] => (&lower[1..], 8),
                _ => (lower.as_str(), 10),
            };
            usize::from_str_radix(digits, radix).ok()
        }
        ScalarType::Time
        | ScalarType::DatetimeLocal
        | ScalarType::DateLocal
        | ScalarType::TimeLocal
        | ScalarType::Bytes
        | ScalarType::Comment => None,
    }
}

/// Yes or no: numbers and some texts count as one.
pub(super) fn boolean(value: &Tree, field: impl Fn() -> String) -> Result<bool, MetadataError> {
    match value {
        Tree::Scalar(scalar) => boolean_of(scalar),
        Tree::Map(_) | Tree::List(_) => None,
    }
    .ok_or_else(|| MetadataError::WrongType { field: field(), expected: "true or false" })
}

fn boolean_of(scalar: &Scalar<'_>) -> Option<bool> {
    match scalar.kind {
        ScalarType::Null => Some(false),
        ScalarType::Bool => Some(*scalar.bytes == *b"True"),
        ScalarType::Int | ScalarType::Float => Some(scalar.text()?.parse::<f64>().ok()? != 0.0),
        ScalarType::Str => match scalar.text()? {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        },
        ScalarType::Time
        | ScalarType::DatetimeLocal
        | ScalarType::DateLocal
        | ScalarType::TimeLocal
        | ScalarType::Bytes
        | ScalarType::Comment => None,
    }
}

/// A list of maps: a single map counts as a list of one.
pub(super) fn maps(
    value: &Tree,
    field: impl Fn() -> String,
) -> Result<Vec<&[(String, Tree)]>, MetadataError> {
    let wrong = || MetadataError::WrongType { field: field(), expected: "a list of maps" };
    match value {
        value if is_empty(value) => Ok(Vec::new()),
        Tree::Map(entries) => Ok(vec![entries]),
        Tree::List(items) => items
            .iter()
            .map(|item| match item {
                Tree::Map(entries) => Ok(entries.as_slice()),
                Tree::Scalar(_) | Tree::List(_) => Err(wrong()),
            })
            .collect(),
        Tree::Scalar(_) => Err(wrong()),
    }
}

/// The known field that SOPS would take this one for although it is written otherwise.
pub(super) fn case_variant(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let folded = fold(name);
    known.iter().copied().find(|&known| known != name && known == folded)
}

/// Simple case folding, as far as it leads to ASCII.
fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return Cow::Borrowed(name);
    }
    name.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

/// Whether SOPS can read this as a version: anything of the Python SOPS, or `X.Y.Z` with an optional
/// `v`, a pre-release and a build.
pub(super) fn is_version(text: &str) -> bool {
    if text.starts_with("1.") {
        return true;
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(text, b)| (text, Some(b)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(text, p)| (text, Some(p)));
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part.len() == 1 || !part.starts_with('0'))
            && part.parse::<i64>().is_ok()
    };
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| {
            pre.split('.').all(|part| word(part) && (!digits(part) || number(part)))
        })
        && build.is_none_or(|build| build.split('.').all(word))
}

#[cfg(test)]
mod tests {
    use super::{boolean, case_variant, count, is_version, text};
    use crate::value::{Scalar, Tree};

    fn leaf(scalar: Scalar<'static>) -> Tree {
        Tree::Scalar(scalar)
    }

    #[test]
    fn texts_are_read_leniently() {
        let read = |tree: Tree| text(&tree, || "x".into()).ok();
        assert_eq!(read(leaf(Scalar::float(3.5))).as_deref(), Some("3.5"));
        assert_eq!(read(leaf(Scalar::bool(true))).as_deref(), Some("1"));
        assert_eq!(read(leaf(Scalar::null())).as_deref(), Some(""));
        assert_eq!(read(Tree::List(Vec::new())), None);
    }

    #[test]
    fn counts_are_read_leniently() {
        let read = |tree: Tree| count(&tree, || "x".into()).ok();
        assert_eq!(read(Tree::str("2")), Some(2));
        assert_eq!(read(Tree::str("0x10")), Some(16));
        assert_eq!(read(Tree::str("010")), Some(8));
        assert_eq!(read(Tree::str("")), Some(0));
        assert_eq!(read(leaf(Scalar::float(2.9))), Some(2));
        assert_eq!(read(leaf(Scalar::bool(true))), Some(1));
        assert_eq!(read(Tree::str("two")), None);
        assert_eq!(read(leaf(Scalar::int(-1))), None);
    }

    #[test]
    fn booleans_are_read_leniently() {
        let read = |tree: Tree| boolean(&tree, || "x".into()).ok();
        assert_eq!(read(Tree::str("true")), Some(true));
        assert_eq!(read(Tree::str("")), Some(false));
        assert_eq!(read(leaf(Scalar::int(2))), Some(true));
        assert_eq!(read(Tree::str("yes")), None);
    }

    #[test]
    fn case_variants_are_found() {
        let known = ["kms", "pgp"];
        for variant in ["KMS", "kM\u{17f}", "\u{212a}ms"] {
            assert_eq!(case_variant(variant, &known), Some("kms"));
        }
        assert_eq!(case_variant("kms", &known), None);
        assert_eq!(case_variant("kmss", &known), None);
    }

    #[test]
    fn versions_are_those_that_sops_reads() {
        for version in ["1.13", "3.13.3", "v3.8.0", "3.9.0-rc.1", "3.0.0+x"] {
            assert!(is_version(version), "{version}");
        }
        for version in ["", "3.5", "3.05.1", "three", "3.9.0-", "3.9.0-01"] {
            assert!(!is_version(version), "{version}");
        }
    }
}
