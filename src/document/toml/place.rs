//! Where things stand: lines, what is inside what, and how a key is spelled in a statement.

use super::super::{Document, NodeId, NodeKind, Style};
use super::parse::{Statement, statements};
use super::string;
use crate::text::line_break;

/// A document with its statements.
pub(super) struct Place<'a> {
    pub(super) doc: &'a Document,
    pub(super) text: &'a str,
    pub(super) statements: Vec<Statement>,
    pub(super) line_break: &'static str,
}

impl<'a> Place<'a> {
    pub(super) fn new(doc: &'a Document) -> Self {
        let text = doc.text();
        let line_break = if line_break(text) == "\r\n" { "\r\n" } else { "\n" };
        Self { doc, text, statements: statements(text), line_break }
    }

    /// The spelling of the path down to `map` in a statement that goes through it.
    pub(super) fn prefix(&self, statement: &Statement, map: NodeId) -> &'a str {
        let text = &self.text[..statement.span.end()];
        let written = keys_above(self.doc, map);
        if statement.is_header {
            let start = statement.span.start();
            let start = start + text[start..].bytes().take_while(|&b| b == b'[').count();
            return key_prefix(text, start, written);
        }
        let written = written - keys_above(self.doc, statement.table);
        key_prefix(text, statement.span.start(), written)
    }
}

/// For each node whether it is `top` or inside it.
pub(super) fn inside(doc: &Document, top: NodeId) -> Vec<bool> {
    let mut marks = vec![false; doc.nodes().len()];
    marks[top.index()] = true;
    for (index, node) in doc.nodes().iter().enumerate().skip(top.index() + 1) {
        marks[index] = marks[node.parent().index()];
    }
    marks
}

/// The array or inline table that an entry of `container` is written in, if it is not by lines.
pub(super) fn brackets(doc: &Document, container: NodeId) -> Option<NodeId> {
    let mut at = container;
    loop {
        let node = doc.node(at);
        match (node.kind(), node.style()) {
            (NodeKind::Document, _) => return None,
            (NodeKind::Map | NodeKind::List, Style::Flow) => return Some(at),
            _ => at = node.parent(),
        }
    }
}

/// How many keys lead from the root to a node.
pub(super) fn keys_above(doc: &Document, id: NodeId) -> usize {
    let mut count = 0;
    let mut at = id;
    while doc.node(at).kind() != NodeKind::Document {
        count += usize::from(doc.node(at).kind() == NodeKind::Key);
        at = doc.node(at).parent();
    }
    count
}

/// The first `count` keys of the dotted key that starts at `at`, dots between them included.
pub(super) fn key_prefix(text: &str, at: usize, count: usize) -> &str {
    let bytes = text.as_bytes();
    let over = |from: usize, skipped: &[u8]| {
        from + bytes[from..].iter().take_while(|byte| skipped.contains(byte)).count()
    };
    let start = over(at, b" \t");
    let mut end = start;
    for _ in 0..count {
        let key = over(end, b" \t.");
        end = match bytes.get(key) {
            Some(b'"' | b'\'') => string::scan(bytes, key).map_or(key, |(end, _)| end),
            _ => {
                key + bytes[key..]
                    .iter()
                    .take_while(|&&b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
                    .count()
            }
        };
    }
    &text[start..end]
}

/// Where the line of `at` starts; the byte order mark is no part of one.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    match memchr::memrchr(b'\n', &text.as_bytes()[..at]) {
        Some(before) => before + 1,
        None if text.starts_with('\u{feff}') => '\u{feff}'.len_utf8(),
        None => 0,
    }
}

/// Behind the line break of the line of `at`, or the end of the text.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    memchr::memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |offset| at + offset + 1)
}

/// The blanks at the start of the line of `at`.
pub(super) fn indent_at(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..at];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}
