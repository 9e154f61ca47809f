//! Entries and items put at the end of a collection, in the style of their neighbours.
//!
//! Invariants: an insertion replaces nothing, and [`super::remove`] takes it out again; at the root of
//! a document it stands behind everything else, comments too, since metadata goes there.

use super::emit::{self, Blocks, FlowLines, Layout};
use super::extent::{content_end, document_end, is_pair, lines_end, members};
use super::place::{comment_follows, line_start, margin, step};
use crate::document::{Document, EditError, Entry, NodeId, NodeKind, Style};
use crate::text::{Edits, Span, line_break};

/// Inserts entries or items.
pub(super) fn insert(
    doc: &Document,
    container: NodeId,
    entries: &[Entry<'_>],
) -> Result<Edits, EditError> {
    let node = doc.node(container);
    let Some(&(key, _)) = entries.first() else { return Ok(Edits::new()) };
    match (node.kind(), key) {
        _ if entries.iter().any(|(other, _)| other.is_some() != key.is_some()) => {
            Err(inexpressible("entries among items"))
        }
        (NodeKind::Document, _) => match (members(doc, container).next(), key) {
            (Some(value_id), _) => insert(doc, value_id, entries),
            (None, Some(_)) => Ok(by_lines(doc, container, entries, document_end(doc, container))),
            (None, None) => Err(inexpressible("an item without a list")),
        },
        (NodeKind::Map, Some(_)) | (NodeKind::List, None) if node.style() == Style::Flow => {
            in_brackets(doc, container, entries)
        }
        (NodeKind::Map, Some(_)) | (NodeKind::List, None) => {
            let at = if doc.node(node.parent()).kind() == NodeKind::Document {
                document_end(doc, node.parent())
            } else {
                lines_end(doc.text(), content_end(doc, container, false))
            };
            Ok(by_lines(doc, container, entries, at))
        }
        (NodeKind::Map, None) => Err(inexpressible("an entry without a key")),
        (NodeKind::List, Some(_)) => Err(inexpressible("a key in a list")),
        (
            NodeKind::Key
            | NodeKind::Scalar
            | NodeKind::Alias
            | NodeKind::Comment
            | NodeKind::Anchor
            | NodeKind::Tag,
            _,
        ) => Err(inexpressible("an entry of a scalar")),
    }
}

pub(super) fn inexpressible(what: &'static str) -> EditError {
    EditError::Inexpressible { format: "yaml", what }
}

/// The layout of lines put beside those of this container.
pub(super) fn layout(doc: &Document, container: NodeId, blocks: Blocks) -> Layout<'_> {
    Layout { step: step(doc, container), line_break: line_break(doc.text()), blocks }
}

fn by_lines(doc: &Document, container: NodeId, entries: &[Entry<'_>], at: usize) -> Edits {
    let column = match doc.node(container).kind() {
        NodeKind::Document => 0,
        _ => doc.node(container).indent(),
    };
    let follows = comment_follows(&doc.text()[at..], column);
    let layout = layout(doc, container, if follows { Blocks::None } else { Blocks::Closed });
    let before = &doc.text()[..at];
    let is_open =
        !before.trim_start_matches('\u{feff}').is_empty() && !before.ends_with(['\n', '\r']);
    let mut edits = Edits::new();
    edits.push_with(Span::at(at), |out| {
        if is_open {
            out.push_str(layout.line_break);
        }
        for (key, value) in entries {
            emit::push_spaces(column, out);
            match key {
                Some(key) => emit::push_entry(key, value, column, &layout, out),
                None => emit::push_item(value, column, &layout, out),
            }
        }
    });
    edits
}

fn is_in_block(doc: &Document, id: NodeId) -> bool {
    let mut at = id;
    while doc.node(at).parent() != at && doc.node(at).style() != Style::Block {
        at = doc.node(at).parent();
    }
    doc.node(at).style() == Style::Block
}

fn in_brackets(
    doc: &Document,
    container: NodeId,
    entries: &[Entry<'_>],
) -> Result<Edits, EditError> {
    let text = doc.text();
    let span = doc.node(container).span();
    if is_pair(doc, container) {
        return Err(inexpressible("a second entry in a pair without braces"));
    }
    let last = members(doc, container).last();
    let at = last.map_or(span.end() - 1, |last| content_end(doc, last, false));
    let line_of = |at: usize| line_start(text, at);
    let lines = last
        .map(|last| doc.node(last).span().start())
        .filter(|&start| line_of(start) != line_of(span.start()))
        // Below a block collection no tab may indent.
        .filter(|&start| !margin(text, start).contains('\t') || !is_in_block(doc, container));
    let mut edits = Edits::new();
    let put = |(index, (key, value)): (usize, &Entry<'_>), out: &mut String| {
        let is_first = last.is_none() && index == 0;
        if !is_first {
            // Some readers take `?,` and `:,` for text.
            let before = if index == 0 { &text[..at] } else { out.as_str() };
            let comma = if before.ends_with(['?', ':']) { " ," } else { "," };
            out.push_str(comma);
        }
        let Some(start) = lines else {
            if !is_first {
                out.push(' ');
            }
            if let Some(key) = key {
                emit::push_flow_key(key, out);
            }
            return emit::push_flow(value, out);
        };
        let margin_here = margin(text, start);
        let unit =
            margin_here.strip_prefix(margin(text, span.start())).filter(|unit| !unit.is_empty());
        let file_break = line_break(text);
        out.push_str(file_break);
        out.push_str(margin_here);
        if let Some(key) = key {
            emit::push_flow_key(key, out);
        }
        let at =
            FlowLines { margin: margin_here, unit: unit.unwrap_or("  "), line_break: file_break };
        emit::push_flow_lines(value, 0, &at, out);
    };
    edits.push_with(Span::at(at), |out| {
        entries.iter().enumerate().for_each(|entry| put(entry, out));
    });
    Ok(edits)
}
