//! Collections in brackets.
//!
//! Invariants: [`FlowFrame`]s are the open collections of one bracketed value, outermost first; a
//! pair (`[a: b]`) is one of its own, open from its `:` or `?` to the end of its value; a collection
//! that turns out to be a key becomes one `Key` node.

use crate::document::{NodeKind, Style};
use crate::text::Span;

use super::properties::Properties;
use super::source::Stop;
use super::{Fault, Parsed, Parser};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    List,
    Map,
    /// The map of one pair in a list.
    Pair,
}

/// What is next in a collection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// An item or key.
    Entry,
    /// A key, after `?`.
    ExplicitKey,
    /// `:`, of a map.
    Colon,
    /// A value, after `:`.
    Value,
    /// In a list: `,` or the `:` that makes the item a key.
    AfterItem,
    /// `,` or the closing bracket.
    Comma,
}

/// An open collection.
pub(super) struct FlowFrame {
    pub(super) form: Form,
    pub(super) state: State,
    pub(super) node: usize,
    /// The item or key at hand: the first node of it, the properties of it, where it starts and
    /// on which line, whether `? ` stands before it, and whether a `:` may follow it closely.
    pub(super) first: usize,
    pub(super) properties: Properties,
    pub(super) start: usize,
    pub(super) line: usize,
    pub(super) explicit: bool,
    pub(super) json: bool,
    /// Whether the item or key at hand, or a property of it, is indented too little for a key that
    /// goes over more than one line.
    pub(super) shallow: bool,
    /// Of a value: its key, and where its null would stand.
    pub(super) key: usize,
    pub(super) null_at: usize,
}

const UNCLOSED: &str = "a bracket that is never closed";
pub(super) const NO_COMMA: &str = "a `,` or closing bracket is missing before this";

impl Parser<'_> {
    /// Reads the bracketed collection at `pos`, inside of block structure with this indentation.
    pub(super) fn read_flow(&mut self, parent: usize, indent: isize) -> Parsed<()> {
        let open = self.pos;
        self.open_brackets(parent)?;
        loop {
            self.skip_flow_space(indent)?;
            let (at, byte) = (self.pos, self.source.byte(self.pos));
            let indicator = self.source.is_separator(at + 1);
            match byte {
                0 => return Fault::new(open, UNCLOSED),
                b'[' | b'{' => {
                    let parent = self.begin_node(indent)?;
                    self.open_brackets(parent)?;
                }
                b']' | b'}' => {
                    self.close_brackets(byte)?;
                    if self.flow.is_empty() {
                        return Ok(());
                    }
                }
                b',' => self.comma()?,
                b'?' if indicator => self.flow_explicit_key()?,
                b':' if self.is_flow_colon() => self.flow_colon(indent)?,
                b'&' | b'!' => self.flow_property(indent)?,
                b'*' => {
                    let span = self.read_alias()?;
                    self.pos = at;
                    self.put(span, NodeKind::Alias, Style::Plain, indent)?;
                }
                b'"' | b'\'' => {
                    let end = self.quoted_end(at, byte)?;
                    let style = if byte == b'"' { Style::Double } else { Style::Single };
                    self.put(Span::new(at, end), NodeKind::Scalar, style, indent)?;
                }
                b'-' if indicator => {
                    return Fault::new(at, "a list item with a dash inside of brackets");
                }
                b'#' => return Fault::new(at, "a comment needs a space before its #"),
                b'|' | b'>' | b'%' | b'@' | b'`' => {
                    let problem = "a character that no value in brackets can start with; quote it";
                    return Fault::new(at, problem);
                }
                _ => self.flow_plain(indent)?,
            }
        }
    }

    /// Steps over blanks, line breaks and comments.
    fn skip_flow_space(&mut self, indent: isize) -> Parsed<()> {
        loop {
            let fresh = self.pos == self.line;
            let spaces_end = self.source.skip_spaces(self.pos);
            let at = self.source.skip_blanks(spaces_end);
            match self.source.byte(at) {
                b'\n' | b'\r' => {
                    self.line = self.source.after_break(at);
                    self.pos = self.line;
                }
                b'#' if at == self.line || self.source.is_blank(at - 1) => {
                    let end = self.source.line_end(at);
                    self.fresh = fresh;
                    self.hold_comment(at, end);
                    self.pos = end;
                }
                _ => {
                    if fresh {
                        self.check_flow_line(spaces_end, at, indent)?;
                    }
                    self.pos = at;
                    return Ok(());
                }
            }
        }
    }

    /// A line in brackets has its text at `at`, and spaces before it up to `spaces_end`.
    fn check_flow_line(&self, spaces_end: usize, at: usize, indent: isize) -> Parsed<()> {
        if at > spaces_end && (spaces_end - self.line).cast_signed() <= indent {
            return Fault::new(spaces_end, "a tab as indentation in brackets; use spaces");
        }
        if at == self.line && self.source.is_marker(at) {
            return Fault::new(at, "a line of --- or ... inside of brackets that are not closed");
        }
        Ok(())
    }

    fn open_brackets(&mut self, parent: usize) -> Parsed<()> {
        self.check_depth(self.pos)?;
        let (form, kind) = match self.source.byte(self.pos) {
            b'[' => (Form::List, NodeKind::List),
            _ => (Form::Map, NodeKind::Map),
        };
        let node = self.push_new(Span::at(self.pos), parent, kind, Style::Flow);
        self.properties = Properties::default();
        self.push_flow_frame(form, State::Entry, node);
        self.pos += 1;
        Ok(())
    }

    pub(super) fn push_flow_frame(&mut self, form: Form, state: State, node: usize) {
        self.flow.push(FlowFrame {
            form,
            state,
            node,
            first: node,
            properties: Properties::default(),
            start: self.pos,
            line: self.line,
            explicit: state == State::ExplicitKey,
            json: false,
            shallow: false,
            key: node,
            null_at: self.pos,
        });
    }

    /// The innermost collection. There is one while [`Parser::read_flow`] runs.
    pub(super) fn top(&mut self) -> Parsed<&mut FlowFrame> {
        let at = self.pos;
        self.flow.last_mut().ok_or(Fault { at, problem: UNCLOSED })
    }

    fn close_brackets(&mut self, bracket: u8) -> Parsed<()> {
        self.end_of_entry()?;
        self.push_flow_comments();
        let at = self.pos;
        let top = self.top()?;
        let (form, node) = (top.form, top.node);
        if (form == Form::List) != (bracket == b']') {
            return Fault::new(at, "a closing bracket of the wrong kind");
        }
        self.pos += 1;
        self.last_end = self.pos;
        self.end_node(node, self.last_end);
        self.flow.pop();
        let Some(around) = self.flow.last() else { return Ok(()) };
        if around.form != Form::List && around.state != State::Value {
            self.collapse_to_key(node, Style::Flow);
        }
        self.end_of_node(node, true)
    }

    fn flow_plain(&mut self, indent: isize) -> Parsed<()> {
        let start = self.pos;
        let parent = self.begin_node(indent)?;
        if matches!(self.source.byte(start), b'-' | b'?')
            && self.source.is_flow_indicator(start + 1)
        {
            let problem = "a - or ? alone inside of brackets; put it in quotes";
            return Fault::new(start, problem);
        }
        let (mut end, mut stop) = self.source.plain_part_in_brackets(start);
        let mut line = self.line;
        while stop == Stop::Line {
            let Some((line_start, next)) = self.flow_continuation(end, indent)? else { break };
            let (part_end, part_stop) = self.source.plain_part_in_brackets(next);
            stop = part_stop;
            if part_end > next {
                (line, end) = (line_start, part_end);
            }
        }
        (self.pos, self.line) = (end, line);
        self.put_node(Span::new(start, end), parent, NodeKind::Scalar, Style::Plain)
    }

    /// As [`Parser::continuation`], in brackets.
    fn flow_continuation(&self, end: usize, indent: isize) -> Parsed<Option<(usize, usize)>> {
        let mut at = self.source.skip_blanks(end);
        loop {
            let line = self.source.after_break(at);
            let spaces_end = self.source.skip_spaces(line);
            at = self.source.skip_blanks(spaces_end);
            match self.source.byte(at) {
                0 | b'#' => return Ok(None),
                b'\n' | b'\r' => {}
                _ if at == line && self.source.is_marker(at) => return Ok(None),
                _ if at > spaces_end && (spaces_end - line).cast_signed() <= indent => {
                    return Fault::new(spaces_end, "a tab as indentation in brackets; use spaces");
                }
                _ => return Ok(Some((line, at))),
            }
        }
    }
}
