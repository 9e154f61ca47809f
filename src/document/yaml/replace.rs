//! One value put in the place of another, of whatever kind either is.
//!
//! Invariant: properties that belong to the old value only (all of them if the kind changes, a tag
//! that forces another type) go with it; comments beside it stay.

use super::emit::{self, Blocks, push_lines};
use super::extent::{content_end, entry_start, lines_end, members};
use super::insert::{inexpressible, layout};
use super::place::{Place, below, comment_follows, is_first_on_line, line_start, next_line};
use super::remove::{collapse, flow_start};
use super::tag::{self, Tag};
use super::write::write_scalar;
use crate::document::{Document, EditError, NodeId, NodeKind, Style};
use crate::text::{Edits, Span, line_break};
use crate::value::{Scalar, ScalarType, Tree};

/// Replaces a value.
pub(super) fn replace(doc: &Document, value: NodeId, new: &Tree) -> Result<Edits, EditError> {
    let node = doc.node(value);
    if !node.is_value() {
        return Err(inexpressible("a value that replaces none"));
    }
    let keeps_properties = match (node.kind(), new) {
        (NodeKind::Scalar, Tree::Scalar(_))
        | (NodeKind::Map, Tree::Map(_))
        | (NodeKind::List, Tree::List(_)) => true,
        (_, Tree::Scalar(_) | Tree::Map(_) | Tree::List(_)) => false,
    };
    if !Place::of(doc, value).in_flow && is_bare_member(doc, value) {
        return Ok(behind_bare_key(doc, value, new));
    }
    let start = if keeps_properties { node.span().start() } else { doc.properties_start(value) };
    if let (NodeKind::Scalar, Tree::Scalar(scalar)) = (node.kind(), new) {
        return Ok(replace_scalar(doc, value, scalar));
    }
    if Place::of(doc, value).in_flow || is_filled_flow(doc, value) {
        return Ok(in_brackets(doc, value, start, new));
    }
    if is_block(doc, value) {
        return Ok(replace_block(doc, value, keeps_properties, new));
    }
    if emit::is_inline(new) {
        return Ok(replace_inline(doc, value, start, new));
    }
    Ok(with_lines(doc, value, start, new))
}

fn is_block(doc: &Document, value: NodeId) -> bool {
    let node = doc.node(value);
    matches!(node.kind(), NodeKind::Map | NodeKind::List) && node.style() != Style::Flow
}

/// A collection in brackets that holds something: its replacement keeps the brackets.
fn is_filled_flow(doc: &Document, value: NodeId) -> bool {
    let node = doc.node(value);
    matches!(node.kind(), NodeKind::Map | NodeKind::List)
        && node.style() == Style::Flow
        && members(doc, value).next().is_some()
}

fn replace_scalar(doc: &Document, value: NodeId, new: &Scalar<'_>) -> Edits {
    let node = doc.node(value);
    let mut edits = Edits::new();
    let old_tag = tag::node(doc, value);
    let is_of_another_kind = || doc.scalar(value).map_or(true, |old| old.kind != new.kind);
    let forces = match tag::of(doc, value) {
        Tag::None => false,
        // Under a tag of the owner's own, text stays text, and `7` may be text, too.
        Tag::Other => new.text().is_none() || new.kind != ScalarType::Str && is_of_another_kind(),
        Tag::Binary => true,
        Tag::Str | Tag::Int | Tag::Float | Tag::Bool | Tag::Null | Tag::Time => {
            new.text().is_none() || is_of_another_kind()
        }
    };
    if let Some(tag) = old_tag.filter(|_| forces) {
        let span = doc.node(tag).span();
        let rest = &doc.text()[span.end()..];
        let space = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        // A comment needs the space before it.
        let gap = if rest[space..].starts_with('#') { 0 } else { space };
        edits.push(Span::new(span.start(), (span.end() + gap).min(node.span().start())), "");
    }
    mark_key(doc, value, &mut edits);
    edits.push_with(node.span(), |out| {
        if is_bare_member(doc, value) {
            // `?` alone is an empty key; with a colon at it, it would be the key.
            let is_marked = doc.node(doc.node(value).parent()).span().is_empty();
            out.push_str(if is_marked { " :" } else { ":" });
        }
        write_scalar(doc, value, new, out);
    });
    edits
}

/// `? key` without a `:` line gets one.
fn behind_bare_key(doc: &Document, value: NodeId, new: &Tree) -> Edits {
    let text = doc.text();
    let column = Place::of(doc, value).parent.unwrap_or(0);
    let at = lines_end(text, content_end(doc, doc.node(value).parent(), false));
    let follows = comment_follows(&text[at..], column);
    let layout = layout(doc, value, if follows { Blocks::None } else { Blocks::Closed });
    let mut edits = Edits::new();
    edits.push_with(Span::at(at), |out| {
        if !text[..at].ends_with(['\n', '\r']) {
            out.push_str(layout.line_break);
        }
        emit::push_spaces(column, out);
        emit::push_value(new, column, &layout, out);
    });
    edits
}

/// A key without a `:`, as in `{a}` or `? a`.
pub(super) fn is_bare_member(doc: &Document, value: NodeId) -> bool {
    let node = doc.node(value);
    let key = node.parent();
    if !node.span().is_empty() || doc.node(key).kind() != NodeKind::Key {
        return false;
    }
    let between = doc.text().get(doc.node(key).span().end()..node.span().start());
    !between.is_some_and(|between| between.contains(':'))
}

/// A key that has several lines, its anchor and tag included, and gets a `:` in brackets needs a `?`.
fn mark_key(doc: &Document, value: NodeId, edits: &mut Edits) {
    let key = doc.node(value).parent();
    let start = doc.properties_start(key);
    let whole = Span::new(start, doc.node(key).span().end());
    let has_lines = whole.of(doc.text()).contains(['\n', '\r']);
    if is_bare_member(doc, value) && has_lines && flow_start(doc, key) == start {
        edits.push(Span::at(start), "? ");
    }
}

fn in_brackets(doc: &Document, value: NodeId, start: usize, new: &Tree) -> Edits {
    let mut edits = Edits::new();
    mark_key(doc, value, &mut edits);
    edits.push_with(Span::new(start, doc.node(value).span().end()), |out| {
        if is_bare_member(doc, value) {
            // `?` alone is an empty key; with a colon at it, it would be the key.
            let is_marked = doc.node(doc.node(value).parent()).span().is_empty();
            out.push_str(if is_marked { " :" } else { ":" });
        }
        push_gap(doc, start, out);
        emit::push_flow(new, out);
    });
    edits
}

fn push_gap(doc: &Document, start: usize, out: &mut String) {
    let before = doc.text()[..start].chars().next_back();
    if before.is_some_and(|c| matches!(c, ':' | '-' | '?')) || out.ends_with(':') {
        out.push(' ');
    }
}

fn replace_block(doc: &Document, value: NodeId, keeps_properties: bool, new: &Tree) -> Edits {
    let text = doc.text();
    let first = members(doc, value).next();
    let start = first.map_or(doc.node(value).span().start(), |first| entry_start(doc, first));
    let end = content_end(doc, value, true);
    let mut edits = Edits::new();
    let parent = doc.node(value).parent();
    let properties = doc.properties_start(value);
    if !keeps_properties && properties < start && doc.node(value).span().start() > properties {
        // What stands between the properties and the first line goes with them.
        edits = without_properties(doc, value, start, end, new);
        return edits;
    }
    if emit::is_inline(new) {
        let mut inline = String::new();
        let layout = layout(doc, value, Blocks::None);
        emit::push_inline(new, 0, &layout, &mut inline);
        if doc.node(parent).kind() == NodeKind::Document {
            // Not `collapse`, which leaves an empty document: that is no list.
            let text_end = text[..end].trim_end_matches(['\n', '\r']).len().max(start);
            edits.push(Span::new(start, text_end), &inline);
            return edits;
        }
        return collapse(doc, value, start, end, &inline);
    }
    let text_end = text[..end].trim_end_matches(['\n', '\r']).len().max(start);
    let is_first = is_first_on_line(text, start);
    let floor = match doc.node(parent).kind() {
        NodeKind::Key => Place::of(doc, value).parent,
        _ => None,
    };
    let layout = layout(doc, value, blocks_before(doc, value, &text[text_end..]));
    let column = match (doc.node(value).indent(), floor, new) {
        // A list may stand at the column of its key, a map may not.
        (indent, Some(floor), Tree::Map(_)) if indent <= floor => below(floor, layout.step),
        (indent, _, _) => indent,
    };
    let from = if is_first { line_start(text, start) } else { start };
    edits.push_with(Span::new(from, text_end), |out| {
        if is_first {
            emit::push_spaces(column, out);
        }
        push_lines(new, column, &layout, out);
        trim_break(out, layout.line_break);
    });
    edits
}

fn without_properties(
    doc: &Document,
    value: NodeId,
    start: usize,
    end: usize,
    new: &Tree,
) -> Edits {
    let text = doc.text();
    let text_end = text[..end].trim_end_matches(['\n', '\r']).len().max(start);
    let from = doc.properties_start(value);
    let mut edits = Edits::new();
    edits.push_with(Span::new(from, text_end), |out| {
        let mut layout = layout(doc, value, blocks_before(doc, value, &text[text_end..]));
        if emit::is_inline(new) {
            layout.blocks = Blocks::None;
            return emit::push_inline(new, 0, &layout, out);
        }
        let parent = Place::of(doc, value).parent;
        let column = match parent {
            Some(parent) => below(parent, layout.step),
            None => 0,
        };
        out.push_str(layout.line_break);
        emit::push_spaces(column, out);
        push_lines(new, column, &layout, out);
        trim_break(out, layout.line_break);
    });
    edits
}

/// A block scalar can only stand before a line break: at the open end of a text it would lose its
/// last one, and what else follows would be part of it, white space in the next lines included.
fn blocks_before(doc: &Document, value: NodeId, rest: &str) -> Blocks {
    if rest.starts_with(['\n', '\r']) { blocks_above(doc, value, rest) } else { Blocks::None }
}

/// As [`blocks_before`], where the line break was already.
fn blocks_above(doc: &Document, value: NodeId, rest: &str) -> Blocks {
    if comment_follows(rest, Place::of(doc, value).parent.unwrap_or(0)) {
        return Blocks::None;
    }
    let next = rest.trim_start_matches([' ', '\t', '\n', '\r']);
    let blank = &rest[..rest.len() - next.len()];
    let end = if next.is_empty() { None } else { blank.rfind(['\n', '\r']) };
    let lines = end.map_or(if next.is_empty() { blank } else { "" }, |end| &blank[..end]);
    if lines.contains([' ', '\t']) { Blocks::None } else { Blocks::Closed }
}

fn trim_break(out: &mut String, line_break: &str) {
    if out.ends_with(line_break) {
        out.truncate(out.len() - line_break.len());
    }
}

/// A scalar or empty collection for a scalar, an alias or an empty collection in brackets.
fn replace_inline(doc: &Document, value: NodeId, start: usize, new: &Tree) -> Edits {
    let span = doc.node(value).span();
    let mut edits = Edits::new();
    edits.push_with(Span::new(start, span.end()), |out| {
        push_gap(doc, start, out);
        let layout = layout(doc, value, Blocks::None);
        emit::push_inline(new, 0, &layout, out);
        if doc.source(value).ends_with(['\n', '\r']) {
            out.push_str(layout.line_break);
        }
    });
    edits
}

/// Lines of a collection for a value on one line, or for a block scalar.
fn with_lines(doc: &Document, value: NodeId, start: usize, new: &Tree) -> Edits {
    let text = doc.text();
    let end = doc.node(value).span().end();
    let ends_line = text[..end].ends_with(['\n', '\r']);
    let parent = doc.node(value).parent();
    let blocks = match ends_line {
        true => blocks_above(doc, value, &text[end..]),
        false => blocks_before(doc, value, &text[end..]),
    };
    let layout = layout(doc, value, blocks);
    let mut edits = Edits::new();
    let is_first = is_first_on_line(text, start) && end > start;
    if is_first || doc.node(parent).kind() != NodeKind::Key {
        let gap = usize::from(!is_first && end == start);
        let column = start - line_start(text, start) + gap;
        edits.push_with(Span::new(start, end), |out| {
            let is_tabbed = text[line_start(text, start)..start].contains('\t')
                || !is_first && doc.properties_start(value) < start;
            if doc.node(parent).kind() == NodeKind::Document && !is_first {
                out.push_str(layout.line_break);
                push_lines(new, 0, &layout, out);
            } else if is_tabbed {
                // Behind a tab, an anchor or a YAML tag no collection may start.
                let column = Place::of(doc, value).parent.map_or(0, |parent| parent + 2);
                out.push_str(layout.line_break);
                emit::push_spaces(column, out);
                push_lines(new, column, &layout, out);
            } else {
                emit::push_spaces(gap, out);
                push_lines(new, column, &layout, out);
            }
            if !ends_line {
                trim_break(out, layout.line_break);
            }
        });
        return edits;
    }
    let column = below(Place::of(doc, value).parent.unwrap_or(0), layout.step);
    let head = text[..start].trim_end_matches([' ', '\t']).len();
    if ends_line {
        edits.push_with(Span::new(head, end), |out| {
            out.push_str(layout.line_break);
            emit::push_spaces(column, out);
            push_lines(new, column, &layout, out);
        });
        return edits;
    }
    edits.push(Span::new(head, end), "");
    let at = next_line(text, end);
    edits.push_with(Span::at(at), |out| {
        if !text[..at].ends_with(['\n', '\r']) {
            out.push_str(line_break(text));
        }
        emit::push_spaces(column, out);
        push_lines(new, column, &layout, out);
    });
    edits
}
