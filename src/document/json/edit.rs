//! Members and items put in, exchanged, taken out.
//!
//! Invariant: an entry goes in behind the last one, and [`remove`] takes back exactly what
//! [`insert`] added, also the blank that it put into `{}`.

use super::super::{Document, EditError, Entry, NodeId, NodeKind};
use super::layout::{Layout, indent_at, last_line, members, white_before};
use super::scalar::write_string;
use super::write::{check, write_tree};
use crate::text::{Edits, Span};
use crate::value::Tree;

/// See [`Document::insert`].
pub(super) fn insert(
    doc: &Document,
    container: NodeId,
    entries: &[Entry<'_>],
) -> Result<Edits, EditError> {
    let Some(&(key, _)) = entries.first() else { return Ok(Edits::new()) };
    let inexpressible = |what| EditError::Inexpressible { format: "JSON", what };
    let container = match doc.node(container).kind() {
        NodeKind::Document => doc.value_of(container).unwrap_or(container),
        _ => container,
    };
    match (doc.node(container).kind(), key) {
        (NodeKind::Map, Some(_)) | (NodeKind::List, None) => {}
        (NodeKind::Map, None) => return Err(inexpressible("an entry without a key")),
        (NodeKind::List, Some(_)) => return Err(inexpressible("a key in an array")),
        _ => return Err(inexpressible("an entry")),
    }
    for (other, value) in entries {
        if other.is_some() != key.is_some() {
            return Err(inexpressible("members among items"));
        }
        check(value)?;
    }

    let text = doc.text();
    let layout = Layout::of(doc, container);
    let mut edits = Edits::new();
    let entry = |(key, value): &Entry<'_>, indent: &str, out: &mut String| {
        if let Some(key) = key {
            write_string(key, layout.escapes, out);
            out.push_str(layout.colon);
        }
        write_tree(value, &layout, indent, out);
    };
    let members = members(doc, container);
    let Some(&(start, end)) = members.last() else {
        let [first] = entries else { return Err(inexpressible("several entries in an empty one")) };
        let entry = |indent: &str, out: &mut String| entry(first, indent, out);
        insert_into_empty(doc, container, &layout, &mut edits, entry);
        return Ok(edits);
    };
    let mut white = last_line(white_before(text, start));
    if white.is_empty() && members.len() == 1 && layout.colon.ends_with(' ') {
        white = " ";
    }
    edits.push_with(Span::at(end), |out| {
        for one in entries {
            out.push(',');
            out.push_str(white);
            entry(one, indent_at(text, start), out);
        }
    });
    Ok(edits)
}

fn insert_into_empty(
    doc: &Document,
    container: NodeId,
    layout: &Layout<'_>,
    edits: &mut Edits,
    entry: impl Fn(&str, &mut String),
) {
    let span = doc.node(container).span();
    let (inner, close) = (span.start() + 1, span.end() - 1);
    if inner < close {
        // What stands in the brackets stays before the entry: so `remove` can tell.
        edits.push_with(Span::at(close), |out| entry(indent_at(doc.text(), close), out));
        return;
    }
    let indent = indent_at(doc.text(), span.start());
    edits.push_with(Span::at(inner), |out| {
        layout.line(indent, 1, out);
        let inside = format!("{indent}{}", layout.unit.unwrap_or(""));
        entry(&inside, out);
        layout.line(indent, 0, out);
    });
}

/// See [`Document::replace`].
pub(super) fn replace(doc: &Document, value: NodeId, new: &Tree) -> Result<Edits, EditError> {
    check(new)?;
    let span = doc.node(value).span();
    let mut holder = doc.node(value).parent();
    if doc.node(holder).kind() == NodeKind::Key {
        holder = doc.node(holder).parent();
    }
    let layout = match doc.node(holder).kind() {
        NodeKind::Document => Layout::of(doc, value),
        _ => Layout::of(doc, holder),
    };
    let mut edits = Edits::new();
    edits.push_with(span, |out| write_tree(new, &layout, indent_at(doc.text(), span.start()), out));
    Ok(edits)
}

/// See [`Document::remove`]. The root stays.
pub(super) fn remove(doc: &Document, id: NodeId) -> Edits {
    let mut edits = Edits::new();
    let parent = doc.node(id).parent();
    let (container, start) = match (doc.node(id).kind(), doc.node(parent).kind()) {
        (NodeKind::Key, _) | (_, NodeKind::List) => (parent, doc.node(id).span().start()),
        (_, NodeKind::Key) => (doc.node(parent).parent(), doc.node(parent).span().start()),
        _ => return edits,
    };
    let members = members(doc, container);
    let Some(index) = members.iter().position(|&(at, _)| at == start) else {
        return edits;
    };
    let (_, end) = members[index];
    let span = if index > 0 {
        Span::new(members[index - 1].1, end)
    } else if let Some(&(next, _)) = members.get(1) {
        Span::new(start, next)
    } else {
        let span = doc.node(container).span();
        let (inner, close) = (span.start() + 1, span.end() - 1);
        Span::new(if end == close { start } else { inner }, close)
    };
    edits.push(span, "");
    edits
}
