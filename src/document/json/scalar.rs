//! What a JSON token stands for, and how a value is spelled as one.
//!
//! Invariant: what [`write`] writes for a string, [`read`] reads as the same string.

use std::borrow::Cow;

use super::super::{Document, NodeId, ParseError, Style};
use crate::value::{Scalar, ScalarType};

/// The value of a token, by SOPS' rules for numbers.
pub(super) fn read(doc: &Document, id: NodeId) -> Result<Scalar<'_>, ParseError> {
    let source = doc.source(id);
    let start = doc.node(id).span().start();
    if doc.node(id).style() == Style::Double {
        return match decode(source) {
            Some(text) => Ok(Scalar::str(text)),
            None => Err(ParseError::at(
                doc.text(),
                start + lone_surrogate(source).unwrap_or(0),
                "a string holds half of a surrogate pair, which is no character",
            )),
        };
    }
    match source {
        "true" => return Ok(Scalar::bool(true)),
        "false" => return Ok(Scalar::bool(false)),
        "null" => return Ok(Scalar::null()),
        _ => {}
    }
    if let Ok(number) = source.parse::<i64>() {
        return Ok(Scalar::int(number));
    }
    match source.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Scalar::float(number)),
        _ => Err(ParseError::at(doc.text(), start, "the number is larger than a float can be")),
    }
}

/// The text of a string token, quotes included; `None` if it holds half of a surrogate pair.
pub(super) fn decode(token: &str) -> Option<Cow<'_, str>> {
    if !token.contains('\\') {
        return Some(Cow::Borrowed(token.get(1..token.len().checked_sub(1)?)?));
    }
    serde_json::from_str::<String>(token).ok().map(Cow::Owned)
}

/// Where in a valid string token a `\u` escape is half of a surrogate pair.
pub(super) fn lone_surrogate(token: &str) -> Option<usize> {
    let bytes = token.as_bytes();
    let mut at = 0;
    while let Some(offset) = memchr::memchr(b'\\', bytes.get(at..)?) {
        at += offset;
        match unit(token, at) {
            None => at += 2,
            Some(0xd800..=0xdbff) => match unit(token, at + 6) {
                Some(0xdc00..=0xdfff) => at += 12,
                _ => return Some(at),
            },
            Some(0xdc00..=0xdfff) => return Some(at),
            Some(_) => at += 6,
        }
    }
    None
}

/// The UTF-16 unit of the `\u` escape at `at`, if there is one.
fn unit(token: &str, at: usize) -> Option<u16> {
    let digits = token.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// Appends the canonical spelling of a value.
pub(super) fn write(value: &Scalar<'_>, out: &mut String) {
    let text = value.text().map_or_else(|| String::from_utf8_lossy(&value.bytes), Cow::Borrowed);
    match value.kind {
        ScalarType::Null => out.push_str("null"),
        ScalarType::Bool => out.push_str(if &*text == "True" { "true" } else { "false" }),
        ScalarType::Int => out.push_str(&text),
        // Without the point it would be the integer 0.
        ScalarType::Float if text == "-0" => out.push_str("-0.0"),
        ScalarType::Float if !text.ends_with(['N', 'f']) => out.push_str(&text),
        ScalarType::Float
        | ScalarType::Str
        | ScalarType::Time
        | ScalarType::DatetimeLocal
        | ScalarType::DateLocal
        | ScalarType::TimeLocal
        | ScalarType::Bytes
        | ScalarType::Comment => write_string(&text, Escapes::Needed, out),
    }
}

/// Which characters are escaped in a string.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Those that JSON demands.
    Needed,
    /// Those that Go's encoder escapes too, and so SOPS: `<`, `>`, `&`, U+2028, U+2029.
    Go,
}

/// Appends a string with its quotes.
pub(super) fn write_string(text: &str, escapes: Escapes, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    // Most have nothing to escape, which is seen in many bytes at once.
    let special =
        |byte: u8| byte < 0x20 || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
    let any = text.bytes().fold(false, |any, byte| any | special(byte));
    let mut done = 0;
    for (at, c) in text.char_indices().take_while(|_| any) {
        if !needs_escape(c, escapes) {
            continue;
        }
        out.push_str(&text[done..at]);
        done = at + c.len_utf8();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}

fn needs_escape(c: char, escapes: Escapes) -> bool {
    match c {
        '"' | '\\' | '\0'..='\u{1f}' => true,
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escapes == Escapes::Go,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Escapes, decode, lone_surrogate, write_string};

    #[test]
    fn strings_are_escaped_as_serde_json_does() {
        let text: String = ('\0'..='\u{2fff}').collect();
        let mut out = String::new();
        write_string(&text, Escapes::Needed, &mut out);
        assert_eq!(Some(out.as_str()), serde_json::to_string(&text).ok().as_deref());
        assert_eq!(decode(&out).as_deref(), Some(text.as_str()));
    }

    #[test]
    fn go_escapes_what_html_needs() {
        let mut out = String::new();
        write_string("<a>&\u{2028}é\u{7f}", Escapes::Go, &mut out);
        assert_eq!(out, "\"\\u003ca\\u003e\\u0026\\u2028é\u{7f}\"");
    }

    #[test]
    fn half_a_pair_is_found() {
        assert_eq!(lone_surrogate(r#""\\ud800 \ud83d\ude00""#), None);
        assert_eq!(lone_surrogate(r#""a\ud83dx""#), Some(2));
        assert_eq!(lone_surrogate(r#""\ud83d\n""#), Some(1));
        assert_eq!(lone_surrogate(r#""\ude00""#), Some(1));
    }
}
