//! YAML text to nodes: a scanner of spans over the whole of YAML 1.2.
//!
//! One pass, one explicit stack (no recursion), nothing owned per value. Block structure is read by
//! indentation ([`block`]), what stands in brackets by a small state machine ([`flow`]); a key is
//! known by the `:` behind it, so nothing is read twice, but for keys that are whole collections.
//!
//! Invariants, on top of those of `document`:
//! - The descendants of a node follow it without a gap, except that a comment between a key and its
//!   value has the map of the key (an outer container) as its parent.
//! - A map or list starts at its first key or dash (or the properties of that key) and ends where its
//!   last value ends. Its head comments are its children and follow it in the list of nodes, though
//!   they stand before that start in the text; its trailing comments stand behind its end.
//! - A comment on the header line of a block scalar is part of that scalar, no node.
//! - An alias names an anchor that stands before it; a tag uses a handle that is declared.
//!
//! Stricter than YAML 1.2: control characters everywhere, and NEL, LS, PS and byte order marks
//! outside of quotes and block scalars. Laxer, as libyaml: the lines of a quoted scalar or of a
//! bracketed collection may be indented by less than they should.

use std::collections::HashSet;

use crate::document::{Node, NodeId, NodeKind, ParseError, Style};
use crate::text::Span;

use block::Frame;
use comments::Pending;
use flow::FlowFrame;
use properties::Properties;
use slots::Slot;
use source::Source;

mod block;
mod block_scalars;
mod characters;
mod comments;
mod directives;
mod entries;
mod flow;
mod properties;
mod scalars;
mod slots;
mod source;
mod stream;

/// Reads a YAML stream.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, ParseError> {
    let odd = characters::check(text)?;
    let mut parser = Parser::new(text);
    let read = parser.stream();
    // What is wrong on the line of such a character, or behind it, may be wrong because of it.
    let line_end = |fault: &Fault| parser.source.line_end(fault.at);
    let read_to = read.as_ref().err().map_or(text.len(), line_end);
    let odd = &odd[..odd.partition_point(|&at| at <= read_to)];
    characters::refuse_odd(text, odd, &parser.nodes)?;
    match read {
        Ok(()) => Ok(parser.nodes),
        Err(fault) => Err(ParseError::at(text, fault.at, fault.problem)),
    }
}

/// What is wrong, and at which byte.
struct Fault {
    at: usize,
    problem: &'static str,
}

impl Fault {
    fn new<T>(at: usize, problem: &'static str) -> Parsed<T> {
        Err(Self { at, problem })
    }
}

type Parsed<T> = Result<T, Fault>;

struct Parser<'t> {
    source: Source<'t>,
    nodes: Vec<Node>,
    /// The byte to read next.
    pos: usize,
    /// Start of the line of `pos`.
    line: usize,
    /// Whether nothing but space stands between `line` and `pos`.
    fresh: bool,
    /// Spaces at the start of the line, and whether a tab stands among them.
    indent: usize,
    tabbed: bool,
    /// Node of the document that is open.
    document: usize,
    /// End of the last node that is no comment.
    last_end: usize,
    /// Open block collections, outermost first, and bracketed ones inside of the last of them.
    frames: Vec<Frame>,
    flow: Vec<FlowFrame>,
    /// The place for a value that is open, if any. Without one, a fresh line continues a collection.
    slot: Option<Slot>,
    /// Properties on this line, not yet pushed; and which ones of lines before belong to the slot.
    properties: Properties,
    above: Properties,
    /// Comments whose owner is not known yet.
    comments: Vec<Pending>,
    anchors: HashSet<&'t str>,
    handles: HashSet<&'t str>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        let source = Source::new(text);
        let pos = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self {
            source,
            nodes: Vec::with_capacity(text.len() / 16 + 4),
            pos,
            line: pos,
            fresh: true,
            indent: 0,
            tabbed: false,
            document: 0,
            last_end: pos,
            frames: Vec::new(),
            flow: Vec::new(),
            slot: None,
            properties: Properties::default(),
            above: Properties::default(),
            comments: Vec::new(),
            anchors: HashSet::new(),
            handles: HashSet::new(),
        }
    }

    /// Adds a node that is no comment.
    fn push(&mut self, node: Node) -> usize {
        let index = self.nodes.len();
        self.last_end = node.span().end();
        self.nodes.push(node);
        index
    }

    fn push_new(&mut self, span: Span, parent: usize, kind: NodeKind, style: Style) -> usize {
        self.push(Node::new(span, NodeId::new(parent), kind, style))
    }

    /// A null that is not written.
    fn push_null(&mut self, at: usize, parent: usize) {
        self.push_new(Span::at(at), parent, NodeKind::Scalar, Style::Plain);
    }

    fn end_node(&mut self, index: usize, end: usize) {
        self.nodes[index] = self.nodes[index].with_end(end);
    }

    /// Steps over blanks, line breaks and comments to the next token of block structure.
    fn skip_space(&mut self) -> Parsed<()> {
        loop {
            let mut at = self.pos;
            if at == self.line {
                at = self.source.skip_spaces(at);
                self.indent = at - self.line;
                self.tabbed = false;
            }
            let spaces_end = at;
            at = self.source.skip_blanks(at);
            if self.fresh && at != spaces_end {
                self.tabbed = true;
            }
            match self.source.byte(at) {
                b'\n' | b'\r' => {
                    self.end_properties()?;
                    self.start_line(self.source.after_break(at));
                }
                b'#' if at == self.line || self.source.is_blank(at - 1) => {
                    self.end_properties()?;
                    let end = self.source.line_end(at);
                    self.hold_comment(at, end);
                    self.pos = end;
                }
                byte => {
                    self.pos = at;
                    if byte == 0 {
                        self.end_properties()?;
                    }
                    return Ok(());
                }
            }
        }
    }

    fn start_line(&mut self, at: usize) {
        self.pos = at;
        self.line = at;
        self.fresh = true;
    }

    /// Whether everything is read. The text holds no NUL, so byte 0 stands for the end.
    fn at_end(&self) -> bool {
        self.source.byte(self.pos) == 0
    }

    /// Whether a `---` or `...` line starts here.
    fn at_marker(&self) -> bool {
        self.pos == self.line && self.source.is_marker(self.pos)
    }

    /// After a value that ends at `pos`: nothing more may stand on the line but a comment.
    fn expect_line_end(&self) -> Parsed<()> {
        let at = self.source.skip_blanks(self.pos);
        match self.source.byte(at) {
            0 | b'\n' | b'\r' => Ok(()),
            b'#' if at > self.pos => Ok(()),
            b'#' => Fault::new(at, "a comment needs a space before its #"),
            _ => Fault::new(at, "text behind a value that has ended; quote the whole value"),
        }
    }
}
