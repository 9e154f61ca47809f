//! From where to where an entry, an item or a document reaches in the text.
//!
//! Invariant: nothing here depends on the span of a block collection or document node, only on the
//! tokens inside.

use super::place::{line_start, next_line};
use crate::document::{Document, NodeId, NodeKind, Style};

/// Every node below `id`, itself included. A comment between a key and its value belongs to the map
/// around the key, and so is none of them.
pub(super) fn subtree(doc: &Document, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
    let below = doc.nodes()[id.index() + 1..]
        .iter()
        .enumerate()
        .take_while(move |(_, node)| {
            let is_below = node.parent() >= id && node.kind() != NodeKind::Document;
            is_below || node.kind() == NodeKind::Comment
        })
        .filter(move |(_, node)| node.parent() >= id)
        .map(move |(offset, _)| NodeId::new(id.index() + 1 + offset));
    std::iter::once(id).chain(below)
}

/// The keys of a map, or the items of a list.
pub(super) fn members(doc: &Document, container: NodeId) -> impl Iterator<Item = NodeId> + '_ {
    subtree(doc, container).skip(1).filter(move |&id| {
        let node = doc.node(id);
        node.parent() == container && (node.is_value() || node.kind() == NodeKind::Key)
    })
}

/// Whether a map is a pair without braces, as in `[a: 1]`.
pub(super) fn is_pair(doc: &Document, map: NodeId) -> bool {
    let start = doc.node(map).span().start();
    let is_map = doc.node(map).kind() == NodeKind::Map && doc.node(map).style() == Style::Flow;
    let first = members(doc, map).next();
    is_map
        && (!doc.source(map).starts_with('{')
            || first.is_some_and(|first| doc.properties_start(first) == start))
}

/// Where the last token of an entry, item or collection ends; of its comments too if asked for.
pub(super) fn content_end(doc: &Document, id: NodeId, with_comments: bool) -> usize {
    let ends = subtree(doc, id).filter_map(|id| {
        let node = doc.node(id);
        let counts = match node.kind() {
            NodeKind::Document => false,
            NodeKind::Map | NodeKind::List => node.style() == Style::Flow,
            NodeKind::Comment => with_comments,
            NodeKind::Key
            | NodeKind::Scalar
            | NodeKind::Alias
            | NodeKind::Anchor
            | NodeKind::Tag => true,
        };
        counts.then(|| node.span().end())
    });
    ends.max().unwrap_or(doc.node(id).span().start())
}

/// The start of the line behind a token that ends at `end`; of a block scalar, `end` itself.
pub(super) fn lines_end(text: &str, end: usize) -> usize {
    if text[..end].ends_with(['\n', '\r']) { end } else { next_line(text, end) }
}

/// Where an entry (id of its key) or item of a block collection starts: at its properties, `?` or `-`.
pub(super) fn entry_start(doc: &Document, id: NodeId) -> usize {
    let text = doc.text();
    let start = doc.properties_start(id);
    let container = doc.node(doc.node(id).parent());
    let column = container.indent();
    let mark = if container.kind() == NodeKind::Map { '?' } else { '-' };
    // A block collection is a key behind a `?` only, be it on a line before.
    let is_explicit = doc.node(id).style() == Style::Block;
    if mark == '?' && !is_explicit && line_start(text, start) + column == start {
        return start;
    }
    let mut line = line_start(text, start);
    loop {
        let at = line + column;
        let is_comment = text[line..].trim_start_matches([' ', '\t']).starts_with('#');
        if at <= start && !is_comment && text.get(at..).is_some_and(|rest| rest.starts_with(mark)) {
            return at;
        }
        if line == 0 || line <= doc.node(doc.node(id).parent()).span().start() {
            return start;
        }
        let before = line_start(text, line - 1);
        line = if before < line { before } else { return start };
    }
}

/// Behind the `:` of a key, or behind the properties of its value.
pub(super) fn head_end(doc: &Document, key: NodeId) -> usize {
    let text = doc.text();
    let value =
        subtree(doc, key).find(|&id| doc.node(id).is_value() && doc.node(id).parent() == key);
    if let Some(property) = value.and_then(|value| doc.properties(value).next()) {
        return doc.node(property).span().end();
    }
    let mut at = doc.node(key).span().end();
    loop {
        let rest = &text[at..];
        match rest.as_bytes().first() {
            Some(b':') => return at + 1,
            Some(b'#') => at = next_line(text, at),
            Some(b' ' | b'\t' | b'\n' | b'\r') => at += 1,
            _ => return doc.node(key).span().end(),
        }
    }
}

/// Where the lines of a document end: at its `...`, at the next `---`, or at the end of the text.
pub(super) fn document_end(doc: &Document, document: NodeId) -> usize {
    let text = doc.text();
    let end = content_end_of_document(doc, document);
    let from = match end {
        Some(end) => lines_end(text, end),
        None => document_start(doc, document),
    };
    lines_from(text, from)
        .find(|&line| is_marker(text, line, b"---") || is_marker(text, line, b"..."))
        .unwrap_or(text.len())
}

fn content_end_of_document(doc: &Document, document: NodeId) -> Option<usize> {
    members(doc, document).next().map(|value| content_end(doc, value, false))
}

/// Where the lines of a document without a value start: behind its `---`, if it has one.
fn document_start(doc: &Document, document: NodeId) -> usize {
    let text = doc.text();
    let before = doc.nodes()[..document.index()]
        .iter()
        .rposition(|node| node.kind() == NodeKind::Document)
        .map(NodeId::new);
    let start = before.map_or(0, |before| document_end(doc, before));
    let own = lines_from(text, start).find(|&line| is_marker(text, line, b"---"));
    // The first document may have no marker of its own, but then another one stands before the next.
    let ended = lines_from(text, start)
        .find(|&line| is_marker(text, line, b"..."))
        .filter(|_| before.is_none());
    match own {
        Some(own) if ended.is_none_or(|ended| own < ended) => next_line(text, own),
        _ => start,
    }
}

fn lines_from(text: &str, start: usize) -> impl Iterator<Item = usize> + '_ {
    let mark = '\u{feff}';
    let first = if start == 0 && text.starts_with(mark) { mark.len_utf8() } else { start };
    std::iter::successors(Some(first), |&at| Some(next_line(text, at)).filter(|&next| next > at))
        .filter(|&at| at < text.len())
}

fn is_marker(text: &str, line: usize, marker: &[u8]) -> bool {
    let rest = &text.as_bytes()[line..];
    rest.starts_with(marker) && matches!(rest.get(3), None | Some(b' ' | b'\t' | b'\n' | b'\r'))
}
