//! Two independent YAML parsers, and one form in which their events and our nodes can be compared.
//!
//! A document is a list of lines, one for each key, value, start and end of a collection: what it is,
//! its style, the spans of its properties, and its own span where both sides define it alike.

use std::fmt::Write;

use granit_parser::{Event, ScalarStyle, StructureStyle};
use waxseal::document::{Document, Format, Node, NodeKind, ParseError, Style};

/// What both sides say of a text.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Reading {
    pub(super) lines: Vec<String>,
    pub(super) comments: Vec<(usize, usize)>,
}

impl Reading {
    /// Takes out what is no node of ours by contract: a document without anything, and comments on the
    /// header line of a block scalar or inside of a collection that is a key (what is behind its last
    /// value included).
    pub(super) fn align(&mut self, ours: &mut Self, document: &Document) {
        if self.lines.is_empty() && ours.lines == ["document"] {
            ours.lines.clear();
        }
        let nodes = document.nodes();
        let headers = nodes.iter().enumerate().filter_map(|(index, node)| {
            let (start, end) = (node.span().start(), node.span().end());
            match (node.kind(), node.style()) {
                (_, Style::Literal | Style::Folded) => {
                    let body = document.text()[start..end].find(['\n', '\r']);
                    Some((start, body.map_or(end, |offset| start + offset)))
                }
                (NodeKind::Key, Style::Flow | Style::Block) => {
                    let next = nodes[index + 1..]
                        .iter()
                        .find(|node| node.kind() != NodeKind::Comment && !node.span().is_empty());
                    Some((start, next.map_or(usize::MAX, |next| next.span().start())))
                }
                _ => None,
            }
        });
        let headers: Vec<_> = headers.collect();
        let dropped = |at: usize| headers.iter().any(|&(start, end)| start <= at && at < end);
        self.comments.retain(|&(at, _)| !dropped(at));
        ours.comments.retain(|&(at, _)| !dropped(at));
    }
}

/// Our own reading.
pub(super) fn ours(text: &str) -> Result<(Reading, Document), ParseError> {
    let document = Document::parse(text.to_owned(), Format::Yaml)?;
    let nodes = document.nodes();
    let mut children = vec![Vec::new(); nodes.len()];
    let mut reading = Reading::default();
    for (index, node) in nodes.iter().enumerate() {
        match node.kind() {
            NodeKind::Document => {}
            NodeKind::Comment => reading.comments.push((node.span().start(), node.span().end())),
            _ => children[node.parent().index()].push(index),
        }
    }
    let mut walk = Walk { text, nodes, children: &children, lines: Vec::new() };
    let documents = nodes.iter().enumerate().filter(|(_, node)| node.kind() == NodeKind::Document);
    for (index, _) in documents {
        walk.lines.push("document".to_owned());
        walk.children(index);
    }
    reading.lines = walk.lines;
    Ok((reading, document))
}

struct Walk<'a> {
    text: &'a str,
    nodes: &'a [Node],
    children: &'a [Vec<usize>],
    lines: Vec<String>,
}

impl Walk<'_> {
    /// Whether a map in brackets is a pair: its first key, or a property of it, starts it.
    fn is_pair(&self, map: usize) -> bool {
        let start = |index: usize| self.nodes[index].span().start();
        let text = &self.text[start(map)..];
        let first = self.children[map].first();
        !text.starts_with('{') || first.is_some_and(|&first| start(first) == start(map))
    }

    fn children(&mut self, parent: usize) {
        let mut properties = Vec::new();
        for &index in &self.children[parent] {
            let node = &self.nodes[index];
            let (start, end) = (node.span().start(), node.span().end());
            let kind = node.kind();
            if matches!(kind, NodeKind::Anchor | NodeKind::Tag) {
                properties.push((start, end));
                continue;
            }
            let properties = std::mem::take(&mut properties);
            let block = node.style() == Style::Block;
            match kind {
                NodeKind::Map | NodeKind::List => {
                    let is_map = kind == NodeKind::Map;
                    let pair = is_map && !block && self.is_pair(index);
                    self.lines.push(collection(is_map, block, &properties, start));
                    self.children(index);
                    self.lines.push(collection_end(block || pair, end));
                }
                NodeKind::Key if matches!(node.style(), Style::Flow | Style::Block) => {
                    self.lines.push(collection_key(block, &properties, start, end));
                    self.children(index);
                }
                NodeKind::Key | NodeKind::Scalar | NodeKind::Alias => {
                    let style = match node.style() {
                        Style::Plain if self.text[start..end].starts_with('*') => "alias",
                        Style::Plain => "plain",
                        Style::Single => "single",
                        Style::Double => "double",
                        Style::Literal => "literal",
                        Style::Folded => "folded",
                        _ => "?",
                    };
                    let body = match node.style() {
                        Style::Literal | Style::Folded => {
                            let header = self.text[start..end].find(['\n', '\r']);
                            header.map_or(end, |offset| start + offset)
                        }
                        _ => start,
                    };
                    self.lines.push(scalar(self.text, style, &properties, body, end));
                    self.children(index);
                }
                _ => self.lines.push(format!("{kind:?}")),
            }
        }
    }
}

/// The start of a collection. Where a block list starts is not compared: granit has its first dash or
/// what is behind it.
fn collection(is_map: bool, block: bool, properties: &[(usize, usize)], start: usize) -> String {
    if block && !is_map {
        return format!("+list block {properties:?}");
    }
    let (kind, style) = (if is_map { "map" } else { "list" }, if block { "block" } else { "flow" });
    format!("+{kind} {style} {properties:?} {start}")
}

/// The end of a collection: its offset only if there is a bracket.
fn collection_end(open: bool, end: usize) -> String {
    if open { "-".to_owned() } else { format!("-flow {end}") }
}

fn collection_key(block: bool, properties: &[(usize, usize)], start: usize, end: usize) -> String {
    if block {
        format!("key block {properties:?}")
    } else {
        format!("key flow {properties:?} {start}..{end}")
    }
}

fn scalar(
    text: &str,
    style: &str,
    properties: &[(usize, usize)],
    start: usize,
    end: usize,
) -> String {
    let mut line = format!("{style} {properties:?}");
    let (mut start, mut end) = (start, end);
    if matches!(style, "literal" | "folded") {
        let space = [' ', '\n', '\r', '\t'];
        let body = &text[start..end];
        end = start + body.trim_end_matches(space).len();
        start = (start + body.len() - body.trim_start_matches(space).len()).min(end);
    }
    if start < end {
        write!(line, " {start}..{end}").expect("writing to a string");
    }
    line
}

/// The reading of granit-parser, or its message.
pub(super) fn granit(text: &str) -> Result<Reading, String> {
    let options = granit_parser::options! {
        emit_anchor_events: true,
        max_buffered_comment_events: 1_000_000,
        flow_nesting_limit: 1000,
        block_nesting_limit: 1000,
        block_scalar_eof_without_line_feed: true,
    };
    let parser = granit_parser::Parser::new_from_str_with_options(text, options);
    let mut events = Vec::new();
    for event in parser {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let range = span.byte_range().unwrap_or_default();
        match event {
            Event::Anchor(..) => {
                if let Some(Heard { properties, .. }) = events.last_mut() {
                    properties.push((range.start, range.end));
                    properties.sort_unstable();
                }
            }
            event => {
                let tag = span.tag_span().and_then(|span| span.byte_range());
                let properties = tag.map(|range| (range.start, range.end)).into_iter().collect();
                events.push(Heard { event, properties, start: range.start, end: range.end });
            }
        }
    }
    Ok(granit_lines(text, &events))
}

struct Heard<'a> {
    event: Event<'a>,
    properties: Vec<(usize, usize)>,
    start: usize,
    end: usize,
}

fn granit_lines(text: &str, events: &[Heard<'_>]) -> Reading {
    let mut reading = Reading::default();
    // Of each open collection: whether it is a map, whether a key is next, whether it is block.
    let mut open: Vec<(bool, bool, bool)> = Vec::new();
    // Depth of a collection that is a key: what is inside is not compared.
    let mut key: Option<(usize, String)> = None;
    for Heard { event, properties, start, end } in events {
        let at_key = open.last().is_some_and(|&(is_map, key, _)| is_map && key);
        let mut lines = Vec::new();
        let mut complete = false;
        match event {
            Event::DocumentStart(..) => lines.push("document".to_owned()),
            Event::Comment(..) => reading.comments.push((*start, *end)),
            Event::Alias(_) => {
                lines.push(scalar(text, "alias", properties, *start, *end));
                complete = true;
            }
            Event::Scalar(value, style, ..) => {
                let style = match style {
                    ScalarStyle::SingleQuoted => "single",
                    ScalarStyle::DoubleQuoted => "double",
                    ScalarStyle::Literal => "literal",
                    ScalarStyle::Folded => "folded",
                    _ => "plain",
                };
                let blank = value.trim_matches([' ', '\t', '\n']).is_empty();
                let end = if blank && matches!(style, "literal" | "folded") { start } else { end };
                let root_null = open.is_empty() && start == end && properties.is_empty();
                if !(root_null && style == "plain") {
                    lines.push(scalar(text, style, properties, *start, *end));
                }
                complete = true;
            }
            Event::MappingStart(style, ..) | Event::SequenceStart(style, ..) => {
                let is_map = matches!(event, Event::MappingStart(..));
                let block = *style == StructureStyle::Block;
                if at_key && key.is_none() {
                    let line = collection_key(block, properties, *start, usize::MAX);
                    key = Some((open.len(), line));
                }
                // A pair starts by no token.
                let pair = is_map && (start == end || !text[*start..].starts_with('{'));
                open.push((is_map, true, block || pair));
                lines.push(collection(is_map, block, properties, *start));
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let (_, _, block) = open.pop().unwrap_or_default();
                lines.push(collection_end(block, *end));
                complete = true;
            }
            _ => {}
        }
        match &key {
            Some((depth, line)) if complete && open.len() == *depth => {
                let line = line.replace(&usize::MAX.to_string(), &end.to_string());
                reading.lines.push(line);
                key = None;
            }
            Some(_) => {}
            None => reading.lines.append(&mut lines),
        }
        if complete && let Some((_, key, _)) = open.last_mut() {
            *key = !*key;
        }
    }
    reading
}
