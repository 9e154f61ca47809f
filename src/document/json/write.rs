//! Whole trees as JSON text.
//!
//! Invariant: no recursion, however deep the tree.

use super::super::EditError;
use super::layout::Layout;
use super::scalar::{Escapes, write, write_string};
use crate::value::{ScalarType, Tree};

/// A text as SOPS lays it out: tabs, Go's escapes, a line break at the end.
pub(super) fn emit(tree: &Tree) -> Result<String, EditError> {
    check(tree)?;
    let mut out = String::new();
    write_tree(tree, &Layout::SOPS, "", &mut out);
    out.push('\n');
    Ok(out)
}

/// Whether JSON can hold the tree.
pub(super) fn check(tree: &Tree) -> Result<(), EditError> {
    let mut open = vec![tree];
    while let Some(tree) = open.pop() {
        match tree {
            Tree::Scalar(scalar)
                if scalar.kind == ScalarType::Float
                    && matches!(scalar.bytes.last(), Some(b'N' | b'f')) =>
            {
                let what = "a float that is infinite or not a number";
                return Err(EditError::Inexpressible { format: "JSON", what });
            }
            Tree::Scalar(_) => {}
            Tree::Map(entries) => open.extend(entries.iter().map(|(_, value)| value)),
            Tree::List(items) => open.extend(items),
        }
    }
    Ok(())
}

/// Appends a tree. `indent`: of the line that it starts on.
pub(super) fn write_tree(tree: &Tree, layout: &Layout<'_>, indent: &str, out: &mut String) {
    let mut open: Vec<Level<'_>> = Vec::new();
    let mut next = Some(tree);
    loop {
        match next.take() {
            None => {}
            Some(Tree::Scalar(scalar)) if scalar.kind == ScalarType::Str => {
                write_string(&String::from_utf8_lossy(&scalar.bytes), layout.escapes, out);
            }
            Some(Tree::Scalar(scalar)) => write(scalar, out),
            Some(Tree::Map(entries)) if entries.is_empty() => out.push_str("{}"),
            Some(Tree::List(items)) if items.is_empty() => out.push_str("[]"),
            Some(Tree::Map(entries)) => {
                out.push('{');
                open.push(Level::Map(entries, 0));
            }
            Some(Tree::List(items)) => {
                out.push('[');
                open.push(Level::List(items, 0));
            }
        }
        let depth = open.len();
        let Some(level) = open.last_mut() else {
            return;
        };
        match level.step() {
            Some((first, key, value)) => {
                layout.separate(first, indent, depth, out);
                if let Some(key) = key {
                    write_string(key, layout.escapes, out);
                    out.push_str(layout.colon);
                }
                next = Some(value);
            }
            None => {
                layout.line(indent, depth - 1, out);
                out.push(level.close());
                open.pop();
            }
        }
    }
}

/// A collection that is being written, and how many of its entries are done.
enum Level<'t> {
    Map(&'t [(String, Tree)], usize),
    List(&'t [Tree], usize),
}

impl<'t> Level<'t> {
    /// The entry that follows: whether it is the first, its key if it has one, its value.
    fn step(&mut self) -> Option<(bool, Option<&'t str>, &'t Tree)> {
        match self {
            Level::Map(entries, done) => {
                let (key, value) = entries.get(*done)?;
                *done += 1;
                Some((*done == 1, Some(key), value))
            }
            Level::List(items, done) => {
                let value = items.get(*done)?;
                *done += 1;
                Some((*done == 1, None, value))
            }
        }
    }

    fn close(&self) -> char {
        match self {
            Level::Map(..) => '}',
            Level::List(..) => ']',
        }
    }
}

/// The escapes of a text that is edited in place.
pub(super) const IN_PLACE: Escapes = Escapes::Needed;
