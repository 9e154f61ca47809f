//! Entries taken out.
//!
//! Invariants: a table goes with all of its headers and lines; comments above it and behind its last
//! line stay; a table that loses its last entry stays as an empty one, an array of tables that loses
//! its last table goes with its key.

use super::super::{Document, NodeId, NodeKind};
use super::flow;
use super::place::{Place, brackets, inside, line_end, line_start};
use crate::text::{Edits, Span};

/// See [`Document::remove`]. The root stays.
pub(super) fn remove(doc: &Document, id: NodeId) -> Edits {
    let parent = doc.node(id).parent();
    let mut gone = match (doc.node(id).kind(), doc.node(parent).kind()) {
        (NodeKind::Key, _) | (_, NodeKind::List) => id,
        (_, NodeKind::Key) => parent,
        _ => return Edits::new(),
    };
    if let Some(flow) = brackets(doc, doc.node(gone).parent()) {
        return flow::remove(doc, flow, gone);
    }
    let holder = doc.node(gone).parent();
    if doc.node(holder).kind() == NodeKind::List && doc.items(holder).nth(1).is_none() {
        gone = doc.node(holder).parent();
    }

    let place = Place::new(doc);
    let marks = inside(doc, gone);
    let mut pieces = lines_of(&place, &marks);
    let holder = doc.node(gone).parent();
    let around = inside(doc, holder);
    let is_root = doc.node(doc.node(holder).parent()).kind() == NodeKind::Document;
    let is_left = place
        .statements
        .iter()
        .any(|statement| around[statement.target.index()] && !marks[statement.target.index()]);
    if is_root || is_left || doc.node(holder).kind() == NodeKind::List {
        return apply(pieces);
    }

    // Nothing else speaks of the table around: it stays, empty.
    let first = place.statements.iter().find(|statement| marks[statement.target.index()]);
    if let (Some(first), Some(piece)) = (first, pieces.first_mut()) {
        let prefix = place.prefix(first, holder);
        if first.is_header {
            piece.1 = format!("[{prefix}]{}", place.line_break);
        } else {
            let start = first.span.start() + prefix.len();
            *piece = (Span::new(start, first.span.end()), " = {}".to_owned());
        }
    }
    apply(pieces)
}

/// The lines of all statements about marked nodes, each to be replaced by nothing.
pub(super) fn lines_of(place: &Place<'_>, marks: &[bool]) -> Vec<(Span, String)> {
    let mut pieces: Vec<(Span, String)> = Vec::new();
    let mut in_table = false;
    for statement in &place.statements {
        if !marks[statement.target.index()] {
            in_table = false;
            continue;
        }
        let end = line_end(place.text, statement.span.end());
        match pieces.last_mut() {
            // What stands between the lines of a table goes with it.
            Some(piece) if in_table => piece.0 = Span::new(piece.0.start(), end),
            _ => {
                let start = line_start(place.text, statement.span.start());
                pieces.push((Span::new(start, end), String::new()));
            }
        }
        in_table |= statement.is_header;
    }
    pieces
}

pub(super) fn apply(pieces: Vec<(Span, String)>) -> Edits {
    let mut edits = Edits::new();
    for (span, text) in pieces {
        edits.push(span, &text);
    }
    edits
}
