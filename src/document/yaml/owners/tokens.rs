//! The tokens of a document as SOPS' YAML library reads them, from its nodes and the text between.
//!
//! Invariants: every node that is written gives one token (a key that is a collection: one); the blocks
//! open and end by columns alone, so a list under a key at the key's column has no start and no end.

use std::collections::VecDeque;

use super::groups::{Gap, Next, group, lines};
use super::{Group, Part, Token, TokenKind};
use crate::document::{Document, NodeId, NodeKind, Style};
use crate::text::Span;

pub(super) struct Tokens<'d> {
    doc: &'d Document,
    comments: &'d [NodeId],
    comment: usize,
    /// The node to read next.
    node: usize,
    pos: usize,
    /// Start of the line of `pos`, unless something on it began on a line before.
    line: usize,
    first_break: usize,
    /// Open block collections: column, and the map.
    blocks: Vec<(usize, Option<NodeId>)>,
    /// Open brackets.
    brackets: Vec<NodeId>,
    /// The last block collection that began.
    begun: Option<NodeId>,
    /// A `?` waits for its key; a key without one has begun; it waits for its colon.
    marked: bool,
    key_begun: bool,
    colon_due: bool,
    last: Last,
    announced: Option<usize>,
    done: bool,
}

/// The last token, and where the one before it started.
#[derive(Clone, Copy)]
struct Last {
    kind: TokenKind,
    start: usize,
    before: usize,
    /// The reading of a plain scalar goes on through the space behind it.
    is_plain: bool,
    /// Line breaks at its end.
    breaks: usize,
}

impl<'d> Tokens<'d> {
    pub(super) fn new(doc: &'d Document, comments: &'d [NodeId]) -> Self {
        let text = doc.text();
        let pos = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let kind = TokenKind::DocumentStart;
        Self {
            doc,
            comments,
            comment: 0,
            node: 0,
            pos,
            line: pos,
            first_break: text.find(['\n', '\r']).unwrap_or(text.len()),
            blocks: Vec::new(),
            brackets: Vec::new(),
            begun: None,
            marked: false,
            key_begun: false,
            colon_due: false,
            last: Last { kind, start: 0, before: 0, is_plain: false, breaks: 0 },
            announced: doc.announced(),
            done: false,
        }
    }

    /// Reads on: at least one token, and the comments before it and behind it on its line. `false`: there
    /// is none.
    pub(super) fn read(&mut self, out: &mut VecDeque<Token>, groups: &mut VecDeque<Group>) -> bool {
        if self.done {
            return false;
        }
        let from = self.pos;
        let laid = self.skip_space(groups);
        let column = self.pos.saturating_sub(self.line);
        if self.announced.is_some_and(|at| self.pos >= at) {
            self.announced = None;
            self.announced_entry(&laid, from, out);
        } else if self.pos == self.doc.text().len() {
            self.end_blocks(Some(column), &laid, from, out);
            self.end_blocks(None, &laid, self.pos, out);
            self.unwritten(out);
            self.push(TokenKind::TextEnd, None, out);
            self.done = true;
        } else {
            if self.brackets.is_empty() {
                self.end_blocks(Some(column), &laid, from, out);
            }
            self.token(column, &laid, out);
        }
        self.line_comment(groups);
        true
    }

    fn byte(&self, at: usize) -> u8 {
        self.doc.text().as_bytes().get(at).copied().unwrap_or(0)
    }

    fn line_end(&self) -> usize {
        let rest = &self.doc.text()[self.pos..];
        self.pos + rest.find(['\n', '\r']).unwrap_or(rest.len())
    }

    /// Goes to the next token, or to where an entry is announced; groups the comments before it.
    fn skip_space(&mut self, groups: &mut VecDeque<Group>) -> Laid {
        let from = self.pos;
        let first = self.comment;
        let mut found: Vec<(Span, usize)> = Vec::new();
        let mut breaks_from = None;
        while self.announced.is_none_or(|at| self.pos < at) {
            match self.byte(self.pos) {
                b' ' | b'\t' => self.pos += 1,
                b'\n' | b'\r' => {
                    self.pos += 1;
                    self.line = self.pos;
                }
                b'#' => {
                    let due = self.comments.get(self.comment).map(|&it| self.doc.node(it).span());
                    let Some(span) = due.filter(|span| span.start() == self.pos) else {
                        // Behind the last part of a key that is a collection: it is part of the key.
                        self.pos = self.line_end();
                        continue;
                    };
                    breaks_from.get_or_insert(self.pos);
                    found.push((span, self.pos - self.line + 1));
                    self.comment += 1;
                    self.pos = span.end();
                }
                _ => break,
            }
        }
        let Some(first_comment) = breaks_from else { return Laid::default() };
        let text = self.doc.text();
        let closes = !self.brackets.is_empty() && matches!(self.byte(self.pos), b']' | b'}');
        let next = match closes {
            true => Next::ClosingBracket,
            false if self.pos == text.len() && self.announced.is_none() => Next::TextEnd,
            false => Next::Token,
        };
        let breaks = self.last.breaks + lines(&text[from..first_comment]);
        let read_on = if self.last.is_plain { first_comment } else { from };
        let gap = Gap {
            text,
            foot_anchor: if self.last.kind == TokenKind::Comma {
                self.last.before
            } else {
                self.last.start
            },
            takes_foot: self.last.kind != TokenKind::Colon && read_on > self.first_break,
            breaks,
            indent: self.blocks.last().map_or(0, |block| block.0),
            next,
            to: self.pos,
            column: self.pos.saturating_sub(self.line) + 1,
        };
        let laid = group(&gap, &found, first);
        groups.extend(laid.iter().map(|laid| laid.group));
        let mut starts: Vec<_> = laid.iter().map(|laid| (laid.column, laid.start)).collect();
        starts.sort_unstable();
        Laid { starts, end: laid.last().map_or(0, |laid| laid.end) }
    }

    /// A comment behind the last token on its line.
    fn line_comment(&mut self, groups: &mut VecDeque<Group>) {
        let first = self.comment;
        let anchor = self.last.start;
        let due = self.comments.get(first).map(|&comment| self.doc.node(comment));
        if let Some(scalar) = due.filter(|node| node.kind() == NodeKind::Scalar) {
            if scalar.span().start() == anchor && self.last.kind == TokenKind::Leaf {
                groups.push_back(Group { part: Part::Line, anchor, first, end: first + 1 });
                self.comment += 1;
            }
            return;
        }
        let takes_one = match self.last.kind {
            TokenKind::Dash
            | TokenKind::Directive
            | TokenKind::DocumentStart
            | TokenKind::DocumentEnd => false,
            _ => self.last.breaks == 0,
        };
        let Some(&comment) = self.comments.get(self.comment).filter(|_| takes_one) else { return };
        let span = self.doc.node(comment).span();
        let between = self.doc.text().get(self.pos..span.start());
        if !between.is_some_and(|space| space.bytes().all(|byte| matches!(byte, b' ' | b'\t'))) {
            return;
        }
        let anchor = match self.last.kind {
            TokenKind::Colon if self.brackets.is_empty() => self.last.before,
            TokenKind::Comma => self.last.before,
            _ => self.last.start,
        };
        groups.push_back(Group { part: Part::Line, anchor, first, end: first + 1 });
        self.comment += 1;
        self.pos = span.end();
        self.last.is_plain = false;
    }

    /// Ends the blocks that are indented deeper than `column` (none: all): at the first comment that
    /// stands in their column, else right before `from`.
    fn end_blocks(
        &mut self,
        column: Option<usize>,
        laid: &Laid,
        from: usize,
        out: &mut VecDeque<Token>,
    ) {
        let mut mark = from.saturating_sub(1);
        while let Some(&(indent, map)) = self.blocks.last()
            && column.is_none_or(|column| indent > column)
        {
            if laid.end >= mark {
                let at = laid.starts.partition_point(|&(column, _)| column < indent + 1);
                let start = laid.starts.get(at).filter(|(column, _)| *column == indent + 1);
                mark = start.map_or(mark, |&(_, start)| start);
            }
            self.blocks.pop();
            self.push_at(TokenKind::BlockEnd, mark, map, out);
        }
    }

    fn token(&mut self, column: usize, laid: &Laid, out: &mut VecDeque<Token>) {
        self.unwritten(out);
        let node = self.doc.nodes().get(self.node).copied();
        let start = self.pos;
        if let Some(node) = node.filter(|node| node.span().start() == start) {
            let id = NodeId::new(self.node);
            let end = node.span().end();
            match node.kind() {
                NodeKind::Anchor | NodeKind::Tag => {
                    if !self.marked && !self.key_begun && self.is_of_key(id) {
                        self.begin_key(node.parent(), column, out);
                        self.key_begun = true;
                    }
                    self.node += 1;
                    return self.written(TokenKind::Property, None, end, out);
                }
                NodeKind::Key | NodeKind::Scalar | NodeKind::Alias => {
                    if node.kind() == NodeKind::Key {
                        if !self.marked && !self.key_begun {
                            self.begin_key(node.parent(), column, out);
                        }
                        self.key_ended();
                    }
                    self.node += 1;
                    self.written(TokenKind::Leaf, Some(id), end, out);
                    self.last.is_plain =
                        node.style() == Style::Plain && node.kind() != NodeKind::Alias;
                    self.last.breaks = self.breaks_at_end(end);
                    return;
                }
                NodeKind::Map | NodeKind::List => {
                    self.node += 1;
                    self.brackets.push(id);
                    return self.written(TokenKind::FlowStart, Some(id), start + 1, out);
                }
                NodeKind::Document | NodeKind::Comment => {}
            }
        }
        self.indicator(column, laid, out);
    }

    fn indicator(&mut self, column: usize, laid: &Laid, out: &mut VecDeque<Token>) {
        let start = self.pos;
        let marker = self.doc.text().get(start..start + 3).filter(|_| column == 0);
        match self.byte(start) {
            b'-' | b'.' if matches!(marker, Some("---" | "...")) => {
                self.end_blocks(None, laid, start, out);
                let is_start = self.byte(start) == b'-';
                let kind = if is_start { TokenKind::DocumentStart } else { TokenKind::DocumentEnd };
                self.written(kind, None, start + 3, out);
            }
            b'%' if column == 0 => {
                self.end_blocks(None, laid, start, out);
                let end = self.line_end();
                // The library drops a comment behind it.
                while let Some(&comment) = self.comments.get(self.comment)
                    && self.doc.node(comment).span().start() < end
                {
                    self.comment += 1;
                }
                self.written(TokenKind::Directive, None, end, out);
            }
            b'-' => {
                self.begin_block(column, None, out);
                self.written(TokenKind::Dash, None, start + 1, out);
            }
            b'?' => {
                self.begin_block(column, self.begun, out);
                self.marked = true;
                self.written(TokenKind::KeyMark, None, start + 1, out);
            }
            b':' => {
                if !self.colon_due {
                    self.begin_block(column, self.begun, out);
                }
                self.colon_due = false;
                self.written(TokenKind::Colon, None, start + 1, out);
            }
            b',' => {
                let brackets = self.brackets.last().copied();
                self.written(TokenKind::Comma, brackets, start + 1, out);
            }
            b']' | b'}' => {
                let closed = self.brackets.pop();
                self.written(TokenKind::FlowEnd, closed, start + 1, out);
            }
            _ => {
                debug_assert!(false, "nothing else stands between nodes");
                let next = self.doc.text()[start..].chars().next();
                self.pos += next.map_or(1, char::len_utf8);
            }
        }
    }

    /// The keys and values before `pos` that are not written.
    fn unwritten(&mut self, out: &mut VecDeque<Token>) {
        while let Some(node) = self.doc.nodes().get(self.node) {
            let id = NodeId::new(self.node);
            match node.kind() {
                NodeKind::Document | NodeKind::Comment => {}
                _ if node.span().start() > self.pos => return,
                NodeKind::Map | NodeKind::List
                    if node.style() == Style::Block || self.is_pair(id) =>
                {
                    self.begun = Some(id);
                }
                NodeKind::Key | NodeKind::Scalar if node.span().is_empty() => {
                    if node.kind() == NodeKind::Key {
                        self.key_ended();
                    }
                    let token =
                        Token { kind: TokenKind::Unwritten, start: self.pos, node: Some(id) };
                    out.push_back(token);
                }
                _ => return,
            }
            self.node += 1;
        }
    }

    /// Whether a map between brackets is a pair without its own.
    fn is_pair(&self, map: NodeId) -> bool {
        let start = self.doc.node(map).span().start();
        let first = self.doc.nodes()[map.index() + 1..]
            .iter()
            .find(|node| node.kind() != NodeKind::Comment);
        self.byte(start) != b'{' && self.byte(start) != b'['
            || first.is_some_and(|first| {
                first.kind() == NodeKind::Key
                    && first.parent() == map
                    && first.span().start() == start
            })
    }

    /// Whether a property stands before a key.
    fn is_of_key(&self, property: NodeId) -> bool {
        let is_other = |kind| matches!(kind, NodeKind::Comment | NodeKind::Anchor | NodeKind::Tag);
        let parent = self.doc.node(property).parent();
        self.doc.nodes()[property.index()..]
            .iter()
            .find(|node| !is_other(node.kind()))
            .is_some_and(|node| node.kind() == NodeKind::Key && node.parent() == parent)
    }

    /// A key without `?` begins.
    fn begin_key(&mut self, map: NodeId, column: usize, out: &mut VecDeque<Token>) {
        self.begin_block(column, Some(map), out);
        self.push(TokenKind::KeyMark, None, out);
    }

    fn key_ended(&mut self) {
        self.colon_due = !self.marked;
        (self.marked, self.key_begun) = (false, false);
    }

    fn begin_block(&mut self, column: usize, map: Option<NodeId>, out: &mut VecDeque<Token>) {
        let deeper = self.blocks.last().is_none_or(|&(indent, _)| indent < column);
        if deeper && self.brackets.is_empty() {
            self.blocks.push((column, map));
            self.push(TokenKind::BlockStart, map.or(self.begun), out);
        }
    }

    /// An entry that the text does not have yet, with a block of its own.
    fn announced_entry(&mut self, laid: &Laid, from: usize, out: &mut VecDeque<Token>) {
        self.unwritten(out);
        if !self.brackets.is_empty() {
            self.push(TokenKind::AnnouncedInBrackets, None, out);
            return;
        }
        let column = self.blocks.first().map_or(0, |block| block.0);
        self.end_blocks(Some(column), laid, from, out);
        self.push(TokenKind::Announced, None, out);
        self.blocks.push((column + 1, None));
        self.last.breaks = 1;
    }

    /// Line breaks that a block scalar ends with.
    fn breaks_at_end(&self, end: usize) -> usize {
        let text = &self.doc.text()[..end];
        if !text.ends_with(['\n', '\r']) {
            return 0;
        }
        if self.doc.announced().is_some() {
            return 1;
        }
        lines(&text[text.trim_end_matches([' ', '\t', '\n', '\r']).len()..])
    }

    fn written(
        &mut self,
        kind: TokenKind,
        node: Option<NodeId>,
        end: usize,
        out: &mut VecDeque<Token>,
    ) {
        self.push(kind, node, out);
        self.pos = end;
        if self.doc.text()[..end].ends_with(['\n', '\r']) {
            self.line = end;
        }
    }

    fn push(&mut self, kind: TokenKind, node: Option<NodeId>, out: &mut VecDeque<Token>) {
        self.push_at(kind, self.pos, node, out);
    }

    fn push_at(
        &mut self,
        kind: TokenKind,
        start: usize,
        node: Option<NodeId>,
        out: &mut VecDeque<Token>,
    ) {
        out.push_back(Token { kind, start, node });
        let before = self.last.start;
        self.last = Last { kind, start, before, is_plain: false, breaks: 0 };
    }
}

/// What the ends of blocks need of the groups before a token: columns with the starts, sorted, and where
/// the last group ends.
#[derive(Default)]
struct Laid {
    starts: Vec<(usize, usize)>,
    end: usize,
}
