//! Entries of arrays and inline tables put in and taken out.
//!
//! Invariant: an entry goes in behind the last one, and [`remove`] takes back exactly what [`insert`]
//! added. A comma that stands behind the last entry stays there.

use super::super::{Document, Format, NodeId, NodeKind, Style};
use super::place::{brackets, indent_at, inside, key_prefix, keys_above};
use super::tree::write_on_one_line;
use super::write::write_key;
use crate::text::{Edits, Span, line_break};
use crate::value::Tree;

/// An item, or a member with its dotted key.
struct Unit {
    start: usize,
    end: usize,
    /// The item, or the last key.
    target: NodeId,
}

/// Puts an entry into `container`, which is written in the brackets `flow`.
pub(super) fn insert(
    doc: &Document,
    flow: NodeId,
    container: NodeId,
    key: Option<&str>,
    value: &Tree,
) -> Edits {
    let text = doc.text();
    let units = units(doc, flow);
    let entry = |out: &mut String| {
        if let Some(key) = key {
            // In a table made by dotted keys: spelled as the last member that goes through it.
            let marks = inside(doc, container);
            let like = units.iter().rfind(|unit| marks[unit.target.index()]);
            if let Some(like) = like.filter(|_| container != flow) {
                let written = keys_above(doc, container) - keys_above(doc, flow);
                out.push_str(key_prefix(text, like.start, written));
                out.push('.');
            }
            write_key(key, out);
            out.push_str(equals(doc, units.last()));
        }
        write_on_one_line(value, out);
    };
    let mut edits = Edits::new();
    let Some(last) = units.last() else {
        insert_into_empty(doc, flow, &mut edits, entry);
        return edits;
    };

    let white = last_line(white_before(text, last.start));
    let is_by_lines = white.contains('\n');
    let white = if white.is_empty() { " " } else { white };
    let comma = comma_behind(text, last.end);
    let mut at = comma.map_or(last.end, |comma| comma + 1);
    if comma.is_none() {
        edits.push(Span::at(at), ",");
    }
    if is_by_lines {
        at = comment_behind(text, at).unwrap_or(at);
    }
    edits.push_with(Span::at(at), |out| {
        out.push_str(white);
        entry(out);
        if comma.is_some() {
            out.push(',');
        }
    });
    edits
}

fn insert_into_empty(doc: &Document, flow: NodeId, edits: &mut Edits, entry: impl Fn(&mut String)) {
    let text = doc.text();
    let span = doc.node(flow).span();
    let (inner, close) = (span.start() + 1, span.end() - 1);
    let comment = doc.children(flow).last().map(|comment| doc.node(comment));
    if let Some(comment) = comment {
        let mut indent = indent_at(text, comment.span().start()).to_owned();
        if comment.style() == Style::Inline {
            indent.push_str("    ");
        }
        edits.push_with(Span::at(comment.span().end()), |out| {
            out.push_str(line_break(text));
            out.push_str(&indent);
            entry(out);
        });
        return;
    }
    // What stands in the brackets stays before the entry: so `remove` can tell.
    let blank = if inner == close && doc.node(flow).kind() == NodeKind::Map { " " } else { "" };
    edits.push_with(Span::at(close), |out| {
        out.push_str(blank);
        entry(out);
        out.push_str(blank);
    });
}

/// Takes an entry out of the brackets `flow`: an item, or a key at any depth of dotted keys.
pub(super) fn remove(doc: &Document, flow: NodeId, gone: NodeId) -> Edits {
    let (edits, is_all) = remove_first(doc, flow, gone);
    if is_all { edits } else { remove_rest(doc, gone, &edits).unwrap_or(edits) }
}

/// Takes out the first member that `gone` is spread over; whether it was the only one.
fn remove_first(doc: &Document, flow: NodeId, gone: NodeId) -> (Edits, bool) {
    let mut edits = Edits::new();
    let units = units(doc, flow);
    let marks = inside(doc, gone);
    let mut hits = units.iter().enumerate().filter(|(_, unit)| marks[unit.target.index()]);
    let Some((index, unit)) = hits.next() else {
        return (edits, true);
    };
    let is_all = hits.next().is_none();
    let holder = doc.node(gone).parent();
    let around = inside(doc, holder);
    let is_left = units.iter().any(|u| around[u.target.index()] && !marks[u.target.index()]);
    if is_all && !is_left && holder != flow {
        // The table that dotted keys made stays, empty.
        let written = keys_above(doc, holder) - keys_above(doc, flow);
        let prefix = key_prefix(doc.text(), unit.start, written);
        edits.push(Span::new(unit.start + prefix.len(), unit.end), " = {}");
    } else {
        remove_unit(doc, flow, &units, index, &mut edits);
    }
    (edits, is_all)
}

/// The other members, one after the other; the difference is one edit.
fn remove_rest(doc: &Document, gone: NodeId, first: &Edits) -> Option<Edits> {
    let path = doc.path_of(gone);
    let mut now = Document::parse(first.apply(doc.text()), Format::Toml).ok()?;
    while let Some(value) = now.find(&path) {
        let key = now.node(value).parent();
        let (edits, _) = remove_first(&now, brackets(&now, now.node(key).parent())?, key);
        now = Document::parse(edits.apply(now.text()), Format::Toml).ok()?;
    }
    let (old, new) = (doc.text(), now.text());
    let same = |pairs: &mut dyn Iterator<Item = (char, char)>| -> usize {
        pairs.take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum()
    };
    let start = same(&mut old.chars().zip(new.chars()));
    let tail = same(&mut old[start..].chars().rev().zip(new[start..].chars().rev()));
    let mut edits = Edits::new();
    edits.push(Span::new(start, old.len() - tail), &new[start..new.len() - tail]);
    Some(edits)
}

fn remove_unit(doc: &Document, flow: NodeId, units: &[Unit], index: usize, edits: &mut Edits) {
    let text = doc.text();
    let unit = &units[index];
    let span = doc.node(flow).span();
    let (inner, close) = (span.start() + 1, span.end() - 1);
    let comma = comma_behind(text, unit.end);
    let mut end = comma.map_or(unit.end, |comma| comma + 1);
    let has_comments = doc.children(flow).any(|id| doc.node(id).kind() == NodeKind::Comment);
    if units.len() == 1 && !has_comments {
        edits.push(Span::new(if end == close { unit.start } else { inner }, close), "");
        return;
    }

    let mut white = last_line(white_before(text, unit.start));
    let is_behind_comment = doc.children(flow).any(|id| {
        let node = doc.node(id);
        node.kind() == NodeKind::Comment && node.span().end() + white.len() == unit.start
    });
    let behind = comment_behind(text, end).unwrap_or(end);
    let ends_line = text[behind..].trim_start_matches([' ', '\t', '\r']).starts_with('\n');
    if !ends_line && (index + 1 < units.len() || is_behind_comment) {
        // The line goes on, or the comment would swallow what follows.
        white = if white.contains('\n') { "" } else { white };
    }
    if white.contains('\n') {
        end = behind;
    } else if white.is_empty() && comma.is_some() {
        end += text[end..].bytes().take_while(|&b| b == b' ' || b == b'\t').count();
    }
    let start = unit.start - white.len();
    if comma.is_none()
        && let Some(before) = index.checked_sub(1)
        && let Some(comma) = comma_behind(text, units[before].end)
    {
        edits.push(Span::new(comma, comma + 1), "");
    }
    edits.push(Span::new(start, end), "");
}

/// The entries of an array or inline table, in the order of the text.
fn units(doc: &Document, flow: NodeId) -> Vec<Unit> {
    let text = doc.text();
    let span = doc.node(flow).span();
    let mut units: Vec<Unit> = Vec::new();
    for id in doc.ids().skip(flow.index() + 1) {
        let node = doc.node(id);
        if node.span().start() >= span.end() {
            break;
        }
        let Some(value) = entry_value(doc, flow, id) else {
            continue;
        };
        let behind = units.last().map_or(span.start() + 1, |unit| unit.end);
        let start = over_trivia(text, behind, true);
        units.push(Unit { start, end: doc.node(value).span().end(), target: id });
    }
    units
}

/// The value, if the node is an item of `flow` or the last key of one of its members.
fn entry_value(doc: &Document, flow: NodeId, id: NodeId) -> Option<NodeId> {
    let node = doc.node(id);
    if node.parent() == flow && node.is_value() {
        return Some(id);
    }
    if node.kind() != NodeKind::Key {
        return None;
    }
    let mut holder = node.parent();
    while holder != flow {
        if holder < flow || doc.node(holder).style() != Style::Block {
            return None;
        }
        holder = doc.node(doc.node(holder).parent()).parent();
    }
    doc.value_of(id).filter(|&value| doc.node(value).style() != Style::Block)
}

/// Behind blanks, line breaks and comments, and behind one comma if `comma`.
fn over_trivia(text: &str, mut at: usize, comma: bool) -> usize {
    let mut comma = comma;
    loop {
        match text.as_bytes().get(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n') => at += 1,
            Some(b'#') => at += memchr::memchr(b'\n', &text.as_bytes()[at..]).unwrap_or(0).max(1),
            Some(b',') if comma => {
                comma = false;
                at += 1;
            }
            _ => return at,
        }
    }
}

fn comma_behind(text: &str, end: usize) -> Option<usize> {
    let at = over_trivia(text, end, false);
    (text.as_bytes().get(at) == Some(&b',')).then_some(at)
}

/// The end of the comment that stands behind `at` on the same line.
fn comment_behind(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    if !rest.trim_start_matches([' ', '\t']).starts_with('#') {
        return None;
    }
    let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
    Some(at + line.strip_suffix('\r').unwrap_or(line).len())
}

fn white_before(text: &str, at: usize) -> &str {
    let before = &text[..at];
    &before[before.trim_end_matches([' ', '\t', '\r', '\n']).len()..]
}

/// The last line break of some whitespace with what follows, or all of it if there is none.
fn last_line(white: &str) -> &str {
    match white.rfind('\n') {
        Some(at) if white[..at].ends_with('\r') => &white[at - 1..],
        Some(at) => &white[at..],
        None => white,
    }
}

/// The `=` as the member before has it.
fn equals<'a>(doc: &'a Document, last: Option<&Unit>) -> &'a str {
    let Some((key, value)) = last.and_then(|last| Some((last.target, doc.value_of(last.target)?)))
    else {
        return " = ";
    };
    if doc.node(key).kind() != NodeKind::Key {
        return " = ";
    }
    &doc.text()[doc.node(key).span().end()..doc.node(value).span().start()]
}
