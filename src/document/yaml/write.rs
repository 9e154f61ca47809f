//! Values and encrypted tokens as the text of one place.
//!
//! Invariants: what is written depends on the place and the value alone, so that opening a sealed
//! file restores the owner's bytes wherever they were canonical; a string never reads back as
//! another type; the text ends with a line break exactly if that of the node does (block scalars),
//! unless the value needs one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::decode::split_line;
use super::literal::{self, Chomp, Header};
use super::place::{Place, below, line_end, next_line, step};
use super::quote;
use crate::document::{Document, NodeId, NodeKind, Style};
use crate::text::line_break;
use crate::value::{Scalar, ScalarType};

/// Appends an encrypted token in the style of the node.
pub(super) fn write_token(doc: &Document, id: NodeId, token: &str, out: &mut String) {
    let node = doc.node(id);
    match node.style() {
        Style::Single | Style::MultiSingle => push_around('\'', token, out),
        Style::Double | Style::MultiDouble => push_around('"', token, out),
        Style::Literal | Style::Folded => write_token_block(doc, id, token, out),
        Style::Plain | Style::Flow | Style::Block | Style::Line | Style::Inline => {
            push_gap(doc, id, out);
            if Place::of(doc, id).in_flow {
                push_around('"', token, out);
            } else {
                out.push_str(token);
            }
        }
    }
}

/// Appends the canonical spelling of a value or comment.
pub(super) fn write_scalar(doc: &Document, id: NodeId, value: &Scalar<'_>, out: &mut String) {
    if doc.node(id).kind() == NodeKind::Comment {
        return write_comment(doc, id, value, out);
    }
    let Some(text) = value.text() else {
        let start = out.len();
        push_binary(&value.bytes, out);
        return finish(doc, id, start, out);
    };
    if let Some(text) = bare(value.kind, text) {
        if value.kind == ScalarType::Null && doc.node(id).span().is_empty() {
            return;
        }
        let start = out.len();
        push_gap(doc, id, out);
        out.push_str(text);
        return finish(doc, id, start, out);
    }
    write_str(doc, id, text, out);
}

/// The spelling of a value that is no string.
pub(super) fn bare(kind: ScalarType, text: &str) -> Option<&str> {
    match kind {
        ScalarType::Int | ScalarType::Time => Some(text),
        ScalarType::Float => Some(match text {
            "NaN" => ".nan",
            "+Inf" => ".inf",
            "-Inf" => "-.inf",
            // Without the point it would be the integer 0.
            "-0" => "-0.0",
            _ => text,
        }),
        ScalarType::Bool => Some(if text == "True" { "true" } else { "false" }),
        ScalarType::Null => Some("null"),
        // YAML has no local dates and times; plain they would be times.
        ScalarType::DatetimeLocal
        | ScalarType::DateLocal
        | ScalarType::TimeLocal
        | ScalarType::Str
        | ScalarType::Bytes
        | ScalarType::Comment => None,
    }
}

/// Appends what YAML has for bytes that are no text.
pub(super) fn push_binary(bytes: &[u8], out: &mut String) {
    out.push_str("!!binary ");
    STANDARD.encode_string(bytes, out);
}

fn write_str(doc: &Document, id: NodeId, text: &str, out: &mut String) {
    let start = out.len();
    match doc.node(id).style() {
        Style::Single | Style::MultiSingle if quote::is_printable_line(text) => {
            quote::push_single(text, out);
        }
        Style::Single | Style::MultiSingle | Style::Double | Style::MultiDouble => {
            quote::push_double(text, out);
        }
        Style::Literal | Style::Folded => {
            if !write_block(doc, id, text, out) {
                quote::push_double(text, out);
                finish(doc, id, start, out);
            }
        }
        Style::Plain | Style::Flow | Style::Block | Style::Line | Style::Inline => {
            push_gap(doc, id, out);
            if !text.contains('\n') || !write_new_block(doc, id, text, out) {
                quote::push_free(text, Place::of(doc, id).in_flow, out);
            }
        }
    }
}

/// A comment line per line of the text: only foreign files have more than one.
fn write_comment(doc: &Document, id: NodeId, value: &Scalar<'_>, out: &mut String) {
    let text = String::from_utf8_lossy(&value.bytes);
    let at = doc.node(id).span().start();
    let mut rest = text.as_ref();
    loop {
        let (line, next) = split_line(rest);
        out.push('#');
        out.push_str(line);
        if line.len() == rest.len() {
            return;
        }
        out.push_str(line_break(doc.text()));
        out.push_str(super::place::margin(doc.text(), at));
        rest = next;
    }
}

fn push_around(mark: char, token: &str, out: &mut String) {
    out.push(mark);
    out.push_str(token);
    out.push(mark);
}

/// A value put where none is written needs a space before it.
fn push_gap(doc: &Document, id: NodeId, out: &mut String) {
    let span = doc.node(id).span();
    if span.is_empty() && !doc.text()[..span.start()].ends_with([' ', '\t', '\n', '\r']) {
        out.push(' ');
    }
}

/// Behind a value on one line that takes the place of a block scalar: its comment and line break.
fn finish(doc: &Document, id: NodeId, start: usize, out: &mut String) {
    if !matches!(doc.node(id).style(), Style::Literal | Style::Folded) || out.len() == start {
        return;
    }
    let source = doc.source(id);
    let (header, _) = Header::split(source);
    out.push_str(header.tail.trim_end_matches([' ', '\t']));
    if source.ends_with(['\n', '\r']) {
        out.push_str(line_break(doc.text()));
    }
}

/// The column of the body of a block scalar: that of the text that stands there, else as its header
/// demands, else two columns below its parent.
fn body_column(doc: &Document, id: NodeId, header: &Header<'_>) -> usize {
    let parent = Place::of(doc, id).parent.unwrap_or(0);
    match doc.node(id).indent() {
        0 => parent + header.indicator.unwrap_or(2),
        indent => indent,
    }
}

fn write_token_block(doc: &Document, id: NodeId, token: &str, out: &mut String) {
    let source = doc.source(id);
    let (header, body) = Header::split(source);
    let column = body_column(doc, id, &header);
    out.push_str(header.text);
    out.push_str(line_break(doc.text()));
    out.extend(std::iter::repeat_n(' ', column));
    out.push_str(token);
    if !source.ends_with(['\n', '\r']) {
        return;
    }
    // Keep chomping owns the empty lines behind: they stay, unless one would be text.
    let text_end = body.trim_end_matches([' ', '\t', '\n', '\r']).len();
    let (_, mut blanks) = split_line(&body[text_end..]);
    if text_end == 0 {
        blanks = body;
    }
    let is_blank = |line: &str| line.len() <= column && line.bytes().all(|byte| byte == b' ');
    out.push_str(line_break(doc.text()));
    if header.chomp == Chomp::Keep && blanks.split(['\n', '\r']).all(is_blank) {
        out.push_str(blanks);
    }
}

/// A string where a block scalar stands, if a block can hold it.
fn write_block(doc: &Document, id: NodeId, value: &str, out: &mut String) -> bool {
    let source = doc.source(id);
    let (header, _) = Header::split(source);
    let content = literal::content(value);
    let file_break = line_break(doc.text());
    let end = doc.node(id).span().end();
    let is_empty = content.is_empty() && !value.is_empty() && header.chomp == Chomp::Keep;
    let floor = Place::of(doc, id).parent.map_or(0, |parent| parent + 1).max(1);
    if is_empty && ends_before(doc, end, floor) {
        out.push_str(header.text);
        out.push_str(file_break);
        out.extend(std::iter::repeat_n(file_break, value.len()));
        return true;
    }
    if !literal::holds(value) {
        return false;
    }
    let breaks = value.len() - content.len();
    let chomp = match header.chomp {
        Chomp::Keep if breaks > 0 => Chomp::Keep,
        _ => literal::chomp(value),
    };
    let mut empty_lines = breaks.saturating_sub(1);
    if chomp == Chomp::Keep && header.chomp != Chomp::Keep {
        // The empty lines behind now belong to the value.
        match blank_lines(doc, end).filter(|&blanks| blanks <= empty_lines) {
            Some(blanks) => empty_lines -= blanks,
            None => return false,
        }
    }
    // Folding pays for one line only; more of them are written as they are.
    let is_folded =
        header.is_folded && !content.contains('\n') && !content.starts_with([' ', '\t']);
    let parent = Place::of(doc, id).parent.unwrap_or(0);
    let mut column = body_column(doc, id, &header);
    let mut indicator = header.indicator;
    if indicator.is_none() && literal::needs_indicator(value) {
        if !(1..=9).contains(&column.saturating_sub(parent)) {
            column = parent + 2;
        }
        indicator = Some(column - parent);
    }
    if !ends_before(doc, end, column) {
        return false;
    }
    header.push(is_folded, indicator, chomp, out);
    literal::push_lines(content, column, file_break, out);
    if source.ends_with(['\n', '\r']) || breaks > 0 {
        out.push_str(file_break);
    }
    if chomp == Chomp::Keep {
        out.extend(std::iter::repeat_n(file_break, empty_lines));
    }
    true
}

/// A string of more than one line where a plain scalar ends its line: a literal block, as SOPS has it.
fn write_new_block(doc: &Document, id: NodeId, value: &str, out: &mut String) -> bool {
    let place = Place::of(doc, id);
    let text = doc.text();
    let end = doc.node(id).span().end();
    let Some(parent) = place.parent.filter(|_| !place.in_flow) else { return false };
    if line_end(text, end) != end || !literal::holds(value) {
        return false;
    }
    let content = literal::content(value);
    let breaks = value.len() - content.len();
    let mut empty_lines = breaks.saturating_sub(1);
    if empty_lines > 0 {
        match blank_lines(doc, next_line(text, end)).filter(|&blanks| blanks <= empty_lines) {
            Some(blanks) => empty_lines -= blanks,
            None => return false,
        }
    }
    let column = below(parent, step(doc, doc.node(id).parent()));
    if !ends_before(doc, next_line(text, end), column) {
        return false;
    }
    let indicator = literal::needs_indicator(value).then_some(column - parent);
    let file_break = line_break(text);
    literal::push_header(false, indicator, literal::chomp(value), out);
    literal::push_lines(content, column, file_break, out);
    out.extend(std::iter::repeat_n(file_break, empty_lines));
    if breaks > 0 && end == text.len() {
        out.push_str(file_break);
    }
    true
}

/// Whether the first line from `start` on that is not blank, if any, is indented by less than
/// `column`: then no body at that column swallows it.
fn ends_before(doc: &Document, start: usize, column: usize) -> bool {
    let mut rest = &doc.text()[start..];
    while !rest.is_empty() {
        let (line, next) = split_line(rest);
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        if !text.trim_start_matches('\t').is_empty() {
            return indent < column;
        }
        // White space beyond the column would be a line of the body.
        if indent > column || indent == column && !text.is_empty() {
            return false;
        }
        rest = next;
    }
    true
}

/// How many empty lines start at this line; none if one of them is not quite empty.
fn blank_lines(doc: &Document, start: usize) -> Option<usize> {
    let mut rest = &doc.text()[start..];
    let mut count = 0;
    loop {
        let (line, next) = split_line(rest);
        if !line.is_empty() {
            let is_blank = line.trim_matches([' ', '\t']).is_empty();
            return (!is_blank).then_some(count);
        }
        if rest.is_empty() {
            return Some(count);
        }
        count += 1;
        rest = next;
    }
}
