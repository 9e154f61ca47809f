//! Trees as YAML: by lines as SOPS lays them out, or in brackets as JSON has them.
//!
//! Invariant: what is written in brackets is JSON wherever JSON can hold the tree (strings and keys
//! double-quoted), so that it may stand in a JSON file that a YAML reader is given.

use super::literal::{self, Chomp};
use super::place::{SOPS_STEP, below};
use super::quote;
use super::write::{bare, push_binary};
use crate::value::{Scalar, Tree};

/// How strings of more than one line are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Blocks {
    /// As literal blocks.
    All,
    /// As literal blocks, but for one that would own empty lines behind it: others may follow.
    Closed,
    /// In quotes: something follows on the last line.
    None,
}

/// How a tree is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    pub(super) step: usize,
    pub(super) line_break: &'a str,
    pub(super) blocks: Blocks,
}

/// Keys that SOPS writes behind a `?`; from 1024 characters on every writer has to.
const LONG_KEY: usize = 128;

/// A whole document.
pub(super) fn emit(tree: &Tree) -> String {
    let layout = Layout { step: SOPS_STEP, line_break: "\n", blocks: Blocks::All };
    let mut out = String::new();
    if is_inline(tree) {
        push_inline(tree, 0, &layout, &mut out);
        out.push('\n');
    } else {
        push_lines(tree, 0, &layout, &mut out);
    }
    out
}

/// Whether a tree takes no lines of its own below its key.
pub(super) fn is_inline(tree: &Tree) -> bool {
    match tree {
        Tree::Scalar(_) => true,
        Tree::Map(entries) => entries.is_empty(),
        Tree::List(items) => items.is_empty(),
    }
}

/// Appends the entries or items of a collection that has some. The first is put where `out` ends,
/// at this column; each ends with a line break.
pub(super) fn push_lines(tree: &Tree, column: usize, layout: &Layout<'_>, out: &mut String) {
    let margin = |index: usize, out: &mut String| {
        if index > 0 {
            push_spaces(column, out);
        }
    };
    match tree {
        Tree::Scalar(_) => {}
        Tree::Map(entries) => {
            for (index, (key, value)) in entries.iter().enumerate() {
                margin(index, out);
                push_entry(key, value, column, layout, out);
            }
        }
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                margin(index, out);
                push_item(item, column, layout, out);
            }
        }
    }
}

/// Appends `key: value` and its line break; `out` ends at this column.
pub(super) fn push_entry(
    key: &str,
    value: &Tree,
    column: usize,
    layout: &Layout<'_>,
    out: &mut String,
) {
    let start = out.len();
    quote::push_free(key, false, out);
    if out.len() - start > LONG_KEY {
        out.insert_str(start, "? ");
        out.push_str(layout.line_break);
        push_spaces(column, out);
    }
    push_value(value, column, layout, out);
}

/// Appends `: value` and its line break, of a key at this column.
pub(super) fn push_value(value: &Tree, column: usize, layout: &Layout<'_>, out: &mut String) {
    out.push(':');
    if is_inline(value) {
        out.push(' ');
        push_inline(value, column, layout, out);
        out.push_str(layout.line_break);
        return;
    }
    let column = below(column, layout.step);
    out.push_str(layout.line_break);
    push_spaces(column, out);
    push_lines(value, column, layout, out);
}

/// Appends `- item` and its line break; `out` ends at this column.
pub(super) fn push_item(item: &Tree, column: usize, layout: &Layout<'_>, out: &mut String) {
    out.push_str("- ");
    if is_inline(item) {
        push_inline(item, column, layout, out);
        out.push_str(layout.line_break);
    } else {
        push_lines(item, column + 2, layout, out);
    }
}

/// Appends a scalar or an empty collection, without a line break. `column`: that of its parent.
pub(super) fn push_inline(tree: &Tree, column: usize, layout: &Layout<'_>, out: &mut String) {
    match tree {
        Tree::Map(_) => out.push_str("{}"),
        Tree::List(_) => out.push_str("[]"),
        Tree::Scalar(scalar) => push_scalar(scalar, column, layout, out),
    }
}

fn push_scalar(scalar: &Scalar<'_>, column: usize, layout: &Layout<'_>, out: &mut String) {
    let Some(text) = scalar.text() else { return push_binary(&scalar.bytes, out) };
    if let Some(text) = bare(scalar.kind, text) {
        return out.push_str(text);
    }
    if !is_literal(text, layout.blocks) {
        return quote::push_free(text, false, out);
    }
    let body = below(column, layout.step);
    let content = literal::content(text);
    let indicator = literal::needs_indicator(text).then_some(body - column);
    literal::push_header(false, indicator, literal::chomp(text), out);
    literal::push_lines(content, body, layout.line_break, out);
    // One line break more comes from the caller, as behind every value.
    let empty_lines = (text.len() - content.len()).saturating_sub(1);
    out.extend(std::iter::repeat_n(layout.line_break, empty_lines));
}

/// Whether SOPS would write a literal block.
fn is_literal(text: &str, blocks: Blocks) -> bool {
    let may_be = match blocks {
        Blocks::All => true,
        Blocks::Closed => literal::chomp(text) != Chomp::Keep,
        Blocks::None => false,
    };
    may_be
        && text.contains('\n')
        && literal::holds(text)
        && !text.contains(" \n")
        && !text.ends_with(' ')
        && text.chars().all(|c| c <= '\u{ffff}')
}

/// Appends a tree in brackets on one line.
pub(super) fn push_flow(tree: &Tree, out: &mut String) {
    match tree {
        Tree::Scalar(scalar) => push_flow_scalar(scalar, out),
        Tree::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_flow_key(key, out);
                push_flow(value, out);
            }
            out.push('}');
        }
        Tree::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_flow(item, out);
            }
            out.push(']');
        }
    }
}

/// Where a tree in brackets over many lines stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowLines<'a> {
    /// The white space before the line that the tree starts on.
    pub(super) margin: &'a str,
    /// One step of indentation.
    pub(super) unit: &'a str,
    pub(super) line_break: &'a str,
}

/// Appends a tree in brackets, a member per line.
pub(super) fn push_flow_lines(tree: &Tree, depth: usize, at: &FlowLines<'_>, out: &mut String) {
    let new_line = |depth: usize, out: &mut String| {
        out.push_str(at.line_break);
        out.push_str(at.margin);
        out.extend(std::iter::repeat_n(at.unit, depth));
    };
    match tree {
        Tree::Map(entries) if !entries.is_empty() => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                new_line(depth + 1, out);
                push_flow_key(key, out);
                push_flow_lines(value, depth + 1, at, out);
            }
            new_line(depth, out);
            out.push('}');
        }
        Tree::List(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                new_line(depth + 1, out);
                push_flow_lines(item, depth + 1, at, out);
            }
            new_line(depth, out);
            out.push(']');
        }
        Tree::Scalar(_) | Tree::Map(_) | Tree::List(_) => push_flow(tree, out),
    }
}

/// Appends `"key": `.
pub(super) fn push_flow_key(key: &str, out: &mut String) {
    let start = out.len();
    quote::push_double(key, out);
    if out.len() - start > 1_000 {
        out.insert_str(start, "? ");
        out.push(' ');
    }
    out.push_str(": ");
}

fn push_flow_scalar(scalar: &Scalar<'_>, out: &mut String) {
    let Some(text) = scalar.text() else { return push_binary(&scalar.bytes, out) };
    match bare(scalar.kind, text) {
        Some(text) => out.push_str(text),
        None => quote::push_double(text, out),
    }
}

pub(super) fn push_spaces(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}

#[cfg(test)]
mod tests {
    use super::{FlowLines, emit, push_flow, push_flow_lines};
    use crate::value::{Scalar, Tree};

    fn map(entries: &[(&str, Tree)]) -> Tree {
        Tree::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    #[track_caller]
    fn check(tree: &Tree, expect: &str) {
        assert_eq!(emit(tree), expect);
    }

    fn metadata() -> Tree {
        let age =
            map(&[("recipient", Tree::str("age1q")), ("enc", Tree::str("-----\nab\n-----\n"))]);
        map(&[(
            "sops",
            map(&[
                ("age", Tree::List(vec![age])),
                ("kms", Tree::List(vec![])),
                ("lastmodified", Tree::str("2026-01-02T03:04:05Z")),
                ("mac", Tree::str("ENC[AES256_GCM,data:a=,iv:b=,tag:c=,type:str]")),
                ("version", Tree::str("3.13.3")),
            ]),
        )])
    }

    #[test]
    fn metadata_looks_as_sops_writes_it() {
        check(
            &metadata(),
            "sops:\n    age:\n        - recipient: age1q\n          enc: |\n            -----\n            \
             ab\n            -----\n    kms: []\n    lastmodified: \"2026-01-02T03:04:05Z\"\n    mac: \
             ENC[AES256_GCM,data:a=,iv:b=,tag:c=,type:str]\n    version: 3.13.3\n",
        );
    }

    #[test]
    fn values_of_every_type() {
        let tree = map(&[
            ("y", Tree::Scalar(Scalar::bool(true))),
            ("n u", Tree::Scalar(Scalar::null())),
            ("f", Tree::Scalar(Scalar::float(f64::NEG_INFINITY))),
            ("b", Tree::Scalar(Scalar::new(crate::value::ScalarType::Str, vec![0xff]))),
            ("k", Tree::str("a\n\n")),
            ("s", Tree::str(" a\nb")),
            ("t", Tree::str("a \nb")),
            ("l", Tree::List(vec![Tree::List(vec![Tree::str("a"), Tree::Map(vec![])])])),
        ]);
        check(
            &tree,
            "\"y\": true\nn u: null\nf: -.inf\nb: !!binary /w==\nk: |+\n    a\n\ns: |4-\n     a\n    b\nt: \"a \
             \\nb\"\nl:\n    - - a\n      - {}\n",
        );
        check(&Tree::Map(vec![]), "{}\n");
        check(&Tree::str("x"), "x\n");
    }

    #[test]
    fn long_keys_are_explicit() {
        let key = "k".repeat(129);
        check(&map(&[(&key, Tree::str("v"))]), &format!("? {key}\n: v\n"));
    }

    #[test]
    fn brackets_are_json() {
        let mut out = String::new();
        push_flow(&metadata(), &mut out);
        assert_eq!(
            out,
            r#"{"sops": {"age": [{"recipient": "age1q", "enc": "-----\nab\n-----\n"}], "kms": [], "lastmodified": "2026-01-02T03:04:05Z", "mac": "ENC[AES256_GCM,data:a=,iv:b=,tag:c=,type:str]", "version": "3.13.3"}}"#
        );
        let mut out = String::new();
        let at = FlowLines { margin: "\t", unit: "\t", line_break: "\r\n" };
        push_flow_lines(
            &map(&[("a", Tree::List(vec![Tree::str("b")])), ("c", Tree::Map(vec![]))]),
            0,
            &at,
            &mut out,
        );
        assert_eq!(out, "{\r\n\t\t\"a\": [\r\n\t\t\t\"b\"\r\n\t\t],\r\n\t\t\"c\": {}\r\n\t}");
    }
}
