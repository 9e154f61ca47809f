//! Entries and items taken out of a collection, with their lines or their comma.
//!
//! Invariant: comments above an entry stay; of what [`super::insert`] put in, nothing does.

use super::emit;
use super::extent::{content_end, entry_start, head_end, is_pair, lines_end, members, subtree};
use super::literal::{Chomp, Header};
use super::place::{Place, is_first_on_line, line_start, next_line};
use super::replace::is_bare_member;
use crate::document::{Document, NodeId, NodeKind, Style};
use crate::text::{Edits, Span, line_break};

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
        let to = lines_end(text, end);
        if let Some(block) = block_scalar_above(doc, id, from) {
            edits.push(Span::new(from, to), "");
            lines_behind(doc, block, Span::new(to, next_content(text, to)), &mut edits);
        } else if is_bare(doc, before) && after.is_some_and(|after| is_unmarked(doc, after)) {
            // The `:` of the key behind, which is empty, would be that of the `?` above.
            let column = doc.node(container).indent();
            let line_break = line_break(text);
            edits.push(Span::new(from, to), &format!("{:column$}:{line_break}", ""));
        } else {
            edits.push(Span::new(from, to), "");
        }
        return edits;
    }
    // `- a: 1` with more keys below: what comes next moves up to the dash.
    let behind = subtree(doc, id).last().map_or(id.index() + 1, |last| last.index() + 1);
    let next = match after {
        Some(after) => {
            let comment = doc.nodes()[behind..]
                .first()
                .filter(|node| node.kind() == NodeKind::Comment && node.parent() == container);
            let start = entry_start(doc, after);
            comment.map_or(start, |comment| comment.span().start().min(start))
        }
        None => end,
    };
    edits.push(Span::new(start, next.max(start)), "");
    edits
}

/// Whether a member is a key behind a `?`, without a `:`.
fn is_bare(doc: &Document, key: Option<NodeId>) -> bool {
    key.filter(|&key| doc.node(key).kind() == NodeKind::Key)
        .and_then(|key| doc.value_of(key))
        .is_some_and(|value| is_bare_member(doc, value))
}

/// Whether a member is an empty key that its `:` alone shows.
fn is_unmarked(doc: &Document, key: NodeId) -> bool {
    let span = doc.node(key).span();
    span.is_empty() && entry_start(doc, key) == span.start()
}

/// The block scalar that the line at `offset` ends: it would go on in what stands behind the entry.
fn block_scalar_above(doc: &Document, id: NodeId, offset: usize) -> Option<NodeId> {
    let before = doc.nodes()[..id.index()].iter().rposition(|node| {
        !matches!(node.kind(), NodeKind::Map | NodeKind::List | NodeKind::Anchor | NodeKind::Tag)
            && node.span().start() < offset
    })?;
    let node = &doc.nodes()[before];
    let between = doc.text().get(node.span().end()..offset)?;
    let goes_on = matches!(node.style(), Style::Literal | Style::Folded)
        && node.kind() == NodeKind::Scalar
        && between.trim().is_empty();
    goes_on.then(|| NodeId::new(before))
}

/// Brings the blank lines and comments of `rest` to where they can stand behind a block scalar: not in it.
/// Only the space before their text is touched: a comment may be a token, which has an edit of its own.
fn lines_behind(doc: &Document, block: NodeId, rest: Span, edits: &mut Edits) {
    let keeps = Header::split(doc.source(block)).0.chomp == Chomp::Keep;
    let column = Place::of(doc, block).parent.unwrap_or(0);
    let mut at = rest.start();
    for line in rest.of(doc.text()).split_inclusive('\n') {
        let content = line.trim_start_matches([' ', '\t']);
        let space = line.len() - content.len();
        if content.starts_with('#') {
            if space > column {
                edits.push_with(Span::new(at, at + space), |out| emit::push_spaces(column, out));
            }
            // It ends the block scalar.
            return;
        }
        let gone = if keeps { line.len() } else { space };
        if gone > 0 {
            edits.push(Span::new(at, at + gone), "");
        }
        at += line.len();
    }
}

/// The start of the first line from `offset` on that is neither blank nor a comment.
fn next_content(text: &str, offset: usize) -> usize {
    let mut at = offset;
    while at < text.len() {
        let content = text[at..].trim_start_matches([' ', '\t']);
        if !content.is_empty() && !content.starts_with(['#', '\n', '\r']) {
            return at;
        }
        at = next_line(text, at);
    }
    at
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
            // A `?` that is a key needs the space that was behind it.
            let mark = text[..from].strip_suffix('?').map(|rest| rest.chars().next_back());
            let alone = |before: char| before.is_whitespace() || "[{,".contains(before);
            let is_mark = mark.is_some_and(|before| before.is_none_or(alone));
            let is_cut = is_mark && !text[end..].starts_with(char::is_whitespace);
            edits.push(Span::new(from, end), if is_cut { " " } else { "" });
            return edits;
        }
    } else if let Some(after) = after {
        let next = flow_start(doc, after);
        if !text[end..next].contains('#') {
            let gap = gap_for(text, start, next);
            edits.push(Span::new(start, next), gap);
            return edits;
        }
    }
    // Alone, or beside a comment that stays: its own comma goes, the one before may stay.
    let comma = comma_behind(text, end);
    match comma {
        Some(comma) if !text[end..comma].contains('#') => {
            let to = before_no_tab(text, start, comma + 1);
            edits.push(Span::new(start, to), gap_for(text, start, to));
        }
        Some(comma) => {
            edits.push(Span::new(start, end), "");
            edits.push(Span::new(comma, comma + 1), gap_for(text, comma, comma + 1));
        }
        None => edits.push(Span::new(start, before_no_tab(text, start, end)), ""),
    }
    edits
}

/// Where what is taken out ends: behind a tab that would come to indent the line.
fn before_no_tab(text: &str, start: usize, end: usize) -> usize {
    let space = text[end..].len() - text[end..].trim_start_matches([' ', '\t']).len();
    let indents = is_first_on_line(text, start) && text[end..end + space].contains('\t');
    if indents { end + space } else { end }
}

/// What stays between `from` and `to`: what comes to stand at the start of a line must not look like the
/// end of a document.
fn gap_for(text: &str, from: usize, to: usize) -> &'static str {
    let is_marker = text[to..].starts_with("---") || text[to..].starts_with("...");
    if is_marker && line_start(text, from) == from { " " } else { "" }
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

/// Where a member of a flow collection starts: at its properties, or at the `?` before them, be it on a line
/// before.
pub(super) fn flow_start(doc: &Document, id: NodeId) -> usize {
    let text = doc.text();
    let start = doc.properties_start(id);
    let container = doc.node(id).parent();
    if doc.node(id).kind() != NodeKind::Key || doc.node(container).style() != Style::Flow {
        return start;
    }
    let before = members(doc, container).take_while(|&member| member != id).last();
    let opening = doc.node(container).span().start();
    let from = match before {
        Some(before) => comma_behind(text, content_end(doc, before, false)).map(|comma| comma + 1),
        None => Some(opening + usize::from(!is_pair(doc, container))),
    };
    let mut at = from.unwrap_or(start);
    while at < start {
        match text.as_bytes()[at] {
            b'?' => return at,
            b'#' => at = next_line(text, at),
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => break,
        }
    }
    start
}
