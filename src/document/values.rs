//! The values of a document as programs read them that know JSON only: what a key-value engine holds.
//!
//! Comments and spelling are left out, aliases are written out. Invariants: a number keeps every digit
//! that it is written with; what JSON cannot hold is an error, but for bytes that are no UTF-8 text, which
//! are base64 (RFC 4648, with padding); the text of a value is overwritten when it goes.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::{Document, Format, NodeId, NodeKind, ParseError, json};
use crate::path::{KeyPath, Step};
use crate::value::{Scalar, ScalarType, Tree};

/// A value. Two are compared with [`Value::same`].
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, as JSON spells it.
    Number(Zeroizing<String>),
    /// A text.
    Text(Zeroizing<String>),
    /// Items in their order.
    List(Vec<Value>),
    /// Entries in the order of the text, each key once.
    Map(Vec<(String, Value)>),
}

impl std::fmt::Debug for Value {
    /// Nothing of it: it can be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value")
    }
}

/// Deeper ones are refused: servers take no more (OpenBao: 300 levels with those of its own).
const MAX_DEPTH: usize = 256;

/// How many values aliases may make of a document.
const MAX_VALUES: usize = 1_000_000;

impl Value {
    /// The map that a document is; of several documents, all their entries, as SOPS publishes them.
    ///
    /// # Errors
    ///
    /// If one is no map, a key stands twice, or a value cannot be held.
    pub fn of(doc: &Document) -> Result<Self, ParseError> {
        if let Some(error) = doc.duplicate_key() {
            return Err(error);
        }
        let mut all: Vec<(String, Self)> = Vec::new();
        let documents = doc.ids().filter(|&id| doc.node(id).kind() == NodeKind::Document);
        for document in documents {
            let Some(root) = doc.value_of(document) else { continue };
            let Self::Map(entries) = Self::of_node(doc, root)? else {
                let problem = "the values at the root are no map: nothing names them";
                return Err(ParseError::at(doc.text(), doc.node(root).span().start(), problem));
            };
            let before = all.len();
            for entry in entries {
                if all[..before].iter().any(|(key, _)| *key == entry.0) {
                    let problem = format!(
                        "the key {} stands in two documents",
                        KeyPath(vec![Step::Key(entry.0)])
                    );
                    return Err(ParseError::at(doc.text(), doc.node(root).span().start(), problem));
                }
                all.push(entry);
            }
        }
        Ok(Self::Map(all))
    }

    /// The map that a JSON text is.
    ///
    /// # Errors
    ///
    /// As [`Value::of`], and if it is no JSON.
    pub fn parse(json: &str) -> Result<Self, ParseError> {
        let doc = Document::parse(json.to_owned(), Format::Json)?;
        let value = Self::of(&doc);
        drop(Zeroizing::new(doc.into_text()));
        value
    }

    /// A map of one text, under the key that SOPS gives the content of a binary file.
    #[must_use]
    pub fn of_content(content: &[u8]) -> Self {
        Self::Map(vec![("data".to_owned(), Self::Text(text_of(content)))])
    }

    /// The value of a node.
    ///
    /// # Errors
    ///
    /// If it cannot be held.
    pub fn of_node(doc: &Document, id: NodeId) -> Result<Self, ParseError> {
        let mut budget = MAX_VALUES;
        Self::within(doc, id, MAX_DEPTH, &mut budget)
    }

    fn within(
        doc: &Document,
        id: NodeId,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Self, ParseError> {
        let error =
            |problem: String| Err(ParseError::at(doc.text(), doc.node(id).span().start(), problem));
        let Some(left) = budget.checked_sub(1).filter(|_| depth > 0) else {
            return error(format!("{}: nested too deep, or too much by aliases", doc.path_of(id)));
        };
        *budget = left;
        let mut inner = |id| Self::within(doc, id, depth - 1, budget);
        match doc.node(id).kind() {
            NodeKind::Map => {
                let entry = |(key, value)| Ok((doc.key_text(key).into_owned(), inner(value)?));
                Ok(Self::Map(doc.entries(id).map(entry).collect::<Result<_, _>>()?))
            }
            NodeKind::List => Ok(Self::List(doc.items(id).map(inner).collect::<Result<_, _>>()?)),
            NodeKind::Alias => match doc.alias_target(id) {
                Some(key) if doc.node(key).kind() == NodeKind::Key => {
                    Ok(Self::Text(Zeroizing::new(doc.key_text(key).into_owned())))
                }
                Some(target) => inner(target),
                None => error("the alias has no anchor before it".to_owned()),
            },
            NodeKind::Scalar => {
                let scalar = doc.scalar(id)?;
                match Self::of_scalar(&scalar, doc.source(id)) {
                    Some(value) => Ok(value),
                    None => error(format!("{}: a number that is not finite", doc.path_of(id))),
                }
            }
            NodeKind::Document
            | NodeKind::Key
            | NodeKind::Comment
            | NodeKind::Anchor
            | NodeKind::Tag => error("no value stands here".to_owned()),
        }
    }

    /// `None`: an infinity, or no number at all.
    fn of_scalar(scalar: &Scalar<'_>, source: &str) -> Option<Self> {
        match scalar.kind {
            ScalarType::Null => Some(Self::Null),
            ScalarType::Bool => Some(Self::Bool(scalar.text() == Some("True"))),
            ScalarType::Int | ScalarType::Float => {
                let canonical = scalar.text().filter(|text| is_number(text))?;
                let written = spelled(source).filter(|text| is_number(text));
                Some(Self::Number(written.unwrap_or_else(|| Zeroizing::new(canonical.to_owned()))))
            }
            // Times as SOPS publishes them: in RFC 3339.
            ScalarType::Str
            | ScalarType::Time
            | ScalarType::DatetimeLocal
            | ScalarType::DateLocal
            | ScalarType::TimeLocal
            | ScalarType::Bytes
            | ScalarType::Comment => Some(Self::Text(text_of(&scalar.bytes))),
        }
    }

    /// Whether both mean the same: the order of keys does not count, nor how a number is spelled (`1.10`
    /// is `1.1`), but each of its digits does.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b || decimal(a) == decimal(b),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                let known: HashMap<&str, &Self> = b.iter().map(|(k, v)| (k.as_str(), v)).collect();
                let is_there = |(key, value): &(String, Self)| {
                    known.get(key.as_str()).is_some_and(|other| value.same(other))
                };
                a.len() == b.len() && a.iter().all(is_there)
            }
            (
                Self::Null
                | Self::Bool(_)
                | Self::Number(_)
                | Self::Text(_)
                | Self::List(_)
                | Self::Map(_),
                _,
            ) => false,
        }
    }

    /// The first number that a binary64 does not hold with all its digits.
    #[must_use]
    pub fn first_rounded(&self) -> Option<KeyPath> {
        let mut path = KeyPath::default();
        self.finds_rounded(&mut path).then_some(path)
    }

    fn finds_rounded(&self, path: &mut KeyPath) -> bool {
        let mut inner = |step, value: &Self| {
            path.0.push(step);
            let found = value.finds_rounded(path);
            if !found {
                path.0.pop();
            }
            found
        };
        match self {
            Self::Number(text) => {
                let float = text.parse::<f64>().unwrap_or(f64::NAN);
                decimal(text).is_none() || decimal(text) != decimal(&float.to_string())
            }
            Self::List(items) => {
                items.iter().enumerate().any(|(index, it)| inner(Step::Index(index), it))
            }
            Self::Map(entries) => entries.iter().any(|(key, it)| inner(Step::Key(key.clone()), it)),
            Self::Null | Self::Bool(_) | Self::Text(_) => false,
        }
    }

    /// As JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        // It does not grow, which would leave a part of it behind.
        let mut json = Zeroizing::new(String::with_capacity(self.json_len()));
        self.write(&mut json);
        json
    }

    /// At least as long as the JSON.
    fn json_len(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 5,
            Self::Number(text) => text.len(),
            Self::Text(text) => quoted_len(text),
            Self::List(items) => 2 + items.iter().map(|it| 1 + it.json_len()).sum::<usize>(),
            Self::Map(entries) => {
                let len = |(key, it): &(String, Self)| 2 + quoted_len(key) + it.json_len();
                2 + entries.iter().map(len).sum::<usize>()
            }
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => json::write_scalar(&Scalar::str(text.as_str()), out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    json::write_scalar(&Scalar::str(key.as_str()), out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// As what is written into documents; numbers that no integer and no float holds are rounded there.
    #[must_use]
    pub fn to_tree(&self) -> Tree {
        match self {
            Self::Null => Tree::Scalar(Scalar::null()),
            Self::Bool(value) => Tree::Scalar(Scalar::bool(*value)),
            Self::Number(text) => Tree::Scalar(match text.parse::<i64>() {
                Ok(number) => Scalar::int(number),
                Err(_) => Scalar::float(text.parse().unwrap_or(f64::NAN)),
            }),
            Self::Text(text) => Tree::str(text.as_str()),
            Self::List(items) => Tree::List(items.iter().map(Self::to_tree).collect()),
            Self::Map(entries) => Tree::Map(
                entries.iter().map(|(key, value)| (key.clone(), value.to_tree())).collect(),
            ),
        }
    }
}

/// Bytes as a text: as they are, or in base64.
fn text_of(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => BASE64_STANDARD.encode(bytes),
    })
}

/// The bytes that a text stands for in the place of bytes that are no text.
#[must_use]
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    std::str::from_utf8(&bytes).is_err().then_some(bytes)
}

/// At most six bytes for each.
fn quoted_len(text: &str) -> usize {
    2 + text.bytes().map(|byte| if byte < 0x20 { 6 } else { 2 }).sum::<usize>()
}

/// A number of YAML or TOML as JSON spells it, if only a sign or a zero stands between: `+.5`, `5.`.
fn spelled(source: &str) -> Option<Zeroizing<String>> {
    let (sign, digits) = match source.strip_prefix(['+', '-']) {
        Some(rest) if source.starts_with('-') => ("-", rest),
        Some(rest) => ("", rest),
        None => ("", source),
    };
    let (before, behind) = match digits.find(['e', 'E']) {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let zero = if before.starts_with('.') { "0" } else { "" };
    let before = before.strip_suffix('.').unwrap_or(before);
    (!before.is_empty()).then(|| Zeroizing::new(format!("{sign}{zero}{before}{behind}")))
}

/// Whether this is a number of JSON (RFC 8259, 6).
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
        }
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// What a number of JSON stands for: whether it is negative, its digits without zeros at either end, and
/// how many of them stand before the point.
fn decimal(text: &str) -> Option<(bool, Zeroizing<String>, i64)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = Zeroizing::new(format!("{whole}{fraction}"));
    if !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = all.trim_start_matches('0');
    let leading = i64::try_from(all.len() - digits.len()).ok()?;
    let point = i64::try_from(whole.len()).ok()?.checked_sub(leading)?.checked_add(exponent)?;
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Some((false, Zeroizing::default(), 0));
    }
    Some((negative, Zeroizing::new(digits.to_owned()), point))
}

#[cfg(test)]
mod tests {
    use super::{Value, bytes_of};
    use crate::document::{Document, Format};

    #[track_caller]
    fn check(format: Format, text: &str, expected: &str) {
        let doc = Document::parse(text.to_owned(), format).expect("valid");
        let json = Value::of(&doc).map(|value| value.to_json().to_string());
        assert_eq!(json.unwrap_or_else(|error| error.to_string()), expected);
    }

    fn yaml(text: &str, expected: &str) {
        check(Format::Yaml, text, expected);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let digits = "123456789012345678901234567890";
        yaml(&format!("a: {digits}"), &format!("{{\"a\":{digits}}}"));
        yaml(&format!("a: -0.{digits}e-5"), &format!("{{\"a\":-0.{digits}e-5}}"));
        yaml(
            "a: [1.10, +7, .5, -.50, 5., 0x1F, 0o17, 1e3, -0.0]",
            r#"{"a":[1.10,7,0.5,-0.50,5,31,15,1e3,-0.0]}"#,
        );
        check(Format::Toml, "a = [1_000, +1.50, 0xff]", r#"{"a":[1000,1.50,255]}"#);
        check(Format::Json, &format!("{{\"a\":{digits}.0}}"), &format!("{{\"a\":{digits}.0}}"));
        yaml("a: {b: [.inf]}", "line 1, column 9: [\"a\"][\"b\"][0]: a number that is not finite");
    }

    #[test]
    fn values_are_what_programs_read() {
        yaml(
            "# why\nt: \"a\\\"b\\n\\u0001é\"\n'': {l: [null, ~, yes, true, 'true'], m: {}, n: []}\n",
            "{\"t\":\"a\\\"b\\n\\u0001é\",\"\":{\"l\":[null,null,\"yes\",true,\"true\"],\"m\":{},\"n\":[]}}",
        );
        yaml(
            "b: !!binary /w==\nt: !!binary aGk=\nd: 2020-01-02",
            r#"{"b":"/w==","t":"hi","d":"2020-01-02T00:00:00Z"}"#,
        );
        yaml(
            "a: &x [1, &y {k: v}]\nb: [*x, *y]",
            r#"{"a":[1,{"k":"v"}],"b":[[1,{"k":"v"}],{"k":"v"}]}"#,
        );
        yaml("a: 1\n---\nb: 2\n---\n", r#"{"a":1,"b":2}"#);
        check(
            Format::Toml,
            "d = 2020-01-02\n[a.b]\nc = true",
            r#"{"d":"2020-01-02","a":{"b":{"c":true}}}"#,
        );
        assert_eq!(Value::of_content(b"\xff").to_json().as_str(), r#"{"data":"/w=="}"#);
        assert_eq!(
            (bytes_of("/w=="), bytes_of("aGk="), bytes_of("a")),
            (Some(vec![0xff]), None, None)
        );
    }

    #[test]
    fn what_has_no_name_or_two_is_refused() {
        yaml("- 1", "line 1, column 1: the values at the root are no map: nothing names them");
        yaml("a: 1\n---\na: 2", "line 3, column 1: the key [\"a\"] stands in two documents");
        let deep = format!("a: {}{}", "[".repeat(300), "]".repeat(300));
        let doc = Document::parse(deep, Format::Yaml).expect("valid");
        assert!(Value::of(&doc).is_err_and(|it| it.to_string().contains("nested too deep")));
    }

    #[test]
    fn equal_is_what_means_the_same() {
        let parse = |text: &str| Value::parse(text).expect("a map");
        for (a, b, same) in [
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":10e-1}"#, true),
            (r#"{"a":0}"#, r#"{"a":-0.00}"#, true),
            (r#"{"a":1e21}"#, r#"{"a":1000000000000000000000}"#, true),
            (r#"{"a":12345678901234567890}"#, r#"{"a":12345678901234567891}"#, false),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, false),
            (r#"{"a":1}"#, r#"{"a":-1}"#, false),
            (r#"{"a":null}"#, r#"{}"#, false),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false),
        ] {
            assert_eq!(parse(a).same(&parse(b)), same, "{a} {b}");
        }
    }

    #[test]
    fn a_number_that_a_float_rounds_is_found() {
        for (text, path) in [
            (r#"{"a":[0.1,1.10,1e3,9007199254740992,-2.50e-3]}"#, None),
            (r#"{"a":[1,9007199254740993]}"#, Some("[\"a\"][1]")),
            (r#"{"a":{"b":3.14159265358979323846}}"#, Some("[\"a\"][\"b\"]")),
            (r#"{"a":"123456789012345678901234567890"}"#, None),
        ] {
            let found = Value::parse(text).expect("a map").first_rounded();
            assert_eq!(found.map(|path| path.to_string()).as_deref(), path, "{text}");
        }
    }
}
