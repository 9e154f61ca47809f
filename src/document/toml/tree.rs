//! Trees as TOML text: on one line, as a table with headers, as a whole text.
//!
//! Invariant: no recursion deeper than [`MAX_HEADER`], however deep the tree.

use super::super::{EditError, Style};
use super::write::{write_inline, write_key, write_string};
use crate::value::{ScalarType, Tree};

/// Tables nested deeper than this are written in brackets: headers would grow with the depth.
const MAX_HEADER: usize = 32;

/// A whole text: values first, then tables.
pub(super) fn emit(tree: &Tree) -> Result<String, EditError> {
    check(tree)?;
    let Tree::Map(entries) = tree else {
        return Err(inexpressible("a document that is no table"));
    };
    let mut out = String::new();
    Section { line_break: "\n", apart: true }.body(entries, "", 0, &mut out);
    Ok(out)
}

pub(super) fn inexpressible(what: &'static str) -> EditError {
    EditError::Inexpressible { format: "TOML", what }
}

/// Whether TOML can hold the tree: it has no null, and each key once.
pub(super) fn check(tree: &Tree) -> Result<(), EditError> {
    let mut open = vec![tree];
    while let Some(tree) = open.pop() {
        match tree {
            Tree::Scalar(scalar) if scalar.kind == ScalarType::Null => {
                return Err(inexpressible("a null"));
            }
            Tree::Scalar(_) => {}
            Tree::Map(entries) => {
                let mut seen = std::collections::HashSet::new();
                if !entries.iter().all(|(key, _)| seen.insert(key)) {
                    return Err(inexpressible("a key twice"));
                }
                open.extend(entries.iter().map(|(_, value)| value));
            }
            Tree::List(items) => open.extend(items),
        }
    }
    Ok(())
}

/// Tables written with headers.
pub(super) struct Section<'a> {
    pub(super) line_break: &'a str,
    /// Whether a blank line stands before each header.
    pub(super) apart: bool,
}

impl Section<'_> {
    /// Appends `[path]` or `[[path]]` and the table; `path` is the header's text without brackets.
    pub(super) fn table(
        &self,
        path: &str,
        is_item: bool,
        entries: &[(String, Tree)],
        depth: usize,
        out: &mut String,
    ) {
        if self.apart && !out.is_empty() {
            out.push_str(self.line_break);
        }
        let (open, close) = if is_item { ("[[", "]]") } else { ("[", "]") };
        for piece in [open, path, close, self.line_break] {
            out.push_str(piece);
        }
        self.body(entries, path, depth, out);
    }

    fn body(&self, entries: &[(String, Tree)], path: &str, depth: usize, out: &mut String) {
        let has_header = |value: &Tree| match value {
            _ if depth >= MAX_HEADER => false,
            Tree::Map(_) => true,
            Tree::List(items) => {
                !items.is_empty() && items.iter().all(|item| matches!(item, Tree::Map(_)))
            }
            Tree::Scalar(_) => false,
        };
        for (key, value) in entries.iter().filter(|(_, value)| !has_header(value)) {
            write_key(key, out);
            out.push_str(" = ");
            write_value(value, self.line_break, out);
            out.push_str(self.line_break);
        }
        for (key, value) in entries.iter().filter(|(_, value)| has_header(value)) {
            let mut path = path.to_owned();
            if !path.is_empty() {
                path.push('.');
            }
            write_key(key, &mut path);
            match value {
                Tree::Map(entries) => self.table(&path, false, entries, depth + 1, out),
                Tree::List(items) => {
                    for item in items {
                        let Tree::Map(entries) = item else {
                            continue;
                        };
                        self.table(&path, true, entries, depth + 1, out);
                    }
                }
                Tree::Scalar(_) => {}
            }
        }
    }
}

/// Appends the value of a pair: a string of several lines as such, all else on one line.
pub(super) fn write_value(value: &Tree, line_break: &str, out: &mut String) {
    match value {
        Tree::Scalar(scalar) if scalar.kind == ScalarType::Str && scalar.bytes.contains(&b'\n') => {
            let text = String::from_utf8_lossy(&scalar.bytes);
            write_string(&text, Style::MultiDouble, line_break, out);
        }
        _ => write_on_one_line(value, out),
    }
}

/// Appends a value without line breaks.
pub(super) fn write_on_one_line(tree: &Tree, out: &mut String) {
    let mut open: Vec<Level<'_>> = Vec::new();
    let mut next = Some(tree);
    loop {
        match next.take() {
            None => {}
            Some(Tree::Scalar(scalar)) => write_inline(scalar, out),
            Some(Tree::Map(entries)) if entries.is_empty() => out.push_str("{}"),
            Some(Tree::Map(entries)) => {
                out.push_str("{ ");
                open.push(Level::Map(entries.iter()));
            }
            Some(Tree::List(items)) => {
                out.push('[');
                open.push(Level::List(items.iter()));
            }
        }
        let Some(level) = open.last_mut() else {
            return;
        };
        let (step, open_end, close) = match level {
            Level::Map(entries) => {
                (entries.next().map(|(key, value)| (Some(key), value)), "{ ", " }")
            }
            Level::List(items) => (items.next().map(|value| (None, value)), "[", "]"),
        };
        let Some((key, value)) = step else {
            out.push_str(close);
            open.pop();
            continue;
        };
        if !out.ends_with(open_end) {
            out.push_str(", ");
        }
        if let Some(key) = key {
            write_key(key, out);
            out.push_str(" = ");
        }
        next = Some(value);
    }
}

enum Level<'t> {
    Map(std::slice::Iter<'t, (String, Tree)>),
    List(std::slice::Iter<'t, Tree>),
}
