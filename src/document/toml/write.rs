//! How a value is spelled in its place.
//!
//! Invariant: what is written for a string reads back as the same string, in every style.

use std::borrow::Cow;

use super::super::{Document, NodeId, NodeKind, Style};
use crate::text::line_break;
use crate::value::{Scalar, ScalarType};

/// See [`Document::write_scalar`].
pub(super) fn write_scalar(doc: &Document, id: NodeId, value: &Scalar<'_>, out: &mut String) {
    let text = String::from_utf8_lossy(&value.bytes);
    let node = doc.node(id);
    if node.kind() == NodeKind::Comment {
        out.push('#');
        out.push_str(&text);
        return;
    }
    match (value.kind, node.style()) {
        (ScalarType::Str | ScalarType::Bytes | ScalarType::Comment, style) => {
            write_string(&text, style, line_break(doc.text()), out);
        }
        _ => write_plain(value, out),
    }
}

/// See [`Document::write_token`].
pub(super) fn write_token(doc: &Document, id: NodeId, token: &str, out: &mut String) {
    let node = doc.node(id);
    let quotes = match node.style() {
        _ if node.kind() == NodeKind::Comment => {
            out.push('#');
            out.push_str(token);
            return;
        }
        Style::Single => "'",
        Style::MultiSingle => "'''",
        Style::MultiDouble => "\"\"\"",
        _ => "\"",
    };
    out.push_str(quotes);
    out.push_str(token);
    out.push_str(quotes);
}

/// Appends a value of any type, a string as a basic one: for a place on one line.
pub(super) fn write_inline(value: &Scalar<'_>, out: &mut String) {
    match value.kind {
        ScalarType::Str | ScalarType::Bytes | ScalarType::Comment => {
            write_basic(&String::from_utf8_lossy(&value.bytes), out);
        }
        _ => write_plain(value, out),
    }
}

/// Appends a string in the given style, or the next that can hold it.
pub(super) fn write_string(text: &str, style: Style, line_break: &str, out: &mut String) {
    match style {
        Style::Single if is_literal(text, false) => {
            out.push('\'');
            out.push_str(text);
            out.push('\'');
        }
        Style::MultiSingle if is_literal(text, true) => {
            let text = open_lines("'''", text, line_break, out);
            out.push_str(&text);
            out.push_str("'''");
        }
        Style::MultiDouble if !text.contains('\r') => {
            let text = open_lines("\"\"\"", text, line_break, out);
            write_multi_basic(&text, out);
            out.push_str("\"\"\"");
        }
        _ => write_basic(text, out),
    }
}

/// Appends the opening quotes, and a line break if there are lines; gives the text to follow.
fn open_lines<'t>(quotes: &str, text: &'t str, line_break: &str, out: &mut String) -> Cow<'t, str> {
    out.push_str(quotes);
    if !text.contains('\n') {
        return text.into();
    }
    let line_break = if line_break == "\r\n" { line_break } else { "\n" };
    out.push_str(line_break);
    if line_break == "\n" { text.into() } else { text.replace('\n', line_break).into() }
}

/// Whether a literal string can hold the text.
fn is_literal(text: &str, is_multi: bool) -> bool {
    let is_bad = |c: char| match c {
        '\n' => !is_multi,
        '\'' => !is_multi,
        '\t' => false,
        _ => c.is_ascii_control(),
    };
    !text.contains(is_bad) && !text.contains("'''") && !text.ends_with('\'')
}

/// Appends a basic string with its quotes.
pub(super) fn write_basic(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ => write_character(c, out),
        }
    }
    out.push('"');
}

fn write_multi_basic(text: &str, out: &mut String) {
    let mut quotes = 0;
    for (at, c) in text.char_indices() {
        quotes = if c == '"' { quotes + 1 } else { 0 };
        match c {
            // The third of a run would close the string, as would one right before its end.
            '"' if quotes == 3 || at + 1 == text.len() => {
                out.push_str("\\\"");
                quotes = 0;
            }
            '"' | '\n' | '\t' => out.push(c),
            '\r' if text[at..].starts_with("\r\n") => out.push(c),
            _ => write_character(c, out),
        }
    }
}

fn write_character(c: char, out: &mut String) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        _ if c.is_ascii_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        _ => out.push(c),
    }
}

fn write_plain(value: &Scalar<'_>, out: &mut String) {
    let text = String::from_utf8_lossy(&value.bytes);
    match (value.kind, &*text) {
        (ScalarType::Bool, "True") => out.push_str("true"),
        (ScalarType::Bool, _) => out.push_str("false"),
        (ScalarType::Float, "NaN") => out.push_str("nan"),
        (ScalarType::Float, "+Inf") => out.push_str("inf"),
        (ScalarType::Float, "-Inf") => out.push_str("-inf"),
        (ScalarType::Float, _) => {
            out.push_str(&text);
            if !text.contains('.') {
                // Without it the number would be an integer.
                out.push_str(".0");
            }
        }
        // TOML has no null, so none comes here.
        (ScalarType::Null, _) => out.push_str("\"\""),
        _ => out.push_str(&text),
    }
}

/// Appends a key, in quotes where it needs them.
pub(super) fn write_key(key: &str, out: &mut String) {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(is_bare) {
        out.push_str(key);
    } else {
        write_basic(key, out);
    }
}
