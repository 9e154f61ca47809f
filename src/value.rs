//! Values as SOPS sees them: a type and the bytes that are encrypted and authenticated.
//!
//! A format turns its own spelling into a [`Scalar`] and back; nothing else knows spellings. Two
//! scalars are equal exactly if SOPS would encrypt them to the same plaintext with the same type.
//!
//! Invariant: `bytes` is the canonical rendering of the type (`sops-format.md` in SOPS' terms:
//! booleans `True`/`False`, decimal integers, floats without an exponent, RFC 3339 times).

use std::borrow::Cow;
use std::fmt;

use zeroize::Zeroize;

/// The type of a scalar, as the `type:` field of `ENC[…]` names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ScalarType {
    /// `str`: any bytes; nearly always UTF-8.
    Str,
    /// `int`: a signed 64-bit integer in decimal.
    Int,
    /// `float`: a binary64 in its shortest round-trip decimal form, or `NaN`, `+Inf`, `-Inf`.
    Float,
    /// `bool`: `True` or `False`.
    Bool,
    /// `time`: RFC 3339 with up to nine digits of fraction.
    Time,
    /// `datetime-local`: a TOML date and time without a zone (ours; SOPS has no TOML).
    DatetimeLocal,
    /// `date-local`: a TOML date (ours).
    DateLocal,
    /// `time-local`: a TOML time of day (ours).
    TimeLocal,
    /// `bytes`: raw bytes in files of the Python SOPS; read, never written.
    Bytes,
    /// `comment`: the text of a comment behind its `#`.
    Comment,
    /// No value. Never encrypted, never part of the MAC.
    Null,
}

impl ScalarType {
    /// The name in `type:`; `null` for [`ScalarType::Null`], which is never sealed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "time",
            Self::DatetimeLocal => "datetime-local",
            Self::DateLocal => "date-local",
            Self::TimeLocal => "time-local",
            Self::Bytes => "bytes",
            Self::Comment => "comment",
            Self::Null => "null",
        }
    }

    /// The type of this name in `type:`, if there is one that can be sealed.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "str" => Self::Str,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "time" => Self::Time,
            "datetime-local" => Self::DatetimeLocal,
            "date-local" => Self::DateLocal,
            "time-local" => Self::TimeLocal,
            "bytes" => Self::Bytes,
            "comment" => Self::Comment,
            _ => return None,
        })
    }

    /// The name under which the tree tag counts it: integers and floats of equal bytes are one
    /// thing to it, since SOPS writes `1` for a float `1.0`.
    #[must_use]
    pub fn tree_name(self) -> &'static str {
        match self {
            Self::Int | Self::Float => "num",
            other => other.name(),
        }
    }
}

/// One value: its type, and the bytes that are encrypted and hashed into the MAC.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scalar<'a> {
    /// The type.
    pub kind: ScalarType,
    /// The canonical rendering; empty for null.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Scalar<'a> {
    /// A value of this type with these canonical bytes.
    #[must_use]
    pub fn new(kind: ScalarType, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { kind, bytes: bytes.into() }
    }

    /// A string.
    #[must_use]
    pub fn str(text: impl Into<Cow<'a, str>>) -> Self {
        let bytes = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { kind: ScalarType::Str, bytes }
    }

    /// An integer.
    #[must_use]
    pub fn int(number: i64) -> Self {
        Self::new(ScalarType::Int, number.to_string().into_bytes())
    }

    /// A floating-point number, rendered as SOPS renders it for encryption.
    #[must_use]
    pub fn float(number: f64) -> Self {
        let text = if number.is_nan() {
            "NaN".to_owned()
        } else if number.is_infinite() {
            (if number > 0.0 { "+Inf" } else { "-Inf" }).to_owned()
        } else {
            // Rust's Display is the shortest round-trip decimal without an exponent, as in SOPS.
            number.to_string()
        };
        Self::new(ScalarType::Float, text.into_bytes())
    }

    /// A boolean.
    #[must_use]
    pub fn bool(value: bool) -> Self {
        // SOPS spells booleans as Python did.
        let text: &'static [u8] = if value { b"True" } else { b"False" };
        Self::new(ScalarType::Bool, text)
    }

    /// No value.
    #[must_use]
    pub fn null() -> Self {
        Self::new(ScalarType::Null, &b""[..])
    }

    /// The bytes as text; `None` if they are not UTF-8 (possible for `str` and `bytes` only).
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// A copy that owns its bytes.
    #[must_use]
    pub fn into_owned(self) -> Scalar<'static> {
        Scalar { kind: self.kind, bytes: Cow::Owned(self.bytes.into_owned()) }
    }
}

impl fmt::Debug for Scalar<'_> {
    /// The type only: the bytes can be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scalar({})", self.kind.name())
    }
}

/// A value with structure: what `set` inserts, what a conversion writes, what metadata is made of.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Tree {
    /// A leaf or null.
    Scalar(Scalar<'static>),
    /// Entries in the order of the text. Keys are unique where a format demands it.
    Map(Vec<(String, Tree)>),
    /// Items in the order of the text.
    List(Vec<Tree>),
}

impl Tree {
    /// A string leaf.
    #[must_use]
    pub fn str(text: impl Into<String>) -> Self {
        Self::Scalar(Scalar::str(text.into()))
    }

    /// The value under this key, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Tree> {
        match self {
            Self::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            Self::Scalar(_) | Self::List(_) => None,
        }
    }
}

impl fmt::Debug for Tree {
    /// The shape only: the leaves can be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => scalar.fmt(f),
            Self::Map(entries) => {
                f.debug_map().entries(entries.iter().map(|(k, v)| (k, v))).finish()
            }
            Self::List(items) => f.debug_list().entries(items).finish(),
        }
    }
}

/// Overwrites the bytes before they are freed, where they are owned.
pub fn wipe(bytes: Cow<'_, [u8]>) {
    if let Cow::Owned(mut bytes) = bytes {
        bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::{Scalar, ScalarType, Tree};

    #[track_caller]
    fn check(scalar: &Scalar<'_>, kind: ScalarType, text: &str) {
        assert_eq!(scalar.kind, kind);
        assert_eq!(scalar.text(), Some(text));
    }

    #[test]
    fn values_are_rendered_as_sops_renders_them() {
        check(&Scalar::bool(true), ScalarType::Bool, "True");
        check(&Scalar::int(-42), ScalarType::Int, "-42");
        check(&Scalar::float(1.0), ScalarType::Float, "1");
        check(&Scalar::float(1e10), ScalarType::Float, "10000000000");
        check(&Scalar::float(1e-7), ScalarType::Float, "0.0000001");
        check(&Scalar::float(-0.0), ScalarType::Float, "-0");
        check(&Scalar::float(f64::NEG_INFINITY), ScalarType::Float, "-Inf");
    }

    #[test]
    fn debug_shows_no_value() {
        let tree = Tree::Map(vec![("key".into(), Tree::str("hunter2"))]);
        assert_eq!(format!("{tree:?}"), r#"{"key": Scalar(str)}"#);
    }

    #[test]
    fn type_names_are_read_as_written() {
        for name in ["str", "int", "float", "bool", "time", "bytes", "comment", "date-local"] {
            assert_eq!(ScalarType::from_name(name).map(ScalarType::name), Some(name));
        }
        assert_eq!(ScalarType::from_name("null"), None);
    }
}
