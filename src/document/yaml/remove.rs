//! Entries and items taken out of a collection, with their lines or their comma.
//!
//! Invariant: comments above an entry stay; of what [`super::insert`] put in, nothing does.

use super::extent::{content_end, entry_start, head_end, is_pair, lines_end, members, subtree};
use super::literal::{Chomp, Header};
use super::place::{is_first_on_line, line_start, next_line};
use crate::document::{Document, NodeId, NodeKind, Style};
use crate::text::{Edits, Span};

/// Removes an entry (id of its key) or an item (id of the value).
pub(super) fn remove(doc: &Document, id: NodeId) -> Edits {
    let container = doc.node(id).parent();
    let siblings: Vec<NodeId> = members(doc, container).collect();
    let Some(index) = siblings.iter().position(|&sibling| sibling == id) else {
        return Edits::new();
    };
    let before = index.checked_sub(1).map(|before| siblings[before]);
    let after = siblings.get(index + 1).copied();
    if doc.node(container).style() == Style::Flow {
        let mut edits = Edits::new();
        if is_pair(doc, container) {
            // `[a: 1]`: the item that the pair is stays one.
            edits.push(doc.node(container).span(), "{}");
            return edits;
        }
        return from_brackets(doc, id, before, after);
    }
    let start = entry_start(doc, id);
    let end = content_end(doc, id, true);
    if before.is_none() && after.is_none() {
        let empty = if doc.node(container).kind() == NodeKind::Map { "{}" } else { "[]" };
        return collapse(doc, container, start, end, empty);
    }
    let text = doc.text();
    let mut edits = Edits::new();
    if is_first_on_line(text, start) {
        let from = line_start(text, start);
        let mut to = lines_end(text, end);
        if keeps_lines_until(doc, id, from) {
            to = next_content(text, to);
        }
        edits.push(Span::new(from, to), "");
        return edits;
    }
    // `- a: 1` with more keys below: what comes next moves up to the dash.
    let behind = subtree(doc, id).last().map_or(id.index() + 1, |last| last.index() + 1);
    let next = match after {
        Some(after) => {
            let comment = doc.nodes()[behind..]
                .first()
                .filter(|node| node.kind() == NodeKind::Comment && node.parent() == container);
            comment.map_or_else(|| entry_start(doc, after), |comment| comment.span().start())
        }
        None => end,
    };
    edits.push(Span::new(start, next.max(start)), "");
    edits
}

/// Whether the value before is a block scalar that ends here and owns every empty line behind it: it
/// would get those that stand behind the entry.
fn keeps_lines_until(doc: &Document, id: NodeId, offset: usize) -> bool {
    let before = doc.nodes()[..id.index()].iter().rfind(|node| node.kind() == NodeKind::Scalar);
    before.is_some_and(|node| {
        matches!(node.style(), Style::Literal | Style::Folded)
            && node.span().end() == offset
            && Header::split(node.span().of(doc.text())).0.chomp == Chomp::Keep
    })
}

/// The start of the first line from `offset` on that is not blank.
fn next_content(text: &str, offset: usize) -> usize {
    let rest = &text[offset..];
    let content = rest.trim_start_matches([' ', '\t', '\n', '\r']);
    line_start(text, text.len() - content.len()).max(offset)
}

/// Puts `inline` in the place of the lines of a whole block collection, from its first entry to its
/// last. At the root of a document an empty collection leaves nothing.
pub(super) fn collapse(
    doc: &Document,
    container: NodeId,
    start: usize,
    end: usize,
    inline: &str,
) -> Edits {
    let text = doc.text();
    let parent = doc.node(container).parent();
    let line = line_start(text, start);
    let is_first = is_first_on_line(text, start);
    // A block scalar ends with a line break, which stays.
    let text_end = text[..end].trim_end_matches(['\n', '\r']).len().max(start);
    let mut edits = Edits::new();
    match doc.node(parent).kind() {
        // An empty document is an empty map; a list, or what has a tag or an anchor, says so.
        NodeKind::Document if inline == "{}" && doc.properties_start(container) >= start => {
            let from = if is_first { line } else { start };
            edits.push(Span::new(from, lines_end(text, end)), "");
        }
        NodeKind::Key if is_first => {
            let head = head_end(doc, parent);
            if text.get(head..line).is_some_and(|between| between.trim().is_empty()) {
                edits.push_with(Span::new(head, text_end), |out| {
                    out.push(' ');
                    out.push_str(inline);
                });
            } else {
                // A comment stands between: it stays where it is.
                edits.push_with(Span::at(head), |out| {
                    out.push(' ');
                    out.push_str(inline);
                });
                edits.push(Span::new(line, lines_end(text, end)), "");
            }
        }
        _ => edits.push(Span::new(start, text_end), inline),
    }
    edits
}

fn from_brackets(
    doc: &Document,
    id: NodeId,
    before: Option<NodeId>,
    after: Option<NodeId>,
) -> Edits {
    let text = doc.text();
    let start = flow_start(doc, id);
    let end = content_end(doc, id, false);
    let mut edits = Edits::new();
    if let Some(before) = before {
        let from = content_end(doc, before, false);
        if !text[from..start].contains('#') {
            edits.push(Span::new(from, end), "");
            return edits;
        }
    } else if let Some(after) = after {
        let next = flow_start(doc, after);
        if !text[end..next].contains('#') {
            edits.push(Span::new(start, next), "");
            return edits;
        }
    }
    // Alone, or beside a comment that stays: its own comma goes, the one before may stay.
    let comma = comma_behind(text, end);
    match comma {
        Some(comma) if !text[end..comma].contains('#') => {
            edits.push(Span::new(start, comma + 1), "");
        }
        Some(comma) => {
            edits.push(Span::new(start, end), "");
            edits.push(Span::new(comma, comma + 1), "");
        }
        None => edits.push(Span::new(start, end), ""),
    }
    edits
}

/// Where the comma behind a member stands, be it behind comments.
fn comma_behind(text: &str, end: usize) -> Option<usize> {
    let mut at = end;
    loop {
        match text.as_bytes().get(at)? {
            b',' => return Some(at),
            b'#' => at = next_line(text, at),
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => return None,
        }
    }
}

/// Where a member of a flow collection starts: at its properties, or at the `?` before them.
fn flow_start(doc: &Document, id: NodeId) -> usize {
    let text = doc.text();
    let start = doc.properties_start(id);
    // A `?` without a key may stand on a line before; so may a comment that ends with one.
    let is_far =
        doc.node(id).span().is_empty() && !text[line_start(text, start)..start].contains('?');
    let before = text[..start]
        .trim_end_matches(|c| matches!(c, ' ' | '\t') || is_far && matches!(c, '\n' | '\r'));
    let is_comment = is_far && before[line_start(text, before.len())..].contains('#');
    let before = if is_comment { &text[..start] } else { before };
    let marked = before.strip_suffix('?').filter(|head| {
        doc.node(id).kind() == NodeKind::Key
            && before.len() < start
            && head.ends_with(['{', '[', ',', ' ', '\t', '\n', '\r'])
    });
    marked.map_or(start, str::len)
}
