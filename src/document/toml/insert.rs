//! Values put in and exchanged.
//!
//! Invariants: a pair goes in behind the last one of its table, a table under the root at the end of
//! the text; nothing that stands in the text comes to stand under another table, comments behind
//! the last table of an array excepted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::super::{Document, EditError, NodeId, NodeKind, Style};
use super::flow;
use super::place::{Place, brackets, indent_at, inside, line_end, line_start};
use super::remove::{apply, lines_of};
use super::tree::{Section, check, inexpressible, write_on_one_line, write_value};
use super::write::write_key;
use crate::text::{Edits, Span};
use crate::value::Tree;

/// See [`Document::insert`].
pub(super) fn insert(
    doc: &Document,
    container: NodeId,
    entries: &[super::super::Entry<'_>],
) -> Result<Edits, EditError> {
    for (_, value) in entries {
        check(value)?;
    }
    let container = match doc.node(container).kind() {
        NodeKind::Document => doc.value_of(container).unwrap_or(container),
        _ => container,
    };
    let is_flow = brackets(doc, container);
    let place = Place::new(doc);
    let several = entries.len() > 1;
    let own = several && place.statements.iter().any(|statement| statement.table == container);
    let mut lines: BTreeMap<usize, String> = BTreeMap::new();
    for &(key, value) in entries {
        let (at, text) = match (doc.node(container).kind(), key, is_flow) {
            (NodeKind::Map, Some(_), Some(flow)) | (NodeKind::List, None, Some(flow)) => {
                if several {
                    return Err(inexpressible("several values in one line"));
                }
                return Ok(flow::insert(doc, flow, container, key, value));
            }
            // The first may get a header that those behind it stand under.
            (NodeKind::Map, Some(_), None) if several && !own => {
                return Err(inexpressible("several entries in an empty table"));
            }
            (NodeKind::Map, Some(key), None) => map_entry(&place, container, key, value),
            (NodeKind::List, None, None) => list_item(&place, container, value)?,
            (NodeKind::Map, None, _) => return Err(inexpressible("an entry without a key")),
            (NodeKind::List, Some(_), _) => return Err(inexpressible("a key in an array")),
            _ => return Err(inexpressible("an entry")),
        };
        match lines.entry(at) {
            Entry::Vacant(new) => drop(new.insert(text)),
            Entry::Occupied(mut before) => {
                // The last line is ended once.
                let ends = at == doc.text().len() && line_start(doc.text(), at) != at;
                let line_break = Some(place.line_break).filter(|_| ends);
                let text = line_break.and_then(|it| text.strip_prefix(it)).unwrap_or(&text);
                before.get_mut().push_str(text);
            }
        }
    }
    let mut edits = Edits::new();
    for (at, text) in lines {
        edits.push(Span::at(at), &text);
    }
    Ok(edits)
}

/// See [`Document::replace`].
pub(super) fn replace(doc: &Document, value: NodeId, new: &Tree) -> Result<Edits, EditError> {
    check(new)?;
    let mut edits = Edits::new();
    let node = doc.node(value);
    if node.kind() == NodeKind::Scalar || node.style() == Style::Flow {
        let place = Place::new(doc);
        edits.push_with(node.span(), |out| match brackets(doc, node.parent()) {
            Some(_) => write_on_one_line(new, out),
            None => write_value(new, place.line_break, out),
        });
        return Ok(edits);
    }
    let parent = node.parent();
    let place = Place::new(doc);
    let mut pieces = lines_of(&place, &inside(doc, value));
    match (doc.node(parent).kind(), new) {
        (NodeKind::Document, _) => return Err(inexpressible("another value as a whole document")),
        (NodeKind::List, Tree::Map(entries)) => {
            let first = pieces.first().map_or(place.text.len(), |(span, _)| span.start());
            let text = item_text(&place, parent, entries);
            pieces.insert(0, (Span::at(first), text));
        }
        (NodeKind::List, _) => return Err(inexpressible(NO_TABLE)),
        _ if brackets(doc, parent).is_some() => {
            return Err(inexpressible("another value for dotted keys in an inline table"));
        }
        _ => {
            let (at, text) =
                map_entry(&place, doc.node(parent).parent(), &doc.key_text(parent), new);
            let index = pieces.partition_point(|(span, _)| span.start() < at);
            pieces.insert(index, (Span::at(at), text));
        }
    }
    Ok(apply(pieces))
}

const NO_TABLE: &str = "a value that is no table among [[tables]]";

/// Where an entry of a table goes, and its text.
fn map_entry(place: &Place<'_>, map: NodeId, key: &str, value: &Tree) -> (usize, String) {
    let (doc, text) = (place.doc, place.text);
    let is_root = doc.node(doc.node(map).parent()).kind() == NodeKind::Document;
    let mut name = String::new();
    write_key(key, &mut name);
    if is_root && let Tree::Map(entries) = value {
        let mut out = String::new();
        Section { line_break: place.line_break, apart: false }
            .table(&name, false, entries, 0, &mut out);
        return on_new_line(place, text.len(), out);
    }

    let own = place.statements.iter().rfind(|statement| statement.table == map);
    if let Some(last) = own {
        return on_new_line(
            place,
            line_end(text, last.span.end()),
            pair(place, last, &name, value),
        );
    }
    if is_root {
        let at = place
            .statements
            .first()
            .map_or(text.len(), |first| above_comments(text, line_start(text, first.span.start())));
        return on_new_line(place, at, format!("{name} = {}", spelled(place, value)));
    }

    // No header of its own: dotted keys made it, or headers of tables inside.
    let marks = inside(doc, map);
    let through = |is_header: bool| {
        move |statement: &&super::parse::Statement| statement.is_header == is_header
    };
    let mut mentions = place.statements.iter().filter(|s| marks[s.target.index()]);
    if let Some(last) = mentions.clone().filter(|s| !marks[s.table.index()]).rfind(through(false)) {
        let name = format!("{}.{name}", place.prefix(last, map));
        return on_new_line(
            place,
            line_end(text, last.span.end()),
            pair(place, last, &name, value),
        );
    }
    let Some(first) = mentions.find(through(true)) else {
        return (text.len(), String::new());
    };
    let header = format!("[{}]{}", place.prefix(first, map), place.line_break);
    let line = format!("{header}{name} = {}", spelled(place, value));
    on_new_line(place, line_start(text, first.span.start()), line)
}

/// Where a table of an array of tables goes, and its text.
fn list_item(place: &Place<'_>, list: NodeId, value: &Tree) -> Result<(usize, String), EditError> {
    let Tree::Map(entries) = value else {
        return Err(inexpressible(NO_TABLE));
    };
    let marks = inside(place.doc, list);
    let last = place.statements.iter().rfind(|statement| marks[statement.target.index()]);
    let at = last.map_or(place.text.len(), |last| line_end(place.text, last.span.end()));
    Ok(on_new_line(place, at, item_text(place, list, entries)))
}

fn item_text(place: &Place<'_>, list: NodeId, entries: &[(String, Tree)]) -> String {
    let header = place
        .statements
        .iter()
        .find(|statement| statement.is_header && place.doc.node(statement.target).parent() == list);
    let path = header.map_or("", |header| place.prefix(header, list));
    let mut out = String::new();
    Section { line_break: place.line_break, apart: false }.table(path, true, entries, 0, &mut out);
    out
}

/// A pair that looks like the statement before it.
fn pair(place: &Place<'_>, like: &super::parse::Statement, name: &str, value: &Tree) -> String {
    let indent = indent_at(place.text, like.span.start());
    let equals = match place.doc.value_of(like.target) {
        Some(before) if !like.is_header => {
            let key = place.doc.node(like.target).span();
            &place.text[key.end()..place.doc.node(before).span().start()]
        }
        _ => " = ",
    };
    format!("{indent}{name}{equals}{}", spelled(place, value))
}

fn spelled(place: &Place<'_>, value: &Tree) -> String {
    let mut out = String::new();
    write_value(value, place.line_break, &mut out);
    out
}

/// The text as lines of their own at the start of a line, or behind the last one.
fn on_new_line(place: &Place<'_>, at: usize, mut lines: String) -> (usize, String) {
    if at == place.text.len() && line_start(place.text, at) != at {
        lines.insert_str(0, place.line_break);
    }
    if !lines.ends_with('\n') {
        lines.push_str(place.line_break);
    }
    (at, lines)
}

/// The start of the comment lines right above a line.
fn above_comments(text: &str, mut line: usize) -> usize {
    while line > 0 {
        let above = line_start(text, line - 1);
        if above >= line || !text[above..line].trim_start_matches([' ', '\t']).starts_with('#') {
            break;
        }
        line = above;
    }
    line
}
