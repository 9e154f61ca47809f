//! Where a value stands: in which collection, on what line, and how its neighbours are indented.
//!
//! Invariant: line breaks are LF, CRLF and a lone CR; a byte order mark belongs to no line.

use crate::document::{Document, NodeId, NodeKind, Style};

/// The step that `sops` indents by.
pub(super) const SOPS_STEP: usize = 4;

/// The collection around a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Inside brackets.
    pub(super) in_flow: bool,
    /// Column of the block collection; none at the root of a document.
    pub(super) parent: Option<usize>,
}

impl Place {
    /// The place of a value, comment or key.
    pub(super) fn of(doc: &Document, id: NodeId) -> Self {
        let mut container = doc.node(id).parent();
        if doc.node(container).kind() == NodeKind::Key {
            container = doc.node(container).parent();
        }
        Self::inside(doc, container)
    }

    /// The place of an entry of this container.
    pub(super) fn inside(doc: &Document, container: NodeId) -> Self {
        let node = doc.node(container);
        let is_collection = matches!(node.kind(), NodeKind::Map | NodeKind::List);
        Self {
            in_flow: is_collection && node.style() == Style::Flow,
            parent: is_collection.then(|| node.indent()),
        }
    }
}

/// The indentation step around `container`: that of the first block map nested in another one that
/// is found among the first nodes inside the container, else in the document; else SOPS' own.
pub(super) fn step(doc: &Document, container: NodeId) -> usize {
    const LOOK_AT: usize = 2_000;
    let shown = |from: usize| {
        let nodes = doc.nodes().iter().skip(from).take(LOOK_AT);
        nodes
            .filter_map(|node| {
                let is_nested = matches!(node.kind(), NodeKind::Map | NodeKind::List)
                    && node.style() == Style::Block
                    && doc.node(node.parent()).kind() == NodeKind::Key;
                let map = doc.node(doc.node(node.parent()).parent());
                let step = is_nested.then(|| node.indent().saturating_sub(map.indent()))?;
                ((1..=8).contains(&step) && map.style() == Style::Block).then_some(step)
            })
            .next()
    };
    shown(container.index()).or_else(|| shown(0)).unwrap_or(SOPS_STEP)
}

/// The column of a collection below one at `column`: the next multiple of the step, as SOPS has it.
pub(super) fn below(column: usize, step: usize) -> usize {
    (column + step) / step * step
}

/// Where the line with this byte starts.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    let start = text[..at].rfind(['\n', '\r']).map_or(0, |before| before + 1);
    if start == 0 && text.starts_with('\u{feff}') { '\u{feff}'.len_utf8().min(at) } else { start }
}

/// Where the line with this byte ends, before its line break.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    memchr::memchr2(b'\n', b'\r', &text.as_bytes()[at..]).map_or(text.len(), |len| at + len)
}

/// Where the line behind the one with this byte starts.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    let end = line_end(text, at);
    let rest = &text[end..];
    end + if rest.starts_with("\r\n") { 2 } else { rest.len().min(1) }
}

/// The white space that the line with this byte starts with.
pub(super) fn margin(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Whether nothing but white space stands before this byte on its line.
pub(super) fn is_first_on_line(text: &str, at: usize) -> bool {
    text[line_start(text, at)..at].bytes().all(|byte| matches!(byte, b' ' | b'\t'))
}

/// Whether the first line of `rest` that is not blank is a comment behind this column: a block scalar
/// above would take it for a line of its own.
pub(super) fn comment_follows(rest: &str, column: usize) -> bool {
    let content = rest.trim_start_matches([' ', '\t', '\n', '\r']);
    let at = rest.len() - content.len();
    content.starts_with('#') && at - line_start(rest, at) > column
}

#[cfg(test)]
mod tests {
    use super::{below, is_first_on_line, line_end, line_start, margin, next_line};

    #[test]
    fn lines_of_every_line_break() {
        let text = "\u{feff}ab\r\n  cd\ref\n";
        assert_eq!(line_start(text, 4), 3);
        assert_eq!((line_start(text, 9), line_end(text, 9), next_line(text, 9)), (7, 11, 12));
        assert_eq!((line_start(text, 13), next_line(text, 13)), (12, 15));
        assert_eq!(next_line(text, 4), 7);
        assert_eq!(margin(text, 10), "  ");
        assert!(is_first_on_line(text, 9) && !is_first_on_line(text, 10));
        assert!(is_first_on_line(text, 3));
    }

    #[test]
    fn columns_are_rounded_as_sops_rounds_them() {
        assert_eq!((below(0, 4), below(4, 4), below(10, 4), below(6, 2)), (4, 8, 12, 8));
    }
}
