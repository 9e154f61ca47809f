//! How a text is laid out: its indentation, its line breaks, what stands after `:` and `,`.

use super::super::{Document, NodeId, NodeKind};
use super::scalar::Escapes;
use super::write::IN_PLACE;
use crate::text::line_break;

/// How new text is to look.
pub(super) struct Layout<'a> {
    /// What one level is indented by; `None`: everything on one line.
    pub(super) unit: Option<&'a str>,
    /// The line break.
    pub(super) line_break: &'a str,
    /// The colon with what stands around it.
    pub(super) colon: &'a str,
    /// Which characters are escaped.
    pub(super) escapes: Escapes,
}

impl<'a> Layout<'a> {
    /// As `sops` writes.
    pub(super) const SOPS: Layout<'static> =
        Layout { unit: Some("\t"), line_break: "\n", colon: ": ", escapes: Escapes::Go };

    /// That of the inside of `container`.
    pub(super) fn of(doc: &'a Document, container: NodeId) -> Self {
        let text = doc.text();
        Layout {
            unit: is_by_lines(doc, container).then(|| unit(doc)),
            line_break: line_break(text),
            colon: colon(doc, container),
            escapes: IN_PLACE,
        }
    }

    /// Appends what stands before an entry.
    pub(super) fn separate(&self, first: bool, indent: &str, depth: usize, out: &mut String) {
        if !first {
            out.push(',');
            if self.unit.is_none() && self.colon.ends_with(' ') {
                out.push(' ');
            }
        }
        self.line(indent, depth, out);
    }

    /// Appends a line break and the indentation of a level, if there is one line per entry.
    pub(super) fn line(&self, indent: &str, depth: usize, out: &mut String) {
        let Some(unit) = self.unit else {
            return;
        };
        out.push_str(self.line_break);
        out.push_str(indent);
        (0..depth).for_each(|_| out.push_str(unit));
    }
}

/// The members or items of a container: where each starts (a member: at its key) and ends.
pub(super) fn members(doc: &Document, container: NodeId) -> Vec<(usize, usize)> {
    let by_value = |value: NodeId| doc.node(value).span();
    if doc.node(container).kind() == NodeKind::List {
        return doc.items(container).map(|id| (by_value(id).start(), by_value(id).end())).collect();
    }
    doc.entries(container)
        .map(|(key, value)| (doc.node(key).span().start(), by_value(value).end()))
        .collect()
}

/// The whitespace right before `at`.
pub(super) fn white_before(text: &str, at: usize) -> &str {
    let before = &text[..at];
    &before[before.trim_end_matches([' ', '\t', '\n', '\r']).len()..]
}

/// The indentation of the line that `at` stands on.
pub(super) fn indent_at(text: &str, at: usize) -> &str {
    let line = memchr::memrchr2(b'\n', b'\r', &text.as_bytes()[..at]).map_or(0, |end| end + 1);
    let line = &text[line..at];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The last line break of some whitespace with what follows, or all of it if there is none.
pub(super) fn last_line(white: &str) -> &str {
    match white.rfind(['\n', '\r']) {
        Some(at) if white[..at].ends_with('\r') && white[at..].starts_with('\n') => {
            &white[at - 1..]
        }
        Some(at) => &white[at..],
        None => white,
    }
}

/// Whether the entries of a container stand on lines of their own. An empty one goes by what the
/// text does elsewhere; a text that has nothing else is laid out as SOPS does.
fn is_by_lines(doc: &Document, container: NodeId) -> bool {
    let text = doc.text();
    if let Some(&(start, _)) = members(doc, container).last() {
        return white_before(text, start).contains(['\n', '\r']);
    }
    let mut others = doc.ids().filter(|&id| is_entry(doc, id)).peekable();
    if others.peek().is_none() {
        return true;
    }
    others.any(|id| is_on_new_line(doc, id))
}

/// What one level is indented by: the first step that the text makes.
fn unit(doc: &Document) -> &str {
    let text = doc.text();
    for id in doc.ids().filter(|&id| is_entry(doc, id) && is_on_new_line(doc, id)) {
        let inner = indent_at(text, doc.node(id).span().start());
        let outer = indent_at(text, doc.node(doc.node(id).parent()).span().start());
        if let Some(unit) = inner.strip_prefix(outer).filter(|unit| !unit.is_empty()) {
            return unit;
        }
    }
    "\t"
}

fn is_on_new_line(doc: &Document, id: NodeId) -> bool {
    white_before(doc.text(), doc.node(id).span().start()).contains(['\n', '\r'])
}

/// Whether this is a key or an item of an array.
fn is_entry(doc: &Document, id: NodeId) -> bool {
    let node = doc.node(id);
    node.kind() == NodeKind::Key
        || node.is_value() && doc.node(node.parent()).kind() == NodeKind::List
}

/// The colon as the last member of the container has it, else the first of the text.
fn colon(doc: &Document, container: NodeId) -> &str {
    let last = if doc.node(container).kind() == NodeKind::Map {
        doc.entries(container).last().map(|(key, _)| key)
    } else {
        None
    };
    let first = || doc.ids().find(|&id| doc.node(id).kind() == NodeKind::Key);
    let Some(key) = last.or_else(first) else {
        return ": ";
    };
    let Some(value) = doc.value_of(key) else {
        return ": ";
    };
    let colon = &doc.text()[doc.node(key).span().end()..doc.node(value).span().start()];
    if colon.contains(['\n', '\r']) { ": " } else { colon }
}
